"""The order in which an instance's tasks get their results: the same on a replay as on the first run.

With one task there is nothing to order: its results pass at once. With several, results wait here and are handed over
in groups: what one transaction stored is one group, on the first run; on a replay the groups are those that history
recorded, in its order, and what is new comes after them. Between two groups the instance comes to rest, so that
whatever code does between two steps (tasks it makes, locks, queues, `asyncio.wait`) is over before the next result
arrives. Code that waits for anything else than steps, a socket or `asyncio.sleep`, may still go another way.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import NamedTuple, TypeVar

from wrangler_py.engine.instance.replay import Replay
from wrangler_py.engine.instance.tasks import Tasks

_Answer = TypeVar("_Answer")

#: Turns of the event loop without anything new after which an instance is at rest: the end of one task takes a turn
#: for each `gather`, `asyncio.wait`, TaskGroup or `shield` around it to reach who waits for that.
REST_TURNS = 4
#: The same where tasks are too many to see whether one is about to go on.
BLIND_REST_TURNS = 8
#: Turns after which the next group goes even if tasks come and go all the time.
MOST_TURNS = 64


#: Interval of polls for user code to give a step up, in seconds, where its timers do not tell.
POLL_S = 0.01

#: The group of what was read from the store: before that of every result.
_READ = 0


class _Waiting(NamedTuple):
    """A task that waits for its step's result, or for what makes it give the step up."""

    place: int
    future: asyncio.Future[None]
    given_up_at: int | None = None


class Order:
    """Hands results over, a group at a time."""

    def __init__(self, tasks: Tasks, replay: Replay, at_rest: Callable[[], None]) -> None:
        self._tasks = tasks
        self._ranks = replay.ranks
        #: New results come after all recorded ones.
        self._after = replay.ends + 1
        #: How many recorded results are still to be handed over, if the code goes as it did.
        self._left = replay.ends
        self._at_rest = at_rest
        self._waiting: dict[int, list[_Waiting]] = {}
        #: The groups that wait, as a heap.
        self._next: list[int] = []
        self._arrived = self._after
        self._moves = 0
        self._quiet = 0
        self._turns = 0
        self._looking = False
        #: Reads that the store has not answered yet, and whether what waits is held up by them.
        self._reads = 0
        self._is_held_up = False
        self._holds_timers = False
        tasks.holds_timers = self._holds_timer

    @property
    def is_busy(self) -> bool:
        """True while a result waits to be handed over, or the instance has not come to rest since."""
        return self._looking

    def moved(self) -> None:
        """Note that a task has reached a step."""
        self._quiet = 0

    async def recorded(self, step: int, ended_at: int) -> None:
        """Wait until the stored result of a step, which came at ``ended_at``, is to be handed over."""
        if self._tasks.alive or self._looking:
            await self._enqueue(*self._ranks.get(step, (self._after, self._after)))
        self._left -= 1
        self._tasks.replayed_to = max(self._tasks.replayed_to, ended_at)

    def given_up(self, step: int, given_up_at: int) -> asyncio.Future[None]:
        """Return what to await in place of a step that user code gave up at ``given_up_at``: it gives it up again.

        Results that came later wait for that. What made user code do so is the result before it, or a timer of its own.
        """
        self._left -= 1
        return self._enqueue(*self._ranks.get(step, (self._after, self._after)), given_up_at)

    async def live(self, transaction: int) -> None:
        """Wait until a result that this lifetime stored, in the given transaction, is to be handed over."""
        if self._tasks.alive or self._looking:
            await self._enqueue(self._after + transaction)

    async def read(self, answer: Awaitable[_Answer]) -> _Answer:
        """Return what `run()` reads from the store, before any other result and once all else has come to rest.

        The store answers sooner or later, from one life to the next: neither who else goes on meanwhile nor who comes
        first of two that read may depend on that.
        """
        self._arrived += 1
        place = self._arrived
        self._reads += 1
        try:
            answered = await answer
        finally:
            self._reads -= 1
            if self._is_held_up and not self._reads:
                self._is_held_up = False
                self._look_soon()
        if self._tasks.alive or self._looking:
            await self._enqueue(_READ, place)
        return answered

    def _holds_timer(self) -> bool:
        """Return True if a timer that is due has to wait until nothing recorded is left to hand over.

        What is read takes no time either, in the first life already.
        """
        if not self._left and not self._reads:
            return False
        self._holds_timers = True
        self._begin_to_look()
        return True

    async def rest(self) -> None:
        """Wait until all recorded results that tasks wait for are handed over and the instance is at rest."""
        if self._tasks.alive or self._looking:
            await self._enqueue(self._after)

    def _enqueue(
        self, rank: int, place: int | None = None, given_up_at: int | None = None
    ) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived += 1
        group = self._waiting.get(rank)
        if group is None:
            group = self._waiting[rank] = []
            heapq.heappush(self._next, rank)
        group.append(_Waiting(self._arrived if place is None else place, future, given_up_at))
        if rank == self._next[0]:  # Its group may still be coming together.
            self._quiet = 0
        self._begin_to_look()
        return future

    def _begin_to_look(self) -> None:
        if not self._looking:
            self._looking = True
            self._look_soon()

    def _look_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._look, context=contextvars.Context())

    def _look(self) -> None:
        if self._reads:
            self._is_held_up = True
            return
        if self._moves != self._tasks.moves:
            self._moves, self._quiet = self._tasks.moves, 0
        turning = self._tasks.is_turning()
        if turning:
            self._quiet = 0
        enough = BLIND_REST_TURNS if turning is None else REST_TURNS
        if self._quiet < enough and self._turns < MOST_TURNS:
            self._quiet += 1
            self._turns += 1
        elif self._holds_timers and not self._is_replaying():
            self._release_timers()
        elif self._waiting:
            if not self._hand_over():
                asyncio.get_running_loop().call_later(POLL_S, self._look, context=contextvars.Context())
                return
        else:
            self._looking = False
            self._at_rest()
            return
        self._look_soon()

    def _is_replaying(self) -> bool:
        """Return True while a recorded result, or something read, waits to be handed over."""
        return bool(self._waiting) and self._next[0] < self._after

    def _release_timers(self) -> None:
        self._holds_timers = False
        self._tasks.release_timers()
        self._turns = self._quiet = 0

    def _hand_over(self) -> bool:
        """Hand the next group over; return False if a step in it is to be given up and nothing can hasten that."""
        rank = self._next[0]
        group = [one for one in self._waiting[rank] if not one.future.done()]
        given_up_at = max((one.given_up_at for one in group if one.given_up_at is not None), default=None)
        if given_up_at is not None:
            self._tasks.replayed_to = max(self._tasks.replayed_to, given_up_at)
            self._turns = self._quiet = 0
            if self._holds_timers:  # It may be for one of them that user code gives it up.
                self._release_timers()
                return True
            return self._tasks.fire_until(given_up_at)
        heapq.heappop(self._next)
        del self._waiting[rank]
        for one in sorted(group, key=attrgetter("place")):
            one.future.set_result(None)
        self._turns = self._quiet = 0
        return True
