"""The documents' page "Sleeping and retrying"."""

from tests.support.hosted import ended
from wrangler_py.engine import Status
from wrangler_py.serde import to_json

HOUR = 3_600_000
HEAD = """\
from datetime import datetime, timedelta
from workers import WorkflowEntrypoint
from workers.workflows import NonRetryableError
"""


def ran(worker, run):
    """Run the workflow whose ``run()`` is given; return its status, output or error, and how long it took in ms."""

    async def body(host):
        started = host.engine.clock.now()
        instance = await host.env.MY_WORKFLOW.create()
        row = await ended(host, instance.id)
        last = (await host.engine.history("my-workflow", instance.id))[-1].at
        return row.status, to_json(row.output) if row.error is None else row.error.message, last - started

    lines = "\n".join("        " + line for line in run.strip("\n").splitlines())
    return worker(
        f"{HEAD}class MyWorkflow(WorkflowEntrypoint):\n    async def run(self, event, step):\n{lines}\n", body
    )


def test_sleep_for_a_relative_period(worker):
    run = """
await step.sleep("sleep for a bit", "1 hour")
await step.sleep("and a little more", 1500)
"""
    assert ran(worker, run) == (Status.COMPLETE, None, HOUR + 1500)


def test_sleep_until_a_fixed_date(worker):
    run = """
launch = datetime(2026, 10, 24, 13)
await step.sleep_until("sleep until X times out", launch)
@step.do("now")
async def now():
    return True
return await now()
"""
    status, output, took = ran(worker, run)
    assert (status, output) == (Status.COMPLETE, True)
    assert took == 1_792_846_800_000 - 1_767_225_600_000


def test_ten_retries_with_exponential_delays(worker):
    """A limit of 10 is up to 11 attempts, 10, 20, 40 s and so on apart."""
    run = """
@step.do("call an API", config={
    "retries": {"limit": 10, "delay": "10 seconds", "backoff": "exponential"}, "timeout": "30 minutes"})
async def call(ctx):
    if ctx["attempt"] < 11:
        raise ConnectionError("not yet")
    return ctx["attempt"]
return await call()
"""
    assert ran(worker, run) == (Status.COMPLETE, 11, 10_000 * (2**10 - 1))


def test_the_default_is_five_retries_from_ten_seconds_on(worker):
    run = """
@step.do("fails")
async def fails(ctx):
    raise ConnectionError(f"attempt {ctx['attempt']}")
await fails()
"""
    assert ran(worker, run) == (Status.ERRORED, "attempt 6", 10_000 * (2**5 - 1))


def test_a_non_retryable_error_ends_the_instance_at_once(worker):
    run = """
@step.do("some step")
async def some():
    if not event["payload"].get("data"):
        raise NonRetryableError("event.payload.data did not contain the expected payload")
await some()
@step.do("never")
async def never():
    return True
await never()
"""
    assert ran(worker, run) == (Status.ERRORED, "event.payload.data did not contain the expected payload", 0)


def test_a_caught_error_lets_the_workflow_clean_up_and_go_on(worker):
    run = """
done = []
@step.do("task")
async def task():
    return "task"
@step.do("non-retryable-task")
async def fails():
    raise NonRetryableError("oh no")
@step.do("clean-up-task")
async def clean_up():
    return "clean-up-task"
@step.do("next-task")
async def go_on():
    return "next-task"
done.append(await task())
try:
    await fails()
except Exception as e:
    done.append(f"Step failed: {e}")
    done.append(await clean_up())
done.append(await go_on())
return done
"""
    said = ["task", "Step failed: oh no", "clean-up-task", "next-task"]
    assert ran(worker, run) == (Status.COMPLETE, said, 0)
