"""SIGKILL at random moments, a real process, a real file: nothing is lost, nothing checkpointed runs again."""

from __future__ import annotations

import asyncio
import os
import random
import select
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from wrangler_py.clock import SystemClock
from wrangler_py.engine import Definition, Engine, EngineOptions, ListQuery, NewInstance
from wrangler_py.serde import decode
from wrangler_py.storage.sqlite import SqliteStore

ROOT = Path(__file__).parents[1]
INSTANCES = 40
KILLS = 25


async def create(folder: Path) -> None:
    store = await SqliteStore.open(folder / "workflows.sqlite")
    engine = Engine(store, SystemClock(), options=EngineOptions(heartbeat=False))
    await engine.bind([Definition("w", "s", "Work", "v1")])
    await engine.create_batch("w", [NewInstance(f"i{n}") for n in range(INSTANCES)])
    await engine.close()
    await store.close()


def spawn(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.crash_worker", str(folder), str(INSTANCES)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def kill_at_random(folder: Path, chance: random.Random) -> int:
    """Kill workers until one gets through; return how many were killed."""
    kills = 0
    while True:
        with spawn(folder) as process:
            assert process.stdout.readline() == "ready\n"
            wait = chance.uniform(0, 0.06) if kills < KILLS else 60
            ready, _, _ = select.select([process.stdout], [], [], wait)
            if ready:
                assert process.stdout.readline() == "done\n"
                assert process.wait(30) == 0
                return kills
            process.kill()
            kills += 1


async def read_all(folder: Path):
    store = await SqliteStore.open(folder / "workflows.sqlite")
    engine = Engine(store, SystemClock(), options=EngineOptions(heartbeat=False))
    await engine.bind([Definition("w", "s", "Work", "v1")])
    page = await engine.instances("w", ListQuery(per_page=100))
    details = [await engine.detail("w", row.id) for row in page.items]
    await engine.close()
    await store.close()
    return page.items, details


def test_kill_at_random_moments(tmp_path):
    asyncio.run(create(tmp_path))
    started = time.time()
    kills = kill_at_random(tmp_path, random.Random(7))
    rows, details = asyncio.run(read_all(tmp_path))
    lines = [line.split() for line in (tmp_path / "effects").read_text().splitlines()]

    assert kills >= 15, (
        f"the work was over after {time.time() - started:.1f} s: too fast to be killed often enough"
    )
    assert {row.status.value for row in rows} == {"complete"}
    assert {decode(row.output) for row in rows} == {17}

    # At least once: every step of every instance had its effect.
    ends = Counter((name, number) for kind, name, number, *_ in lines if kind == "end")
    assert set(ends) == {(f"i{n}", str(s)) for n in range(INSTANCES) for s in range(6)}

    # `run()` went on after a step only once that was checkpointed: it never starts again afterwards.
    finished = set()
    for kind, name, number, *_ in lines:
        if kind == "after":
            finished.add((name, number))
        elif kind == "start":
            assert (name, number) not in finished, f"{name} step {number} ran again after its checkpoint"

    # No attempt is lost: what the history has is a whole row of attempts, each with an end, one of them the success.
    for detail in details:
        for step in (one for one in detail.steps if one.type == "step"):
            outcomes = [attempt.success for attempt in step.attempts]
            assert outcomes == [False] * (len(outcomes) - 1) + [True], (detail.id, step.name, outcomes)
    attempts = {
        (d.id, s.name[1:-2]): len(s.attempts) for d in details for s in d.steps if s.name.startswith("s")
    }
    starts = Counter((name, number) for kind, name, number, *_ in lines if kind == "start")
    assert all(count <= starts[key] <= count + kills for key, count in attempts.items())
