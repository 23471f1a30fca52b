"""The documents' page "Rules of Workflows": what it calls good works, and what it calls bad goes wrong as it says."""

import pytest

from tests.support.hosted import ended
from wrangler_py.engine import Status
from wrangler_py.serde import to_json

KV = """
[[kv_namespaces]]
binding = "KV"
id = "cats"
"""
D1 = """
[[d1_databases]]
binding = "DB"
database_id = "instances"
"""
HEAD = "from workers import WorkflowEntrypoint\n"


def finished(worker, run, params=None, config=KV, fill=None, **options):
    """Run the workflow whose ``run()`` is given; return its status and output."""

    async def body(host):
        for key, value in (fill or {}).items():
            await host.env.KV.put(key, value)
        instance = await host.env.MY_WORKFLOW.create(params=params or {})
        row = await ended(host, instance.id)
        return row.status, to_json(row.output) if row.error is None else row.error.message

    lines = "\n".join("        " + line for line in run.strip("\n").splitlines())
    entry = f"{HEAD}class MyWorkflow(WorkflowEntrypoint):\n    async def run(self, event, step):\n{lines}\n"
    return worker(entry, body, config, **options)


def test_a_charge_that_checks_first_is_made_once_however_often_the_step_runs(worker):
    """ "Ensure API/Binding calls are idempotent": the charge commits, then the attempt fails; the next one sees it."""
    run = """
@step.do("charge 123456 for its monthly subscription")
async def charge(ctx):
    if await self.env.KV.get("charged-123456"):
        return "was charged"
    charges = int(await self.env.KV.get("charges") or 0)
    await self.env.KV.put("charges", str(charges + 1))
    await self.env.KV.put("charged-123456", "yes")
    raise ConnectionError("the processor committed and did not answer")
said = await charge()
return [said, await step.do("count", lambda: self.env.KV.get("charges"))]
"""
    assert finished(worker, run) == (Status.COMPLETE, ["was charged", "1"])


def test_granular_steps_use_what_others_returned(worker):
    run = """
@step.do("get cutest cat from KV")
async def cutest():
    return await self.env.KV.get("cutest-http-cat")
http_cat = await cutest()
@step.do("fetch cat image from http.cat")
async def image():
    return f"https://http.cat/{http_cat}"
return await image()
"""
    assert finished(worker, run, fill={"cutest-http-cat": "418"}) == (Status.COMPLETE, "https://http.cat/418")


BAD_LIST = """
images = []
@step.do("get first cutest cat from KV")
async def first():
    images.append(await self.env.KV.get("cutest-http-cat-1"))
@step.do("get second cutest cat from KV")
async def second():
    images.append(await self.env.KV.get("cutest-http-cat-2"))
await first()
await second()
await step.sleep("zzz", "3 hours")
@step.do("choose a random cat from the list and download it")
async def choose():
    return list(images)
return await choose()
"""
GOOD_LIST = """
import asyncio
@step.do("get first cutest cat from KV")
async def first():
    return await self.env.KV.get("cutest-http-cat-1")
@step.do("get second cutest cat from KV")
async def second():
    return await self.env.KV.get("cutest-http-cat-2")
images = await asyncio.gather(first(), second())
await step.sleep("zzz", "3 hours")
@step.do("choose a random cat from the list and download it")
async def choose():
    return list(images)
return await choose()
"""


@pytest.mark.parametrize(("run", "seen"), [(BAD_LIST, []), (GOOD_LIST, ["404", "418"])])
def test_state_outside_steps_is_gone_after_a_long_sleep_and_what_steps_returned_is_not(worker, run, seen):
    """ "Do not rely on state outside of a step"."""
    cats = {"cutest-http-cat-1": "404", "cutest-http-cat-2": "418"}
    assert finished(worker, run, fill=cats) == (Status.COMPLETE, seen)


def test_a_changed_event_is_as_it_was_in_the_next_lifetime(worker):
    """ "Do not mutate your incoming events"."""
    run = """
@step.do("bad step that mutates the incoming event")
async def bad():
    event["payload"]["user"] = await self.env.KV.get("someone")
await bad()
await step.sleep("zzz", "3 hours")
@step.do("good step that returns state")
async def good():
    return event["payload"]["user"]
return await good()
"""
    assert finished(worker, run, {"user": "me"}, fill={"someone": "else"}) == (Status.COMPLETE, "me")


def test_a_name_made_of_the_time_makes_another_step_each_lifetime(worker):
    """ "Name steps deterministically": the first step runs again after the sleep, under another name."""
    run = """
from datetime import datetime
import time, itertools
async def count():
    runs = int(await self.env.KV.get("runs") or 0) + 1
    await self.env.KV.put("runs", str(runs))
await step.do(f"step #1 running at: {time.perf_counter_ns()}", count)
await step.sleep("zzz", "3 hours")
return await step.do("read", lambda: self.env.KV.get("runs"))
"""
    assert finished(worker, run) == (Status.COMPLETE, "2")


def test_names_made_of_what_a_step_returned_are_stable(worker):
    run = """
@step.do("get cat list from KV")
async def cats():
    return await self.env.KV.get("cat-list", "json")
async def fetch(cat):
    runs = int(await self.env.KV.get("runs") or 0) + 1
    await self.env.KV.put("runs", str(runs))
    return await self.env.KV.get(cat)
found = []
for cat in await cats():
    found.append(await step.do(f"get cat: {cat}", lambda cat=cat: fetch(cat)))
await step.sleep("zzz", "3 hours")
return [found, await step.do("read", lambda: self.env.KV.get("runs"))]
"""
    fill = {"cat-list": '["tom", "kit"]', "tom": "T", "kit": "K"}
    assert finished(worker, run, fill=fill) == (Status.COMPLETE, [["T", "K"], "2"])


RACE = """
import asyncio
async def first():
    await asyncio.sleep(1)
    return "first"
async def second():
    return "second"
async def race():
    tasks = [
        asyncio.ensure_future(step.do("Promise first race", first)),
        asyncio.ensure_future(step.do("Promise second race", second)),
    ]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return next(task.result() for task in tasks if task in done)
"""
INSIDE = """
result = await step.do("Promise step", race)
await step.sleep("Sleep step", "2 hours")
return await step.do("Another step", lambda: result)
"""
OUTSIDE = """
result = await race()
await step.sleep("Sleep step", "2 hours")
return await step.do("Another step", lambda: result)
"""


@pytest.mark.parametrize("rest", [INSIDE, OUTSIDE])
def test_a_race_ends_on_a_replay_as_it_did_first(worker, rest):
    """ "Take care with Promise.race() and Promise.any()": on Cloudflare it does inside a step only."""
    assert finished(worker, RACE + rest) == (Status.COMPLETE, "second")


def test_ids_are_composed_and_kept_in_a_database(worker):
    """ "Instance IDs are unique": a user has many instances, found through D1."""
    entry = """
    from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

    class MyWorkflow(WorkflowEntrypoint):
        async def run(self, event, step):
            return event["payload"]

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            number = request.url.rpartition("/")[2]
            await self.env.DB.exec("CREATE TABLE IF NOT EXISTS instances (user TEXT, id TEXT PRIMARY KEY)")
            instance_id = f"ann-{number}"
            instance = await self.env.MY_WORKFLOW.create(id=instance_id, params={"number": number})
            await self.env.DB.prepare("INSERT INTO instances VALUES (?, ?)").bind("ann", instance_id).run()
            rows = await self.env.DB.prepare("SELECT id FROM instances WHERE user = ? ORDER BY id").bind("ann").all()
            return Response.json({"id": instance.id, "all": [row.id for row in rows.results]})
    """

    async def body(host):
        from wrangler_py.sdk.workers import Request

        await host.fetch(Request("http://localhost/1"))
        answer = await (await host.fetch(Request("http://localhost/2"))).json()
        with pytest.raises(Exception, match="already exists"):
            await host.fetch(Request("http://localhost/1"))
        return answer, to_json((await ended(host, "ann-2")).output)

    assert worker(entry, body, D1) == ({"id": "ann-2", "all": ["ann-1", "ann-2"]}, {"number": "2"})


def test_a_step_that_is_not_awaited_is_named(worker):
    """ "await your steps"."""
    run = """
@step.do("fetch issues from GitHub")
async def issues():
    return []
issues()
return "went on"
"""
    status, message = finished(worker, run)
    assert status is Status.ERRORED
    assert "fetch issues from GitHub" in message
