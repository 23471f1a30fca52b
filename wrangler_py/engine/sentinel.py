"""The end of the event loop is no end of an instance.

When a process goes down by an error, `asyncio.run` cancels every task of its loop. To an instance that looks like a
cancellation by its own code, which ends it; but it has only lost its process, as in a crash, and goes on in the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Sentinel(asyncio.Task[Any]):
    """A task that does nothing but be there when all tasks are cancelled: it calls back before any has its turn."""

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        super().__init__(_for_ever(), loop=asyncio.get_running_loop(), name="sentinel")
        self._on_cancel = on_cancel

    def cancel(self, msg: Any = None) -> bool:
        """Call back, and end."""
        self._on_cancel()
        return super().cancel(msg)

    def dismiss(self) -> None:
        """End without a call."""
        super().cancel()


def _for_ever() -> Coroutine[Any, Any, Any]:
    return asyncio.Event().wait()
