"""Terminating all instances of a workflow (rest-and-cli, section 3)."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.world import World, in_world, run_virtual
from wrangler_py.clock import LoopClock
from wrangler_py.engine import Engine, EngineOptions, NewInstance, Status
from wrangler_py.engine.store import TerminationOrder
from wrangler_py.engine.terminations import Terminations
from wrangler_py.errors import InstanceBusyError, InvalidArgumentError, StoreUnavailableError


async def sleeper(event, step):
    """Sleep, or return at once."""
    if event["payload"].get("sleeps", True):
        await step.sleep("nap", "10 days")


async def fill(world: World, number: int = 120) -> None:
    await world.define(sleeper)
    for start in range(0, number, 60):
        await world.engine.create_batch("w", [NewInstance(f"i{start + one}") for one in range(60)])
    await world.engine.create("w", id="done", params={"sleeps": False})
    await asyncio.sleep(60)


async def counts(world: World) -> dict[str, int]:
    return {status: n for status, n in (await world.engine.status_counts("w")).items() if n}


def test_all_that_have_not_ended_are_terminated_in_the_background(tmp_path):
    async def body(world):
        await fill(world)
        assert await world.engine.maintenance.terminate_all("w")
        assert (await counts(world))["waiting"] > 0
        await asyncio.sleep(1)
        assert await counts(world) == {"terminated": 120, "complete": 1}

    in_world(tmp_path, body)


def test_a_second_order_while_one_is_carried_out_changes_nothing(tmp_path):
    async def body(world):
        await fill(world)
        assert await world.engine.maintenance.terminate_all("w")
        assert not await world.engine.maintenance.terminate_all("w")
        assert await world.engine.maintenance.is_terminating("w")
        await asyncio.sleep(1)
        assert not await world.engine.maintenance.is_terminating("w")
        assert await world.engine.maintenance.terminate_all("w")

    in_world(tmp_path, body)


def test_only_those_in_a_status(tmp_path):
    async def body(world):
        await fill(world)
        await world.engine.pause("w", "i1")
        assert await world.engine.maintenance.terminate_all("w", Status.PAUSED)
        await asyncio.sleep(1)
        assert await counts(world) == {"waiting": 119, "terminated": 1, "complete": 1}
        with pytest.raises(InvalidArgumentError, match="waitingForPause"):
            await world.engine.maintenance.terminate_all("w", Status.COMPLETE)

    in_world(tmp_path, body)


def test_what_is_created_after_the_order_is_spared(tmp_path):
    async def body(world):
        await fill(world)
        await world.engine.maintenance.terminate_all("w")
        await world.engine.create("w", id="later")
        await asyncio.sleep(1)
        assert await counts(world) == {"terminated": 120, "complete": 1, "waiting": 1}

    in_world(tmp_path, body)


def test_an_order_survives_the_death_of_who_carries_it_out(tmp_path):
    """Killed again and again with a few instances done each time, the order still comes to its end."""

    async def body(world):
        await fill(world)
        await world.engine.maintenance.terminate_all("w")
        for _ in range(5):
            await world.turns(7)
            await world.crash()
        assert (await counts(world)).get("terminated", 0) < 120
        await asyncio.sleep(1)
        assert await counts(world) == {"terminated": 120, "complete": 1}

    in_world(tmp_path, body)


def test_where_nothing_runs_the_order_is_carried_out_at_once(tmp_path):
    async def main():
        world = await World(tmp_path).open()
        await world.define(sleeper)
        await world.engine.create_batch("w", [NewInstance() for _ in range(60)])
        assert await world.engine.maintenance.terminate_all("w")
        assert await counts(world) == {"terminated": 60}
        await world.close()

    run_virtual(main())


def test_a_process_that_drives_carries_out_what_another_orders(tmp_path):
    async def body(world):
        await fill(world)
        front = Engine(world.store, world.clock, options=EngineOptions(heartbeat=False))
        assert await front.maintenance.terminate_all("w")
        assert (await counts(world))["waiting"] == 120
        await world.engine.maintenance.look()
        await asyncio.sleep(1)
        assert await counts(world) == {"terminated": 120, "complete": 1}
        await front.close()

    in_world(tmp_path, body)


class Orders:
    """A store of one order, for one instance; no other process drives instances."""

    def __init__(self) -> None:
        self.orders = [TerminationOrder("w", None, 9)]
        self.error: Exception | None = None
        self.ended: list[str] = []
        #: Seconds that an instance takes to end, and to be left alone.
        self.takes_s, self.unwinds_s = 0.0, 0.0

    async def take_terminations(self, epoch):
        return list(self.orders)

    async def to_terminate(self, order, *, after, limit):
        return [] if after else [(1, "a")]

    async def finish_termination(self, order, epoch):
        self.orders.remove(order)

    async def order_termination(self, workflow, status, *, now):
        return True

    async def is_driven(self):
        return False

    async def terminate(self, workflow, instance_id, *, only):
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            await asyncio.sleep(self.unwinds_s)
        if self.error is not None:
            raise self.error
        self.ended.append(instance_id)


def with_orders(body):
    async def main():
        store = Orders()
        work = Terminations(store, LoopClock(), store.terminate)
        try:
            await body(store, work)
        finally:
            await work.stop()

    run_virtual(main())


@pytest.mark.parametrize("error", [StoreUnavailableError("locked"), InstanceBusyError("busy")])
def test_what_cannot_be_terminated_now_is_tried_again_a_second_later(error):
    async def body(store, work):
        store.error = error
        work.start(1)
        await asyncio.sleep(0.1)
        store.error = None
        await asyncio.sleep(0.8)
        assert store.ended == []
        await asyncio.sleep(0.2)
        assert (store.ended, store.orders) == (["a"], [])

    with_orders(body)


def test_once_stopped_nothing_of_it_is_under_way():
    async def body(store, work):
        store.takes_s, store.unwinds_s = 60, 5
        work.start(1)
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await work.stop()
        assert asyncio.get_running_loop().time() - began == pytest.approx(5)
        await asyncio.sleep(600)
        assert store.ended == []

    with_orders(body)


def test_a_process_that_drives_no_more_carries_out_what_is_ordered_of_it_where_no_other_drives():
    async def body(store, work):
        store.takes_s = 5
        work.start(1)
        await work.stop()
        await work.order("w", None)
        assert store.ended == ["a"]

    with_orders(body)
