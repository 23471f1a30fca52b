"""SIGKILL in the middle of a sweep, a real process, a real file: an instance is whole, or nobody sees it."""

from __future__ import annotations

import asyncio
import random
import select
import subprocess
import sys
from pathlib import Path

from tests.support.world import in_world
from wrangler_py.clock import SystemClock
from wrangler_py.engine import Engine, EngineOptions
from wrangler_py.engine.settings import Retention
from wrangler_py.storage.sqlite import SqliteStore

ROOT = Path(__file__).parents[1]
INSTANCES, STEPS = 60, 40


async def fill(world) -> None:
    """In virtual time, which lies in the past of the real one: all is due at once for a real process."""

    async def work(event, step):
        for number in range(STEPS):
            await step.do(f"s{number}", lambda: "x" * 2000)

    await world.define(work)
    for number in range(INSTANCES):
        await world.engine.create("w", id=f"i{number}", retention=Retention(success_ms=1_000_000))
    await asyncio.sleep(500)


def sweep_for(folder: Path, seconds: float) -> bool:
    """Let a process sweep for so long, and kill it; return True if it was done before."""
    command = [sys.executable, "-m", "tests.support.sweep_worker", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        process.kill()
        return bool(ready)


async def look(folder: Path) -> tuple[int, int]:
    """Return how many instances can be seen and how many rows there are; all that can be seen are whole."""
    store = await SqliteStore.open(folder / "workflows.sqlite")
    engine = Engine(store, SystemClock(), options=EngineOptions(heartbeat=False))
    seen = 0
    for name in (f"i{number}" for number in range(INSTANCES)):
        if await store.get("w", name) is not None:
            seen += 1
            assert len((await engine.detail("w", name)).steps) == STEPS
    rows = store._value("SELECT count(*) FROM instances"), store._value("SELECT count(*) FROM history")
    await engine.close()
    await store.close()
    return seen, sum(rows)


def test_kill_in_the_middle_of_a_sweep(tmp_path):
    in_world(tmp_path, fill)
    seen, rows = asyncio.run(look(tmp_path))
    assert seen == INSTANCES
    each = rows // INSTANCES
    chance, halves = random.Random(3), 0
    for _ in range(100):
        is_done = sweep_for(tmp_path, chance.uniform(0, 0.05))
        seen, rows = asyncio.run(look(tmp_path))
        halves += rows > seen * each
        if is_done:
            break
    assert (seen, rows) == (0, 0)
    assert halves > 0, "no kill came between what is discarded and what is removed"
