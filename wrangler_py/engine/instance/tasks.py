"""The tasks and timers that user code of one instance makes, told by hooks in the event loop.

Three questions hang on them: which step is this (a task has a *path*, so that two tasks which use one step name never
get each other's result), has a task still to begin, and does the instance's own code have a timer pending or a thread
at work, so that it is not asleep. asyncio has no register of these, so `watch` adds a task factory and a look at
`call_later` and `run_in_executor`; all do nothing outside of an instance.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator, Iterable
from functools import wraps
from math import ceil
from operator import attrgetter
from typing import Any, NamedTuple
from weakref import WeakSet

from wrangler_py.engine.instance.place import StepPlace, current_step
from wrangler_py.errors import control_flow_in
from wrangler_py.sdk.failures import capture, rebuild

#: Timers kept of an instance before those that are over are cleared out.
_KEPT_TIMERS = 32
_IN_CALLBACK = ":"
#: Times in history are whole milliseconds, and what a timer causes takes a moment to be stored.
_TIMER_SLACK_MS = 5
#: Instances with more tasks than this are not asked what each of them does.
_LOOKED_AT = 64


class PlacedTask(asyncio.Task[Any]):
    """A task that knows where it was cancelled from.

    asyncio counts cancellations and does not say whose they were. A TaskGroup or a timeout inside a step's callback
    cancels the task as `run()` does, but that is the step's own affair.
    """

    #: The step whose code asked for each cancellation, None for code outside of steps.
    cancelled_from: tuple[StepPlace | None, ...] = ()

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the task, and note which code asks for it."""
        is_asked = super().cancel(msg)
        if is_asked:
            self.cancelled_from = (*self.cancelled_from, current_step.get())
        return is_asked


def cancellations_of(task: asyncio.Future[Any]) -> tuple[StepPlace | None, ...]:
    """Return the places that a task was cancelled from; nothing if a task factory of the user made it."""
    return task.cancelled_from if isinstance(task, PlacedTask) else ()


class _TimerCallback:
    """The callback of a timer, and whether it was called: one that is due may still wait for its turn."""

    __slots__ = ("_callback", "_tasks", "is_held", "was_called")

    def __init__(self, callback: Callable[..., object], tasks: Tasks) -> None:
        self._callback, self._tasks = callback, tasks
        self.is_held = self.was_called = False

    def __call__(self, *args: Any) -> None:
        """Fire, unless a replay is under way: whether a timer comes first must not depend on how long that takes."""
        self.is_held = self._tasks.holds_timers()
        if not self.is_held:
            self.fire(*args)

    def fire(self, *args: Any) -> None:
        """Call what the timer was set for."""
        self.was_called = True
        self._callback(*args)


class _OwnTimer(NamedTuple):
    """A timer that code of an instance waits for; ``due_at`` is in the time of the program that is replayed."""

    handle: asyncio.TimerHandle
    due_at: float
    callback: _TimerCallback
    args: tuple[Any, ...]
    context: contextvars.Context


class Tasks:
    """The tasks of one instance, their paths, and the timers its own code waits for.

    The path of `run()` is empty; the n-th task that a task of path ``p`` makes has ``p.n``, or ``p:s.n`` if it is made
    in the callback of step number ``s``. A path thus depends on the program alone, not on who ran first.
    """

    def __init__(self) -> None:
        #: Those that are alive, `run()` itself aside, and their paths.
        self.alive: dict[asyncio.Future[Any], str] = {}
        self._made: dict[tuple[str, int], int] = {}
        self._timers: list[_OwnTimer] = []
        self._threads: set[asyncio.Future[Any]] = set()
        #: The time that the replayed program has reached, in milliseconds since 1970: that of the last stored result.
        self.replayed_to = 0
        #: Tells whether a timer that is due now is to wait for `release_timers`, since the instance is replayed.
        self.holds_timers: Callable[[], bool] = lambda: False
        #: Counts tasks of `run()` that begin or end: the instance is not at rest. Those of a callback do not count, or
        #: one busy step would hold up the results of all others.
        self.moves = 0

    def of_run(self) -> list[asyncio.Future[Any]]:
        """Return the tasks that `run()` made, itself or by way of others: not those of a step's callback, where a
        library may have begun something that others use too."""
        return [task for task, path in self.alive.items() if _IN_CALLBACK not in path]

    def is_turning(self) -> bool | None:
        """Return True if a task is about to go on, False if all wait; None if there are too many to look at each."""
        if len(self.alive) > _LOOKED_AT:
            return None
        return any(_goes_on(task) for task in self.alive)

    def path_of(self, task: asyncio.Future[Any] | None) -> str:
        """Return the path of a task; empty for `run()` itself."""
        return self.alive.get(task, "") if task is not None else ""

    def add(self, task: asyncio.Task[Any], parent: asyncio.Task[Any] | None) -> None:
        """Register a task that code of the instance, running in ``parent``, has made."""
        outer = current_step.get()
        scope = (self.path_of(parent), 0 if outer is None else outer.number)
        number = self._made[scope] = self._made.get(scope, 0) + 1
        self.alive[task] = path = f"{scope[0]}:{scope[1]}.{number}" if scope[1] else f"{scope[0]}.{number}"
        self.moves += _IN_CALLBACK not in path
        task.add_done_callback(self._discard)

    def _discard(self, task: asyncio.Future[Any]) -> None:
        self.moves += _IN_CALLBACK not in self.alive.pop(task, "")
        # Taken here where nobody awaits the task: asyncio would print a stop of the instance as an error of it.
        error = getattr(task, "_exception", None)
        if error is not None and control_flow_in(error) is not None:
            task.exception()

    def add_timer(self, handle: asyncio.TimerHandle, callback: _TimerCallback, args: tuple[Any, ...]) -> None:
        """Register a timer that code of the instance has planned, outside of a step's callback."""
        now = asyncio.get_running_loop().time()
        due_at = self.replayed_to + (handle.when() - now) * 1000
        if len(self._timers) > _KEPT_TIMERS:
            self._timers = self._pending_timers()
        self._timers.append(_OwnTimer(handle, due_at, callback, args, contextvars.copy_context()))

    def add_thread(self, future: asyncio.Future[Any]) -> None:
        """Register what a thread does for code of the instance, outside of a step's callback."""
        self._threads.add(future)
        future.add_done_callback(self._threads.discard)

    @property
    def calls_threads(self) -> bool:
        """True while a thread works for the instance's own code."""
        return bool(self._threads)

    def fire_until(self, at: int) -> bool:
        """Fire the first timer of the instance's own code that was due by ``at`` when it ran first; False if none was.

        A replay goes through in no time what took an hour: so do the timers in it.
        """
        self._timers = self._pending_timers()
        due = [timer for timer in self._timers if timer.due_at <= at + _TIMER_SLACK_MS]
        if not due:
            return False
        _fire(min(due, key=attrgetter("due_at")))
        return True

    def release_timers(self) -> None:
        """Fire the timers that were held back, in the order of their times."""
        self._timers = self._pending_timers()
        for timer in sorted(self._timers, key=attrgetter("due_at")):
            if timer.callback.is_held:
                timer.callback.is_held = False
                _fire(timer)

    def next_timer_ms(self) -> int | None:
        """Return in how many milliseconds the next timer of the instance's own code has fired, None if none pends."""
        self._timers = self._pending_timers()
        first = min((timer.handle.when() for timer in self._timers), default=None)
        return None if first is None else ceil((first - asyncio.get_running_loop().time()) * 1000) + 1

    def _pending_timers(self) -> list[_OwnTimer]:
        return [
            timer for timer in self._timers if not (timer.handle.cancelled() or timer.callback.was_called)
        ]


def _fire(timer: _OwnTimer) -> None:
    asyncio.get_running_loop().call_soon(_fire_now, timer, context=timer.context)


def _fire_now(timer: _OwnTimer) -> None:
    if not timer.handle.cancelled():  # By user code that had its turn before.
        timer.handle.cancel()
        timer.callback.fire(*timer.args)


def _goes_on(task: asyncio.Future[Any]) -> bool:
    waits_for = getattr(task, "_fut_waiter", None)
    return waits_for is None or waits_for.done()


#: Set in all code of an instance, the tasks it makes included.
current_tasks: contextvars.ContextVar[Tasks | None] = contextvars.ContextVar("current_tasks", default=None)


def _in_given_order(as_completed: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``asyncio.as_completed`` for code of an instance: it makes tasks of coroutines in the order given.

    asyncio takes them from a set, in another order on each replay. Tasks that use one step name would then get each
    other's stored results.
    """

    @wraps(as_completed)
    def ordered(fs: Any, **options: Any) -> Any:
        if current_tasks.get() is not None and isinstance(fs, Iterable) and not asyncio.iscoroutine(fs):
            fs = [asyncio.ensure_future(one) for one in fs]
        return as_completed(fs, **options)

    return ordered


# Here and not in `watch`: code of the user may import it by its name before an engine starts.
asyncio.as_completed = asyncio.tasks.as_completed = _in_given_order(asyncio.as_completed)
_watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Register the tasks and timers of every instance on ``loop`` from now on; a second call changes nothing."""
    if loop in _watched:
        return
    _watched.add(loop)
    loop.set_task_factory(_task_factory(loop.get_task_factory()))
    hooks: dict[str, Callable[..., Any]] = {
        "call_later": _watched_timer,
        "call_at": _watched_timer,
        "run_in_executor": _watched_thread,
        "stop": _refused_to_workflows,
    }
    for name, hook in hooks.items():
        setattr(loop, name, hook(getattr(loop, name)))


def _task_factory(inner: Any) -> Any:
    def make(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:
        # A task that is given a context of its own belongs to the instance in that: none, for the engine's own tasks.
        context = options.get("context")
        tasks = current_tasks.get() if context is None else context.get(current_tasks)
        if tasks is not None and asyncio.iscoroutine(coro):
            coro = _Contained(coro)
        task = PlacedTask(coro, loop=loop, **options) if inner is None else inner(loop, coro, **options)
        if tasks is not None:
            tasks.add(task, asyncio.current_task(loop))
        return task

    return make


class _Contained(Coroutine[Any, Any, Any]):
    """A coroutine that asyncio may run in a task of its own without stopping the event loop.

    A task lets SystemExit and KeyboardInterrupt out of the loop, which ends the process. What user code raises in a
    task it made is its own error: who awaits the task gets it, as an Exception that says what it was.
    """

    __slots__ = ("__name__", "__qualname__", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.__name__ = getattr(coroutine, "__name__", "?")
        self.__qualname__ = getattr(coroutine, "__qualname__", "?")

    def send(self, value: Any) -> Any:
        try:
            return self._coroutine.send(value)
        except (SystemExit, KeyboardInterrupt) as error:
            raise _contained(error) from None

    def throw(self, *error: Any) -> Any:
        try:
            return self._coroutine.throw(*error)
        except (SystemExit, KeyboardInterrupt) as failure:
            raise _contained(failure) from None

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        # `cr_code`, `cr_frame` and the like, for debuggers and the `repr` of a task.
        return getattr(self._coroutine, name)


def _contained(error: BaseException) -> BaseException:
    return rebuild(capture(error), strict=False).with_traceback(error.__traceback__)


def _watched_timer(plan: Callable[..., asyncio.TimerHandle]) -> Callable[..., asyncio.TimerHandle]:
    def watched(
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        tasks = current_tasks.get() if context is None and current_step.get() is None else None
        # One loop's `call_later` goes through its `call_at`.
        if tasks is None or isinstance(callback, _TimerCallback):
            return plan(when, callback, *args, context=context)
        watched_callback = _TimerCallback(callback, tasks)
        handle = plan(when, watched_callback, *args)
        tasks.add_timer(handle, watched_callback, args)
        return handle

    return watched


def _watched_thread(call: Callable[..., asyncio.Future[Any]]) -> Callable[..., asyncio.Future[Any]]:
    def watched(executor: Any, function: Callable[..., object], *args: Any) -> asyncio.Future[Any]:
        future = call(executor, function, *args)
        tasks = current_tasks.get()
        if tasks is not None and current_step.get() is None:
            tasks.add_thread(future)
        return future

    return watched


def _refused_to_workflows(stop: Callable[[], None]) -> Callable[[], None]:
    def watched() -> None:
        if current_tasks.get() is not None:
            raise RuntimeError("A workflow cannot stop the event loop: other instances run in it, too")
        stop()

    return watched
