"""The tasks in which user code of one instance executes: `run()`, the tasks it makes, the tasks that call steps."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from wrangler_py.engine.instance import idle
from wrangler_py.engine.instance.place import StepPlace, current_step
from wrangler_py.engine.instance.replay import RUN, Scope
from wrangler_py.engine.instance.tasks import Tasks

#: Time for user code to unwind when the instance stops, in seconds, and for what goes on beside `run()`, within that;
#: and for all of it when the process leaves, behind the grace of the steps.
UNWIND_S, BESIDE_S, LAST_UNWIND_S = 5.0, 4.0, 1.0


class UserCode:
    """The running code of one instance."""

    def __init__(self) -> None:
        #: The tasks that its code has made, and the timers its code waits for.
        self.own = Tasks()
        #: The task of `run()`, once it is started.
        self.main: asyncio.Task[None] | None = None
        #: True while the runner's task awaits `run()` or rollbacks; at another time a cancellation hits the runner.
        self.is_awaited = False
        #: Tasks that have called a step: when all of them wait, so does the instance.
        self._callers: set[asyncio.Task[Any]] = set()

    @property
    def is_executing(self) -> bool:
        """True if the code that asks is `run()`, executing in its task."""
        try:
            return asyncio.current_task() is self.main
        except RuntimeError:  # No event loop runs.
            return False

    def called_step(self) -> Scope:
        """Note that the current task calls a step; return where: in which task, and in which step's callback."""
        task, outer = asyncio.current_task(), current_step.get()
        if task is self.main and outer is None:
            return RUN
        if task is not None and task is not self.main and task not in self._callers:
            self._callers.add(task)
            task.add_done_callback(self._callers.discard)
        return self._scope(task, outer)

    def _scope(self, task: asyncio.Task[Any] | None, outer: StepPlace | None) -> Scope:
        path = self.own.path_of(task)
        return Scope(path, 0 if outer is None else outer.number) if path or outer is not None else RUN

    def only_waits_for(self, futures: Collection[asyncio.Future[Any]]) -> bool:
        """Return True if every task awaits nothing but ``futures`` and other tasks."""
        return not self.own.calls_threads and idle.only_waits(self.main, self.beside_run(), futures)

    @property
    def has_ended(self) -> bool:
        """True once the instance has left memory."""
        return self.main is not None and self.main.done()

    def beside_run(self) -> list[asyncio.Future[Any]]:
        """Return the tasks that go on beside `run()`: those it made, and those that have called a step."""
        if not self._callers and not self.own.alive:
            return []
        return [task for task in {*self._callers, *self.own.of_run()} if not task.done()]

    def cancel(self, *, except_for: asyncio.Task[Any] | None = None) -> None:
        """Cancel everything that user code does, except ``except_for``."""
        main = [self.main] if self.main is not None and self.is_awaited else []
        self._cancel_once([task for task in [*main, *self.beside_run()] if task is not except_for])

    async def end_beside_run(self) -> None:
        """Cancel the tasks that go on beside `run()` and give them `BESIDE_S` seconds to unwind."""
        if left := self.beside_run():
            self._cancel_once(left)
            await self.unwind_beside_run()

    async def unwind_beside_run(self) -> None:
        """Give cancelled tasks beside `run()` `BESIDE_S` seconds: `gather` waits for none but the first."""
        if left := self.beside_run():
            await asyncio.wait(left, timeout=BESIDE_S)

    def _cancel_once(self, tasks: Collection[asyncio.Future[Any]]) -> None:
        """Cancel each of ``tasks`` once: a second time would cut off its clean-up where that awaits something.

        What awaits others with `gather` passes it on at once; a TaskGroup does when its own task has its turn.
        """
        before = {task: _cancellations(task) for task in tasks}
        for task, count in before.items():
            if not task.done() and _cancellations(task) == count and not _is_in_group(task):
                task.cancel()
        if before:
            # Their loop does not run while a process that goes down cancels all of its tasks.
            loop = next(iter(before)).get_loop()
            loop.call_soon(self._cancel_rest, before, idle.SETTLE_TURNS)

    def _cancel_rest(self, before: dict[asyncio.Future[Any], int], turns: int) -> None:
        """Cancel those that nobody has passed it on to, for example where code has swallowed it."""
        rest = {
            task: count for task, count in before.items() if not task.done() and _cancellations(task) == count
        }
        if rest and turns:
            asyncio.get_running_loop().call_soon(self._cancel_rest, rest, turns - 1)
        else:
            for task in rest:
                task.cancel()

    async def stopped(self, within_s: float = UNWIND_S) -> bool:
        """Wait until user code has unwound; False if it will not, and goes on without being able to write."""
        if self.main is not None:
            await asyncio.wait([self.main], timeout=within_s)
        return self.has_ended


def _cancellations(task: asyncio.Future[Any]) -> int:
    return task.cancelling() if isinstance(task, asyncio.Task) else 0


def _is_in_group(task: asyncio.Future[Any]) -> bool:
    """Return True if a TaskGroup waits for a task, and cancels it when it is cancelled itself."""
    callbacks = getattr(task, "_callbacks", None) or ()
    return any(
        isinstance(getattr(callback, "__self__", None), asyncio.TaskGroup) for callback, _ in callbacks
    )
