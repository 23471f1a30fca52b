"""Terminating all instances of a workflow (rest-and-cli, section 3: PUT ``instances/terminate``).

The order is stored and answered at once; a process that drives instances carries it out, one instance after the
other. If it dies, the next one goes on. Instances created after the order are spared.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Protocol

from wrangler_py.clock import Clock
from wrangler_py.engine.model import FINAL, Status
from wrangler_py.engine.store import Store, TerminationOrder
from wrangler_py.errors import (
    CannotTerminateError,
    InstanceBusyError,
    InstanceNotFoundError,
    InvalidArgumentError,
    StoreError,
)

#: The statuses one may ask for: an instance that has ended cannot be terminated.
TERMINABLE = tuple(status for status in Status if status not in FINAL)
#: Instances looked up at once.
HANDFUL = 50
#: Seconds until a store that failed, or an instance that does not answer, is tried again.
RETRY_S = 1.0


class Terminate(Protocol):
    """Ends one instance: `Control.terminate`."""

    def __call__(self, workflow: str, instance_id: str, *, only: Status | None = None) -> Awaitable[Status]:
        """Terminate it, if its status is ``only``, or whatever that is where ``only`` is None."""


class Terminations:
    """Orders to terminate all, and who carries them out with ``terminate``."""

    def __init__(self, store: Store, clock: Clock, terminate: Terminate) -> None:
        self._store, self._clock, self._terminate = store, clock, terminate
        self._epoch: int | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, epoch: int) -> None:
        """Begin with what a process before left undone."""
        self._epoch = epoch
        self._wake.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(), name="terminations")

    async def stop(self) -> None:
        """Leave the rest to the next process."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def look(self) -> None:
        """There may be an order, of this process or another."""
        self._wake.set()

    async def order(self, workflow: str, status: Status | None) -> bool:
        """Store an order; return False if one is being carried out for that workflow already.

        Where no process drives instances, this returns when it has been carried out.

        Raises:
            InvalidArgumentError: instances of that status have ended.
        """
        if status is not None and status not in TERMINABLE:
            raise InvalidArgumentError(
                f"status: must be one of {', '.join(TERMINABLE)}, not {status.value!r}"
            )
        is_new = await self._store.order_termination(workflow, status, now=self._clock.now())
        if self._epoch is not None and self._task is not None:
            self._wake.set()
        elif not await self._store.is_driven():
            await self._carry_out_all(None)
        return is_new

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._carry_out_all(self._epoch)
            except (StoreError, InstanceBusyError):
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _carry_out_all(self, epoch: int | None) -> None:
        for order in await self._store.take_terminations(epoch):
            await self._carry_out(order)
            await self._store.finish_termination(order, epoch)

    async def _carry_out(self, order: TerminationOrder) -> None:
        after = 0
        while found := await self._store.to_terminate(order, after=after, limit=HANDFUL):
            for row, instance_id in found:
                after = row
                await self._end(order, instance_id)

    async def _end(self, order: TerminationOrder, instance_id: str) -> None:
        # Since it was looked up it may have ended by itself, or been deleted.
        with contextlib.suppress(CannotTerminateError, InstanceNotFoundError):
            await self._terminate(order.workflow, instance_id, only=order.status)
