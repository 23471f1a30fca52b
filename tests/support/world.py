"""A small world for engine tests: a real SQLite file, virtual time, and crashes at will."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from wrangler_py.clock import LoopClock, VirtualLoop
from wrangler_py.engine import Definition, Engine, EngineOptions, InstanceRow, Observation, Status
from wrangler_py.engine.instance.place import current_step
from wrangler_py.engine.quarantine import Accused, Evidence
from wrangler_py.storage.sqlite import SqliteStore

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


#: Seconds; more than what the loop takes to be no time at all, less than any clock here shows.
A_MOMENT = 1e-5


def run_virtual(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on an event loop whose time jumps."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.run_until_complete(_let_go(loop))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _let_go(loop: VirtualLoop) -> None:
    """Cancel what a test has left, as `asyncio.run` does: its loss would be told in the middle of another test."""
    left = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=60)


def workflow(run: Callable[[Any, Any], Awaitable[Any]]) -> type:
    """Make an entrypoint class of a plain ``run(event, step)``."""

    class Entry:
        async def run(self, event: Any, step: Any) -> Any:
            return await run(event, step)

    return Entry


class World:
    """One store, and the engine that lives on it now."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.path = folder / "workflows.sqlite"
        self.options = {"hibernate_after_ms": 10_000, **options}
        self.clock = LoopClock()
        self.definitions: dict[str, Definition] = {}
        self.seen: list[Observation] = []
        self.engine: Engine
        self.store: SqliteStore
        #: Deaths of the process by `die`; whether the last one has not been followed by a `crash` yet.
        self.deaths = 0
        self._is_dead = False
        #: The record of the process that died last, as its supervisor would read it.
        self._evidence: list[Evidence] = []

    async def open(self) -> World:
        self.store = await SqliteStore.open(self.path)
        self.engine = Engine(self.store, self.clock, options=EngineOptions(heartbeat=False, **self.options))
        self.engine.observe(self.seen.append)
        await self.engine.bind(self.definitions.values())
        return self

    async def define(self, run: Any, name: str = "w", **fields: Any) -> None:
        make = run if isinstance(run, type) else workflow(run)
        self.definitions[name] = Definition(name, "script", "W", fields.pop("version", "v1"), make, **fields)
        await self.engine.bind([self.definitions[name]])

    async def start(self) -> World:
        evidence, self._evidence = self._evidence, []
        await self.engine.start(None, evidence=evidence)
        return self

    async def close(self) -> None:
        await self.engine.close()
        await self.store.close()

    async def crash(self) -> None:
        """As kill -9: nothing more is written; then a new process opens the same file."""
        me = asyncio.current_task()
        await self.store.close()
        # Again and again: what is cancelled may clean up by waiting for something else, or tries the store again.
        while tasks := [task for task in asyncio.all_tasks() if task is not me]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.001)
        self.engine.release()
        await self.open()
        await self.start()

    async def die(self, *, attempt: int = 0, is_rollback: bool = False) -> None:
        """As os._exit in user code, which awaits this: nothing more is written, and it never goes on.

        With ``attempt`` the process had a record of what it executed: this attempt of the step that awaits.
        """
        if attempt:
            place = current_step.get()
            assert place is not None
            accused = Accused(place.workflow, place.instance_id, place.step, attempt, is_rollback)
            instance = (place.workflow, place.instance_id)
            self._evidence = [Evidence(self.engine.options.owner, [instance], [accused], is_certain=True)]
        self.store._database.close()
        self.engine._commits.on_failure = None
        self.deaths, self._is_dead = self.deaths + 1, True
        await asyncio.Event().wait()

    async def live_on(self, seconds: float) -> None:
        """Let time pass; a process that died is started again at once."""
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await self._restart_if_dead()
            await asyncio.sleep(0.05)
        await self._restart_if_dead()

    async def _restart_if_dead(self) -> None:
        while self._is_dead:
            self._is_dead = False
            await self.crash()
            await self.settle()

    async def settle(self) -> None:
        """Wait until nothing happens any more without time passing: it passes only when all else waits."""
        await asyncio.sleep(A_MOMENT)

    async def turns(self, count: int) -> None:
        """Let the event loop turn so often, to be in the middle of something."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def status(self, instance: InstanceRow) -> Status:
        return (await self.engine.status(instance.workflow, instance.id)).status

    async def finish(self, instance: InstanceRow) -> InstanceRow:
        """Let time pass, seconds at first and days at last, until the instance has ended."""
        for turn in range(1200):
            row = await self.engine.status(instance.workflow, instance.id)
            if row.status.is_final:
                return row
            await asyncio.sleep(min(86_400, 1.02**turn))
        raise AssertionError(f"still {row.status} at {self.clock.now()}")

    async def run(self, run: Any, **create: Any) -> InstanceRow:
        """Define ``run``, create an instance and let it end."""
        await self.define(run)
        return await self.finish(await self.engine.create("w", **create))

    async def types(self, instance: InstanceRow) -> list[str]:
        return [event.type.value for event in await self.engine.history(instance.workflow, instance.id)]


def in_world(folder: Path, body: Callable[[World], Awaitable[Any]], **options: Any) -> Any:
    """Run ``body(world)`` under virtual time, on a started engine."""

    async def main() -> Any:
        world = await (await World(folder, **options).open()).start()
        try:
            return await body(world)
        finally:
            await world.close()

    return run_virtual(main())
