"""Laws of sleeping, waiting for events, and of leaving memory meanwhile (engine-semantics, sections 1 to 3)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.support.world import DAY, HOUR, MINUTE, World, in_world
from wrangler_py.engine import Status
from wrangler_py.errors import InstanceFinishedError, PayloadTooLargeError, WorkflowTimeoutError
from wrangler_py.serde import decode

LIFETIMES = pytest.mark.parametrize("hibernate_after_ms", [0, 10_000, 400 * DAY])


@LIFETIMES
def test_a_year_passes_in_a_moment_and_the_wake_up_time_is_kept(tmp_path, hibernate_after_ms):
    async def run(event, step):
        await step.do("before", lambda: 1)
        await step.sleep("long", "365 days")
        return await step.do("after", lambda: 2)

    row = in_world(tmp_path, lambda world: world.run(run), hibernate_after_ms=hibernate_after_ms)
    assert decode(row.output) == 2
    assert 365 * DAY <= row.ended_at - row.created_at < 365 * DAY + MINUTE


def test_a_long_sleeper_leaves_memory_and_waits(tmp_path):
    async def run(event, step):
        await step.sleep("long", "1 day")

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        return await world.status(row), world.engine.resident_count()

    assert in_world(tmp_path, body) == (Status.WAITING, 0)


def test_a_restart_neither_shortens_nor_lengthens_a_sleep_and_an_overdue_one_ends_at_once(tmp_path):
    async def run(event, step):
        await step.sleep("hour", "1 hour")

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        await asyncio.sleep(1800)
        await world.crash()
        first = await world.finish(row)
        again = await world.engine.create("w")
        await world.settle()
        await world.engine.drain(0)
        await asyncio.sleep(7200)
        await world.start()
        await world.settle()
        return first.ended_at - first.created_at, await world.status(again)

    took, status = in_world(tmp_path, body)
    assert HOUR <= took < HOUR + 2000
    assert status is Status.COMPLETE


def test_changing_a_duration_does_not_run_a_finished_sleep_again(tmp_path):
    async def first(event, step):
        await step.sleep("nap", "1 hour")
        await step.wait_for_event("go", "go")

    async def second(event, step):
        await step.sleep("nap", "30 days")
        await step.wait_for_event("go", "go")
        return "done"

    async def body(world):
        await world.define(first)
        row = await world.engine.create("w")
        await asyncio.sleep(3700)
        await world.define(second)
        await world.engine.send_event("w", row.id, "go")
        await world.settle()
        return await world.status(row)

    assert in_world(tmp_path, body) is Status.COMPLETE


@pytest.mark.parametrize("duration", ["soon", -1, "366 days", None])
def test_bad_durations_are_named(tmp_path, duration):
    async def run(event, step):
        await step.sleep("nap", duration)

    row = in_world(tmp_path, lambda world: world.run(run))
    assert 'Sleep "nap"' in row.error.message


@LIFETIMES
def test_events_are_buffered_and_delivered_in_order_once_each(tmp_path, hibernate_after_ms):
    async def run(event, step):
        return [(await step.wait_for_event(f"w{n}", "go")).payload for n in range(3)]

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.engine.send_event("w", row.id, "go", "a")
        await world.engine.send_event("w", row.id, "other", "x")
        await world.settle()
        await world.engine.send_event("w", row.id, "go", "b")
        await world.crash()
        await world.engine.send_event("w", row.id, "go", "c")
        return await world.finish(row)

    row = in_world(tmp_path, body, hibernate_after_ms=hibernate_after_ms)
    assert decode(row.output) == ["a", "b", "c"]
    assert row.ended_at - row.created_at < MINUTE


@LIFETIMES
def test_after_a_timeout_the_next_wait_gets_the_next_event(tmp_path, hibernate_after_ms):
    """A stale waiter of the reference swallowed it."""

    async def run(event, step):
        try:
            await step.wait_for_event("first", "go", timeout="1 minute")
        except Exception as error:
            text = str(error)
        got = await step.wait_for_event("second", "go", timeout="1 hour")
        return [text, got["payload"], got.type]

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(120)
        await world.engine.send_event("w", row.id, "go", 7)
        return await world.finish(row)

    text, payload, kind = decode(in_world(tmp_path, body, hibernate_after_ms=hibernate_after_ms).output)
    assert text.endswith("Execution timed out after 60000ms")
    assert (payload, kind) == (7, "go")


def test_one_event_wakes_one_waiter(tmp_path):
    async def run(event, step):
        waits = [step.wait_for_event(f"w{n}", "go", timeout="1 hour") for n in range(2)]
        results = await asyncio.gather(*waits, return_exceptions=True)
        return [isinstance(result, Exception) for result in results]

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        await world.engine.send_event("w", row.id, "go", 1)
        return await world.finish(row)

    assert decode(in_world(tmp_path, body).output) == [False, True]


@pytest.mark.parametrize("has_slot", [True, False])
@pytest.mark.parametrize("next_waits", ["before", "after"])
def test_an_event_handed_to_a_wait_that_is_then_cancelled_goes_to_the_next_of_its_type(
    tmp_path, has_slot, next_waits
):
    """The wait is cancelled after the event was handed to it, and before its task, which had to wait for its turn or
    for a slot, could take it."""
    tasks = []

    async def run(event, step):
        if event.payload == "busy":
            return await step.do("busy", lambda: asyncio.sleep(3600))

        async def second():
            if next_waits == "after":
                await asyncio.wait(tasks[:1])
            return (await step.wait_for_event("second", "go")).payload

        tasks.append(asyncio.ensure_future(step.wait_for_event("first", "go")))
        tasks.append(asyncio.ensure_future(second()))
        return await tasks[1]

    async def body(world):
        await world.define(run, concurrency=1)
        row = await world.engine.create("w")
        await world.settle()
        if not has_slot:
            await world.engine.create("w", params="busy")
            await world.settle()
        await world.engine.send_event("w", row.id, "go", "kept")
        tasks[0].cancel()
        await world.settle()
        ended = await world.finish(row)
        return decode(ended.output), tasks[0].cancelled(), await world.types(row)

    output, cancelled, types = in_world(tmp_path, body, hibernate_after_ms=400 * DAY)
    assert (output, cancelled) == ("kept", True)
    assert types.count("WAIT_COMPLETE") == 1


def test_events_handed_to_waits_that_are_cancelled_together_keep_their_order(tmp_path):
    """They wait for a slot, so that no task has taken its event when all are cancelled, the first one first."""
    tasks = []

    async def run(event, step):
        if event.payload == "busy":
            return await step.do("busy", lambda: asyncio.sleep(3600))
        tasks.extend(asyncio.ensure_future(step.wait_for_event(f"given-up-{n}", "go")) for n in range(3))
        await asyncio.wait(tasks)
        return [(await step.wait_for_event(f"w{n}", "go")).payload for n in range(3)]

    async def body(world):
        await world.define(run, concurrency=1)
        row = await world.engine.create("w")
        await world.settle()
        await world.engine.create("w", params="busy")
        await world.settle()
        for number in range(3):
            await world.engine.send_event("w", row.id, "go", number)
        for task in tasks:
            task.cancel()
        return decode((await world.finish(row)).output)

    assert in_world(tmp_path, body, hibernate_after_ms=400 * DAY) == [0, 1, 2]


def test_events_to_the_ended_and_the_too_large_are_refused(tmp_path):
    async def run(event, step):
        await step.wait_for_event("w", "go")

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        with pytest.raises(PayloadTooLargeError):
            await world.engine.send_event("w", row.id, "go", "x" * (1 << 20))
        await world.engine.send_event("w", row.id, "go")
        await world.finish(row)
        with pytest.raises(InstanceFinishedError):
            await world.engine.send_event("w", row.id, "go")

    in_world(tmp_path, body)


def test_a_race_between_a_sleep_and_an_event(tmp_path):
    async def run(event, step):
        first = asyncio.ensure_future(step.sleep("limit", "1 day"))
        second = asyncio.ensure_future(step.wait_for_event("w", "go", timeout="2 days"))
        done, pending = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return "event" if second in done else "limit"

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(3600)
        gone = world.engine.resident_count()
        await world.engine.send_event("w", row.id, "go")
        return gone, decode((await world.finish(row)).output)

    assert in_world(tmp_path, body) == (0, "event")


def test_work_of_run_itself_keeps_the_instance_in_memory(tmp_path):
    """`run()` may await what it likes between steps; a sleep beside it must not cut it off."""

    async def run(event, step):
        async def busy():
            await asyncio.sleep(30)
            return await step.do("late", lambda: "late")

        _, late = await asyncio.gather(step.sleep("nap", "1 hour"), busy())
        return late

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(60)
        return [view.name for view in (await world.engine.detail("w", row.id)).steps]

    assert in_world(tmp_path, body, hibernate_after_ms=0) == ["nap-1", "late-1"]


def test_resuming_instances_go_before_queued_ones(tmp_path):
    order = []

    async def run(event, step):
        if event.payload.get("old"):
            await step.sleep("nap", "1 minute")

        async def work():
            order.append(event.payload["name"])
            await asyncio.sleep(120)

        await step.do("work", work)

    async def body(world):
        await world.define(run, concurrency=1)
        await world.engine.create("w", params={"name": "old", "old": True})
        await world.settle()
        rows = [await world.engine.create("w", params={"name": f"new{n}"}) for n in range(3)]
        await world.finish(rows[-1])

    in_world(tmp_path, body)
    assert order == ["new0", "old", "new1", "new2"]


def test_concurrency_limit_holds_and_waiting_ones_do_not_count(tmp_path):
    running, most = set(), []

    async def run(event, step):
        async def work():
            running.add(event.instanceId)
            most.append(len(running))
            await asyncio.sleep(5)
            running.discard(event.instanceId)

        await step.do("one", work)
        await step.sleep("nap", "5 seconds")
        await step.do("two", work)

    async def body(world):
        await world.define(run, concurrency=3)
        rows = [await world.engine.create("w") for _ in range(10)]
        for row in rows:
            await world.finish(row)

    in_world(tmp_path, body)
    assert max(most) == 3


@pytest.mark.parametrize("form", ["now", "soon", "naive", "aware", "elsewhere", "a year"])
def test_sleep_until_takes_each_way_to_name_a_moment_from_now_to_a_year_ahead(tmp_path, form):
    """A datetime without a zone is in UTC."""

    async def body(world):
        now = world.clock.now()
        day = datetime.fromtimestamp((now + DAY) / 1000, UTC)
        when, wake_at = {
            "now": (now, now),
            "soon": (now + 5.0, now + 5),
            "naive": (day.replace(tzinfo=None), now + DAY),
            "aware": (day, now + DAY),
            "elsewhere": (day.astimezone(timezone(timedelta(hours=5))), now + DAY),
            "a year": (now + 365 * DAY, now + 365 * DAY),
        }[form]

        async def run(event, step):
            await step.sleep_until("s", when)

        row = await world.run(run)
        assert row.error is None
        assert 0 <= row.ended_at - wake_at < DAY / 24
        assert (await world.engine.history("w", row.id))[2].data == b'{"wake_at":%d}' % wake_at

    in_world(tmp_path, body)


@pytest.mark.parametrize("bad", [True, "tomorrow", None, "past", "too late"])
def test_sleep_until_refuses_what_names_no_moment_of_the_next_year(tmp_path, bad):
    async def body(world):
        now = world.clock.now()
        when = {"past": now - 1, "too late": now + 365 * DAY + 1}.get(bad, bad)

        async def run(event, step):
            await step.sleep_until("s", when)

        return (await world.run(run)).error.message

    words = {
        "past": "You can't sleep until a time in the past, time-traveler",
        "too late": "longer than the limit of 365 days",
    }
    assert words.get(bad, "is not a time: use a datetime") in in_world(tmp_path, body)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"timeout": "1 century"}, 'wait_for_event "w": '),
        ({"timeout": 365 * DAY + 1}, 'wait_for_event "w" waits longer than the limit of 365 days'),
        ({"event_type": 5}, 'wait_for_event "w": the type of the event'),
    ],
)
def test_a_wait_that_cannot_be_ends_the_instance_and_says_why(tmp_path, given, words):
    async def run(event, step):
        await step.wait_for_event("w", given.get("event_type", "go"), timeout=given.get("timeout", 1000))

    assert in_world(tmp_path, lambda world: world.run(run)).error.message.startswith(words)


def test_a_wait_may_take_a_year(tmp_path):
    async def run(event, step):
        await step.wait_for_event("w", "go", timeout=365 * DAY)

    row = in_world(tmp_path, lambda world: world.run(run))
    assert row.ended_at - row.created_at >= 365 * DAY


def test_an_event_says_what_came_when_and_of_which_type(tmp_path):
    async def run(event, step):
        got = await step.wait_for_event("w", "go")
        return [sorted(got), got.payload, got.type, got.timestamp.timestamp() * 1000]

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(60)
        sent_at = await world.engine.send_event("w", row.id, "go", {"a": 1})
        keys, payload, kind, at = decode((await world.finish(row)).output)
        assert (keys, payload, kind) == (["payload", "timestamp", "type"], {"a": 1}, "go")
        assert round(at) == sent_at

    in_world(tmp_path, body)


def test_an_event_that_another_process_stored_in_time_is_not_missed(tmp_path):
    """This process has not looked for it when the wait is over."""

    async def run(event, step):
        return (await step.wait_for_event("w", "go", timeout="1 minute")).payload

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(30)
        other = await World(tmp_path).open()
        await other.define(run)
        await other.engine.send_event("w", row.id, "go", 5)
        await other.close()
        return decode((await world.finish(row)).output)

    assert in_world(tmp_path, body, hibernate_after_ms=DAY) == 5


@pytest.mark.parametrize("wait", ["sleep", "event", "timeout"])
def test_when_code_goes_on_behind_a_wait_the_end_of_that_is_on_disk(tmp_path, wait):
    async def body(world):
        async def run(event, step):
            if wait == "sleep":
                await step.sleep("s", 1000)
            else:
                with suppress(WorkflowTimeoutError):
                    await step.wait_for_event("w", "go", timeout="1 minute")
            return [event.type.value for event in await world.store.history(1)][-1]

        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(0.5)
        if wait == "event":
            await world.engine.send_event("w", row.id, "go")
        return decode((await world.finish(row)).output)

    ends = {"sleep": "SLEEP_COMPLETE", "event": "WAIT_COMPLETE", "timeout": "WAIT_TIMED_OUT"}
    assert in_world(tmp_path, body) == ends[wait]


def test_an_instance_that_is_to_pause_begins_no_wait_while_its_other_steps_finish(tmp_path):
    async def run(event, step):
        async def short():
            await step.do("short", lambda: asyncio.sleep(5))
            await step.wait_for_event("w", "go")

        await asyncio.gather(step.do("long", lambda: asyncio.sleep(10)), short())

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        await world.engine.pause("w", row.id)
        await asyncio.sleep(7)
        assert "WAIT_START" not in await world.types(row)
        await asyncio.sleep(60)
        assert await world.status(row) is Status.PAUSED

    in_world(tmp_path, body)


def test_a_sleep_lasts_as_long_as_it_was_to_although_something_else_wakes_the_instance_before(tmp_path):
    async def run(event, step):
        await asyncio.gather(step.sleep("nap", "1 hour"), step.wait_for_event("w", "go", timeout="1 day"))

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1800)
        assert world.engine.resident_count() == 0
        await world.engine.send_event("w", row.id, "go")
        ended = await world.finish(row)
        return ended.ended_at - row.created_at

    assert HOUR <= in_world(tmp_path, body) < HOUR + MINUTE
