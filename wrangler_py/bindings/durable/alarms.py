"""Fires alarms at their time, in the one process that drives the script.

The alarm itself is in its object's file; an index of hints says which file to look into. One timer of the event loop
waits for the earliest hint, so that sleeping alarms cost rows and no memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from wrangler_py.bindings.durable.ids import ObjectId
from wrangler_py.clock import Clock
from wrangler_py.errors import StoreUnavailableError
from wrangler_py.storage.durable import AlarmIndex, Hint

_log = logging.getLogger(__name__)
#: How many alarms are handled at a time; a million overdue ones come one after the other.
AT_ONCE = 64
#: Docs, "Alarms": retried with exponential backoff from 2 s, up to 6 times.
RETRIES = 6
FIRST_DELAY_MS = 2000
#: How long to wait where the index cannot be read.
_PAUSE_MS = 1000

Key = tuple[str, str]


def retry_delay(retries: int) -> int | None:
    """Return ms to wait after an alarm failed that was retried ``retries`` times before; None: it is given up."""
    return None if retries >= RETRIES else FIRST_DELAY_MS << retries


class Alarms:
    """The alarms of a script's classes. ``ring(hint)`` looks after one of them and never raises."""

    def __init__(
        self,
        index: AlarmIndex,
        clock: Clock,
        classes: Collection[str],
        ring: Callable[[Hint], Awaitable[None]],
    ) -> None:
        self.index = index
        self._clock, self._classes, self._ring = clock, classes, ring
        self._firing: dict[Key, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._planned_at: int | None = None
        self._is_on = False

    def start(self) -> None:
        """Begin; what is overdue fires at once."""
        self._is_on = True
        self._wake()

    def stop(self) -> None:
        """Fire no more; handlers that run go on."""
        self._is_on = False
        if self._timer is not None:
            self._timer.cancel()

    def expect(self, at: int) -> None:
        """There is a new hint."""
        if self._is_on and (self._planned_at is None or at < self._planned_at):
            self._plan(at)

    def watch(self, class_name: str, id: ObjectId) -> Watch:
        """Return what must be told of changes of one object's alarm."""
        return Watch(self, class_name, id)

    def _wake(self) -> None:
        """Fire what is due, and wait for what is next."""
        self._planned_at = None
        now = self._clock.now()
        try:
            upcoming = self._upcoming()
        except StoreUnavailableError as error:
            _log.warning("alarms of Durable Objects wait, because the state cannot be read: %s", error)
            self._plan(now + _PAUSE_MS)
            return
        for hint in upcoming:
            if len(self._firing) >= AT_ONCE:
                return  # the end of one of them wakes again
            if hint.at > now:
                self._plan(hint.at)
                return
            self._fire(hint)

    def _upcoming(self) -> list[Hint]:
        wanted = AT_ONCE + len(self._firing) + 1
        found = [hint for one in self._classes for hint in self.index.upcoming(one, wanted)]
        return sorted((hint for hint in found if hint[:2] not in self._firing), key=lambda hint: hint.at)

    def _plan(self, at: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._planned_at = at
        wait = min(max(0, at - self._clock.now()) / 1000, self._clock.max_wait)
        self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _fire(self, hint: Hint) -> None:
        key = (hint.class_name, hint.id)
        task = asyncio.ensure_future(self._ring(hint))
        self._firing[key] = task
        task.add_done_callback(lambda _: self._fired(key))

    def _fired(self, key: Key) -> None:
        del self._firing[key]
        if self._is_on:
            self._wake()


class Watch:
    """Keeps the hint of one object no later than its alarm, whenever the process may die."""

    def __init__(self, alarms: Alarms, class_name: str, id: ObjectId) -> None:
        self._alarms, self._class_name, self._id = alarms, class_name, id

    def _hint(self, at: int) -> Hint:
        return Hint(self._class_name, str(self._id), self._id.name, at)

    def before_commit(self, at: int | None) -> None:
        """Have the hint as early as the alarm that will be."""
        if at is not None:
            self._alarms.index.lower(self._hint(at))
            self._alarms.expect(at)

    def after_commit(self, at: int | None) -> None:
        """Have the hint say what is."""
        if at is None:
            self._alarms.index.remove(self._class_name, str(self._id))
        else:
            self._alarms.index.put(self._hint(at))
            self._alarms.expect(at)
