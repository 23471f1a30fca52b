"""The records and enumerations the engine, the store and every screen speak in.

Instants are integers: milliseconds since 1970 in UTC. They become ISO strings only at the edge (`engine.describe`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from wrangler_py.engine.settings import Settings
from wrangler_py.serde import ErrorRecord as ErrorRecord  # noqa: PLC0414 - part of this module's face


class Status(StrEnum):
    """The status of an instance (engine-semantics, section 1)."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    WAITING_FOR_PAUSE = "waitingForPause"
    PAUSED = "paused"
    ERRORED = "errored"
    TERMINATED = "terminated"
    COMPLETE = "complete"

    @property
    def is_final(self) -> bool:
        """True for the three statuses an instance leaves only by ``restart``."""
        return self in FINAL


FINAL = frozenset({Status.ERRORED, Status.TERMINATED, Status.COMPLETE})


class Trigger(StrEnum):
    """The origin of an instance."""

    API = "api"
    BINDING = "binding"
    EVENT = "event"
    CRON = "cron"


class Request(StrEnum):
    """A request of one process to another that drives an instance."""

    #: Stop it where it stands and write nothing more: who asks writes what follows.
    LET_GO = "letGo"
    PAUSE = "pause"
    RESUME = "resume"


class Kind(StrEnum):
    """The kind of a step; part of its key."""

    DO = "do"
    SLEEP = "sleep"
    WAIT = "waitForEvent"


class Occurrence(msgspec.Struct, frozen=True):
    """One minute of a schedule: the cron expression, and when it was due in ms since 1970.

    It reads alike in REST (``schedule`` of an instance, official SDK) and in ``event.schedule`` of `run()`.
    """

    cron: str
    scheduledTime: int  # noqa: N815 - the API's own spelling

    @property
    def instance_id(self) -> str:
        """The id of the instance it creates: made from both, so that there is one of them however often it is tried.

        Cloudflare's are longer than a user's may be, and hold the expression's own signs (explorer.openapi.json).
        """
        return f"{' '.join(self.cron.split())}-{self.scheduledTime}"


class InstanceRow(msgspec.Struct):
    """One instance as the store holds it. ``row`` is the store's own number, the key of its history."""

    row: int
    workflow: str
    id: str
    status: Status
    params: bytes
    trigger: Trigger
    version: str
    created_at: int
    modified_at: int
    started_at: int | None = None
    ended_at: int | None = None
    output: bytes | None = None
    error: ErrorRecord | None = None
    #: When a process must look at it next; None at rest.
    due_at: int | None = None
    paused_at: int | None = None
    #: The lease of the process that drives it; None when nobody does.
    epoch: int | None = None
    #: What created it, if that was a schedule.
    schedule: Occurrence | None = None
    #: What another process asks of the one that drives it.
    request: Request | None = None


class WorkflowRow(msgspec.Struct):
    """A workflow as the store knows it: bound by a session now or earlier."""

    name: str
    script: str
    class_name: str
    version: str
    created_at: int
    modified_at: int
    triggered_at: int | None = None
    #: What was set over the API.
    settings: Settings = Settings()


class HistoryType(StrEnum):
    """Names of history events (engine-semantics, section 4; docs, "Metrics"). The last three are ours."""

    WORKFLOW_QUEUED = "WORKFLOW_QUEUED"
    WORKFLOW_START = "WORKFLOW_START"
    WORKFLOW_SUCCESS = "WORKFLOW_SUCCESS"
    WORKFLOW_FAILURE = "WORKFLOW_FAILURE"
    WORKFLOW_TERMINATED = "WORKFLOW_TERMINATED"
    STEP_START = "STEP_START"
    STEP_SUCCESS = "STEP_SUCCESS"
    STEP_FAILURE = "STEP_FAILURE"
    SLEEP_START = "SLEEP_START"
    SLEEP_COMPLETE = "SLEEP_COMPLETE"
    SLEEP_ABANDONED = "SLEEP_ABANDONED"
    ATTEMPT_START = "ATTEMPT_START"
    ATTEMPT_SUCCESS = "ATTEMPT_SUCCESS"
    ATTEMPT_FAILURE = "ATTEMPT_FAILURE"
    WAIT_START = "WAIT_START"
    WAIT_COMPLETE = "WAIT_COMPLETE"
    WAIT_TIMED_OUT = "WAIT_TIMED_OUT"
    WAIT_ABANDONED = "WAIT_ABANDONED"
    ROLLBACK_START = "ROLLBACK_START"
    ROLLBACK_STEP_START = "ROLLBACK_STEP_START"
    ROLLBACK_STEP_SUCCESS = "ROLLBACK_STEP_SUCCESS"
    ROLLBACK_STEP_FAILURE = "ROLLBACK_STEP_FAILURE"
    ROLLBACK_ATTEMPT_START = "ROLLBACK_ATTEMPT_START"
    ROLLBACK_ATTEMPT_SUCCESS = "ROLLBACK_ATTEMPT_SUCCESS"
    ROLLBACK_ATTEMPT_FAILURE = "ROLLBACK_ATTEMPT_FAILURE"
    ROLLBACK_COMPLETE = "ROLLBACK_COMPLETE"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    WORKFLOW_PAUSED = "WORKFLOW_PAUSED"
    WORKFLOW_RESUMED = "WORKFLOW_RESUMED"
    REPLAY_DIVERGED = "REPLAY_DIVERGED"
    #: For replays alone (`instance.order`): no reader of a history is given it.
    RESULT_GROUP = "RESULT_GROUP"
    #: The same: `run()` gave a step up while its stored result was on the way to it.
    RESULT_ABANDONED = "RESULT_ABANDONED"
    #: The same: the process died. The attempt of this ``name`` and number was executing; or, without a name, what
    #: killed it was none of this instance (`engine.quarantine`).
    PROCESS_DIED = "PROCESS_DIED"


#: Kept for replays alone: no reader of a history, and no observer, is given these.
INTERNAL = frozenset({HistoryType.RESULT_GROUP, HistoryType.RESULT_ABANDONED, HistoryType.PROCESS_DIED})


class HistoryEvent(msgspec.Struct, frozen=True):
    """One line of an instance's append-only log.

    ``step`` numbers steps in the order they started, from 1 (0: the instance itself); ``name`` is the display name
    ``<name>-<count>``; ``data`` is JSON whose shape belongs to ``type``.
    """

    row: int
    type: HistoryType
    at: int
    step: int = 0
    attempt: int = 0
    name: str | None = None
    data: bytes | None = None
    #: The store's number, growing within an instance: the cursor of ``subscribe``. 0 before it is written.
    seq: int = 0


class Retries(msgspec.Struct, frozen=True):
    """``limit`` retries (None: without end), ``delay_ms`` (None: a function decides), ``backoff``."""

    limit: int | None
    delay_ms: int | None
    backoff: str = "exponential"


class StepConfig(msgspec.Struct, frozen=True):
    """A step's resolved configuration, stored with its first attempt."""

    retries: Retries
    timeout_ms: int
    sensitive: bool = False
    #: As the user wrote it, to show (``delay`` may read ``"5 seconds"``).
    shown: Any = None


# What every screen shows ---------------------------------------------------------------------------------------------


class ErrorView(msgspec.Struct, frozen=True, omit_defaults=True):
    """``{name, message}``; and, ours, the user's own frames with those of its causes, once in a whole answer."""

    name: str
    message: str
    stack: str = ""


class AttemptView(msgspec.Struct, omit_defaults=False):
    """One attempt; times are ISO 8601 UTC with milliseconds; ``success`` is None while it runs."""

    start: str
    end: str | None = None
    success: bool | None = None
    error: ErrorView | None = None


class StepView(msgspec.Struct, omit_defaults=False):
    """A ``step.do`` as the API shows it (rest-and-cli, section 4)."""

    name: str
    type: str
    start: str
    end: str | None
    success: bool | None
    output: Any
    config: Any
    attempts: list[AttemptView]
    #: When the next attempt starts, if one is due; ours.
    retry_at: str | None = None
    error: ErrorView | None = None


class SleepView(msgspec.Struct, omit_defaults=False):
    """A sleep; ``end`` is the planned wake-up while ``finished`` is false."""

    name: str
    type: str
    start: str
    end: str | None
    finished: bool
    error: ErrorView | None = None


class WaitView(msgspec.Struct, omit_defaults=False):
    """A ``wait_for_event``; ``end`` is the time it gives up while ``finished`` is false."""

    name: str
    type: str
    start: str
    end: str | None
    finished: bool
    error: ErrorView | None
    output: Any
    event_type: str


class TerminationView(msgspec.Struct, omit_defaults=False):
    """The last entry of a terminated instance's steps."""

    type: str
    trigger: dict[str, str]


class RollbackView(msgspec.Struct, omit_defaults=False):
    """The end of an instance's rollbacks: ``outcome`` is ``"complete"`` or ``"failed"`` (PyPI ``cloudflare``)."""

    outcome: Literal["complete", "failed"]
    error: ErrorView | None = None


class InstanceDetail(msgspec.Struct, omit_defaults=False):
    """One instance in full (rest-and-cli, section 4)."""

    id: str
    status: str
    params: Any
    trigger: dict[str, str]
    versionId: str  # noqa: N815 - the API's own spelling
    queued: str
    start: str | None
    end: str | None
    steps: list[StepView | SleepView | WaitView | TerminationView]
    step_count: int
    success: bool | None
    error: ErrorView | None
    output: Any
    warnings: list[str]
    schedule: Occurrence | None = None
    rollback: RollbackView | None = None
