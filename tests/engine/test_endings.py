"""Whatever `run()`, a step, a name, a value or an error is made of: the instance ends, and its end can be shown."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import sys
from contextlib import closing

import msgspec
import pytest

from tests.support.world import in_world
from wrangler_py.engine import Status
from wrangler_py.engine.describe import describe
from wrangler_py.engine.instance.rollback import Rollbacks
from wrangler_py.engine.model import HistoryType
from wrangler_py.errors import InstanceNotFoundError, InvalidArgumentError, InvalidInstanceIdError
from wrangler_py.serde import MAX_DEPTH

ONCE = {"retries": {"limit": 0, "delay": 0}}
CYCLE = [1]
CYCLE.append(CYCLE)


class Hostile(Exception):
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


class Exit(BaseException):
    pass


class Unnameable:
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


def deep(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def raised(error):
    raise error


def returning(make):
    async def run(event, step):
        return make()

    return run


def raising(make):
    async def run(event, step):
        raise make()

    return run


def step_returning(make):
    async def run(event, step):
        return await step.do("s", make)

    return run


def step_raising(make):
    async def run(event, step):
        def fail():
            raise make()

        await step.do("s", ONCE, fail)

    return run


def naming(name):
    async def run(event, step):
        await step.do(name, lambda: 1)

    return run


def sleeping(*arguments):
    async def run(event, step):
        await step.sleep(*arguments)

    return run


def waiting(*arguments):
    async def run(event, step):
        await step.wait_for_event(*arguments)

    return run


async def forgetting(event, step):
    step.do("n\ud800", lambda: 1)
    step.sleep(Unnameable(), 1)


async def leaving(event, step):
    sys.exit(2)


async def delaying(event, step):
    def delay(_):
        raise Hostile

    def fail():
        raise ValueError

    await step.do("s", {"retries": {"limit": 1, "delay": delay}}, fail)


NOT_STORED = "run() returned a value that cannot be stored: a value of type"
NOT_SERIALISABLE = 'as the step "s" returned a value which is not serialisable: a value of type'
ENDS = {
    "output with half a pair": (returning(lambda: ["\ud800"]), f"{NOT_STORED} str at [0]"),
    "output with a cycle": (returning(lambda: CYCLE), f"{NOT_STORED} list at [1]"),
    "output too deep": (returning(lambda: deep(2000)), f"nested {MAX_DEPTH} levels deep"),
    "output with a huge number": (returning(lambda: {"n": 10**5000}), f"{NOT_STORED} int at ['n']"),
    "output of a tuple": (
        returning(lambda: [(1,)]),
        "cannot be sent over RPC. It stands at [0]; use a list.",
    ),
    "result with half a pair": (step_returning(lambda: {"a": "\ud800"}), f"{NOT_SERIALISABLE} str at ['a']"),
    "result with a cycle": (step_returning(lambda: CYCLE), f"{NOT_SERIALISABLE} list at [1]"),
    "result too deep": (step_returning(lambda: deep(600)), f"nested {MAX_DEPTH} levels deep"),
    "result with a huge number": (step_returning(lambda: 10**5000), f"{NOT_SERIALISABLE} int"),
    "error with half a pair": (raising(lambda: ValueError("bad \ud800")), "bad \\ud800"),
    "error whose text raises": (raising(Hostile), "<its __str__ raised RuntimeError>"),
    "error that is no exception": (raising(lambda: Exit("x")), "x"),
    "exit": (leaving, "2"),
    "error of a step with half a pair": (step_raising(lambda: ValueError("bad \ud800")), "bad \\ud800"),
    "error of a step whose text raises": (step_raising(Hostile), "<its __str__ raised RuntimeError>"),
    "step name with half a pair": (naming("n\ud800"), 'Step name "n\\ud800" exceeds max length'),
    "step name with a control character": (naming("n\n"), "invalid characters found"),
    "empty step name": (naming(""), "invalid characters found"),
    "step name too long": (naming("👪" * 129), "exceeds max length (256 chars)"),
    "step name that is no text": (naming(Unnameable()), 'Step name "<Unnameable>"'),
    "sleep name with half a pair": (sleeping("n\ud800", 1), 'Step name "n\\ud800"'),
    "wait name with half a pair": (waiting("n\ud800", "e"), 'Step name "n\\ud800"'),
    "event type with half a pair": (waiting("n", "e\ud800"), "not valid Unicode: 'e\\ud800'"),
    "endless sleep": (sleeping("n", 10**400), "is not a duration"),
    "duration that cannot be shown": (sleeping("n", Unnameable()), "<Unnameable> is not a duration"),
    "calls not awaited": (forgetting, "steps `n\\ud800`, `<Unnameable>` were called but never awaited"),
    "delay function whose error raises": (delaying, "raised Hostile: <its __str__ raised RuntimeError>"),
}


@pytest.mark.parametrize("case", ENDS)
def test_whatever_goes_wrong_the_instance_ends_with_an_error_that_says_what(tmp_path, case):
    run, text = ENDS[case]

    async def body(world):
        row = await world.run(run)
        assert row.status is Status.ERRORED
        assert text in row.error.message
        detail = describe(row, await world.engine.history("w", row.id))
        json.dumps(msgspec.to_builtins(detail), ensure_ascii=False).encode()
        assert [event.type for event in await world.engine.history("w", row.id)][
            -1
        ] is HistoryType.WORKFLOW_FAILURE

    in_world(tmp_path, body)


@pytest.mark.parametrize(
    "case", ["output with a cycle", "error with half a pair", "step name with half a pair"]
)
def test_neighbours_in_the_same_commit_are_not_harmed(tmp_path, case):
    async def body(world):
        async def fine(event, step):
            return await step.do("s", lambda: 1)

        await world.define(ENDS[case][0])
        await world.define(fine, "fine")
        both = [await world.engine.create("w"), await world.engine.create("fine")]
        ends = [await world.finish(row) for row in both]
        assert [row.status for row in ends] == [Status.ERRORED, Status.COMPLETE]

    in_world(tmp_path, body)


@pytest.mark.parametrize(
    "name",
    ["می‌خواهم", "क्‍ष", "👨‍👩‍👧", "Prix : 5 €", "Donau­dampf", "a b", "x-1", "👪" * 128, "a" * 256, "\x7f\x9b"],
)
def test_step_names_in_every_language_are_kept_and_found_again(tmp_path, name):
    async def body(world):
        calls = []

        async def run(event, step):
            first = await step.do(name, lambda: calls.append(1) or 1)
            await step.sleep(name, 1)
            event = await step.wait_for_event(name, name)
            return [first, await step.do(name, lambda: 2), event["payload"]]

        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        await world.crash()
        await world.engine.send_event("w", row.id, name, 3)
        ended = await world.finish(row)
        assert (ended.status, ended.output, calls) == (Status.COMPLETE, b"[1,2,3]", [1])

    in_world(tmp_path, body)


def test_a_deepest_payload_is_delivered(tmp_path):
    async def body(world):
        async def run(event, step):
            return (await step.wait_for_event("e", "e"))["payload"]

        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        await world.engine.send_event("w", row.id, "e", deep(MAX_DEPTH))
        assert (await world.finish(row)).status is Status.COMPLETE

    in_world(tmp_path, body)


@pytest.mark.parametrize("event_type", ["\ud800", "", 3, Unnameable()])
def test_an_event_type_that_is_no_text_is_refused_by_whom_sends_it(tmp_path, event_type):
    async def body(world):
        await world.define(waiting("e", "e"))
        row = await world.engine.create("w")
        with pytest.raises(InvalidArgumentError, match="the type of an event"):
            await world.engine.send_event("w", row.id, event_type)

    in_world(tmp_path, body)


@pytest.mark.parametrize("instance_id", ["\ud800", 5, Unnameable()])
def test_what_no_instance_can_be_called_is_not_found(tmp_path, instance_id):
    async def body(world):
        await world.define(waiting("e", "e"))
        for ask in (world.engine.status, world.engine.detail, world.engine.history, world.engine.pause):
            with pytest.raises(InstanceNotFoundError):
                await ask("w", instance_id)
        with pytest.raises(InvalidInstanceIdError):
            await world.engine.create("w", id=instance_id)

    in_world(tmp_path, body)


@pytest.mark.parametrize("make", [lambda: {"a": [(1,)]}, lambda: CYCLE, lambda: "\ud800"])
def test_a_result_that_cannot_be_stored_is_not_tried_again(tmp_path, make):
    async def body(world):
        row = await world.run(step_returning(make))
        assert row.status is Status.ERRORED
        assert (await world.types(row)).count("ATTEMPT_START") == 1

    in_world(tmp_path, body)


def test_a_tuple_is_refused_with_its_path_and_can_be_caught(tmp_path):
    async def body(world):
        async def run(event, step):
            try:
                await step.do("s", lambda: {"a": [(1,)]})
            except TypeError as error:
                return [str(error), error.__notes__]

        row = await world.run(run)
        assert json.loads(row.output) == [
            "TypeError: <class 'tuple'> cannot be sent over RPC.",
            ["It stands at ['a'][0]; use a list."],
        ]

    in_world(tmp_path, body)


@pytest.mark.parametrize("end", [lambda: sys.exit(2), lambda: raised(Exit("x"))])
def test_what_is_no_exception_fails_the_instance_as_an_exception_does(tmp_path, end):
    async def body(world):
        undone = []

        def refund(output):
            undone.append(output)

        async def run(event, step):
            await step.do("charge", lambda: 1, rollback=refund)
            end()

        assert (await world.run(run)).status is Status.ERRORED
        assert undone == [1]

    in_world(tmp_path, body)


def test_a_failure_of_pywranglers_own_ends_the_instance_too(tmp_path, monkeypatch):
    """The last net: an instance whose end could not be decided would stay running, through every restart."""

    def fail(*_):
        raise KeyError("ours")

    monkeypatch.setattr(Rollbacks, "is_due", fail)
    lost = []

    async def body(world):
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        row = await world.run(returning(lambda: 1))
        assert (row.status, row.error.name, row.error.message) == (Status.ERRORED, "KeyError", "'ours'")
        gc.collect()

    in_world(tmp_path, body)
    assert not lost


def test_an_instance_whose_history_cannot_be_read_ends(tmp_path):
    async def body(world):
        def fail():
            raise ValueError

        async def run(event, step):
            await step.do("s", {"retries": {"limit": 1, "delay": "1 day"}}, fail)

        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        await world.engine.close()
        with closing(sqlite3.connect(world.path)) as raw, raw:
            raw.execute("UPDATE history SET data = x'7b' WHERE type = 'ATTEMPT_FAILURE'")
        await world.store.close()
        await world.open()
        await world.start()
        ended = await world.finish(row)
        assert (ended.status, ended.error.name) == (Status.ERRORED, "DecodeError")

    in_world(tmp_path, body)


async def page(number):
    await asyncio.sleep(0)
    if number == 2:
        raise ValueError("page 2 is broken")


async def paging(event, step):
    async def pages():
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(page(number))

    await step.do("pages", {"retries": {"limit": 2, "delay": 1}}, pages)


def test_the_stack_of_an_error_stands_in_the_detail_once_also_before_the_end(tmp_path):
    async def body(world):
        async def run(event, step):
            try:
                await paging(event, step)
            except* ValueError as group:
                found = [str(error) for error in group.exceptions]
            await step.sleep("s", "1 day")
            raise LookupError(found[0])

        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(5)
        detail = await world.engine.detail("w", row.id)
        first, *others = detail.steps[0].attempts
        assert "    | ValueError: page 2 is broken" in first.error.stack.splitlines()
        assert not any(attempt.error.stack for attempt in others)
        assert detail.steps[0].error.stack == ""
        detail = await world.engine.detail("w", (await world.finish(row)).id)
        assert detail.error.message == "page 2 is broken"
        assert detail.error.stack.splitlines()[-1] == "LookupError: page 2 is broken"
        assert detail.steps[0].attempts[0].error.stack == first.error.stack

    in_world(tmp_path, body)


def test_where_the_instance_ends_with_a_steps_error_the_stack_stands_there_only(tmp_path):
    async def body(world):
        row = await world.run(paging)
        detail = json.loads(msgspec.json.encode(await world.engine.detail("w", row.id)))
        assert json.dumps(detail).count("ValueError: page 2 is broken") == 1
        assert "ValueError: page 2 is broken" in detail["error"]["stack"]
        assert all(
            attempt["error"].keys() == {"name", "message"} for attempt in detail["steps"][0]["attempts"]
        )

    in_world(tmp_path, body)


@pytest.mark.parametrize("place", ["run", "callback", "both", "background", "delay function"])
def test_what_is_fatal_ends_the_instance_also_out_of_a_task_group(tmp_path, caplog, place):
    """The group raises a group of it, which is no failed attempt, no duration, and nothing that asyncio reports."""

    gc.collect()  # Other tests are not listened to.
    caplog.clear()

    def fails():
        raise ValueError

    async def run(event, step):
        async def wrong():
            await step.sleep_until("never", 1)

        async def grouped():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(wrong())
                tasks.create_task(asyncio.sleep(3600))

        if place == "run":
            await grouped()
        elif place == "callback":
            await step.do("outer", grouped)
        elif place == "background":
            task = asyncio.create_task(grouped())
            await asyncio.wait([task])
            del task
        elif place == "delay function":
            await step.do("outer", {"retries": {"limit": 1, "delay": lambda _: grouped()}}, fails)
        else:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(step.do("outer", grouped))

    async def body(world):
        row = await world.run(run)
        return row.status, (await world.engine.detail("w", row.id)).error.message, await world.types(row)

    status, message, types = in_world(tmp_path, body)
    assert (status, message) == (Status.ERRORED, "You can't sleep until a time in the past, time-traveler")
    assert "ATTEMPT_FAILURE" not in types
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]
