"""The status that follows a command: a pure table (engine-semantics, section 1)."""

from __future__ import annotations

from enum import StrEnum

from wrangler_py.engine.model import Status
from wrangler_py.errors import CannotTerminateError


class Command(StrEnum):
    """A command of a user on an instance."""

    PAUSE = "pause"
    RESUME = "resume"
    TERMINATE = "terminate"
    RESTART = "restart"


def next_status(status: Status, command: Command, *, in_flight: bool = False) -> Status:
    """Return the status after ``command``; the same status means: no effect.

    ``in_flight`` says whether step callbacks are executing, which a pause lets finish.

    Raises:
        CannotTerminateError: terminate of an instance that has ended.
    """
    match command:
        case Command.PAUSE:
            return _paused(status, in_flight)
        case Command.RESUME:
            return _resumed(status)
        case Command.TERMINATE:
            if status.is_final:
                raise CannotTerminateError
            return Status.TERMINATED
        case Command.RESTART:
            return Status.QUEUED


def _paused(status: Status, in_flight: bool) -> Status:
    if status not in (Status.RUNNING, Status.WAITING):
        return status
    return Status.WAITING_FOR_PAUSE if in_flight else Status.PAUSED


def _resumed(status: Status) -> Status:
    if status is Status.WAITING_FOR_PAUSE:
        return Status.RUNNING
    return Status.QUEUED if status is Status.PAUSED else status
