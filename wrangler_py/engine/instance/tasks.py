"""The tasks and timers that user code of one instance makes, told by hooks in the event loop.

Three questions hang on them: which step is this (a task has a *path*, so that two tasks which use one step name never
get each other's result), has a task still to begin, and does the instance's own code have a timer pending, so that it
is not asleep. asyncio has no register of either, so `watch` adds a task factory and a look at `call_later`; both do
nothing outside of an instance.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from math import ceil
from typing import Any
from weakref import WeakSet

from wrangler_py.engine.instance.place import current_step

#: Timers kept of an instance before those that are over are cleared out.
_KEPT_TIMERS = 32
_IN_CALLBACK = ":"
#: Instances with more tasks than this are not asked what each of them does.
_LOOKED_AT = 64


class Tasks:
    """The tasks of one instance, their paths, and the timers its own code waits for.

    The path of `run()` is empty; the n-th task that a task of path ``p`` makes has ``p.n``, or ``p:s.n`` if it is made
    in the callback of step number ``s``. A path thus depends on the program alone, not on who ran first.
    """

    def __init__(self) -> None:
        self._paths: dict[asyncio.Future[Any], str] = {}
        self._made: dict[tuple[str, int], int] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        #: Counts tasks of `run()` that begin or end: the instance is not at rest. Those of a callback do not count, or
        #: one busy step would hold up the results of all others.
        self.moves = 0

    def of_run(self) -> list[asyncio.Future[Any]]:
        """Return the tasks that `run()` made, itself or by way of others: not those of a step's callback, where a
        library may have begun something that others use too."""
        return [task for task, path in self._paths.items() if _IN_CALLBACK not in path]

    def is_turning(self) -> bool | None:
        """Return True if a task is about to go on, False if all wait; None if there are too many to look at each."""
        if len(self._paths) > _LOOKED_AT:
            return None
        return any(_goes_on(task) for task in self._paths)

    def __len__(self) -> int:
        """Return how many tasks other than `run()` are alive."""
        return len(self._paths)

    def path_of(self, task: asyncio.Future[Any] | None) -> str:
        """Return the path of a task; empty for `run()` itself."""
        return self._paths.get(task, "") if task is not None else ""

    def add(self, task: asyncio.Task[Any], parent: asyncio.Task[Any] | None) -> None:
        """Register a task that code of the instance, running in ``parent``, has made."""
        outer = current_step.get()
        scope = (self.path_of(parent), 0 if outer is None else outer.number)
        number = self._made[scope] = self._made.get(scope, 0) + 1
        self._paths[task] = path = f"{scope[0]}:{scope[1]}.{number}" if scope[1] else f"{scope[0]}.{number}"
        self.moves += _IN_CALLBACK not in path
        task.add_done_callback(self._discard)

    def _discard(self, task: asyncio.Future[Any]) -> None:
        self.moves += _IN_CALLBACK not in self._paths.pop(task, "")

    def add_timer(self, handle: asyncio.TimerHandle) -> None:
        """Register a timer that code of the instance has planned, outside of a step's callback."""
        self._timers.add(handle)
        if len(self._timers) > _KEPT_TIMERS:
            self._timers = set(self._pending_timers())

    def next_timer_ms(self) -> int | None:
        """Return in how many milliseconds the next timer of the instance's own code has fired, None if none pends."""
        self._timers = set(self._pending_timers())
        first = min((handle.when() for handle in self._timers), default=None)
        return None if first is None else ceil((first - asyncio.get_running_loop().time()) * 1000) + 1

    def _pending_timers(self) -> Generator[asyncio.TimerHandle]:
        now = asyncio.get_running_loop().time()
        return (handle for handle in self._timers if not handle.cancelled() and handle.when() > now)


def _goes_on(task: asyncio.Future[Any]) -> bool:
    waits_for = getattr(task, "_fut_waiter", None)
    return waits_for is None or waits_for.done()


#: Set in all code of an instance, the tasks it makes included.
current_tasks: contextvars.ContextVar[Tasks | None] = contextvars.ContextVar("current_tasks", default=None)
_watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Tell every instance on ``loop`` of its tasks and timers from now on; a second call changes nothing."""
    if loop in _watched:
        return
    _watched.add(loop)
    loop.set_task_factory(_task_factory(loop.get_task_factory()))
    for name in ("call_later", "call_at"):
        setattr(loop, name, _watched_timer(getattr(loop, name)))


def _task_factory(inner: Any) -> Any:
    def make(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:
        task = asyncio.Task(coro, loop=loop, **options) if inner is None else inner(loop, coro, **options)
        # A task that is given a context of its own belongs to whom that says: none, for the engine's own tasks.
        context = options.get("context")
        tasks = current_tasks.get() if context is None else context.get(current_tasks)
        if tasks is not None:
            tasks.add(task, asyncio.current_task(loop))
        return task

    return make


def _watched_timer(plan: Callable[..., asyncio.TimerHandle]) -> Callable[..., asyncio.TimerHandle]:
    def watched(
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = plan(when, callback, *args, context=context)
        if context is None:
            tasks = current_tasks.get()
            if tasks is not None and current_step.get() is None:
                tasks.add_timer(handle)
        return handle

    return watched
