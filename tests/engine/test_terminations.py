"""Terminating all instances of a workflow (rest-and-cli, section 3)."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.world import World, in_world, run_virtual
from wrangler_py.engine import Engine, EngineOptions, NewInstance, Status
from wrangler_py.errors import InvalidArgumentError


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
