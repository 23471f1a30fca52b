"""A process that drives instances until it is killed. Side effects are counted in a file outside the database."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from wrangler_py.clock import SystemClock
from wrangler_py.engine import Definition, Engine, EngineOptions
from wrangler_py.storage.sqlite import SqliteStore

RETRY = {"retries": {"limit": 1000, "delay": 5, "backoff": "constant"}}


def effects_of(folder: Path):
    descriptor = os.open(folder / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    return lambda *words: os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())


def entrypoint(effect):
    class Work:
        async def run(self, event, step):
            name = event.instanceId
            total = 0
            for number in range(6):

                async def work(ctx, number=number):
                    effect("start", name, number, ctx["attempt"])
                    await asyncio.sleep(0.02 * (1 + number % 3))
                    if number == 2 and ctx["attempt"] == 1:
                        raise RuntimeError("first attempts of step 2 fail")
                    effect("end", name, number, ctx["attempt"])
                    return number

                total += await step.do(f"s{number}", RETRY, work)
                effect("after", name, number)
                if number == 3:
                    await step.sleep("nap", 100)
            both = await asyncio.gather(step.do("p1", RETRY, lambda: 1), step.do("p2", RETRY, lambda: 1))
            return total + sum(both)

    return Work


async def main(folder: Path) -> None:
    store = await SqliteStore.open(folder / "workflows.sqlite")
    engine = Engine(
        store, SystemClock(), options=EngineOptions(owner=str(os.getpid()), hibernate_after_ms=10)
    )
    await engine.bind([Definition("w", "s", "Work", "v1", entrypoint(effects_of(folder)))])
    await engine.start(None)
    print("ready", flush=True)
    while (await engine.status_counts("w"))["complete"] < int(sys.argv[2]):
        await asyncio.sleep(0.01)
    print("done", flush=True)
    await engine.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
