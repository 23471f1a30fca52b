"""An event loop that turns only when the simulated world lets it, on the world's time."""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections.abc import Callable
from typing import Any, Protocol

from wrangler_py.engine.instance.tasks import PlacedTask


class Owner(Protocol):
    """The process a loop belongs to."""

    dead: bool

    def time(self) -> float:
        """Return virtual seconds."""
        ...

    def in_thread(self, work: Callable[[], None]) -> None:
        """Call ``work`` some time later, as a thread would."""
        ...

    def unhandled(self, context: dict[str, Any]) -> None:
        """Record an error that nobody handled."""
        ...


class _Task(PlacedTask):
    """A task whose place in a set does not depend on where it lies in memory: one seed must give one run."""

    def __init__(self, coroutine: Any, *, loop: SimLoop, **kwargs: Any) -> None:
        loop.made += 1
        self.number = loop.made
        super().__init__(coroutine, loop=loop, **kwargs)

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future):
    def __init__(self, *, loop: SimLoop) -> None:
        loop.made += 1
        self.number = loop.made
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SimLoop(asyncio.BaseEventLoop):
    """The event loop of one simulated process: no selector, no clock, no threads of its own."""

    def __init__(self, owner: Owner) -> None:
        super().__init__()
        self._owner = owner
        self._clock_resolution = 1e-6
        self.made = 0
        self.tasks: list[_Task] = []
        self.time = owner.time
        self.set_task_factory(self._make_task)
        self.set_exception_handler(lambda _, context: owner.unhandled(context))

    def _make_task(self, loop: SimLoop, coroutine: Any, **kwargs: Any) -> _Task:
        task = _Task(coroutine, loop=loop, **kwargs)
        self.tasks.append(task)
        return task

    def create_future(self) -> _Future:
        return _Future(loop=self)

    # what the world asks for

    @property
    def is_ready(self) -> bool:
        """True if a turn would do something now."""
        if self._ready:
            return True
        when = self.next_timer()
        return when is not None and when <= self.time() + 1e-6

    def next_timer(self) -> float | None:
        """Return when the next timer is due, in virtual seconds."""
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        return scheduled[0]._when if scheduled else None

    def turn(self, most: int) -> int:
        """Run what is ready now, at most so many callbacks; return how many ran."""
        self._take_due_timers()
        ready, count = self._ready, 0
        for _ in range(min(len(ready), most)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
                count += 1
            if self._owner.dead:
                break
        return count

    def _take_due_timers(self) -> None:
        scheduled, end = self._scheduled, self.time() + 1e-6
        while scheduled and scheduled[0]._when <= end:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            self._ready.append(handle)

    def abandon(self) -> None:
        """Never turn again, and let go of what was planned."""
        self.set_exception_handler(lambda *_: None)
        self._ready.clear()
        self._scheduled.clear()

    # what asyncio asks for

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is dropped when it comes first."""

    def _write_to_self(self) -> None:
        """Nothing sleeps that must be woken."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run ``func`` later, between two turns, as a thread might."""
        future = self.create_future()

        def work() -> None:
            if future.cancelled():  # Given up before a thread was free for it.
                return
            try:
                result, error = func(*args), None
            except BaseException as raised:
                result, error = None, raised
            if not self._owner.dead:
                self.call_soon(_settle, future, result, error)

        self._owner.in_thread(work)
        return future


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


set_running = events._set_running_loop
