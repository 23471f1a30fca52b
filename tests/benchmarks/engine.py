"""Benchmarks (a), (b), (c), (e), (f): the engine in this process, on a real file, under the system's clock."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from tests.benchmarks.ceiling import rewrite
from tests.benchmarks.table import Result
from wrangler_py.clock import SystemClock
from wrangler_py.engine import Definition, Engine, EngineOptions, NewInstance
from wrangler_py.storage.sqlite import SqliteStore

ROWS_PER_COMMIT = 500
ROWS_PER_STEP = 4


def steps_workflow(steps: int) -> type:
    """Make a workflow of trivial steps, declared as the documents do."""

    class Steps:
        async def run(self, event, step):
            for _ in range(steps):

                @step.do("step")
                async def work():
                    return {"ok": True}

                await work()
            return steps

    return Steps


@asynccontextmanager
async def engine_on(path: Path, make: type, **options) -> AsyncIterator[Engine]:
    store = await SqliteStore.open(path)
    engine = Engine(store, SystemClock(), options=EngineOptions(**options))
    await engine.bind([Definition("w", "bench", "Steps", "v1", make, step_limit=25_000)])
    try:
        yield engine
    finally:
        await engine.close()
        await store.close()


async def until(engine: Engine, status: str, count: int, *, every: float = 0.002) -> None:
    while (await engine.status_counts("w"))[status] < count:
        await asyncio.sleep(every)


async def create(engine: Engine, count: int) -> None:
    for start in range(0, count, 100):
        await engine.create_batch("w", [NewInstance() for _ in range(min(100, count - start))])


async def timed_run(path: Path, instances: int, steps: int) -> float:
    async with engine_on(path, steps_workflow(steps)) as engine:
        await engine.start(None)
        started = time.perf_counter()
        await create(engine, instances)
        await until(engine, "complete", instances)
        return time.perf_counter() - started


def against_ceiling(name: str, target: str, instances: int, steps: int, *, rows_per_commit: int) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "engine.sqlite"
        took = uvloop.run(timed_run(path, instances, steps))
        ceiling = rewrite(path, Path(folder) / "ceiling.sqlite", rows_per_commit=rows_per_commit)
    total = instances * steps
    return Result(
        name,
        f"{total / took:,.0f} steps/s, {instances / took:,.0f} instances/s",
        f"{total / ceiling:,.0f} steps/s",
        f"{ceiling / took:.0%}",
        target,
    )


def one_instance() -> Result:
    return against_ceiling("(a) 1 instance x 1000 steps", ">= 40 %", 1, 1000, rows_per_commit=ROWS_PER_STEP)


def many_instances() -> Result:
    return against_ceiling(
        "(b) 1000 instances x 30 steps", ">= 35 %", 1000, 30, rows_per_commit=ROWS_PER_COMMIT
    )


def batches() -> Result:
    return against_ceiling(
        "(c) 1000 instances x 3 steps, batches",
        ">= 3000 instances/s",
        1000,
        3,
        rows_per_commit=ROWS_PER_COMMIT,
    )


def replay() -> Result:
    """(e): an instance of 1000 checkpoints wakes up; from the event to its end."""

    class Replayed(steps_workflow(1000)):
        async def run(self, event, step):
            await super().run(event, step)
            await step.wait_for_event("go", "go")

    async def main(path: Path) -> float:
        async with engine_on(path, Replayed, hibernate_after_ms=0) as engine:
            await engine.start(None)
            row = await engine.create("w")
            await until(engine, "waiting", 1)
            while engine.resident_count():
                await asyncio.sleep(0.01)
            started = time.perf_counter()
            await engine.send_event("w", row.id, "go")
            await until(engine, "complete", 1, every=0.0005)
            return time.perf_counter() - started

    runs = []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(uvloop.run(main(Path(folder) / "engine.sqlite")))
    took, worst = statistics.median(runs), max(runs)
    return Result(
        "(e) replay of 1000 checkpoints",
        f"{took * 1000:.1f} ms (worst of 5: {worst * 1000:.1f})",
        "",
        "",
        "<= 20 ms",
    )


def sleepers(count: int = 100_000) -> list[Result]:
    """(f): many sleeping instances: memory, time to create, time to wake all."""

    class Sleeper:
        async def run(self, event, step):
            await step.sleep_until("nap", event.payload)

    async def main(path: Path) -> tuple[float, float, float]:
        async with engine_on(path, Sleeper) as engine:
            await engine.start(None)
            before = resident_mb()
            wake_at = SystemClock().now() + 3_600_000
            started = time.perf_counter()
            for _ in range(0, count, 100):
                await engine.create_batch("w", [NewInstance(params=wake_at) for _ in range(100)])
            await until(engine, "waiting", count, every=0.05)
            created = time.perf_counter() - started
            memory = resident_mb() - before
            engine.store._execute("UPDATE instances SET due_at = 0")
            engine.store._execute(
                "UPDATE history SET data = replace(CAST(data AS TEXT), ?, '1') WHERE type = 'SLEEP_START'",
                (str(wake_at),),
            )
            started = time.perf_counter()
            engine._scheduler.kick()
            await until(engine, "complete", count, every=0.05)
            return memory, created, time.perf_counter() - started

    with tempfile.TemporaryDirectory() as folder:
        memory, created, woken = uvloop.run(main(Path(folder) / "engine.sqlite"))
    name = f"(f) {count:,} sleeping instances"
    return [
        Result(f"{name}: memory", f"{memory:.0f} MB", "", "", "<= 200 MB"),
        Result(f"{name}: create", f"{created:.1f} s ({count / created:,.0f}/s)", "", "", ""),
        Result(f"{name}: wake all", f"{woken:.1f} s ({count / woken:,.0f}/s)", "", "", ""),
    ]


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
