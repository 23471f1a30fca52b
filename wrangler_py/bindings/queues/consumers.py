"""All consumers of a script, while its process drives it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from itertools import count

from wrangler_py.bindings.queues.consumer import Consumer
from wrangler_py.bindings.queues.delivery import Surroundings
from wrangler_py.bindings.queues.queues import Queues
from wrangler_py.bindings.queues.report import Report
from wrangler_py.bindings.resources import Resources
from wrangler_py.errors import StoreError
from wrangler_py.storage.waiting import waited

_log = logging.getLogger(__name__)
#: How often to look whether another process has written, in seconds; and for dead ones and old messages, in such looks.
LOOK_S, UPKEEP_LOOKS = 0.25, 8


class Consumers:
    """Delivers messages between `start` and `drain`. Whatever another process does in between is noticed."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._around: Surroundings | None = None
        self._consumers: list[Consumer] = []
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to deliver, first of all what a process held that has died.

        Raises:
            StoreError: the database cannot be written.
        """
        config, queues = self._resources.config.resources, Queues.of(self._resources)
        if not self._resources.code.handles("queue"):
            names = ", ".join(one.queue for one in config.consumers)
            _log.error("%s: %s", names, _NO_HANDLER)
            return
        self._around = Surroundings(queues, await waited(queues.new_holder), Report())
        await waited(queues.free_dead, self._around.holder)
        handle = partial(self._resources.code.call, "queue")
        self._consumers = [Consumer(one, self._around, handle) for one in config.consumers]
        for consumer in self._consumers:
            consumer.start()
        # Under virtual time there are no other processes, and looking for them would take all of it.
        if self._resources.engine.options.heartbeat:
            self._looking = asyncio.get_running_loop().create_task(self._look_around(self._around))

    async def drain(self, grace: float) -> None:
        """Take no more batches, wait up to ``grace`` seconds for the handlers in flight, give back what they held."""
        around, self._around = self._around, None
        if around is None:
            return
        if self._looking is not None:
            self._looking.cancel()
        ending: list[Awaitable[None]] = [consumer.drain(grace) for consumer in self._consumers]
        await asyncio.gather(*ending)
        around.report.flush()
        around.holder.release()

    async def _look_around(self, around: Surroundings) -> None:
        for looks in count(1):
            await asyncio.sleep(LOOK_S)
            try:
                await waited(around.queues.look_around)
                if looks % UPKEEP_LOOKS == 0:
                    await waited(around.queues.free_dead, around.holder)
                    await waited(around.queues.expire)
            except StoreError as error:
                _log.error("the queues cannot be read, trying again: %s", error)


_NO_HANDLER = (
    "Method queue does not exist. Messages are kept until the Worker has one: "
    "add it to class Default: async def queue(self, batch, env, ctx)"
)
