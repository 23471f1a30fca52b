"""A script with Durable Object classes, on real files under virtual time; it can crash and it can be handed over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.support.world import World, in_world
from wrangler_py.bindings import Resources
from wrangler_py.bindings.durable.namespace import Namespace
from wrangler_py.bindings.durable.objects import DurableObjects
from wrangler_py.bindings.registry import build_env
from wrangler_py.config.model import Config, ObjectConfig, ResourcesConfig
from wrangler_py.errors import WorkerLoadError
from wrangler_py.sdk.workers import DurableObject

SCRIPT = "shop"


class Classes:
    """The user's code: classes by name."""

    def __init__(self, *classes: type) -> None:
        self._classes = {one.__name__: one for one in classes}

    def object_class(self, name: str) -> type:
        if name not in self._classes:
            raise WorkerLoadError(f"There is no Durable Object class '{name}' bound in this Worker")
        return self._classes[name]


class Recorded:
    """Other Workers: what was sent to them, and one answer."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[Any] = []
        self.answer = answer

    async def call(self, script, target, method, args, kwargs):
        self.calls.append((script, target, method, args, kwargs))
        return self.answer

    async def fetch(self, script, target, request):
        self.calls.append((script, target, request.url))
        return self.answer


class Room:
    """A process: its resources, and a namespace for each class."""

    def __init__(self, world: World, folder: Path, *classes: type, peers: Any = None, **config: Any) -> None:
        bound = tuple(ObjectConfig(one.__name__.upper(), one.__name__) for one in classes)
        self.config = Config(
            name=SCRIPT,
            path=folder / "wrangler.toml",
            root=folder,
            resources=ResourcesConfig(durable_objects=bound),
            **config,
        )
        self.world, self.folder, self.classes = world, folder, classes
        self.peers = peers or Recorded()
        #: All processes over this state.
        self.family: list[Room] = [self]
        self.resources = Resources(self.config, folder / "state", world.engine, self.peers)
        self.env = build_env(self.resources)
        self.resources.code = Classes(*classes)

    def __getitem__(self, made: type) -> Namespace:
        return Namespace(self.resources, SCRIPT, made.__name__)

    def only(self, name: str = "a") -> Any:
        """Return a stub of an object of the one class."""
        return self[self.classes[0]].getByName(name)

    @property
    def objects(self) -> Any:
        return DurableObjects.of(self.resources)

    async def start(self) -> Room:
        await self.objects.start()
        return self

    def successor(self, *classes: type) -> Room:
        """Another process over the same state, not started."""
        found = Room(self.world, self.folder, *(classes or self.classes), peers=self.peers)
        found.family = self.family
        self.family.append(found)
        return found

    async def crash(self) -> Room:
        """As kill -9 does: nothing more is written; then a new process drives the same state."""
        for resident in self.objects._residents.values():
            resident.file.commit = lambda: None
            if resident.file._connection is not None:
                resident.file._connection.execute(
                    "ROLLBACK"
                ) if resident.file._connection.in_transaction else None
            resident.leave()
        me = asyncio.current_task()
        self.objects._alarms.stop()
        self.objects._residents.clear()
        tasks = [task for task in asyncio.all_tasks() if task is not me]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.objects.close()
        return await self.successor().start()


def in_room(folder: Path, body: Callable[[Room], Awaitable[Any]], *classes: type, **options: Any) -> Any:
    """Run ``body(room)`` under virtual time, in a process that drives the script."""

    async def main(world: World) -> Any:
        room = await Room(world, folder, *classes, **options).start()
        try:
            return await body(room)
        finally:
            for one in room.family:
                one.resources.close()

    return in_world(folder, main)


class Keeper(DurableObject):
    """Runs what a test gives it, with its ``ctx.storage``."""

    async def run(self, name: str) -> Any:
        return await tasks[name](self)


tasks: dict[str, Callable[[Any], Awaitable[Any]]] = {}


def inside(folder: Path, *bodies: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    """Run each of ``bodies(object)`` as a call of one object; return what the last returned."""

    async def body(room: Room) -> Any:
        for number, one in enumerate(bodies):
            tasks[str(number)] = one
            result: list[Any] = []

            async def kept(instance, one=one, result=result):
                result.append(await one(instance))

            tasks[str(number)] = kept
            await room.only().run(str(number))
        return result[0]

    return in_room(folder, body, Keeper, **options)
