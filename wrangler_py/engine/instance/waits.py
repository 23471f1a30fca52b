"""All that an instance can wait for: a sleep, a retry delay, an event. Each is one future and one planned time.

A wait that is over *rings*; its task goes on when the instance has a slot (`Waits.let_go`). A pause holds all of them.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from wrangler_py.engine.instance.place import current_step
from wrangler_py.engine.store import EventRow
from wrangler_py.engine.timers import Timer, Timers


class WaitingInstance(Protocol):
    """The part of an instance that its waits depend on."""

    def now(self) -> int:
        """Return milliseconds since 1970."""
        ...

    def check_idle(self) -> None:
        """Look soon whether there is anything but waiting."""

    def check_going(self) -> None:
        """Raise Abort or Suspend if the instance is stopping."""

    def wake(self) -> None:
        """A wait is over."""


class Wait:
    """One pending wait: over when ``due_at`` comes or an event is handed to it."""

    __slots__ = ("_waits", "due_at", "event", "future", "nested", "over", "taken", "timer")

    def __init__(self, waits: Waits, due_at: int) -> None:
        self._waits = waits
        self.due_at = due_at
        #: Inside a step's callback: part of a step in flight, which a pause lets finish.
        self.nested = current_step.get() is not None
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timer: Timer | None = None
        #: The event handed to it by the mailbox, and whether its step took it.
        self.event: EventRow | None = None
        self.taken = False
        self.over = False

    def ring(self) -> None:
        """The wait is over."""
        self.over = True
        self._waits.rang(self)


class Waits:
    """The pending waits of one instance."""

    def __init__(self, instance: WaitingInstance, timers: Timers) -> None:
        self._instance = instance
        self._timers = timers
        self._pending: dict[asyncio.Future[None], Wait] = {}
        self._held = False
        self._frozen_due_at: int | None = None
        self._frozen = False

    def __bool__(self) -> bool:
        return bool(self._pending)

    @property
    def futures(self) -> dict[asyncio.Future[None], Wait]:
        """The futures that waiting tasks hang on."""
        return self._pending

    def due_at(self) -> int | None:
        """Return when the earliest wait is over, in milliseconds since 1970."""
        if self._frozen:
            return self._frozen_due_at
        if any(wait.over for wait in self._pending.values()):
            return self._instance.now()
        return min((wait.due_at for wait in self._pending.values()), default=None)

    def begin(self, due_at: int) -> Wait:
        """Plan a wait until ``due_at``; `until` then waits."""
        wait = Wait(self, due_at)
        self._pending[wait.future] = wait
        return wait

    async def until(self, wait: Wait) -> None:
        """Wait until ``wait`` rings and the instance may go on."""
        if not wait.over:
            wait.timer = self._timers.call_at(wait.due_at, wait.ring)
        else:
            self.rang(wait)
        self._instance.check_idle()
        try:
            await wait.future
        finally:
            if wait.timer is not None:
                wait.timer.cancel()
            self._pending.pop(wait.future, None)
        self._instance.check_going()

    async def until_time(self, due_at: int) -> None:
        """Wait until ``due_at``; return at once if it is past."""
        if due_at <= self._instance.now() and not self._held:
            return
        await self.until(self.begin(due_at))

    def rang(self, wait: Wait) -> None:
        """A wait is over: the instance wakes, unless it is held."""
        if not self._frozen and (wait.nested or not self._held):
            self._instance.wake()

    def let_go(self) -> None:
        """Let every task go on whose wait is over."""
        if self._frozen:
            return
        for wait in list(self._pending.values()):
            if wait.over and not wait.future.done() and (wait.nested or not self._held):
                wait.future.set_result(None)

    def hold(self) -> None:
        """A pause: nothing that waits goes on."""
        self._held = True

    def unhold(self) -> None:
        """The pause was taken back."""
        self._held = False
        if any(wait.over for wait in self._pending.values()):
            self._instance.wake()

    def freeze(self) -> None:
        """User code unwinds now: remember when the instance is due, since its waits go away one by one."""
        if not self._frozen:
            self._frozen_due_at = self.due_at()
            self._frozen = True

    def close(self) -> None:
        """Forget all."""
        for wait in self._pending.values():
            if wait.timer is not None:
                wait.timer.cancel()
        self._pending.clear()
