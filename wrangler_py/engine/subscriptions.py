"""Following an instance: first what has happened, then what happens (engine-semantics, section 1, `subscribe`).

The log is the queue: a subscriber remembers the number of the last event it was given and reads on from there, so
nothing is lost or doubled, whatever happens between. Commits only wake it up, and what another process writes is
found by looking.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress

from wrangler_py.engine.model import HistoryEvent, HistoryType, InstanceRow
from wrangler_py.engine.store import Store

#: Events read at once: a subscriber that is slow holds no more than these in memory.
PAGE = 64


class Subscriptions:
    """Wakes those who follow an instance when something was written for it.

    ``look_s``: seconds after which they look without being woken, because another process may have written.
    """

    def __init__(self, store: Store, look_s: float) -> None:
        self._store = store
        self._look_s = look_s
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self._closed = False

    def wake(self, row: int) -> None:
        """Something was written for an instance."""
        for event in self._waiting.get(row, ()):
            event.set()

    def close(self) -> None:
        """This process ends: let all subscribers go, each to come back with its cursor to the next process."""
        self._closed = True
        for row in self._waiting:
            self.wake(row)

    async def follow(
        self, instance: InstanceRow, *, after: int, only: Collection[HistoryType] | None
    ) -> AsyncIterator[HistoryEvent]:
        """Give the events behind ``after``, of the types in ``only`` (None: all), up to the instance's end."""
        woken = asyncio.Event()
        self._waiting.setdefault(instance.row, set()).add(woken)
        try:
            while not self._closed:
                woken.clear()
                # Asked before the events are read: an end seen here has its event among them.
                ended = await self._has_ended(instance)
                events = await self._store.history(instance.row, after=after, limit=PAGE)
                for event in events:
                    after = event.seq
                    if only is None or event.type in only:
                        yield event
                if len(events) == PAGE:
                    continue
                if ended:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), self._look_s)
        finally:
            self._forget(instance.row, woken)

    async def _has_ended(self, instance: InstanceRow) -> bool:
        """Return True if nothing follows what is stored, unless the instance is restarted; also if it was deleted."""
        found = await self._store.get(instance.workflow, instance.id)
        return found is None or found.row != instance.row or found.status.is_final

    def _forget(self, row: int, woken: asyncio.Event) -> None:
        waiting = self._waiting[row]
        waiting.discard(woken)
        if not waiting:
            del self._waiting[row]

    def __bool__(self) -> bool:
        return bool(self._waiting)
