"""Every attempt has one end, stored, and it counts: exits, cancellations, timeouts, steps that `run()` gives up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from functools import partial
from typing import Any

import pytest

from tests.support.world import World, in_world
from wrangler_py.clock import SystemClock
from wrangler_py.engine import Status
from wrangler_py.engine.instance import threads
from wrangler_py.engine.instance.callback import Callback
from wrangler_py.engine.instance.executor import AttemptExecutor
from wrangler_py.engine.instance.threads import StepThreads, TooManyThreadsError
from wrangler_py.errors import WorkflowTimeoutError
from wrangler_py.serde import decode

ONCE = {"retries": {"limit": 0, "delay": 0}}
TWICE = {"retries": {"limit": 1, "delay": 0}}


def outcome(folder: Any, run: Any, **options: Any) -> Any:
    """Return status, output and error text of one instance of ``run``."""

    async def body(world: World) -> Any:
        row = await world.run(run)
        return (
            row.status,
            decode(row.output or b"null"),
            row.error and f"{row.error.name}: {row.error.message}",
        )

    return in_world(folder, body, **options)


class Shutdown(BaseException):
    """A library's own way to say stop."""


@pytest.mark.parametrize(
    "error", [SystemExit(2), KeyboardInterrupt("no"), Shutdown("now"), asyncio.CancelledError("own")]
)
@pytest.mark.parametrize("form", ["async", "def", "after an await"])
def test_whatever_a_step_raises_is_a_failed_attempt(tmp_path, error, form):
    calls: list[int] = []

    async def run(event, step):
        async def work():
            calls.append(1)
            if form == "after an await":
                await asyncio.sleep(1)
            raise error

        def threaded():
            calls.append(1)
            raise error

        await step.do("work", TWICE, threaded if form == "def" else work)

    status, _, text = outcome(tmp_path, run)
    assert (status, len(calls)) == (Status.ERRORED, 2)
    assert text.startswith(f"{type(error).__name__}: ")


@pytest.mark.parametrize("form", ["async", "def", "after an await", "run"])
def test_code_that_raises_generator_exit_fails_as_any(tmp_path, form):
    """A coroutine that raises it on looks as if the interpreter had closed it: the instance hung for ever."""

    async def run(event, step):
        async def work():
            if form == "after an await":
                await asyncio.sleep(1)
            raise GeneratorExit

        def threaded():
            raise GeneratorExit

        if form == "run":
            raise GeneratorExit
        await step.do("work", TWICE, threaded if form == "def" else work)

    status, _, text = outcome(tmp_path, run)
    assert status is Status.ERRORED
    assert "raised GeneratorExit" in text


def test_an_exit_in_a_task_that_user_code_made_does_not_stop_the_loop(tmp_path):
    async def run(event, step):
        async def leave():
            raise SystemExit(3)

        try:
            await asyncio.gather(leave())
        except Exception as error:
            return str(error)

    assert outcome(tmp_path, run)[:2] == (Status.COMPLETE, "Error: SystemExit: 3")


def test_an_exit_in_a_delay_function_fails_the_step(tmp_path):
    async def run(event, step):
        def delay(_):
            raise SystemExit(4)

        await step.do("work", {"retries": {"limit": 3, "delay": delay}}, lambda: 1 / 0)

    status, _, text = outcome(tmp_path, run)
    assert status is Status.ERRORED
    assert "SystemExit: 4" in text


def test_stop_iteration_in_a_threaded_step_is_a_failed_attempt(tmp_path):
    """A future cannot carry it: on 3.11 such a step hung for ever."""

    async def run(event, step):
        await step.do("first", ONCE, lambda: next(iter([])))

    assert outcome(tmp_path, run)[2] == "RuntimeError: the step raised StopIteration"


# given up -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hibernate_after_ms", [0, 10_000])
@pytest.mark.parametrize("config", [ONCE, None])
@pytest.mark.parametrize("form", ["wait_for", "timeout", "race", "wait"])
def test_a_step_that_run_gave_up_is_never_called_again(tmp_path, form, config, hibernate_after_ms):
    calls: list[int] = []

    async def run(event, step):
        async def charge():
            calls.append(1)
            await asyncio.sleep(5)
            return "charged"

        call = step.do("charge", config, charge)
        gave_up = await give_up(form, call)
        for number in range(3):
            await step.sleep(f"pause {number}", "150 milliseconds")
        return gave_up

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(0.4)
        await world.crash()
        await world.finish(row)
        return await world.engine.detail("w", row.id)

    detail = in_world(tmp_path, body, hibernate_after_ms=hibernate_after_ms)
    assert (detail.output, len(calls), detail.warnings) == (True, 1, [])
    charge = detail.steps[0]
    assert (charge.success, charge.error.name) == (False, "StepAbandonedError")
    assert [attempt.success for attempt in charge.attempts] == [False]


async def give_up(form: str, call: Any) -> bool:
    """Await ``call`` for a fifth of a second in one of the ways Python has; return True if that was too short."""
    if form == "wait_for":
        try:
            await asyncio.wait_for(call, 0.2)
        except TimeoutError:
            return True
        return False
    if form == "timeout":
        try:
            async with asyncio.timeout(0.2):
                await call
        except TimeoutError:
            return True
        return False
    task = asyncio.create_task(call)
    if form == "wait":
        await asyncio.wait({task}, timeout=0.2)
    else:
        await asyncio.wait(
            {task, asyncio.create_task(asyncio.sleep(0.2))}, return_when=asyncio.FIRST_COMPLETED
        )
    gave_up = not task.done()
    task.cancel()
    await asyncio.wait({task})
    return gave_up


@pytest.mark.parametrize("then", ["returns", "fails", "cancels"])
def test_a_failed_task_group_of_a_step_disturbs_no_timeout_around(tmp_path, then):
    """It leaves its cancellation behind (Python 3.11, 3.12), which is over with the attempt."""

    async def run(event, step):
        async def fails():
            raise ValueError("no card")

        async def group():
            with contextlib.suppress(BaseExceptionGroup):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(fails())
                    tasks.create_task(asyncio.sleep(5))
            if then == "cancels":
                raise asyncio.CancelledError("no card")
            if then == "fails":
                raise ValueError("no card")
            return "grouped"

        seen = []
        try:
            async with asyncio.timeout(0.5):
                try:
                    seen.append(await step.do("group", {"retries": {"limit": 0, "delay": 0}}, group))
                except Exception as error:
                    seen.append(str(error))
                await asyncio.sleep(5)
        except TimeoutError:
            seen.append("late")
        return [*seen, asyncio.current_task().cancelling()]

    async def body(world):
        row = await world.run(run)
        return decode(row.output)

    outcome = "grouped" if then == "returns" else "no card"
    seen = in_world(tmp_path, body)
    assert seen[1:] == ["late", 0]
    assert outcome in seen[0]


@pytest.mark.parametrize("hibernate_after_ms", [0, 10_000])
@pytest.mark.parametrize("swallow", ["returns", "raises", "takes its time", "takes it back"])
@pytest.mark.parametrize("form", ["wait_for", "timeout", "race", "wait"])
def test_what_a_step_makes_of_its_cancellation_changes_nothing(tmp_path, form, swallow, hibernate_after_ms):
    """A replay has no code of the step that could swallow it: what comes after is dropped in the first life, too."""
    calls: list[int] = []

    async def run(event, step):
        async def charge():
            calls.append(1)
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                if swallow == "takes its time":
                    await asyncio.sleep(0.1)
                if swallow == "takes it back":
                    asyncio.current_task().uncancel()
                if swallow == "raises":
                    raise ValueError("no card") from None
            return "charged"

        gave_up = await give_up(form, step.do("charge", {"retries": {"limit": 3, "delay": 0}}, charge))
        await step.sleep("night", "8 hours")
        return gave_up

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        await world.crash()
        await world.finish(row)
        return await world.engine.detail("w", row.id)

    detail = in_world(tmp_path, body, hibernate_after_ms=hibernate_after_ms)
    assert (detail.output, len(calls), detail.warnings) == (True, 1, [])
    assert (detail.steps[0].success, detail.steps[0].error.name) == (False, "StepAbandonedError")


@pytest.mark.parametrize("form", ["wait_for", "timeout", "race"])
@pytest.mark.parametrize("kind", ["step", "sleep", "event"])
def test_what_run_gave_up_before_it_could_start_is_given_up_on_a_replay_too(tmp_path, kind, form):
    """While an instance is about to pause, no new step starts, but the timers of `run()` go on."""
    calls: list[int] = []

    async def run(event, step):
        async def charge():
            calls.append(1)

        lingering = asyncio.create_task(step.do("linger", partial(asyncio.sleep, 2)))
        await asyncio.sleep(0.5)
        waits = {
            "step": partial(step.do, "charge", charge),
            "sleep": partial(step.sleep, "charge", "1 millisecond"),
            "event": partial(step.wait_for_event, "charge", "go", timeout="1 minute"),
        }
        gave_up = await give_up(form, waits[kind]())
        await lingering
        await step.sleep("night", "8 hours")
        return gave_up

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(0.2)
        await world.engine.pause("w", row.id)
        await asyncio.sleep(10)
        assert (await world.engine.status("w", row.id)).status is Status.PAUSED
        await world.engine.send_event("w", row.id, "go", None)
        await world.engine.resume("w", row.id)
        await world.finish(row)
        return await world.engine.detail("w", row.id)

    detail = in_world(tmp_path, body)
    assert (detail.output, calls, detail.warnings) == (True, [], [])


def test_an_attempt_that_a_crash_left_open_ends_also_where_run_gives_its_step_up(tmp_path):
    """It is held back after the crash, since the instance is about to pause, and given up before it could go on."""

    async def run(event, step):
        lingers = {"retries": {"limit": 3, "delay": 0}}
        lingering = asyncio.create_task(step.do("linger", lingers, partial(asyncio.sleep, 5)))
        await asyncio.sleep(0.5)
        gave_up = await give_up("timeout", step.do("charge", partial(asyncio.sleep, 10)))
        await lingering
        return gave_up

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(0.6)
        await world.crash()
        await asyncio.sleep(0.2)
        await world.engine.pause("w", row.id)
        await asyncio.sleep(10)
        await world.engine.resume("w", row.id)
        await world.finish(row)
        return await world.engine.detail("w", row.id)

    detail = in_world(tmp_path, body)
    charge = next(one for one in detail.steps if one.name == "charge-1")
    assert (detail.output, charge.error.name) == (True, "StepAbandonedError")
    assert [one.error.name for one in charge.attempts] == ["WorkflowInternalError"]


@pytest.mark.parametrize("kind", ["sleep", "event", "retry"])
def test_a_wait_that_run_gave_up_is_over_on_a_replay_too(tmp_path, kind):
    """Long after it would have ended by itself: a replay must not find that it is over now."""

    async def run(event, step):
        def refuse():
            raise ValueError("refused")

        call = {
            "sleep": lambda: step.sleep("wait", "1 minute"),
            "event": lambda: step.wait_for_event("wait", "go", timeout="1 minute"),
            "retry": lambda: step.do("wait", {"retries": {"limit": 5, "delay": "1 minute"}}, refuse),
        }[kind]()
        gave_up = await give_up("wait_for", call)
        await step.sleep("night", "8 hours")
        return gave_up

    async def body(world):
        row = await world.run(run)
        return decode(row.output), (await world.engine.detail("w", row.id)).warnings

    assert in_world(tmp_path, body) == (True, [])


def test_an_event_for_a_wait_that_was_given_up_goes_to_the_next(tmp_path):
    async def run(event, step):
        first = await give_up("wait_for", step.wait_for_event("one", "go", timeout="1 hour"))
        await step.sleep("pause", "1 minute")
        return [first, (await step.wait_for_event("two", "go", timeout="1 hour"))["payload"]]

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(30)
        await world.engine.send_event("w", row.id, "go", 7)
        return decode((await world.finish(row)).output)

    assert in_world(tmp_path, body) == [True, 7]


def test_an_event_that_was_on_its_way_to_a_wait_that_was_given_up_goes_to_the_next(tmp_path):
    """It was delivered and stored, and user code gave the wait up before it saw it: also after a crash."""

    async def run(event, step):
        task = asyncio.create_task(step.wait_for_event("one", "go", timeout="1 hour"))
        while not stored.is_set():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        stored.clear()
        await step.sleep("pause", "1 minute")
        return [task.cancelled(), (await step.wait_for_event("two", "go", timeout="1 hour"))["payload"]]

    async def body(world):
        world.engine.observe(lambda seen: seen.event.type.value == "WAIT_COMPLETE" and stored.set())
        await world.define(run)
        row = await world.engine.create("w")
        await world.turns(50)
        await world.engine.send_event("w", row.id, "go", 7)
        await asyncio.sleep(1)
        stored.set()
        await world.crash()
        return decode((await world.finish(row)).output)

    stored = asyncio.Event()
    assert in_world(tmp_path, body) == [True, 7]


def test_a_step_that_is_not_given_up_any_more_fails_by_its_stored_end(tmp_path):
    """The code has changed: nothing cancels the step, and it must not hang for ever."""

    def version(limit: float | None) -> Any:
        async def run(event, step):
            async def charge():
                await asyncio.sleep(5)

            try:
                async with asyncio.timeout(limit):
                    await step.do("charge", ONCE, charge)
            except TimeoutError:
                pass
            await step.wait_for_event("go", "go")

        return run

    async def body(world):
        await world.define(version(0.2))
        row = await world.engine.create("w")
        await asyncio.sleep(60)
        await world.define(version(None))
        await world.engine.send_event("w", row.id, "go")
        return (await world.finish(row)).error.name

    assert in_world(tmp_path, body) == "StepAbandonedError"


def test_a_result_that_was_stored_and_never_handed_over_is_not_handed_over_later(tmp_path):
    """The step is cancelled while its result is on its way: user code never saw it."""

    async def run(event, step):
        async def quick():
            return 1

        task = asyncio.create_task(step.do("quick", quick))
        for _ in range(2):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        cancelled = task.cancelled()
        await step.sleep("night", "8 hours")
        return cancelled

    async def body(world):
        row = await world.run(run)
        return decode(row.output)

    assert in_world(tmp_path, body) is True


# timeouts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["once", "raises", "always"])
def test_a_timeout_holds_whatever_the_code_does_with_its_cancellation(tmp_path, how):
    calls: list[int] = []

    async def run(event, step):
        async def poll():
            calls.append(1)
            while True:
                try:
                    await asyncio.sleep(60)
                except BaseException:
                    if how == "once":
                        return "too late"
                    if how == "raises":
                        raise ValueError("in its cleaning up") from None

        return await step.do("poll", {**TWICE, "timeout": 500}, poll)

    assert outcome(tmp_path, run) == (
        Status.ERRORED,
        None,
        "WorkflowTimeoutError: Execution timed out after 500ms",
    )
    assert len(calls) == 2


def test_a_callback_that_times_out_may_clean_up(tmp_path):
    cleaned: list[int] = []

    async def run(event, step):
        async def poll():
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.5)
                cleaned.append(1)

        return await step.do("poll", {**ONCE, "timeout": 500}, poll)

    assert outcome(tmp_path, run)[2] == "WorkflowTimeoutError: Execution timed out after 500ms"
    assert cleaned == [1]


class Stopwatch(SystemClock):
    """A monotonic clock that a test moves."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize("inner_s", [1, 1.5, 2])
def test_timeouts_hold_one_inside_the_other(tmp_path, inner_s):
    """A step inside another that swallows its cancellation, as both are over at once, or one after the other."""

    async def run(event, step):
        async def swallows():
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)

        def config(seconds):
            return {"retries": {"limit": 0, "delay": 0}, "timeout": round(seconds * 1000)}

        async def outer():
            await step.do("inner", config(inner_s), swallows)

        try:
            await step.do("outer", config(1), outer)
        except WorkflowTimeoutError:
            await asyncio.sleep(10)
            return "timed out"

    row = in_world(tmp_path, lambda world: world.run(run))
    assert (row.status, row.output) == (Status.COMPLETE, b'"timed out"')


@pytest.mark.parametrize("form", ["at once", "raises", "after an await"])
def test_a_callback_that_blocks_for_longer_than_its_timeout_comes_too_late(form):
    clock = Stopwatch()

    async def work(_: Any) -> str:
        if form == "after an await":
            await asyncio.sleep(0)
        clock.seconds += 2
        if form == "raises":
            raise ValueError
        return "too late"

    async def main() -> None:
        executor = AttemptExecutor(clock)
        with pytest.raises(WorkflowTimeoutError):
            await executor.call(Callback(work, is_async=True, wants_context=False), {}, executor.due(500))
        executor.extend_deadlines(3)
        clock.seconds += 100
        assert (
            await executor.call(Callback(work, is_async=True, wants_context=False), {}, executor.due(2500))
            == "too late"
        )

    if form == "raises":
        with pytest.raises(ValueError):
            asyncio.run(main())
    else:
        asyncio.run(main())


def test_a_debugger_may_sit_in_a_callback():
    clock = Stopwatch()

    async def main() -> str:
        executor = AttemptExecutor(clock)

        async def work(_: Any) -> str:
            clock.seconds += 60
            executor.extend_deadlines(60)
            return "fine"

        return await executor.call(Callback(work, is_async=True, wants_context=False), {}, executor.due(500))

    assert asyncio.run(main()) == "fine"


# threads --------------------------------------------------------------------------------------------------------------


def test_a_call_that_nobody_waits_for_gives_its_place_to_another():
    pool, gate, began = StepThreads(2), threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        began.release()
        gate.wait(60)

    hanging = [pool.submit(hang) for _ in range(2)]
    for _ in hanging:
        assert began.acquire(timeout=60)
    waiting = pool.submit(lambda: "called")
    assert not waiting.done()
    hanging[0].cancel()
    assert waiting.result(60) == "called"
    assert pool.left_behind == 1
    hanging[0].cancel()
    assert pool.left_behind == 1
    gate.set()
    assert pool.submit(lambda: "again").result(60) == "again"
    pool.shutdown()


def test_a_waiting_call_that_is_cancelled_is_never_made():
    pool, gate, made = StepThreads(1), threading.Event(), list[int]()
    pool.submit(gate.wait, 60)
    waiting = pool.submit(made.append, 1)
    last = pool.submit(lambda: "last")
    assert waiting.cancel()
    gate.set()
    assert (last.result(60), made) == ("last", [])
    pool.shutdown()


def test_no_more_threads_work_than_may():
    pool, lock, most = StepThreads(3), threading.Lock(), [0, 0]

    def work() -> None:
        with lock:
            most[0] += 1
            most[1] = max(most)
        time.sleep(0)
        with lock:
            most[0] -= 1

    for call in [pool.submit(work) for _ in range(200)]:
        call.result(60)
    assert 1 <= most[1] <= 3
    pool.shutdown()


def test_too_many_threads_that_never_return_are_an_error(monkeypatch):
    monkeypatch.setattr(threads, "MOST_LEFT_BEHIND", 1)
    pool, gate, began = StepThreads(1), threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        gate.wait(60)

    hanging = pool.submit(hang)
    assert began.wait(60)
    hanging.cancel()
    with pytest.raises(TooManyThreadsError, match="1 threads of `def` steps"):
        pool.submit(print)
    gate.set()
    pool.shutdown()


def test_def_steps_go_on_when_all_threads_hang(tmp_path):
    gate = threading.Event()

    async def run(event, step):
        async def hang(number):
            await step.do(f"hang {number}", {**ONCE, "timeout": 300}, lambda: gate.wait(60))

        hanging = [hang(number) for number in range(AttemptExecutor.THREADS)]
        found = await asyncio.gather(*hanging, return_exceptions=True)
        return [len(found), await step.do("quick", ONCE, lambda: "quick")]

    async def body():
        from tests.support.world import workflow
        from wrangler_py.engine import Definition, Engine, EngineOptions
        from wrangler_py.storage.sqlite import SqliteStore

        store = await SqliteStore.open(tmp_path / "workflows.sqlite")
        engine = Engine(store, SystemClock(), options=EngineOptions(heartbeat=False))
        await engine.bind([Definition("w", "script", "W", "v1", workflow(run))])
        await engine.start(None)
        row = await engine.create("w")
        async for _ in engine.subscribe("w", row.id):
            pass
        found = await engine.status("w", row.id)
        gate.set()
        await engine.close()
        await store.close()
        return decode(found.output or b"null")

    assert asyncio.run(body()) == [AttemptExecutor.THREADS, "quick"]


# the end of run() -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["return", "raise"])
def test_nothing_is_written_behind_the_end(tmp_path, end):
    went_on: list[int] = []

    async def run(event, step):
        async def background():
            await step.do("one", slow)
            went_on.append(1)
            await step.do("two", slow)

        async def slow():
            await asyncio.sleep(5)

        task = asyncio.create_task(background())
        await step.do("quick", lambda: 1)
        if end == "raise":
            raise ValueError("over")
        return bool(task)

    async def body(world):
        row = await world.run(run)
        await asyncio.sleep(60)
        return await world.types(row)

    types = in_world(tmp_path, body)
    assert types[-1] in ("WORKFLOW_SUCCESS", "WORKFLOW_FAILURE")
    assert went_on == []
    assert types.count("ATTEMPT_START") == types.count("ATTEMPT_SUCCESS") + types.count("ATTEMPT_FAILURE")
