"""Queues under virtual time: a real file, a handler of the test's own, and crashes at will."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.world import run_virtual
from wrangler_py.bindings.queues import Consumers, QueueProducer, Queues
from wrangler_py.clock import LoopClock
from wrangler_py.config.model import ConsumerConfig


class Code:
    """Stands for the user's code: ``handler(batch)``, and all batches it was given."""

    def __init__(self, handler: Callable[[Any], Any] | None) -> None:
        self.handler = handler
        self.batches: list[Any] = []

    def handles(self, event: str) -> bool:
        return self.handler is not None

    async def call(self, event: str, batch: Any) -> Any:
        self.batches.append(batch)
        answer = self.handler(batch)
        return await answer if asyncio.iscoroutine(answer) else answer


class QueueWorld:
    """One state directory; `start` begins to consume, `crash` is kill -9 and another process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "queues.sqlite"
        self.clock = LoopClock()
        self.open()

    def open(self) -> None:
        self.queues = Queues.open(self.path, self.clock)
        self.consumers: Consumers | None = None

    def producer(self, queue: str = "q", delivery_delay: int = 0) -> QueueProducer:
        return QueueProducer(self.queues, queue, delivery_delay)

    async def consume(self, handler: Any, *configs: ConsumerConfig, queue: str = "q", **options: Any) -> Code:
        """Let ``handler`` consume; ``options`` are the consumer's."""
        code = Code(handler)
        resources = SimpleNamespace(
            config=SimpleNamespace(
                resources=SimpleNamespace(consumers=configs or (ConsumerConfig(queue, **options),))
            ),
            shared=lambda key, _: {Queues: self.queues}[key],
            code=code,
            engine=SimpleNamespace(options=SimpleNamespace(heartbeat=False)),
        )
        self.consumers = Consumers(resources)
        await self.consumers.start()
        return code

    async def drain(self, grace: float = 0) -> None:
        if self.consumers is not None:
            await self.consumers.drain(grace)
            self.consumers = None

    async def close(self) -> None:
        await self.drain()
        self.queues.close()

    async def crash(self) -> None:
        """As kill -9: nothing more is written, the kernel takes the locks; then a new process opens the file."""
        self.queues._store._database.close()
        if self.consumers is not None and self.consumers._around is not None:
            os.close(self.consumers._around.holder._file)
        me = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not me]
        while tasks := [task for task in tasks if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        self.open()

    def left(self, queue: str = "q") -> int:
        return self.queues.backlog(queue).messages


def in_queues(folder: Path, body: Callable[[QueueWorld], Awaitable[Any]]) -> Any:
    """Run ``body(world)`` under virtual time."""

    async def main() -> Any:
        world = QueueWorld(folder)
        try:
            return await body(world)
        finally:
            await world.close()

    return run_virtual(main())
