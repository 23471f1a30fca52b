"""What an engine tells those who watch it."""

from __future__ import annotations

from types import FrameType

import msgspec

from wrangler_py.engine.instance.place import StepPlace
from wrangler_py.engine.model import HistoryEvent


class Observation(msgspec.Struct, frozen=True):
    """Something that happened to an instance, on disk by now."""

    workflow: str
    instance_id: str
    event: HistoryEvent


class Blocked(msgspec.Struct, frozen=True):
    """The event loop has not turned for ``seconds``; ``place`` is the step that blocks it, if it is one."""

    seconds: float
    place: StepPlace | None
    #: ``file:line in function`` of the user's innermost frame.
    where: str


def blamed(stack: list[FrameType]) -> tuple[StepPlace | None, str]:
    """Find, in a blocked thread's frames, the step that blocks and the user's innermost line."""
    where = (
        f"{stack[0].f_code.co_filename}:{stack[0].f_lineno} in {stack[0].f_code.co_name}" if stack else "?"
    )
    for frame in stack:
        place = frame.f_locals.get("blamed_place")
        if isinstance(place, StepPlace):
            return place, where
    return None, where
