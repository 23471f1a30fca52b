"""Retention (docs, "Limits"): what has ended goes when its time is up, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3

import pytest

from tests.support.world import DAY, HOUR, MINUTE, SECOND, World, in_world, run_virtual
from wrangler_py.clock import LoopClock
from wrangler_py.engine import NewInstance, StepRef
from wrangler_py.engine.retention import REMOVED, Sweeper
from wrangler_py.engine.settings import Retention, Settings, read_retention
from wrangler_py.engine.timers import Timers
from wrangler_py.errors import InstanceNotFoundError, InvalidArgumentError, StoreUnavailableError
from wrangler_py.storage.sql import load_migrations
from wrangler_py.storage.sqlite import SqliteStore

YEAR = 365 * DAY


async def done(event, step):
    """Return at once."""
    return "done"


async def failing(event, step):
    """Fail at once."""
    raise RuntimeError("no")


async def noisy(event, step):
    """Leave a large history."""
    for number in range(event["payload"].get("steps", 3)):
        await step.do(f"s{number}", lambda: "x" * 20_000)


async def wait(milliseconds: int) -> None:
    await asyncio.sleep(milliseconds / 1000)


async def ids(world: World) -> list[str]:
    return sorted(row.id for row in (await world.engine.instances("w")).items)


async def count(world: World, table: str) -> int:
    return world.store._value(f"SELECT count(*) FROM {table}")


def test_an_instance_goes_when_its_time_is_up_and_not_before(tmp_path):
    async def body(world):
        await world.define(done)
        row = await world.engine.create("w", id="a", retention=Retention(success_ms=HOUR))
        ended = await world.finish(row)
        await wait(HOUR - 2 * SECOND)
        assert await ids(world) == ["a"]
        await wait(3 * SECOND)
        assert world.clock.now() > ended.ended_at + HOUR
        with pytest.raises(InstanceNotFoundError):
            await world.engine.detail("w", "a")
        assert await ids(world) == []
        assert (await count(world, "instances"), await count(world, "history")) == (0, 0)

    in_world(tmp_path, body)


def test_without_a_retention_an_instance_stays_for_ever(tmp_path):
    """Nobody who develops loses an instance by surprise: the plan's retention is applied only if it was asked for."""

    async def body(world):
        await world.finish(await world.run(done, id="a"))
        await wait(100 * YEAR)
        assert await ids(world) == ["a"]

    in_world(tmp_path, body)


@pytest.mark.parametrize(("plan", "days"), [("paid", 30), ("free", 3)])
def test_where_limits_are_enforced_the_plan_s_retention_is_the_default(tmp_path, plan, days):
    """docs, "Retention limit for completed Workflow state"."""

    async def body(world):
        await world.run(done, id="a")
        await wait(days * DAY - MINUTE)
        assert await ids(world) == ["a"]
        await wait(2 * MINUTE)
        assert await ids(world) == []
        with pytest.raises(InvalidArgumentError, match=f"{days} days"):
            await world.engine.create("w", retention=Retention(error_ms=days * DAY + 1))

    in_world(tmp_path, body, plan=plan, enforce_limits=True)


def test_success_and_failure_have_retentions_of_their_own(tmp_path):
    async def body(world):
        kept = Retention(success_ms=DAY, error_ms=HOUR)
        await world.define(failing)
        await world.finish(await world.engine.create("w", id="failed", retention=kept))
        await world.define(done)
        await world.finish(await world.engine.create("w", id="fine", retention=kept))
        await wait(HOUR + MINUTE)
        assert await ids(world) == ["fine"]
        await wait(DAY)
        assert await ids(world) == []

    in_world(tmp_path, body)


def test_a_terminated_instance_counts_as_one_that_failed(tmp_path):
    async def sleeper(event, step):
        await step.sleep("nap", 100 * DAY)

    async def body(world):
        await world.define(sleeper)
        await world.engine.create("w", id="a", retention=Retention(success_ms=SECOND, error_ms=HOUR))
        await world.settle()
        await wait(2 * HOUR)
        assert await ids(world) == ["a"]  # It has not ended.
        await world.engine.terminate("w", "a")
        await wait(HOUR - MINUTE)
        assert await ids(world) == ["a"]
        await wait(2 * MINUTE)
        assert await ids(world) == []

    in_world(tmp_path, body)


def test_an_instance_s_own_retention_wins_over_the_workflow_s(tmp_path):
    async def body(world):
        await world.define(done, retention=Retention(success_ms=HOUR, error_ms=HOUR))
        own = NewInstance("own", {}, Retention(success_ms=DAY))
        await world.engine.create_batch("w", [own, NewInstance("default")])
        await wait(HOUR + MINUTE)
        assert await ids(world) == ["own"]
        await wait(DAY)
        assert await ids(world) == []

    in_world(tmp_path, body)


def test_a_restart_takes_the_end_back(tmp_path):
    async def body(world):
        await world.define(noisy)
        await world.finish(await world.engine.create("w", id="a", retention=Retention(success_ms=HOUR)))
        await wait(HOUR - MINUTE)
        await world.engine.restart("w", "a", from_=StepRef("s1"))
        await world.finish(await world.engine.status("w", "a"))
        await wait(HOUR - MINUTE)
        assert await ids(world) == ["a"]
        await wait(2 * MINUTE)
        assert await ids(world) == []

    in_world(tmp_path, body)


def test_a_thousand_instances_of_a_year_go_in_time(tmp_path):
    """One a day for three years, each kept for one: there are never more than a year's worth."""

    async def body(world):
        await world.define(done, retention=Retention(success_ms=YEAR))
        for day in range(1095):
            await world.engine.create("w", id=f"d{day}")
            await wait(DAY)
            assert sum((await world.engine.status_counts("w")).values()) <= 366
        assert await ids(world)
        await wait(YEAR)
        assert await count(world, "instances") == 0

    in_world(tmp_path, body)


def test_a_sweep_that_is_cut_off_is_gone_on_with(tmp_path):
    """Killed at each of its transactions in turn, a sweep leaves nothing half there: an instance is whole, or gone."""

    async def body(world):
        await world.define(noisy)
        for number in range(6):
            row = await world.engine.create(
                "w", id=f"i{number}", params={"steps": 3 + 90 * number}, retention=Retention(success_ms=HOUR)
            )
            await world.finish(row)
        whole = {one: len((await world.engine.detail("w", one)).steps) for one in await ids(world)}
        world.store._execute("UPDATE instances SET expires_at = ?", (world.clock.now(),))
        in_between = 0
        for _ in range(20):
            await world.crash()
            await world.turns(60)
            in_between += await count(world, "instances WHERE workflow = ''") > 0
            for one in await ids(world):
                assert len((await world.engine.detail("w", one)).steps) == whole[one]
        assert in_between > 3
        await wait(MINUTE)
        assert (await count(world, "instances"), await count(world, "history")) == (0, 0)

    in_world(tmp_path, body)


def test_a_large_history_goes_in_small_pieces(tmp_path):
    """No transaction of a sweep removes more than its share, so that nobody waits long for one."""

    async def body(world):
        await world.define(noisy)
        await world.finish(
            await world.engine.create("w", params={"steps": 1000}, retention=Retention(success_ms=5 * SECOND))
        )
        lines = await count(world, "history")
        assert lines > 5 * REMOVED
        seen = [lines]
        while seen[-1]:
            await wait(1)
            seen.append(await count(world, "history"))
        assert max(before - after for before, after in itertools.pairwise(seen)) <= REMOVED

    in_world(tmp_path, body)


def test_a_new_instance_never_gets_the_history_of_a_discarded_one(tmp_path):
    """The number of the row discarded last would be given to the next one, while its history is still there."""

    async def body(world):
        await world.define(noisy)
        await world.finish(
            await world.engine.create(
                "w", id="old", params={"steps": 400}, retention=Retention(success_ms=HOUR)
            )
        )
        while await ids(world):
            await wait(1 * SECOND)
        new = await world.engine.create("w", id="old", params={"steps": 1})
        await world.finish(new)
        assert [step.name for step in (await world.engine.detail("w", "old")).steps] == ["s0-1"]

    in_world(tmp_path, body)


def test_the_file_gets_smaller(tmp_path):
    async def body(world):
        await world.define(noisy)
        for number in range(30):
            await world.engine.create(
                "w", id=f"i{number}", params={"steps": 20}, retention=Retention(success_ms=DAY)
            )
        await wait(DAY - HOUR)
        world.store._read("PRAGMA wal_checkpoint(TRUNCATE)")
        large = world.path.stat().st_size
        assert large > 10_000_000
        await wait(2 * HOUR)
        world.store._read("PRAGMA wal_checkpoint(TRUNCATE)")
        assert world.path.stat().st_size < large / 5

    in_world(tmp_path, body)


@pytest.mark.parametrize(("rows", "mode"), [(1, 2), (70, 0)])
def test_a_file_of_an_older_version_is_made_so_if_that_is_quick(tmp_path, rows, mode):
    path = tmp_path / "workflows.sqlite"
    old = sqlite3.connect(path)
    old.executescript(load_migrations("wrangler_py.storage.sqlite")[0].sql)
    old.executescript(
        "PRAGMA application_id = 0x50575247; PRAGMA user_version = 1; CREATE TABLE stuff (data BLOB)"
    )
    old.executemany("INSERT INTO stuff VALUES (zeroblob(1048576))", [()] * rows)
    old.commit()
    old.close()

    async def opened():
        store = await SqliteStore.open(path)
        found = store._value("PRAGMA auto_vacuum"), store._value("SELECT count(*) FROM stuff")
        await store.close()
        return found

    assert asyncio.run(opened()) == (mode, rows)


@pytest.mark.parametrize("bad", [0, -1, "soon", [], True, "1 century", 10**20])
def test_a_retention_is_a_duration(bad):
    with pytest.raises(InvalidArgumentError, match="error_retention"):
        read_retention(error=bad)


def test_settings_of_the_api_hold_where_the_configuration_is_silent(tmp_path):
    async def body(world):
        await world.define(done, step_limit=7)
        given = Settings(step_limit=3, concurrency=2, retention=Retention(success_ms=HOUR))
        await world.engine.maintenance.change_settings("w", given)
        await world.crash()
        held = await world.engine.maintenance.settings("w")
        assert (held.step_limit, held.concurrency, held.retention.success_ms) == (7, 2, HOUR)
        await world.engine.maintenance.change_settings("w", Settings())
        assert await world.engine.maintenance.settings("w") == Settings(step_limit=7)

    in_world(tmp_path, body)


def test_a_step_limit_set_over_the_api_ends_an_instance(tmp_path):
    """docs, "Maximum steps per Workflow"; engine-semantics, section 5, has the words."""

    async def body(world):
        await world.define(noisy)
        await world.engine.maintenance.change_settings("w", Settings(step_limit=2))
        row = await world.finish(await world.engine.create("w"))
        assert "The limit of 2 steps has been reached" in row.error.message

    in_world(tmp_path, body)


def test_two_processes_may_sweep_one_store(tmp_path):
    async def main():
        first = await (await World(tmp_path).open()).start()
        await first.define(done, retention=Retention(success_ms=HOUR))
        second = await World(tmp_path).open()
        second.definitions = first.definitions
        await second.engine.start()
        for _ in range(120):
            await first.engine.create("w")
        await wait(HOUR + MINUTE)
        assert await count(first, "instances") == 0
        await second.close()
        await first.close()

    run_virtual(main())


def test_an_instance_that_runs_again_does_not_go(tmp_path):
    """Its time was up soon when it was restarted; now it sleeps, and nobody drives it."""

    async def sleeper(event, step):
        await step.sleep("nap", 10 * DAY)

    async def body(world):
        await world.define(done)
        await world.finish(await world.engine.create("w", id="a", retention=Retention(success_ms=HOUR)))
        await world.define(sleeper)
        await world.engine.restart("w", "a")
        await wait(2 * HOUR)
        assert await ids(world) == ["a"]

    in_world(tmp_path, body)


class Shelf:
    """A store that says how much there is to sweep, and notes what is asked of it, and when: in milliseconds."""

    def __init__(self, *, discard: int = 0, remove: int = 0, next_expiry: int | None = None) -> None:
        self.left = {"discard": discard, "remove": remove, "give back": 1}
        self.expiry = next_expiry
        self.asked: list[tuple[str, float]] = []
        self.error: Exception | None = None
        self.unwinds_s: float | None = None

    @property
    def looks(self) -> list[float]:
        return [at for what, at in self.asked if what == "discard"]

    async def _some(self, what: str) -> bool:
        self.asked.append((what, round(asyncio.get_running_loop().time() * 1000)))
        if self.error is not None:
            raise self.error
        if self.unwinds_s is not None:
            try:
                await asyncio.sleep(600)
            finally:
                await asyncio.sleep(self.unwinds_s)
        self.left[what] -= 1
        return self.left[what] >= 0

    async def discard_expired(self, *, now, limit):
        return await self._some("discard")

    async def remove_discarded(self, *, limit):
        return await self._some("remove")

    async def give_back(self, *, limit):
        return await self._some("give back")

    async def next_expiry(self):
        return self.expiry


def with_sweeper(shelf, body):
    async def main():
        clock = LoopClock()
        timers = Timers(clock)
        sweeper = Sweeper(shelf, clock, timers)
        began = clock.now()
        if shelf.expiry is not None:
            shelf.expiry += began
        sweeper.start()
        await body(sweeper, timers)
        await sweeper.stop()

    run_virtual(main())


def test_between_two_pieces_of_a_sweep_others_have_five_milliseconds():
    shelf = Shelf(discard=2, remove=1)

    async def body(*_):
        await asyncio.sleep(60)

    with_sweeper(shelf, body)
    assert shelf.asked == [
        ("discard", 0), ("discard", 5), ("discard", 10),
        ("remove", 10), ("remove", 15),
        ("give back", 15), ("give back", 20),
    ]  # fmt: skip


def test_the_file_gives_nothing_back_where_nothing_was_removed():
    shelf = Shelf(discard=1)

    async def body(*_):
        await asyncio.sleep(60)

    with_sweeper(shelf, body)
    assert "give back" not in dict(shelf.asked)


def test_a_store_that_fails_is_looked_at_again_a_second_later():
    shelf = Shelf()
    shelf.error = StoreUnavailableError("locked")

    async def body(*_):
        await asyncio.sleep(2.5)

    with_sweeper(shelf, body)
    assert shelf.looks == [0, 1000, 2000]


def test_a_second_after_an_end_it_looks_and_not_again_when_what_was_next_has_gone():
    shelf = Shelf(next_expiry=10_000)

    async def body(sweeper, _):
        await asyncio.sleep(0.5)
        shelf.expiry = None
        sweeper.look_soon()
        await asyncio.sleep(0.5)
        sweeper.look_soon()  # The look that is planned already is soon enough.
        await asyncio.sleep(60)

    with_sweeper(shelf, body)
    assert shelf.looks == [0, 1500]


def test_once_stopped_nothing_of_a_sweep_is_under_way_or_planned():
    shelf = Shelf(next_expiry=10_000)

    async def body(sweeper, timers):
        await asyncio.sleep(1)
        shelf.unwinds_s = 0.5
        sweeper.look_soon()
        await asyncio.sleep(2)
        sweeper.look_soon()
        began = asyncio.get_running_loop().time()
        await sweeper.stop()
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.5)
        assert timers._by_wall.earliest() is None

    with_sweeper(shelf, body)
