"""Following an instance: first what has happened, then what happens (engine-semantics, section 1, `subscribe`).

The log is the queue: a subscriber remembers the number of the last event it was given and reads on from there, so
nothing is lost or doubled, whatever happens between. Commits only wake it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress

from wrangler_py.engine.model import HistoryEvent, HistoryType
from wrangler_py.engine.store import Store

#: Behind these nothing follows, unless the instance is restarted.
LAST = frozenset(
    {HistoryType.WORKFLOW_SUCCESS, HistoryType.WORKFLOW_FAILURE, HistoryType.WORKFLOW_TERMINATED}
)
#: How often to look without being woken, in seconds: another process may have written.
LOOK_S = 1.0


class Subscriptions:
    """Wakes those who follow an instance when something was written for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[int, set[asyncio.Event]] = {}

    def wake(self, row: int) -> None:
        """Something was written for an instance."""
        for event in self._waiting.get(row, ()):
            event.set()

    async def follow(
        self, row: int, *, after: int, only: Collection[HistoryType] | None
    ) -> AsyncIterator[HistoryEvent]:
        """Give the events behind ``after``, of the types in ``only`` (None: all), up to the instance's end."""
        woken = asyncio.Event()
        self._waiting.setdefault(row, set()).add(woken)
        try:
            while True:
                woken.clear()
                events = await self._store.history(row, after=after)
                for event in events:
                    after = event.seq
                    if only is None or event.type in only:
                        yield event
                if events and events[-1].type in LAST:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), LOOK_S)
        finally:
            self._forget(row, woken)

    def _forget(self, row: int, woken: asyncio.Event) -> None:
        waiting = self._waiting[row]
        waiting.discard(woken)
        if not waiting:
            del self._waiting[row]

    def __bool__(self) -> bool:
        return bool(self._waiting)
