"""Where code runs, the instance and the step: to name the origin of output, of errors and of a blocked event loop."""

from __future__ import annotations

import asyncio
import contextvars
from types import TracebackType
from typing import Any, NamedTuple


class StepPlace(NamedTuple):
    """Where code runs: the instance, and the step's display name (empty in `run()` itself) and number."""

    workflow: str
    instance_id: str
    step: str = ""
    number: int = 0


#: Set during an instance's `run()`.
current_instance: contextvars.ContextVar[StepPlace | None] = contextvars.ContextVar(
    "current_instance", default=None
)
#: Set while a step's callback runs, in its own context (threads too).
current_step: contextvars.ContextVar[StepPlace | None] = contextvars.ContextVar("current_step", default=None)


class StepPlaces:
    """The step that each task executes.

    `current_step` says the same to the step's own code. Other threads cannot read it, and the watchdog of a blocked
    event loop is one.
    """

    def __init__(self) -> None:
        self._by_task: dict[asyncio.Task[Any] | None, StepPlace] = {}

    def at(self, place: StepPlace) -> _Executing:
        """Return a context manager, within which the current task executes the step ``place``."""
        return _Executing(self._by_task, place)

    def current(self, loop: asyncio.AbstractEventLoop) -> StepPlace | None:
        """Return the step that ``loop`` executes at this moment, None outside of steps. Any thread may ask."""
        return self._by_task.get(asyncio.current_task(loop))


class _Executing:
    __slots__ = ("_by_task", "_outer", "_place", "_task", "_token")

    def __init__(self, by_task: dict[asyncio.Task[Any] | None, StepPlace], place: StepPlace) -> None:
        self._by_task, self._place = by_task, place

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        #: A step's callback may run another step, in the same task.
        self._outer = self._by_task.get(self._task)
        self._by_task[self._task] = self._place
        self._token = current_step.set(self._place)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._outer is None:
            del self._by_task[self._task]
        else:
            self._by_task[self._task] = self._outer
        current_step.reset(self._token)
