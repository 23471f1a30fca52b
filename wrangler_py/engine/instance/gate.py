"""The gate before each new step: shut by a pause, the end of the process, a quarantine, a collection of rollbacks."""

from __future__ import annotations

import asyncio
from typing import Protocol

from wrangler_py.engine.instance.place import current_step


class GatedInstance(Protocol):
    """The part of an instance that its gate depends on."""

    @property
    def is_held(self) -> bool:
        """True while no new step may start."""
        ...

    @property
    def is_collecting(self) -> bool:
        """True while `run()` is replayed for nothing but its rollback functions."""
        ...

    def check_going(self) -> None:
        """Raise Abort or Suspend if the instance is stopping."""


class Gate:
    """Holds the steps of one instance back while it is held."""

    def __init__(self, instance: GatedInstance) -> None:
        self._instance = instance
        #: Steps held back while rollback functions are collected.
        self.held: dict[asyncio.Future[None], None] = {}
        self._opened: asyncio.Future[None] | None = None

    async def enter(self) -> None:
        """Wait until a new step may start.

        A step inside a callback is part of a step in flight, and passes.

        Raises:
            Abort, Suspend: the instance is stopping.
        """
        if current_step.get() is not None:
            return
        instance = self._instance
        while instance.is_held:
            if instance.is_collecting:
                await self._hold()
            if self._opened is None:
                self._opened = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._opened)
        instance.check_going()

    async def _hold(self) -> None:
        """Hold a step back until `run()` is unwound."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.held[future] = None
        try:
            await future
        finally:
            del self.held[future]

    def release(self) -> None:
        """Release the steps that nothing holds any longer; the others are held again."""
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)
        self._opened = None
