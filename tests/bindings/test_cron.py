"""Schedules fire once a due minute, whatever happens to the process and the clock; under virtual time."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.world import DAY, HOUR, MINUTE, SECOND, in_world
from wrangler_py.bindings.cron import CronTriggers
from wrangler_py.bindings.resources import Resources
from wrangler_py.clock import LoopClock, iso
from wrangler_py.config.model import Config, WorkflowConfig
from wrangler_py.engine import ListQuery, Occurrence, Status, Trigger
from wrangler_py.engine.settings import Settings
from wrangler_py.errors import UserError
from wrangler_py.storage.cron import Marks

#: 2026-01-01, a Thursday, at midnight.
START = 1_767_225_600_000


class Code:
    """The user's code: notes what is called, then does what the test says."""

    def __init__(self, act=None):
        self.calls = []
        self.act = act

    async def call(self, event, argument):
        assert event == "scheduled"
        self.calls.append((argument.cron, argument.scheduledTime))
        if self.act is not None:
            await self.act(argument)

    def object_class(self, name):
        raise AssertionError(name)

    @property
    def minutes(self):
        return [iso(at)[11:16] for _, at in self.calls]


class Site:
    """A script with schedules, and the process that drives it now."""

    def __init__(self, world, *crons, schedules=(), act=None, script="app"):
        self.world, self.code = world, Code(act)
        flow = WorkflowConfig("w", "W", "Flow", schedules=tuple(schedules))
        root = world.path.parent
        self.config = Config(
            path=root / "wrangler.toml", root=root, name=script, crons=crons, workflows=(flow,)
        )

    async def open(self):
        self.resources = Resources(self.config, self.world.path.parent, self.world.engine, None)
        self.resources.code = self.code
        self.cron = CronTriggers(self.resources)
        await self.cron.start()
        return self

    async def hand_over(self):
        await self.cron.drain(0)
        self.resources.close()

    async def die(self):
        """As kill -9: nothing more is written."""
        for task in [self.cron._turning, *self.cron._running]:
            task.cancel()
        await self.world.turns(2)
        self.resources.close()


def with_site(folder, *crons, body, **options):
    async def in_it(world):
        await wait(SECOND)
        site = await Site(world, *crons, **options).open()
        try:
            return await body(site)
        finally:
            await site.hand_over()

    return in_world(folder, in_it)


async def wait(milliseconds):
    await asyncio.sleep(milliseconds / 1000)


def test_a_year_of_quarters_of_a_day(tmp_path):
    async def body(site):
        await wait(365 * DAY)
        return site.code.calls

    calls = with_site(tmp_path, "0 */6 * * *", body=body)
    assert calls == [("0 */6 * * *", START + hour * HOUR) for hour in range(6, 365 * 24 + 1, 6)]


def test_each_schedule_has_its_own_minutes_and_a_repeated_one_counts_once(tmp_path):
    async def body(site):
        await wait(10 * MINUTE)
        return sorted(site.code.calls)

    calls = with_site(tmp_path, "*/4 * * * *", "*/5 * * * *", "*/4 * * * *", "0 0 30 2 *", body=body)
    assert [(cron, (at - START) // MINUTE) for cron, at in calls] == [
        ("*/4 * * * *", 4),
        ("*/4 * * * *", 8),
        ("*/5 * * * *", 5),
        ("*/5 * * * *", 10),
    ]


def test_a_schedule_that_never_comes_ends_the_waiting(tmp_path):
    async def body(site):
        await wait(MINUTE)
        assert site.cron._turning.done()

    with_site(tmp_path, "0 0 30 2 *", body=body)


LIVES = st.lists(
    st.tuples(
        st.integers(1, 200 * SECOND), st.sampled_from(["hand_over", "die"]), st.integers(0, 59 * SECOND)
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=30)
@given(LIVES, st.sampled_from(["* * * * *", "*/2 * * * *", "*/7 * * * *"]))
def test_no_minute_is_lost_or_doubled_however_processes_follow_each_other(lives, cron):
    """Pauses are under a minute, however short or long the lives and however they end."""

    async def body(site):
        for lived, end, pause in lives:
            await wait(lived)
            await getattr(site, end)()
            await wait(pause)
            await site.open()
        await wait(8 * MINUTE)
        return site.code.calls, site.world.clock.now()

    with tempfile.TemporaryDirectory() as folder:
        calls, now = with_site(Path(folder), cron, body=body)
    every = {"*": 1, "*/2": 2, "*/7": 7}[cron.split()[0]]
    expected = [at for at in range(START + MINUTE, now + 1, MINUTE) if iso(at)[14:16] in _minutes(every)]
    assert [at for _, at in calls] == expected


def _minutes(every):
    return {f"{minute:02}" for minute in range(0, 60, every)}


def test_what_came_while_nothing_ran_is_not_made_up_for(tmp_path):
    async def body(site):
        await wait(90 * SECOND)
        await site.hand_over()
        await wait(10 * MINUTE)
        await site.open()
        await wait(MINUTE)
        return site.code.minutes

    assert with_site(tmp_path, "* * * * *", body=body) == ["00:01", "00:12"]


def test_the_minute_in_which_a_script_first_starts_has_passed(tmp_path):
    async def body(site):
        await wait(58 * SECOND)
        return site.code.calls

    assert with_site(tmp_path, "* * * * *", body=body) == []


def test_a_minute_that_begins_with_the_process_is_due(tmp_path):
    async def body(world):
        site = await Site(world, "* * * * *").open()
        await world.turns(5)
        await site.hand_over()
        return site.code.minutes

    assert in_world(tmp_path, body) == ["00:00"]


def test_a_process_that_does_not_drive_fires_nothing_and_leaves_the_mark(tmp_path):
    async def body(site):
        beside = CronTriggers(site.resources)
        await wait(90 * SECOND)
        marked = site.cron._marks.read("app")
        await beside.drain(0)
        assert (beside._marks.read("app"), site.code.minutes) == (marked, ["00:01"])

    with_site(tmp_path, "* * * * *", body=body)


def test_after_a_drain_nothing_is_fired(tmp_path):
    async def body(site):
        await wait(90 * SECOND)
        await site.cron.drain(0)
        await wait(10 * MINUTE)
        return site.code.minutes

    assert with_site(tmp_path, "* * * * *", body=body) == ["00:01"]


# the clock


class Jumping(LoopClock):
    """A wall clock that is set, or stands still with the lid closed, while timers go on."""

    max_wait = 5.0
    ahead = 0

    def now(self):
        return super().now() + self.ahead


def with_jumping_clock(folder, cron, body):
    async def in_it(world):
        world.engine.clock = world.clock = Jumping()
        await wait(SECOND)
        site = await Site(world, cron).open()
        try:
            return await body(site, world.clock)
        finally:
            await site.hand_over()

    return in_world(folder, in_it)


@pytest.mark.parametrize(
    ("cron", "ahead", "expected"),
    [
        ("* * * * *", 3 * HOUR, ["00:01", "03:01", "03:02"]),
        ("*/15 * * * *", 3 * HOUR + 14 * MINUTE, ["03:15"]),
        ("*/15 * * * *", 3 * HOUR + 12 * MINUTE, []),
        ("0 1 * * *", 3 * HOUR, []),
    ],
)
def test_after_a_sleep_of_the_machine_only_what_is_due_just_now_fires(tmp_path, cron, ahead, expected):
    async def body(site, clock):
        await wait(70 * SECOND)
        clock.ahead = ahead
        await wait(52 * SECOND)
        return site.code.minutes

    assert with_jumping_clock(tmp_path, cron, body) == expected


def test_a_clock_that_is_set_back_a_little_fires_no_minute_again(tmp_path):
    async def body(site, clock):
        await wait(61 * SECOND)
        clock.ahead = -5 * SECOND
        await site.hand_over()
        await site.open()
        await wait(70 * SECOND)
        return site.code.minutes

    assert with_jumping_clock(tmp_path, "* * * * *", body) == ["00:01", "00:02"]


def test_a_minute_that_a_leaving_process_did_not_get_to_is_its_successors(tmp_path):
    """Interleaving: the minute begins while the loop is busy, and the process is told to leave before it looks."""

    async def body(site, clock):
        await wait(57 * SECOND)
        clock.ahead = 4 * SECOND
        await site.hand_over()
        await site.open()
        await wait(SECOND)
        return site.code.minutes

    assert with_jumping_clock(tmp_path, "* * * * *", body) == ["00:01"]


def test_a_clock_that_is_set_back_far_goes_on_from_there(tmp_path):
    async def body(site, clock):
        await wait(61 * SECOND)
        clock.ahead = -3 * HOUR
        await wait(2 * MINUTE)
        return site.code.minutes

    assert with_jumping_clock(tmp_path, "* * * * *", body) == ["00:01", "21:02", "21:03"]


# the user's code


def test_a_handler_that_raises_is_told_and_stops_nothing(tmp_path, caplog):
    async def act(controller):
        if controller.cron == "* * * * *":
            raise ValueError("no backup today")

    async def body(site):
        await wait(2 * MINUTE)
        return len(site.code.calls)

    with caplog.at_level(logging.INFO):
        assert with_site(tmp_path, "* * * * *", "*/1 * * * *", body=body, act=act) == 4
    lines = sorted((record.levelname, record.getMessage()) for record in caplog.records)
    assert lines == [
        ("ERROR", '"* * * * *" @ 2026-01-01T00:01:00.000Z - Exception Thrown'),
        ("ERROR", '"* * * * *" @ 2026-01-01T00:02:00.000Z - Exception Thrown'),
        ("INFO", '"*/1 * * * *" @ 2026-01-01T00:01:00.000Z - Ok'),
        ("INFO", '"*/1 * * * *" @ 2026-01-01T00:02:00.000Z - Ok'),
    ]
    assert "ValueError: no backup today" in caplog.text


def test_a_missing_handler_is_told_with_advice_and_without_a_traceback(tmp_path, caplog):
    async def act(controller):
        raise UserError("Method scheduled does not exist", hint="Add it to class Default")

    with_site(tmp_path, "* * * * *", body=lambda site: wait(MINUTE), act=act)
    assert "Method scheduled does not exist\nAdd it to class Default" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_long_handler_delays_neither_other_schedules_nor_its_own_next_minute(tmp_path):
    async def act(controller):
        if controller.cron == "* * * * *":
            await wait(HOUR)

    async def body(site):
        await wait(3 * MINUTE)
        return site.code.minutes

    minutes = with_site(tmp_path, "* * * * *", "*/2 * * * *", body=body, act=act)
    assert minutes == ["00:01", "00:02", "00:02", "00:03"]


def test_a_drain_lets_handlers_finish_for_its_grace(tmp_path):
    ended = []

    async def act(controller):
        try:
            await wait(5 * SECOND if controller.cron == "* * * * *" else HOUR)
            ended.append("finished")
        except asyncio.CancelledError:
            ended.append("stopped")
            raise

    async def body(site):
        await wait(61 * SECOND)
        await site.cron.drain(10)

    with_site(tmp_path, "* * * * *", "*/1 * * * *", body=body, act=act)
    assert ended == ["finished", "stopped"]


# workflows


async def take_event(event, step):
    return event.get("schedule")


async def instances(world):
    return (await world.engine.instances("w", ListQuery())).items


def test_a_schedule_of_a_workflow_creates_an_instance_a_minute(tmp_path):
    async def body(world):
        await wait(SECOND)
        await world.define(take_event)
        site = await Site(world, schedules=["*/5 * * * *", " 0  9 * * MON-FRI"]).open()
        await wait(11 * MINUTE)
        by_hand = await world.finish(await world.engine.create("w"))
        rows = sorted(await instances(world), key=lambda row: row.created_at)
        details = [await world.engine.detail("w", row.id) for row in rows if row.id != by_hand.id]
        await site.hand_over()
        return details, by_hand

    details, by_hand = in_world(tmp_path, body)
    due = [START + 5 * MINUTE, START + 10 * MINUTE]
    assert [one.id for one in details] == [f"*/5 * * * *-{at}" for at in due]
    assert [one.schedule for one in details] == [Occurrence("*/5 * * * *", at) for at in due]
    assert [one.output for one in details] == [{"cron": "*/5 * * * *", "scheduledTime": at} for at in due]
    assert [(one.status, one.trigger) for one in details] == [(Status.COMPLETE, {"source": "cron"})] * 2
    assert (by_hand.schedule, by_hand.trigger, by_hand.output) == (None, Trigger.API, b"null")


def test_the_log_tells_a_schedule_by_its_workflow(tmp_path, caplog):
    async def body(world):
        await wait(SECOND)
        await world.define(take_event)
        site = await Site(world, schedules=["* * * * *"]).open()
        with caplog.at_level(logging.INFO, "wrangler_py.bindings.cron"):
            await wait(MINUTE)
        await site.hand_over()

    in_world(tmp_path, body)
    assert [record.getMessage() for record in caplog.records] == [
        'w "* * * * *" @ 2026-01-01T00:01:00.000Z - Ok'
    ]


def test_an_id_has_only_the_signs_that_cloudflares_have():
    assert Occurrence(" 0 9\t* * MON#2 ", 5).instance_id == "0 9 * * MON#2-5"


def test_a_minute_that_was_cut_off_behind_its_mark_still_has_its_instance_and_no_second_call(tmp_path):
    """Interleaving: the minute is marked, and the process dies before anything of it has begun."""

    async def body(world):
        await wait(SECOND)
        await world.define(take_event)
        site = await Site(world, "* * * * *", schedules=["* * * * *"]).open()
        site.cron._fire = lambda minute: None
        await wait(MINUTE)
        await site.die()
        assert (site.code.calls, await instances(world)) == ([], [])
        await site.open()
        await world.settle()
        await site.die()
        await site.open()
        await world.settle()
        found = [row.id for row in await instances(world)], site.code.calls
        await site.hand_over()
        return found

    assert in_world(tmp_path, body) == ([f"* * * * *-{START + MINUTE}"], [])


def test_a_workflow_of_another_script_is_started_by_that_one(tmp_path):
    async def body(world):
        await wait(SECOND)
        await world.define(take_event)
        site = Site(world)
        flow = WorkflowConfig("w", "W", "Flow", script_name="other", schedules=("* * * * *",))
        site.config = Config(path=Path("w.toml"), root=Path(), name="app", workflows=(flow,))
        await site.open()
        await wait(3 * MINUTE)
        await site.hand_over()
        return await instances(world)

    assert in_world(tmp_path, body) == []


# the mark


def test_scripts_of_one_state_have_their_own_marks_and_two_processes_see_them(tmp_path):
    one, other = Marks(tmp_path / "cron.sqlite"), Marks(tmp_path / "cron.sqlite")
    one.write("a", 1)
    other.write("b", 2)
    other.write("a", 3)
    assert [one.read("a"), one.read("b"), one.read("c")] == [3, 2, None]
    one.close()
    other.close()


def test_while_the_mark_cannot_be_written_nothing_fires_and_then_it_does(tmp_path, caplog):
    async def body(site):
        site.cron._marks._file.execute("PRAGMA query_only = 1")
        await wait(70 * SECOND)
        before = site.code.minutes
        site.cron._marks._file.execute("PRAGMA query_only = 0")
        await wait(2 * SECOND)
        return before, site.code.minutes

    assert with_site(tmp_path, "* * * * *", body=body) == ([], ["00:01"])
    assert "the state cannot be written" in caplog.text


def test_a_schedule_set_over_the_api_holds_where_the_configuration_has_none(tmp_path):
    async def body(world):
        await wait(SECOND)
        await world.define(noop)
        site = await Site(world).open()
        await world.engine.maintenance.change_settings("w", Settings(schedules=("*/5 * * * *",)))
        await wait(HOUR)
        assert len((await world.engine.instances("w")).items) == 12
        await world.engine.maintenance.change_settings("w", Settings())
        await wait(HOUR)
        assert len((await world.engine.instances("w")).items) == 12
        await site.hand_over()

    in_world(tmp_path, body)


async def noop(event, step):
    """Return at once."""
