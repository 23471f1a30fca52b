"""Calls of bindings start when they are made, awaited or not, in the order in which they are made."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import traceback
from contextvars import ContextVar, copy_context

import pytest

from tests.support.hosted import in_host
from wrangler_py.bindings.started import Started, Unawaited, _alone, starts, starts_in_a_task
from wrangler_py.errors import BindingError
from wrangler_py.sdk.context import Context, WaitUntil, current_context
from wrangler_py.sdk.pyodide.ffi import run_sync


class Box:
    """A binding; what its calls did, and in which task."""

    def __init__(self):
        self.did, self.tasks, self.gate = [], [], None

    def __repr__(self):
        return "<box>"

    @starts
    async def put(self, value):
        self.did.append(value)

    @starts
    async def slow(self, value, turns=3):
        self.did.append(f"{value} begins")
        for _ in range(turns):
            self.tasks.append(asyncio.current_task())
            await asyncio.sleep(0)
        self.did.append(f"{value} ends")
        return value

    @starts
    async def fail(self, turns=0):
        for _ in range(turns):
            await asyncio.sleep(0)
        raise BindingError("no room")

    @starts
    async def wait(self):
        self.gate = asyncio.get_running_loop().create_future()
        try:
            return await self.gate
        finally:
            self.did.append("left")

    @starts_in_a_task
    async def run(self, value):
        self.did.append(value)
        self.tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        self.tasks.append(asyncio.current_task())


def on(body):
    """Run ``body(box)``; nothing of it may be left."""

    async def main():
        box = Box()
        found = await body(box)
        await turns()
        assert not _alone
        return found, box

    return asyncio.run(main())


async def turns(number=10):
    for _ in range(number):
        await asyncio.sleep(0)


def errors(caplog):
    gc.collect()
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_call_that_is_not_awaited_is_done_all_the_same():
    async def body(box):
        box.put(1)
        box.slow(2)
        await turns()
        return list(box.did)

    assert on(body)[0] == [1, "2 begins", "2 ends"]


def test_calls_take_effect_in_the_order_in_which_they_are_made():
    async def body(box):
        box.put(1)
        box.slow(2)
        await box.put(3)
        return list(box.did)

    assert on(body)[0] == [1, "2 begins", 3]


def test_a_result_may_be_awaited_late_and_more_than_once():
    async def body(box):
        call = box.slow("a")
        await turns()
        return await call, await call

    assert on(body)[0] == ("a", "a")


def test_two_tasks_may_await_one_call():
    async def body(box):
        call = box.slow("a")
        return await asyncio.gather(asyncio.wait_for(call, 5), asyncio.wait_for(call, 5), call)

    assert on(body)[0] == ["a", "a", "a"]


@pytest.mark.parametrize("late", [0, 1, 10])
def test_what_is_awaited_in_time_runs_in_the_task_that_awaits_it(late):
    """Only what nobody awaits costs a task of its own."""

    async def body(box):
        call = box.slow("a")
        await turns(late)
        await call
        return {task is asyncio.current_task() for task in box.tasks[1:]}

    assert on(body)[0] == {late < 2}


def test_gathered_calls_run_in_the_tasks_of_gather():
    async def body(box):
        before = asyncio.all_tasks()
        calls = asyncio.gather(box.slow("a"), box.slow("b"))
        await turns(2)
        made = len(asyncio.all_tasks() - before)
        return await calls, made

    assert on(body)[0] == (["a", "b"], 2)


def test_a_task_can_be_made_of_a_call():
    async def body(box):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(box.slow(name)) for name in "ab"]
        return [task.result() for task in tasks]

    assert on(body)[0] == ["a", "b"]


@pytest.mark.parametrize("turns_before", [0, 3])
def test_the_error_is_raised_where_the_call_is_awaited(turns_before, caplog):
    async def body(box):
        with pytest.raises(BindingError, match="no room") as caught:
            await box.fail(turns_before)
        return [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]

    frames, _ = on(body)
    assert (frames[0], frames[-1]) == ("body", "fail")
    assert errors(caplog) == []


@pytest.mark.parametrize("turns_before", [0, 3])
def test_the_error_of_a_call_nobody_awaits_is_told_once_with_its_name_and_place(turns_before, caplog):
    async def body(box):
        box.fail(turns_before)
        await turns()

    on(body)
    line = body.__code__.co_firstlineno + 1
    assert errors(caplog) == [f"<box>.fail() failed, and nobody awaited it ({__file__}:{line}): no room"]


def test_an_error_that_is_awaited_late_is_not_told(caplog):
    async def body(box):
        call = box.fail(3)
        await turns()
        with pytest.raises(BindingError):
            await call

    on(body)
    assert errors(caplog) == []


def test_a_call_that_runs_alone_is_not_collected():
    async def body(box):
        box.wait()
        await turns()
        gc.collect()
        box.gate.set_result(None)
        await turns()
        return box.did

    assert on(body)[0] == ["left"]


def test_cancelling_who_awaits_cancels_the_call_as_it_does_a_coroutine():
    async def body(box):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(box.wait(), 0.01)
        return box.did

    assert on(body)[0] == ["left"]


def test_a_call_that_runs_alone_outlives_who_awaits_it_late():
    async def body(box):
        call = box.wait()
        await turns()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.01)
        box.gate.set_result("still")
        return await call

    assert on(body)[0] == "still"


def test_code_of_the_user_belongs_to_one_task_from_its_first_step_on():
    async def body(box):
        await box.run(1)
        box.run(2)
        await turns()
        await asyncio.gather(box.run(3))
        first, second, third = (box.tasks[at : at + 2] for at in (0, 2, 4))
        assert first == [asyncio.current_task()] * 2
        assert second[0] is second[1]
        assert third[0] is third[1]
        return box.did

    assert on(body)[0] == [1, 2, 3]


def test_a_call_goes_on_in_the_context_of_its_caller():
    who = ContextVar("who", default="nobody")

    class Asks:
        @starts
        async def ask(self, found):
            await turns()
            found.append(who.get())

    async def body(_):
        found = []
        who.set("ada")
        Asks().ask(found)
        who.set("bob")
        await turns(30)
        return found

    assert on(body)[0][0] in {"ada", "bob"}


def test_a_call_is_work_of_the_request_that_made_it():
    async def body(box):
        work = WaitUntil()
        current_context.set(Context(work))
        box.slow("a")
        await turns(3)
        await work.drain(5)
        return box.did

    assert on(body)[0] == ["a begins", "a ends"]


@pytest.mark.parametrize("awaited", [True, False])
def test_a_call_from_a_thread_runs_on_the_loop_of_the_session(awaited):
    async def body(box):
        current_context.set(Context(WaitUntil()))
        loop_thread = threading.current_thread()

        def handler():
            call = box.slow("a")
            return run_sync(call) if awaited else None

        ran_in = set()
        box.did = type(
            "Seen", (list,), {"append": lambda self, one: ran_in.add(threading.current_thread())}
        )()
        await asyncio.get_running_loop().run_in_executor(None, copy_context().run, handler)
        await turns()
        return ran_in == {loop_thread}

    assert on(body)[0]


def test_a_call_from_a_thread_without_a_request_goes_to_the_session():
    async def body(box):
        session = Unawaited()
        await session.start()
        await asyncio.to_thread(lambda: box.slow("a") and None)
        await turns()
        await session.drain(5)
        return box.did

    assert on(body)[0] == ["a begins", "a ends"]


def test_a_session_waits_for_its_calls_and_then_ends_them():
    async def body(box):
        session = Unawaited()
        await session.start()
        box.slow("a", turns=20)
        box.wait()
        await turns(3)
        await session.drain(0.2)
        return box.did

    assert on(body)[0] == ["a begins", "a ends", "left"]


def test_a_call_made_without_a_loop_begins_where_it_is_awaited():
    box = Box()
    call = box.slow("a")
    assert isinstance(call, Started)
    assert box.did == []
    assert asyncio.run(call) == "a"


def test_closing_a_call_that_has_not_begun_is_told_nobody():
    Box().slow("a").close()


CONFIG = """
[[kv_namespaces]]
binding = "KV"
id = "k"
[[d1_databases]]
binding = "DB"
database_name = "db"
database_id = "db"
[[r2_buckets]]
binding = "R2"
bucket_name = "b"
[[queues.producers]]
binding = "Q"
queue = "q"
[[services]]
binding = "SELF"
service = "docs"
entrypoint = "Other"
[[durable_objects.bindings]]
name = "DO"
class_name = "Counter"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]
"""
ENTRY = """
import asyncio
from workers import DurableObject, Response, WorkerEntrypoint, WorkflowEntrypoint

seen = []

class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        return None

class Other(WorkerEntrypoint):
    async def note(self, what):
        async with asyncio.timeout(5):
            await asyncio.sleep(0.001)
            seen.append(what)

class Counter(DurableObject):
    async def add(self, n):
        self.ctx.storage.put("n", (await self.ctx.storage.get("n") or 0) + n)
        self.ctx.storage.transaction(self.double)

    async def double(self, txn):
        await txn.put("twice", 2 * await txn.get("n"))

    async def found(self):
        return [await self.ctx.storage.get("n"), await self.ctx.storage.get("twice")]

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        env = self.env
        env.DB.exec("CREATE TABLE t (a)")
        for n in (1, 2):
            env.KV.put("a", str(n))
            env.DB.prepare("INSERT INTO t VALUES (?)").bind(n).run()
            env.R2.put("a", str(n))
            env.Q.send(n)
            env.SELF.note(n)
            env.DO.getByName("one").add(n)
        await asyncio.sleep(1)
        rows = await env.DB.prepare("SELECT a FROM t").raw()
        stored = await (await env.R2.get("a")).text()
        backlog = (await env.Q.metrics()).backlogCount
        found = await env.DO.getByName("one").found()
        return Response.json([await env.KV.get("a"), rows, stored, backlog, seen, found])
"""


def test_calls_of_all_bindings_start_when_they_are_made(tmp_path):
    from wrangler_py.sdk.workers import Request

    async def body(host):
        return await (await host.fetch(Request("http://localhost/"))).json()

    assert in_host(tmp_path, ENTRY, body, CONFIG) == ["2", [[1], [2]], "2", 2, [1, 2], [3, 6]]
