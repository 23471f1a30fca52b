"""One consumer: takes batches of one queue as they are due, and has the Worker handle them."""

from __future__ import annotations

import asyncio
import logging

from wrangler_py.bindings.queues.delivery import STORE_RETRY_S, Delivery, Handle, Surroundings
from wrangler_py.bindings.queues.rules import deliver_at
from wrangler_py.config.model import ConsumerConfig
from wrangler_py.errors import StoreError
from wrangler_py.storage.waiting import waited

_log = logging.getLogger(__name__)


class Consumer:
    """Runs from `start` until `drain`. ``handle`` calls the Worker's handler."""

    def __init__(self, config: ConsumerConfig, around: Surroundings, handle: Handle) -> None:
        self._config, self._around, self._handle = config, around, handle
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._taking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take batches."""
        self._around.queues.watch(self._config.queue, self._wake.set)
        self._taking = self._loop.create_task(self._take_for_ever(), name=f"queue {self._config.queue}")

    async def drain(self, grace: float) -> None:
        """Take nothing more, wait up to ``grace`` seconds for the handlers in flight, then give back what they hold."""
        self._around.queues.unwatch(self._config.queue)
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait([self._taking])
        if self._in_flight:
            _, late = await asyncio.wait(self._in_flight, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _take_for_ever(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait_s = await waited(self._next_wait)
                if wait_s == 0:
                    await waited(self._take)
            except StoreError as error:
                _log.error("queue %s cannot be read, trying again: %s", self._config.queue, error)
                wait_s = STORE_RETRY_S
            await self._rest(wait_s)

    def _next_wait(self) -> float | None:
        """Return the seconds until a batch is due, 0 if one is; None: until something wakes us."""
        if len(self._in_flight) >= self._config.max_concurrency:
            return None
        due_times = self._around.queues.due_times(self._config.queue, self._config.max_batch_size)
        at = deliver_at(due_times, self._config)
        return None if at is None else max(0, at - self._around.queues.clock.now()) / 1000

    async def _rest(self, wait_s: float | None) -> None:
        if wait_s == 0:
            await asyncio.sleep(0)
            return
        # The wall clock decides, and a laptop that slept wakes up late: see `engine.timers`.
        longest = None if wait_s is None else min(wait_s, self._around.queues.clock.max_wait)
        timer = None if longest is None else self._loop.call_later(longest, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _take(self) -> None:
        held = self._around.queues.take(self._config.queue, self._config.max_batch_size, self._around.holder)
        if held:
            delivery = Delivery(self._config, self._around, held)
            task = self._loop.create_task(delivery.run(self._handle), name=f"batch of {self._config.queue}")
            self._in_flight.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._wake.set()
