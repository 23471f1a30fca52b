"""Following an instance (engine-semantics, section 1): every event once, in order, wherever the follower stands."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.world import World, in_world
from wrangler_py.engine import Engine, EngineOptions, subscriptions
from wrangler_py.engine.model import HistoryType
from wrangler_py.storage.sqlite import SqliteStore


async def napper(event: Any, step: Any) -> str:
    """Five steps with naps between."""
    for _ in range(5):
        await step.do("work", lambda: 1)
        await step.sleep("nap", "1 second")
    return "done"


async def _seqs(world: World, instance_id: str) -> list[int]:
    return [event.seq for event in await world.engine.history("w", instance_id)]


async def _follow(engine: Engine, instance_id: str, **asked: Any) -> list[int]:
    return [event.seq async for event in engine.subscribe("w", instance_id, **asked)]


def test_a_cursor_at_the_end_of_an_instance_that_has_ended_gives_nothing_and_does_not_wait(tmp_path):
    async def body(world):
        await world.run(napper, id="a")
        seqs = await _seqs(world, "a")
        assert await _follow(world.engine, "a", after=seqs[-1]) == []
        assert await _follow(world.engine, "a") == seqs

    in_world(tmp_path, body)


def test_a_long_history_is_given_whole_after_its_end(tmp_path):
    """It is read in pages, and the end of a page is no end."""

    async def run(event, step):
        for number in range(50):
            await step.do(f"s{number}", lambda: 1)

    async def body(world):
        await world.run(run, id="a")
        seqs = await _seqs(world, "a")
        assert len(seqs) > 3 * subscriptions.PAGE
        assert await _follow(world.engine, "a") == seqs
        assert (
            await _follow(world.engine, "a", after=seqs[-subscriptions.PAGE - 1])
            == seqs[-subscriptions.PAGE :]
        )

    in_world(tmp_path, body)


def test_a_filter_that_leaves_out_the_last_event_ends_all_the_same(tmp_path):
    async def body(world):
        await world.define(napper)
        await world.engine.create("w", id="a")
        only = {HistoryType.STEP_SUCCESS}
        assert len(await _follow(world.engine, "a", only=only)) == 5

    in_world(tmp_path, body)


def test_an_engine_that_was_never_started_follows_what_another_drives(tmp_path):
    """It sees no commit of its own, so it can only find them by looking."""

    async def body(world):
        await world.define(napper)
        await world.engine.create("w", id="a")
        store = await SqliteStore.open(world.path)
        other = Engine(store, world.clock, options=EngineOptions(heartbeat=False))
        assert await _follow(other, "a") == await _seqs(world, "a")
        await other.close()
        await store.close()

    in_world(tmp_path, body)


def test_a_follower_of_a_deleted_instance_comes_to_an_end(tmp_path):
    async def body(world):
        async def waits(event, step):
            await step.wait_for_event("never", "never")

        await world.define(waits)
        await world.engine.create("w", id="a")
        following = asyncio.ensure_future(_follow(world.engine, "a"))
        await world.settle()
        await world.engine.delete("w", "a")
        assert await following

    in_world(tmp_path, body)


def test_after_a_restart_a_cursor_gives_all_that_is_new(tmp_path):
    async def body(world):
        instance = await world.run(napper, id="a")
        cursor = (await _seqs(world, "a"))[-1]
        await world.engine.restart("w", "a")
        seen = await _follow(world.engine, "a", after=cursor)
        await world.finish(instance)
        assert seen == await _seqs(world, "a")
        assert min(seen) > cursor

    in_world(tmp_path, body)


@pytest.mark.parametrize("newest", ["itself", "another", "one that was deleted"])
def test_whichever_instance_is_newest_a_cursor_skips_nothing_after_a_restart(tmp_path, newest):
    """Numbers of history are given to all instances together, and those of one only grow."""

    async def body(world):
        instance = await world.run(napper, id="a")
        cursor = (await _seqs(world, "a"))[-1]
        if newest != "itself":
            await world.finish(await world.engine.create("w", id="b"))
            others = await _seqs(world, "b")
            assert others[0] > cursor
        if newest == "one that was deleted":
            await world.engine.delete("w", "b")
        await world.engine.restart("w", "a")
        seen = await _follow(world.engine, "a", after=cursor)
        await world.finish(instance)
        assert seen == await _seqs(world, "a")
        assert seen == sorted(set(seen))
        assert min(seen) > cursor
        if newest == "another":
            assert not set(seen) & set(others)

    in_world(tmp_path, body)


def test_a_follower_is_told_at_once_and_does_not_wait_for_its_next_look(tmp_path):
    async def body(world):
        await world.define(napper)
        instance = await world.engine.create("w", id="a")
        began = world.clock.now()
        await _follow(world.engine, "a")
        ended = await world.engine.status("w", "a")
        assert world.clock.now() - ended.ended_at < 100
        assert instance.row == ended.row
        return world.clock.now() - began

    assert in_world(tmp_path, body, look_s=600) < 10_000


def test_a_follower_is_let_go_at_once_when_the_process_ends(tmp_path):
    async def body(world):
        await world.define(napper)
        await world.engine.create("w", id="a")
        following = asyncio.ensure_future(_follow(world.engine, "a"))
        await world.settle()
        began = world.clock.now()
        world.engine.end_subscriptions()
        await following
        return world.clock.now() - began

    assert in_world(tmp_path, body, look_s=600) < 100


def test_when_the_process_ends_followers_are_let_go_before_the_end(tmp_path):
    async def body(world):
        await world.define(napper)
        await world.engine.create("w", id="a")
        following = asyncio.ensure_future(_follow(world.engine, "a"))
        await world.settle()
        world.engine.end_subscriptions()
        seen = await following
        assert seen
        assert HistoryType.WORKFLOW_SUCCESS not in await world.types(await world.engine.status("w", "a"))

    in_world(tmp_path, body)


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 12), max_size=5), crash=st.booleans())
def test_no_event_is_lost_or_doubled_however_often_a_follower_comes_back(cuts, crash):
    """Each visit takes some events and breaks off; now and then the process is killed in between."""

    async def body(world):
        await world.define(napper)
        instance = await world.engine.create("w", id="a")
        seen: list[int] = []
        for cut in cuts:
            events = world.engine.subscribe("w", "a", after=seen[-1] if seen else 0)
            for _ in range(cut):
                event = await anext(events, None)
                if event is None:
                    break
                seen.append(event.seq)
            await events.aclose()
            if crash:
                await world.crash()
        seen += await _follow(world.engine, "a", after=seen[-1] if seen else 0)
        await world.finish(instance)
        assert seen == await _seqs(world, "a")
        assert seen == sorted(set(seen))

    with tempfile.TemporaryDirectory() as folder:
        in_world(Path(folder), body)
