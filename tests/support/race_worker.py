"""A process that drives short instances until its standard input ends. Undone steps go to a file."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from tests.support.races import short_work
from wrangler_py.clock import SystemClock
from wrangler_py.engine import Definition, Engine, EngineOptions
from wrangler_py.storage.sqlite import SqliteStore


async def main(folder: Path) -> None:
    descriptor = os.open(folder / "undone", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    store = await SqliteStore.open(folder / "workflows.sqlite")
    options = EngineOptions(owner=str(os.getpid()), look_s=0.005)
    engine = Engine(store, SystemClock(), options=options)

    def effect(_: str, name: str) -> None:
        os.write(descriptor, f"{name}\n".encode())

    make = short_work(effect, lambda: random.uniform(0, 0.06))
    await engine.bind([Definition("w", "s", "Work", "v1", make)])
    await engine.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await engine.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
