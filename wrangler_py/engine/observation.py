"""The events that an engine reports to its observers."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType

import msgspec

from wrangler_py.engine.instance.place import StepPlace
from wrangler_py.engine.model import INTERNAL, HistoryEvent, HistoryType
from wrangler_py.engine.store import Batch, HistoryLine
from wrangler_py.errors import StoreError


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


class Observers:
    """The callbacks of those who watch an engine."""

    def __init__(self) -> None:
        self.events: list[Callable[[Observation], None]] = []
        #: Called from the watchdog's thread.
        self.blocks: list[Callable[[Blocked], None]] = []
        self.store_errors: list[Callable[[StoreError], None]] = []

    def committed(
        self, batch: Batch, rows: list[int | None], place_of: Callable[[int], tuple[str, str]]
    ) -> None:
        """Pass on what a batch wrote: ``rows`` are those of its creations, ``place_of`` names the instance of a row."""
        for new, row in zip(batch.creations, rows, strict=True):
            if row is not None:
                queued: HistoryLine = (row, HistoryType.WORKFLOW_QUEUED, new.at, 0, 0, None, None)
                self.event(new.workflow, new.id, queued)
        for line in batch.history:
            if line[1] in INTERNAL:
                continue
            self.event(*place_of(line[0]), line)

    def event(self, workflow: str, instance_id: str, line: HistoryLine) -> None:
        """Pass on an entry of an instance's history that is on disk."""
        observation = Observation(workflow, instance_id, HistoryEvent(*line))
        for callback in self.events:
            callback(observation)

    def blocked(self, blocked: Blocked) -> None:
        """Pass on that the event loop is blocked."""
        for callback in self.blocks:
            callback(blocked)

    def store_failed(self, error: StoreError) -> None:
        """Pass on that the store did not take a write."""
        for callback in self.store_errors:
            callback(error)


def innermost(stack: list[FrameType]) -> str:
    """Return ``file:line in function`` of the innermost frame, "?" if there is none."""
    if not stack:
        return "?"
    code = stack[0].f_code
    return f"{code.co_filename}:{stack[0].f_lineno} in {code.co_name}"
