"""A process that does nothing but sweep until it is killed, or nothing is left."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from wrangler_py.clock import SystemClock
from wrangler_py.engine import Engine, EngineOptions
from wrangler_py.storage.sqlite import SqliteStore


async def main(folder: Path) -> None:
    store = await SqliteStore.open(folder / "workflows.sqlite")
    engine = Engine(store, SystemClock(), options=EngineOptions(owner="sweeper", heartbeat=False))
    print("ready", flush=True)
    await engine.start(None)
    while store._value("SELECT count(*) FROM instances"):
        await asyncio.sleep(0.001)
    print("done", flush=True)
    await engine.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
