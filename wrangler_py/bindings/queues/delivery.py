"""One batch on its way: the handler is called, and what was decided is on disk before it is reported."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from wrangler_py.bindings.queues.batch import Acked, MessageBatch, Retried, Verdict
from wrangler_py.bindings.queues.queues import Queues
from wrangler_py.bindings.queues.report import Report
from wrangler_py.bindings.queues.rules import has_retries_left, is_worn_out, settle
from wrangler_py.config.model import ConsumerConfig
from wrangler_py.errors import StoreError
from wrangler_py.storage.queues import HeldMessage, Holder, Settlement

_log = logging.getLogger(__name__)
#: How often to try again when the database takes no writes, in seconds.
STORE_RETRY_S = 1.0

Handle = Callable[[MessageBatch], Awaitable[object]]


class Surroundings(NamedTuple):
    """What all deliveries of a process share."""

    queues: Queues
    holder: Holder
    report: Report


class Delivery:
    """Messages that this process holds, until `run` has settled what becomes of each."""

    def __init__(self, config: ConsumerConfig, around: Surroundings, held: Sequence[HeldMessage]) -> None:
        self._config, self._around = config, around
        self._worn = [message for message in held if is_worn_out(message, config)]
        self._fresh = [message for message in held if not is_worn_out(message, config)]
        self._loop = asyncio.get_running_loop()
        self._acked: list[int] = []
        self._is_over = False

    async def run(self, handle: Handle) -> None:
        """Have ``handle`` called, unless all messages have ended as many processes as they may; never raises.

        A cancelled one keeps what was decided, and gives the rest back.
        """
        if self._worn:
            await self._settle(self._worn, [Retried()] * len(self._worn))
        if self._fresh:
            await self._deliver(handle)

    async def _deliver(self, handle: Handle) -> None:
        batch = MessageBatch(self._config.queue, self._fresh, self._ack_early)
        began_at = self._around.queues.clock.now()
        otherwise = await self._call(handle, batch)
        self._is_over = True
        verdicts = batch.verdicts(otherwise=otherwise)
        took_ms = self._around.queues.clock.now() - began_at
        await self._settle(self._fresh, verdicts)
        acked = sum(isinstance(one, Acked) for one in verdicts)
        self._around.report.delivered(self._config.queue, acked, len(verdicts), took_ms)

    async def _call(self, handle: Handle, batch: MessageBatch) -> Verdict | None:
        """Return the verdict of messages of which the handler decided nothing; None: it was stopped."""
        try:
            await handle(batch)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                return None
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            return self._failed(error)
        return Acked()

    def _failed(self, error: BaseException) -> Verdict:
        _log.error("queue %s: the handler failed", self._config.queue, exc_info=error)
        return Retried()

    async def _settle(self, held: Sequence[HeldMessage], verdicts: Sequence[Verdict | None]) -> None:
        now = self._around.queues.clock.now()
        settled = settle(held, verdicts, self._config, holder=self._around.holder.number, now=now)
        await self._store(settled)
        for message, verdict in zip(held, verdicts, strict=True):
            if isinstance(verdict, Retried) and not has_retries_left(message, self._config):
                self._around.report.given_up(self._config, message)

    async def _store(self, settled: Settlement) -> None:
        while True:
            try:
                await self._around.queues.settle(settled)
            except StoreError as error:
                _log.error("queue %s cannot be written, trying again: %s", self._config.queue, error)
                await asyncio.sleep(STORE_RETRY_S)
            else:
                return

    # acks while the handler goes on

    def _ack_early(self, number: int) -> None:
        """Have an explicit ack on disk soon, so that it counts even if the process dies; any thread may call it.

        `run` settles all of them once more: what was removed already is not there to be removed.
        """
        self._acked.append(number)
        if len(self._acked) == 1:
            self._loop.call_soon_threadsafe(self._store_acks)

    def _store_acks(self) -> None:
        if not self._is_over:
            acked, self._acked = self._acked, []
            self._around.queues.settle_soon(Settlement(self._around.holder.number, acked))


def _is_cancelled() -> bool:
    """Return True if somebody cancelled this task; else a CancelledError is the user's own, and a failure."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
