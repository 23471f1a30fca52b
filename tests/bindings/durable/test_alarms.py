"""Alarms: at their time, at least once, through failures, crashes and a year of sleep (Cloudflare's docs, "Alarms")."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bindings.durable.room import in_room
from tests.support.world import DAY, SECOND
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.sdk.workers import DurableObject
from wrangler_py.storage.durable import AlarmIndex, Hint

rung: list[tuple] = []


class Clock(DurableObject):
    """Says when its alarm rang, and what it was told."""

    now = None

    async def set(self, at):
        await self.ctx.storage.setAlarm(at)

    async def get(self):
        return await self.ctx.storage.getAlarm()

    async def off(self):
        await self.ctx.storage.deleteAlarm()

    async def wipe(self):
        await self.ctx.storage.deleteAll()

    async def alarm(self, info):
        rung.append((self.ctx.id.name, Clock.now(), info.retryCount, info.isRetry))


@pytest.fixture(autouse=True)
def _nothing_rang():
    rung.clear()


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL, "wrangler_py")


def clock_of(room):
    Clock.now = room.resources.clock.now
    return room.resources.clock.now


def hints(room):
    return room.objects._alarms.index.upcoming("Clock", 99)


# time ----------------------------------------------------------------------------------------------------------------


def test_an_alarm_rings_at_its_time_and_once(tmp_path):
    async def body(room):
        now = clock_of(room)
        at = now() + 365 * DAY
        await room.only().set(at)
        assert await room.only().get() == at
        await asyncio.sleep(364 * 86400)
        assert rung == []
        assert not room.objects._residents
        await asyncio.sleep(3 * 86400)
        assert rung == [("a", at, 0, False)]
        return await room.only().get(), hints(room)

    assert in_room(tmp_path, body, Clock) == (None, [])


def test_a_datetime_is_a_time_too_and_one_in_the_past_means_now(tmp_path):
    async def body(room):
        now = clock_of(room)
        moment = dt.datetime.fromtimestamp(now() / 1000 + 60, dt.UTC)
        await room.only("naive").set(moment.replace(tzinfo=None))
        await room.only("past").set(1)
        assert await room.only("naive").get() == now() + 60 * SECOND
        await asyncio.sleep(61)
        return [name for name, *_ in rung]

    assert in_room(tmp_path, body, Clock) == ["past", "naive"]


def test_there_is_one_alarm_and_the_last_word_counts(tmp_path):
    async def body(room):
        now = clock_of(room)
        for name, seconds in [("later", (10, 30)), ("sooner", (30, 10)), ("off", (10,)), ("wiped", (10,))]:
            for each in seconds:
                await room.only(name).set(now() + each * SECOND)
        await room.only("off").off()
        await room.only("wiped").wipe()
        start = now()
        await asyncio.sleep(60)
        return [(name, at - start) for name, at, *_ in rung], hints(room)

    assert in_room(tmp_path, body, Clock) == ([("sooner", 10_000), ("later", 30_000)], [])


@pytest.mark.parametrize(
    ("config", "left"),
    [
        ({"compatibility_date": dt.date(2026, 2, 23)}, 1),
        ({"compatibility_date": dt.date(2026, 2, 24)}, 0),
        ({"compatibility_flags": ("delete_all_preserves_alarm",)}, 1),
    ],
)
def test_delete_all_takes_the_alarm_by_compatibility_date(tmp_path, config, left):
    async def body(room):
        now = clock_of(room)
        await room.only().set(now() + 1000)
        await room.only().wipe()
        await asyncio.sleep(2)
        return len(rung)

    assert in_room(tmp_path, body, Clock, **config) == left


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (0, "setAlarm() cannot be called with an alarm time <= 0"),
        (True, "setAlarm() takes a datetime or milliseconds, not True"),
        ("soon", "setAlarm() takes a datetime or milliseconds, not 'soon'"),
        (float("nan"), "setAlarm() cannot be called with an alarm time <= 0"),
    ],
)
def test_what_is_no_time_is_refused(tmp_path, at, message):
    async def body(room):
        with pytest.raises(ObjectError) as caught:
            await room.only().set(at)
        assert caught.value.message == message

    in_room(tmp_path, body, Clock)


def test_a_class_without_alarm_cannot_set_one(tmp_path):
    class Deaf(DurableObject):
        async def set(self):
            await self.ctx.storage.setAlarm(1)

    async def body(room):
        with pytest.raises(ObjectError, match="class must have an alarm.. handler in order to call setAlarm"):
            await room.only().set()

    in_room(tmp_path, body, Deaf)


# the handler ---------------------------------------------------------------------------------------------------------


def test_while_it_rings_there_is_none_and_it_may_set_the_next(tmp_path):
    seen = []

    class Ticks(Clock):
        async def alarm(self):
            seen.append(await self.get())
            if len(seen) < 3:
                await self.set(Clock.now() + 5 * SECOND)
                seen.append(await self.get())

    async def body(room):
        start = clock_of(room)()
        await room.only().set(1)
        await asyncio.sleep(20)
        return [one and one - start for one in seen]

    assert in_room(tmp_path, body, Ticks) == [None, 5000, None]


def test_one_that_fails_is_tried_again_after_2_4_8_16_32_64_seconds_and_then_given_up(tmp_path):
    class Fails(Clock):
        async def alarm(self, info):
            await super().alarm(info)
            raise ValueError("no")

    async def body(room):
        start = clock_of(room)()
        await room.only().set(1)
        await asyncio.sleep(3600)
        assert await room.only().get() is None
        return [(round((at - start) / 1000), count, again) for _, at, count, again in rung], hints(room)

    times = [0, 2, 6, 14, 30, 62, 126]
    assert in_room(tmp_path, body, Fails) == ([(at, n, n > 0) for n, at in enumerate(times)], [])


def test_a_new_alarm_set_by_one_that_fails_stands_in_place_of_the_retry(tmp_path):
    class Fails(Clock):
        async def alarm(self, info):
            await super().alarm(info)
            if len(rung) == 1:
                await self.set(Clock.now() + 10 * SECOND)
                raise ValueError("no")

    async def body(room):
        start = clock_of(room)()
        await room.only().set(1)
        await asyncio.sleep(60)
        return [((at - start) // 1000, count) for _, at, count, _ in rung]

    assert in_room(tmp_path, body, Fails) == [(0, 0), (10, 0)]


@pytest.mark.parametrize("how", ["constructor", "abort"])
def test_one_whose_object_is_reset_is_tried_again_too(tmp_path, how):
    broken = []

    class Shaky(Clock):
        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            if how == "constructor" and broken:
                raise ValueError(broken.pop())

        async def alarm(self, info):
            if broken:
                self.ctx.abort(broken.pop())
            await super().alarm(info)

    async def body(room):
        start = clock_of(room)()
        await room.only().set(start + 60 * SECOND)
        await asyncio.sleep(20)
        broken.extend("xy")
        await asyncio.sleep(60)
        return [((at - start) // 1000, count) for _, at, count, _ in rung]

    assert in_room(tmp_path, body, Shaky) == [(66, 2)]


def test_what_the_handler_wrote_and_its_end_are_on_disk_together(tmp_path):
    """Killed just before the end is on disk, the alarm rings again, and nothing of the first time is there."""

    class Counts(Clock):
        async def alarm(self, info):
            value = (await self.ctx.storage.get("n")) or 0
            await self.ctx.storage.put("n", value + 1)
            rung.append((value,))

        async def value(self):
            return await self.ctx.storage.get("n")

    async def body(room):
        await room.only().set(1)
        while not rung:
            await asyncio.sleep(0)
            for resident in room.objects._residents.values():
                resident.file.commit = lambda: None
        after = await room.crash()
        await asyncio.sleep(1)
        return await after.only().value(), rung

    assert in_room(tmp_path, body, Counts) == (1, [(0,), (0,)])


# crashes -------------------------------------------------------------------------------------------------------------


def test_an_alarm_survives_a_crash_and_an_overdue_one_rings_at_once(tmp_path):
    async def body(room):
        now = clock_of(room)
        start = now()
        await room.only("soon").set(start + 10 * SECOND)
        await room.only("later").set(start + 100 * SECOND)
        room.objects._alarms.stop()
        await asyncio.sleep(50)
        room = await room.crash()
        await asyncio.sleep(100)
        return [(name, (at - start) // 1000) for name, at, *_ in rung]

    assert in_room(tmp_path, body, Clock) == [("soon", 50), ("later", 100)]


def test_one_that_was_ringing_in_a_crash_rings_again(tmp_path):
    class Slow(Clock):
        async def alarm(self, info):
            await super().alarm(info)
            await asyncio.sleep(30)

    async def body(room):
        start = clock_of(room)()
        await room.only().set(start + SECOND)
        await asyncio.sleep(5)
        await room.crash()
        await asyncio.sleep(60)
        return [(at - start) // 1000 for _, at, *_ in rung]

    assert in_room(tmp_path, body, Slow) == [1, 5]


def test_a_process_that_leaves_hands_its_alarms_over(tmp_path):
    class Slow(Clock):
        async def alarm(self, info):
            await super().alarm(info)
            await asyncio.sleep(30)

    async def body(room):
        start = clock_of(room)()
        await room.only("rings").set(start + SECOND)
        await room.only("later").set(start + 20 * SECOND)
        await asyncio.sleep(5)
        await room.objects.drain(2)
        await asyncio.sleep(60)
        assert len(rung) == 1
        room = await room.successor().start()
        await asyncio.sleep(60)
        room.resources.close()
        return [(name, (at - start) // 1000) for name, at, *_ in rung]

    assert in_room(tmp_path, body, Slow) == [("rings", 1), ("rings", 67), ("later", 67)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(1, 100)),
        st.tuples(st.just("off")),
        st.tuples(st.just("sleep"), st.integers(1, 60)),
        st.tuples(st.just("crash"), st.sampled_from(["", "before_commit", "after_commit"])),
    ),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=60)
def test_no_alarm_is_lost_whenever_the_process_dies(steps):
    """Dies between the hint and the alarm, between the alarm and the hint, or elsewhere: what is on disk rings."""

    async def body(room):
        now = clock_of(room)
        rung.clear()
        expected, rings = None, []
        for kind, *given_ in steps:
            stub = room.only()
            if kind == "sleep":
                await asyncio.sleep(given_[0])
            elif kind in ("set", "off"):
                at = now() + given_[0] * SECOND if kind == "set" else None
                await (stub.set(at) if kind == "set" else stub.off())
                expected = at
            else:
                room, expected = await crash_at(room, given_[0], expected, now)
            if expected is not None and expected <= now():
                await asyncio.sleep(0.05)
                rings.append(expected)
                expected = None
        await asyncio.sleep(200)
        if expected is not None:
            rings.append(expected)
        assert [at // SECOND for _, at, *_ in rung] == [at // SECOND for at in rings]
        assert hints(room) == []
        room.resources.close()

    with tempfile.TemporaryDirectory() as folder:
        in_room(Path(folder), body, Clock)


class Killed(Exception):
    pass


async def crash_at(room, moment, expected, now):
    """Crash; with a moment, in the middle of setting the alarm 150 s from now."""
    if not moment:
        return await room.crash(), expected
    at = now() + 150 * SECOND
    await room.only().get()
    watch = next(iter(room.objects._residents.values())).file._watch

    def killed(_):
        raise Killed

    original = watch.before_commit
    if moment == "before_commit":
        watch.before_commit = lambda at: (original(at), killed(at))
    else:
        watch.after_commit = killed
    with pytest.raises(Killed):
        await room.only().set(at)
    return await room.crash(), at if moment == "after_commit" else expected


def test_a_hint_of_an_alarm_that_is_not_there_is_looked_at_and_forgotten(tmp_path):
    async def body(room):
        now = clock_of(room)
        own = room[Clock].idFromName("a")
        room.objects._alarms.index.put(Hint("Clock", str(own), "a", now() + SECOND))
        room.objects._alarms.expect(now() + SECOND)
        await asyncio.sleep(2)
        return rung, hints(room)

    assert in_room(tmp_path, body, Clock) == ([], [])


def test_a_hint_that_a_power_cut_took_is_written_when_the_object_is_used(tmp_path):
    async def body(room):
        now = clock_of(room)
        await room.only().set(now() + 60 * SECOND)
        room.objects._alarms.stop()
        for one in hints(room):
            room.objects._alarms.index.remove(*one[:2])
        room = await room.crash()
        await asyncio.sleep(1)
        assert await room.only().get() is not None
        await asyncio.sleep(100)
        return len(rung)

    assert in_room(tmp_path, body, Clock) == 1


def test_hints_of_classes_that_are_gone_keep_nobody_waiting(tmp_path):
    async def body(room):
        now = clock_of(room)
        for number in range(500):
            room.objects._alarms.index.put(Hint("Gone", f"{number}", None, 1))
        await room.only().set(now() + SECOND)
        await asyncio.sleep(2)
        return len(rung)

    assert in_room(tmp_path, body, Clock) == 1


# many ----------------------------------------------------------------------------------------------------------------


def test_many_overdue_alarms_ring_a_few_at_a_time(tmp_path):
    together = []

    class Crowd(Clock):
        running = 0

        async def alarm(self):
            Crowd.running += 1
            together.append(Crowd.running)
            await asyncio.sleep(1)
            Crowd.running -= 1

    async def body(room):
        now = clock_of(room)
        room.objects._alarms.stop()
        for number in range(150):
            await room.only(str(number)).set(now() + SECOND)
        await asyncio.sleep(60)
        room.objects._alarms.start()
        await asyncio.sleep(60)
        return len(together), max(together), hints(room)

    assert in_room(tmp_path, body, Crowd) == (150, 64, [])


def test_sleeping_alarms_cost_rows_and_nothing_else(tmp_path):
    """A hundred thousand of them: one timer, and a look at the earliest few."""

    async def body(room):
        now = clock_of(room)
        index = room.objects._alarms.index
        rows = [("Clock", f"{n:064x}", None, now() + DAY + n) for n in range(100_000)]
        index._file.execute("BEGIN")
        index._file.execute_many("INSERT INTO alarms (class_name, id, name, at) VALUES (?, ?, ?, ?)", rows)
        index._file.execute("COMMIT")
        room.objects._alarms.start()
        assert len(room.objects._alarms._upcoming()) == 65
        assert not room.objects._alarms._firing
        return room.objects._alarms._planned_at - now()

    assert in_room(tmp_path, body, Clock) == DAY


def test_the_index_is_found_again(tmp_path):
    index = AlarmIndex(tmp_path / "do" / "shop.alarms.sqlite")
    index.lower(Hint("A", "1", "one", 5))
    index.lower(Hint("A", "1", None, 9))
    index.lower(Hint("A", "1", None, 3))
    index.close()
    index.close()
    assert os.path.exists(index.path)
    assert index.upcoming("A", 9) == [Hint("A", "1", "one", 3)]
    index.close()
