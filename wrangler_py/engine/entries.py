"""The data of history entries, one struct for each event, as it is written and read back.

An entry's data is JSON. That of an entry which stores a value (STEP_SUCCESS, WAIT_COMPLETE) is the value itself, in the
encoding of `serde`; a step's stream has a checkpoint in its place.
"""

from __future__ import annotations

import msgspec

from wrangler_py.engine.model import ErrorRecord, HistoryEvent, Status, StepConfig

#: The error that a rollback gets when nothing failed.
TERMINATED = ErrorRecord("WorkflowTerminatedError", "The instance was terminated")
_TAG = b'{"$stream":'


class StartData(msgspec.Struct, omit_defaults=True):
    """Data of STEP_START, SLEEP_START and WAIT_START, whichever fields apply."""

    config: StepConfig | None = None
    #: Number of the step whose callback started this one, 0 for `run()` itself.
    parent: int = 0
    wake_at: int | None = None
    timeout_at: int | None = None
    timeout_ms: int | None = None
    event_type: str | None = None
    #: The step has a rollback.
    rollback: bool = False
    #: The path of the task that called the step, empty for `run()` itself (`instance.tasks`): digits, ``.`` and ``:``.
    task: str = ""


class GroupData(msgspec.Struct):
    """Data of RESULT_GROUP: the numbers of the steps whose results were handed to user code together."""

    steps: list[int]


class FailureData(msgspec.Struct, omit_defaults=True):
    """Data of ATTEMPT_FAILURE, STEP_FAILURE, SLEEP_ABANDONED, WAIT_TIMED_OUT, WAIT_ABANDONED and WORKFLOW_FAILURE."""

    error: ErrorRecord
    retry_at: int | None = None
    #: Retries allowed, to show "attempt 2/6"; None without a limit.
    limit: int | None = None
    #: `run()` gave the step up: a replay waits in its place until it is given up again.
    abandoned: bool = False


class DeathData(msgspec.Struct, omit_defaults=True):
    """Data of PROCESS_DIED."""

    #: The attempt is one of the step's rollback.
    rollback: bool = False
    #: It is known what killed the process: no other attempt that was under way counts.
    is_certain: bool = False


class ResumeData(msgspec.Struct):
    """Data of WORKFLOW_RESUMED: every pending timer moves by this much."""

    paused_ms: int


class MessageData(msgspec.Struct):
    """Data of REPLAY_DIVERGED."""

    message: str


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """Data of ROLLBACK_START: how the instance ends when its rollbacks are through."""

    status: Status
    error: ErrorRecord | None = None

    @property
    def told(self) -> ErrorRecord:
        """The error that rollback functions are given."""
        return self.error or TERMINATED


class Checkpoint(msgspec.Struct, frozen=True):
    """A reference to a stream: the number of the step whose chunks these are, and their total size in bytes."""

    step: int
    size: int


class _Tagged(msgspec.Struct, rename={"checkpoint": "$stream"}):
    checkpoint: Checkpoint


encode_data = msgspec.json.Encoder().encode
_start = msgspec.json.Decoder(StartData)
_failure = msgspec.json.Decoder(FailureData)
_death = msgspec.json.Decoder(DeathData)
_resume = msgspec.json.Decoder(ResumeData)
_message = msgspec.json.Decoder(MessageData)
_group = msgspec.json.Decoder(GroupData)
_cause = msgspec.json.Decoder(Cause)
_tagged = msgspec.json.Decoder(_Tagged)


def decode_start(data: bytes | None) -> StartData:
    """Return what a start event says, by its stored data."""
    return _start.decode(data) if data else StartData()


def read_scope(data: bytes) -> tuple[str, int] | None:
    """Return the task path and the parent of a start event by its stored data, without decoding all of it.

    None for a step in `run()` itself, whose data names neither. In JSON a quote inside of a string is escaped, so these
    marks stand where they are keys and nowhere else.
    """
    if b'"task"' not in data and b'"parent"' not in data:
        return None
    _, found, path = data.rpartition(b'"task":"')
    task = path.partition(b'"')[0].decode() if found else ""
    _, found, number = data.rpartition(b'"parent":')
    return task, int(number.partition(b",")[0].rstrip(b"}")) if found else 0


def read_start(event: HistoryEvent) -> StartData:
    """Return the data of a start event."""
    return decode_start(event.data)


def read_failure(event: HistoryEvent) -> FailureData:
    """Return the data of a failure event."""
    return _failure.decode(event.data or b"{}")


def read_death(event: HistoryEvent) -> DeathData:
    """Return the data of a PROCESS_DIED event."""
    return _death.decode(event.data or b"{}")


def read_resume(event: HistoryEvent) -> ResumeData:
    """Return the data of a WORKFLOW_RESUMED event."""
    return _resume.decode(event.data or b"{}")


def read_message(event: HistoryEvent) -> str:
    """Return the text of a REPLAY_DIVERGED event."""
    return _message.decode(event.data or b"{}").message


def read_group(event: HistoryEvent) -> list[int]:
    """Return the step numbers of a RESULT_GROUP event."""
    return _group.decode(event.data or b"{}").steps


def read_cause(event: HistoryEvent) -> Cause:
    """Return the data of a ROLLBACK_START event."""
    return _cause.decode(event.data or b"{}")


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return what is stored as the result of a step whose stream was stored in chunks."""
    return encode_data(_Tagged(checkpoint))


def read_checkpoint(data: bytes | None) -> Checkpoint | None:
    """Return what a step's stored result says of its stream, None if it is a value."""
    return _tagged.decode(data).checkpoint if data is not None and data.startswith(_TAG) else None
