"""Where code runs, the instance and the step: to name the origin of output, of errors and of a blocked event loop."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import msgspec


class StepPlace(msgspec.Struct, frozen=True):
    """Where code runs: the instance, and the step's display name (empty in `run()` itself) and number."""

    workflow: str
    instance_id: str
    step: str = ""
    number: int = 0
    #: The step in whose callback the step is called.
    outer: StepPlace | None = None

    def is_within(self, step: int) -> bool:
        """Return True for the step of that number and for what its callback calls."""
        place: StepPlace | None = self
        while place is not None and place.number != step:
            place = place.outer
        return place is not None


#: Set during an instance's `run()`.
current_instance: contextvars.ContextVar[StepPlace | None] = contextvars.ContextVar(
    "current_instance", default=None
)
#: Set while a step's callback runs, in its own context (threads too).
current_step: contextvars.ContextVar[StepPlace | None] = contextvars.ContextVar("current_step", default=None)

#: The task that entered a step, the step it was in before, and the token of `current_step`.
_Entered = tuple[asyncio.Task[Any] | None, StepPlace | None, contextvars.Token[StepPlace | None]]


class StepPlaces:
    """The step that each task executes.

    `current_step` says the same to the step's own code. Other threads cannot read it, and the watchdog of a blocked
    event loop is one.
    """

    def __init__(self) -> None:
        self._by_task: dict[asyncio.Task[Any] | None, StepPlace] = {}

    def enter(self, task: asyncio.Task[Any], instance: StepPlace, step: str, number: int) -> _Entered:
        """Register that ``task``, the current one, executes a step of ``instance`` from now on, until `leave`."""
        by_task = self._by_task
        place = StepPlace(instance.workflow, instance.instance_id, step, number, current_step.get())
        outer = by_task.get(task)
        by_task[task] = place
        return task, outer, current_step.set(place)

    def leave(self, entered: _Entered) -> None:
        """Return to the step outside the one that was entered: a step's callback may run another, in the same task."""
        task, outer, token = entered
        if outer is None:
            del self._by_task[task]
        else:
            self._by_task[task] = outer
        current_step.reset(token)

    def current(self, loop: asyncio.AbstractEventLoop) -> StepPlace | None:
        """Return the step that ``loop`` executes at this moment, None outside of steps. Any thread may ask."""
        return self._by_task.get(asyncio.current_task(loop))
