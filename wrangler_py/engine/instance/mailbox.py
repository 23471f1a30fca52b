"""Events on their way to one instance: first in, first out per type, each to one waiter (engine-semantics, section
1)."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

from wrangler_py.engine.store import EventRow

if TYPE_CHECKING:
    from wrangler_py.engine.instance.waits import Wait


class Mailbox:
    """Undelivered events, and who waits for which type."""

    def __init__(self, events: Iterable[EventRow], signal: int) -> None:
        #: How many events the store has counted, as far as this mailbox knows.
        self.signal = signal
        self.last_number = 0
        self._events: dict[str, deque[EventRow]] = {}
        self._waiting: dict[str, deque[Wait]] = {}
        for event in events:
            self._keep(event)

    def _keep(self, event: EventRow) -> None:
        self._events.setdefault(event.type, deque()).append(event)
        self.last_number = max(self.last_number, event.number)

    def receive(self, event: EventRow) -> bool:
        """Take in an event; True if somebody was waiting for it. One seen before changes nothing."""
        if event.number <= self.last_number:
            return False
        self._keep(event)
        self.signal += 1
        return self._match(event.type)

    def expect(self, wait: Wait, event_type: str) -> bool:
        """Let ``wait`` have the next event of a type; True if it is there already."""
        self._waiting.setdefault(event_type, deque()).append(wait)
        return self._match(event_type)

    def forget(self, wait: Wait, event_type: str) -> None:
        """A wait is over, or was given up; an event it was given and did not take goes to the next."""
        waiting = self._waiting.get(event_type)
        if waiting and wait in waiting:
            waiting.remove(wait)
        if wait.event is not None and not wait.taken:
            event, wait.event = wait.event, None
            self.put_back(event)

    def put_back(self, event: EventRow) -> None:
        """Take in an event again that was handed out and did not reach user code, before all that were sent later."""
        kept = self._events.setdefault(event.type, deque())
        kept.insert(bisect_left(kept, event.number, key=attrgetter("number")), event)
        self._match(event.type)

    def _match(self, event_type: str) -> bool:
        events, waiting = self._events.get(event_type), self._waiting.get(event_type)
        matched = False
        while events and waiting:
            wait = waiting.popleft()
            wait.event = events.popleft()
            wait.ring()
            matched = True
        return matched
