"""Where code runs: the instance and the step, for whoever meets its output, its errors or its blocking."""

from __future__ import annotations

import contextvars
from typing import NamedTuple


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
