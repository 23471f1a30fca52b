"""Laws of an engine's life: leases lost, disks full, processes that let go, loops that block."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import msgspec
import pytest

from tests.support.world import DAY, HOUR, World, in_world, run_virtual
from wrangler_py.clock import LoopClock, SystemClock
from wrangler_py.engine import Definition, Engine, EngineOptions, NewInstance, Status, lease, limits
from wrangler_py.errors import RateLimitedError
from wrangler_py.serde import decode
from wrangler_py.storage.sqlite import SqliteStore


async def steps(event, step):
    for number in range(5):
        await step.do(f"s{number}", lambda: 1)
        await step.sleep(f"nap{number}", "1 second")
    return "done"


def test_a_process_that_lost_its_lease_drops_all_and_begins_again(tmp_path):
    async def body(world):
        await world.define(steps)
        row = await world.engine.create("w")
        await asyncio.sleep(2.5)
        # Somebody took this process for dead.
        await world.store.reap(now=world.clock.now(), keep=(), owners=None)
        ended = await world.finish(row)
        return decode(ended.output), (await world.types(row)).count("STEP_SUCCESS")

    assert in_world(tmp_path, body) == ("done", 5)


def test_two_engines_on_one_file_never_drive_the_same_instance(tmp_path):
    calls = []

    def of(engine):
        async def run(event, step):
            async def work():
                calls.append((event.instanceId, engine))
                await asyncio.sleep(1)

            await step.do("once", work)

        return run

    async def body(world):
        other = World(tmp_path)
        await other.open()
        await other.define(of("other"), concurrency=5)
        await world.define(of("world"), concurrency=5)
        rows = [await world.engine.create("w") for _ in range(20)]
        await other.engine.start(())
        await world.settle()
        resident = world.engine.resident_count(), other.engine.resident_count()
        for row in rows:
            await world.finish(row)
        await other.close()
        return resident, {row.id for row in rows}

    resident, ids = in_world(tmp_path, body)
    assert resident == (5, 5)
    assert sorted(one for one, _ in calls) == sorted(ids)
    assert {engine for _, engine in calls} == {"world", "other"}


def test_a_full_disk_stops_instances_and_loses_nothing(tmp_path):
    async def run(event, step):
        for number in range(30):
            await step.do(f"s{number}", lambda: "x" * 50_000)
        return "done"

    async def body(world):
        failures = []
        world.engine.observe_store(failures.append)
        await world.define(run)
        pages = world.store._execute("PRAGMA page_count").fetchone()[0]
        world.store._execute(f"PRAGMA max_page_count = {pages + 60}")
        row = await world.engine.create("w")
        await asyncio.sleep(30)
        stuck = await world.status(row)
        world.store._execute("PRAGMA max_page_count = 1073741823")
        ended = await world.finish(row)
        return stuck.is_final, decode(ended.output), "free some disk space" in str(failures[0])

    assert in_world(tmp_path, body) == (False, "done", True)


def test_drain_lets_steps_in_flight_finish_and_starts_no_new_one(tmp_path):
    calls = []

    async def run(event, step):
        async def work(ctx):
            calls.append(ctx.step.name)
            await asyncio.sleep(1)

        await step.do("a", work)
        await step.do("b", work)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        await world.engine.drain(2)
        assert (calls, world.engine.resident_count()) == (["a"], 0)
        await world.start()
        ended = await world.finish(row)
        return ended.status, (await world.types(row)).count("ATTEMPT_FAILURE")

    assert in_world(tmp_path, body) == (Status.COMPLETE, 0)
    assert calls == ["a", "b"]


def test_what_outlasts_the_grace_is_an_attempt_that_is_made_again(tmp_path):
    async def run(event, step):
        async def work(ctx):
            await asyncio.sleep(60)
            return ctx["attempt"]

        return await step.do("long", {"retries": {"limit": 1, "delay": "1 second"}}, work)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        await world.engine.drain(2)
        await world.start()
        return decode((await world.finish(row)).output)

    assert in_world(tmp_path, body) == 2


def test_terminate_counts_while_a_step_runs_in_a_thread(tmp_path):
    started, go_on = threading.Event(), threading.Event()

    async def main():
        store = await SqliteStore.open(tmp_path / "w.sqlite")
        engine = Engine(store, SystemClock(), options=EngineOptions(heartbeat=False))

        class Blocked:
            async def run(self, event, step):
                def wait():
                    started.set()
                    go_on.wait(20)

                await step.do("thread", wait)

        await engine.bind([Definition("w", "s", "W", "v", Blocked)])
        await engine.start(None)
        row = await engine.create("w")
        await asyncio.to_thread(started.wait, 20)
        status = await engine.terminate("w", row.id)
        go_on.set()
        await engine.close()
        await store.close()
        return status

    assert asyncio.run(main()) is Status.TERMINATED


def test_an_error_that_ends_the_event_loop_ends_no_instance(tmp_path, monkeypatch):
    """`sys.exit()` in a callback of the loop: the exit is that of the process, and the instance goes on in the next."""
    lives, stores = [], []

    class Exits:
        async def run(self, event, step):
            lives.append(None)
            if len(lives) == 1:
                asyncio.get_running_loop().call_soon(sys.exit, 5)
                await asyncio.sleep(3600)
            return len(lives)

    async def life():
        store = await SqliteStore.open(tmp_path / "w.sqlite")
        stores.append(store)
        engine = Engine(store, SystemClock(), options=EngineOptions(heartbeat=False, look_s=0.05))
        await engine.bind([Definition("w", "s", "W", "v", Exits)])
        await engine.start(None)
        if not lives:
            await engine.create("w", id="me")
        while not (row := await engine.status("w", "me")).status.is_final:
            await asyncio.sleep(0.01)
        await engine.close()
        await store.close()
        return row

    monkeypatch.setattr("wrangler_py.engine.engine.LEASE_MS", 0)  # Over when the next process comes.
    with pytest.raises(SystemExit) as left:
        asyncio.run(life())
    stores[0]._database.close()  # As the end of its process would.
    monkeypatch.undo()
    row = asyncio.run(life())
    assert (left.value.code, row.status, decode(row.output)) == (5, Status.COMPLETE, 2)


def test_a_step_that_blocks_the_loop_is_named_and_keeps_its_lease(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    monkeypatch.setattr(lease, "BLOCKED_S", 0.1)
    seen, leases, calls = [], [], []

    async def main():
        store = await SqliteStore.open(tmp_path / "w.sqlite")
        engine = Engine(store, SystemClock())
        engine.observe_blocks(seen.append)

        class Blocking:
            async def run(self, event, step):
                @step.do("greedy")
                async def greedy():
                    calls.append(1)
                    deadline = time.monotonic() + 30
                    leases[:] = 2 * store._read("SELECT epoch, expires_at FROM leases")
                    while not seen and time.monotonic() < deadline:
                        pass
                    while leases[1] == leases[0] and time.monotonic() < deadline:
                        leases[1:] = store._read("SELECT epoch, expires_at FROM leases")

                await greedy()

        await engine.bind([Definition("w", "s", "W", "v", Blocking)])
        await engine.start(None)
        row = await engine.create("w")
        while not (await engine.status("w", row.id)).status.is_final:
            await asyncio.sleep(0.01)
        status = (await engine.status("w", row.id)).status
        await engine.close()
        await store.close()
        return status

    assert asyncio.run(main()) is Status.COMPLETE
    assert seen[0].place.step == "greedy-1"
    assert "test_life.py" in seen[0].where
    (first_epoch, first_until), (last_epoch, last_until) = leases
    assert first_epoch == last_epoch
    assert last_until > first_until
    assert calls == [1]


def test_a_lost_lease_stops_the_engine_within_one_heartbeat(tmp_path, monkeypatch):
    """Nothing is written or looked for meanwhile, so that only the heartbeat can notice. The code must stop, because
    another process runs it by now; this one then takes a new lease."""
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    seen = []

    async def main():
        store = await SqliteStore.open(tmp_path / "w.sqlite")
        engine = Engine(store, SystemClock(), options=EngineOptions(look_s=3600))

        class Quiet:
            async def run(self, event, step):
                @step.do("quiet", config={"retries": {"limit": 1, "delay": 0}})
                async def quiet(ctx):
                    seen.append(f"begins {ctx['attempt']}")
                    if ctx["attempt"] == 1:
                        try:
                            await asyncio.sleep(3600)
                        finally:
                            seen.append("stops")

                await quiet()

        await engine.bind([Definition("w", "s", "W", "v", Quiet)])
        await engine.start(None)
        old = engine._commits.epoch
        row = await engine.create("w")
        while not seen:
            await asyncio.sleep(0.01)
        await store.reap(now=SystemClock().now(), keep=(), owners=None)
        while not (await engine.status("w", row.id)).status.is_final:
            await asyncio.sleep(0.01)
        status = (await engine.status("w", row.id)).status
        new = engine._commits.epoch
        await engine.close()
        await store.close()
        return status, new > old

    assert asyncio.run(asyncio.wait_for(main(), 30)) == (Status.COMPLETE, True)
    assert seen == ["begins 1", "stops", "begins 2"]


def test_thousands_in_flight_need_few_threads(tmp_path):
    async def run(event, step):
        await step.do("thread", threading.active_count)
        await step.sleep("nap", "1 second")

    async def body(world):
        await world.define(run)
        rows = [await world.engine.create("w") for _ in range(300)]
        most = 0
        for row in rows:
            most = max(most, threading.active_count())
            await world.finish(row)
        return most

    assert in_world(tmp_path, body) <= 20


def test_enforced_limits_refuse_the_hundred_and_first_creation(tmp_path):
    async def body(world):
        await world.define(steps)
        for _ in range(100):
            await world.engine.create("w")
        with pytest.raises(RateLimitedError):
            await world.engine.create("w")
        await asyncio.sleep(10.1)
        await world.engine.create("w")

    in_world(tmp_path, body, enforce_limits=True)


def test_the_creation_rate_is_that_of_all_processes_together(tmp_path):
    async def body(world):
        await world.define(steps)
        other = World(tmp_path, enforce_limits=True)
        other.clock = LoopClock(seed=1)
        await other.open()
        await other.define(steps)
        await world.engine.create_batch("w", [NewInstance() for _ in range(60)])
        await asyncio.sleep(4)
        await other.engine.create_batch("w", [NewInstance() for _ in range(39)])
        await world.engine.create("w")
        for one in (world, other):
            with pytest.raises(RateLimitedError) as refused:
                await one.engine.create("w")
            assert refused.value.retry_after_s == 6
        await asyncio.sleep(6)
        await other.engine.create_batch("w", [NewInstance() for _ in range(60)])
        with pytest.raises(RateLimitedError):
            await world.engine.create("w")
        await other.close()

    in_world(tmp_path, body, enforce_limits=True)


def test_the_free_plan_runs_so_many_instances_a_day_whatever_crashes(tmp_path, monkeypatch):
    """docs, "Maximum Workflow executions": 100,000 per day; the day is that of UTC."""
    free = limits.PLANS["free"]
    assert (free.daily, limits.PLANS["paid"].daily) == (100_000, None)
    monkeypatch.setitem(limits.PLANS, "free", msgspec.structs.replace(free, daily=5))

    async def body(world):
        await world.define(steps)
        await asyncio.sleep((DAY - world.clock.now() % DAY - HOUR) / 1000)
        await world.engine.create_batch("w", [NewInstance() for _ in range(3)])
        await world.crash()
        with pytest.raises(RateLimitedError) as refused:
            await world.engine.create_batch("w", [NewInstance() for _ in range(3)])
        assert HOUR / 1000 - 5 < refused.value.retry_after_s <= HOUR / 1000
        await world.engine.create_batch("w", [NewInstance() for _ in range(2)])
        with pytest.raises(RateLimitedError, match="5 instances a day"):
            await world.engine.create("w")
        await asyncio.sleep(refused.value.retry_after_s)
        await world.engine.create_batch("w", [NewInstance() for _ in range(5)])

    in_world(tmp_path, body, enforce_limits=True, plan="free")


def test_nothing_runs_that_was_claimed_while_the_lease_was_given_up(tmp_path):
    """Its lines could not be stored: it is taken up under the next lease."""
    begun = []

    async def run(event, step):
        begun.append(event.instanceId)
        return await step.do("s", lambda: 1)

    async def body(world):
        claim = world.store.claim

        async def claim_too_late(*args, **options):
            claimed = await claim(*args, **options)
            if claimed and world.store.claim is not claim:
                world.store.claim = claim
                world.engine._lease_lost()
            return claimed

        world.store.claim = claim_too_late
        return (await world.run(run)).status

    assert in_world(tmp_path, body) is Status.COMPLETE
    assert len(begun) == 1


def test_once_an_engine_is_closed_nothing_of_it_is_under_way(tmp_path):
    async def main():
        world = await (await World(tmp_path).open()).start()
        await world.define(steps)
        await world.engine.create("w")
        await world.settle()
        await world.engine.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await world.store.close()

    run_virtual(main())
