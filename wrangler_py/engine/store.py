"""The engine's persistence contract: everything durable goes through a `Store`, and every truth is in it.

Three ideas hold it together:

* **A lease belongs to a process and covers all instances it drives.** `take_lease` gives an *epoch*, a number that
  only grows. `Store.apply` takes effect only while that epoch's lease still stands. Whoever takes over a dead
  process's instances removes its lease in the same transaction, so a process that lost its lease cannot change
  anything.
* **Writes come in groups.** `Batch` gathers all writes of one turn of the event loop; `apply` makes them durable
  together.
* **One query finds all work.** An instance is due when nobody drives it and ``due_at`` has come; no other state is
  looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import msgspec

from wrangler_py.engine.analytics import Analysis
from wrangler_py.engine.model import (
    ErrorRecord,
    HistoryEvent,
    HistoryType,
    InstanceRow,
    Occurrence,
    Request,
    Status,
    Trigger,
    WorkflowRow,
)
from wrangler_py.engine.quarantine import Evidence
from wrangler_py.engine.settings import KEPT_FOR_EVER, Retention, Settings


class Creation(msgspec.Struct):
    """A new instance, before it has a row."""

    workflow: str
    id: str
    params: bytes
    trigger: Trigger
    version: str
    at: int
    schedule: Occurrence | None = None
    retention: Retention = KEPT_FOR_EVER


class StatusChange(msgspec.Struct):
    """A driven instance starts to wait or goes on; it stays driven."""

    row: int
    status: Status
    due_at: int
    at: int


class Parking(msgspec.Struct):
    """An instance leaves memory. If ``signal`` is no longer what the store counts, an event came meanwhile: due at
    once."""

    row: int
    status: Status
    due_at: int | None
    signal: int
    at: int
    paused_at: int | None = None


class Ending(msgspec.Struct):
    """An instance ends."""

    row: int
    status: Status
    at: int
    output: bytes | None = None
    error: ErrorRecord | None = None


#: A history line on its way to the store: ``(row, type, at, step, attempt, name, data)``. A plain tuple, because
#: every step writes four of them.
HistoryLine = tuple[int, HistoryType, int, int, int, str | None, bytes | None]


#: A piece of a step's stream: ``(row, step, number, data)``, numbers from 0. Data None drops all the step has.
ChunkLine = tuple[int, int, int, bytes | None]


class Batch:
    """All writes of one turn, in the order in which they are applied."""

    __slots__ = ("chunks", "consumed", "creations", "deaths", "endings", "history", "parkings", "statuses")

    def __init__(self) -> None:
        self.creations: list[Creation] = []
        self.chunks: list[ChunkLine] = []
        self.history: list[HistoryLine] = []
        self.statuses: list[StatusChange] = []
        #: ``(row, deaths)``: what counts from now on for driven instances (`engine.quarantine`).
        self.deaths: list[tuple[int, int]] = []
        #: Numbers of delivered events.
        self.consumed: list[int] = []
        self.parkings: list[Parking] = []
        self.endings: list[Ending] = []


class EventRow(msgspec.Struct):
    """An event on its way to an instance: sent, not delivered."""

    number: int
    row: int
    type: str
    payload: bytes
    at: int


class Claimed(msgspec.Struct):
    """An instance this process now drives, with all it needs to go on."""

    instance: InstanceRow
    history: list[HistoryEvent]
    events: list[EventRow]
    signal: int
    fresh: bool
    #: Processes in a row that died while they executed it, without progress between.
    deaths: int = 0


class Wanted(msgspec.Struct, frozen=True):
    """Which instances a process takes up: those of a workflow, or of one version of it."""

    workflow: str
    version: str | None = None


class ListQuery(msgspec.Struct):
    """Which instances to list. ``page`` counts from 1; ``cursor`` (from `InstancePage.next_cursor`) wins over it."""

    page: int = 1
    per_page: int = 25
    status: Status | None = None
    date_start_ms: int | None = None
    date_end_ms: int | None = None
    descending: bool = True
    cursor: str | None = None


class InstancePage(msgspec.Struct):
    """A page of instances, newest first unless asked otherwise."""

    items: list[InstanceRow]
    total_count: int
    page: int
    per_page: int
    status_counts: dict[str, int]
    next_cursor: str | None = None


class TerminationOrder(msgspec.Struct, frozen=True):
    """Which instances to terminate: those of a workflow up to a row, in a status (None: in whatever)."""

    workflow: str
    status: Status | None
    up_to: int


class Store(Protocol):
    """Where instances live. All methods may raise StoreUnavailableError; times are milliseconds since 1970."""

    # leases

    async def take_lease(self, owner: str, expires_at: int) -> int:
        """Register this process as ``owner`` and return its epoch."""
        ...

    def renew_lease(self, epoch: int, expires_at: int) -> bool:
        """Extend a lease; False if it is gone. Called from the heartbeat's own thread."""
        ...

    async def release_lease(self, epoch: int) -> None:
        """Give up a lease; what it still drove is due again at once."""
        ...

    async def reap(
        self,
        *,
        now: int,
        keep: Collection[int],
        owners: Collection[str] | None = (),
        living: str | None = None,
        stopped: Collection[str] = (),
        evidence: Collection[Evidence] = (),
    ) -> int:
        """End the leases that have expired, and those of the dead ``owners`` (None: of all but ``keep``).

        ``living``, if given, is what the names of all living owners begin with: who is called otherwise is dead too.
        The death counts for the instances that were executing: for those that the ``evidence`` of an owner names, else
        for all. It does not count where the owner was ``stopped`` on purpose. Returns how many instances are free
        again; one that more than one death counts for is due only after a delay (`engine.quarantine`).
        """
        ...

    def changed_elsewhere(self) -> bool:
        """Say whether another process has written since the last call."""
        ...

    # the hot path

    async def apply(self, batch: Batch, epoch: int | None) -> list[int | None]:
        """Make a batch durable in one transaction.

        Returns the new row of each creation, None where the id was taken.

        Raises:
            StaleEpochError: the lease of ``epoch`` is gone; nothing was written.
        """
        ...

    async def claim(
        self, wanted: Wanted, epoch: int, *, now: int, limit: int, suspects: bool | None = None
    ) -> list[Claimed]:
        """Take up to ``limit`` due instances, those that go on before those that start (docs, "Sleep a Workflow").

        ``suspects``: only those that deaths count for, those with fewer first; or only the others; None: both.
        """
        ...

    async def suspects(self, wanted: Wanted, *, limit: int) -> list[tuple[int, int]]:
        """Return ``(deaths, due_at)`` of up to ``limit`` instances that deaths count for and nobody drives."""
        ...

    async def next_due(self, wanted: Sequence[Wanted]) -> int | None:
        """Return when the next instance that nobody drives, and is no suspect, is due."""
        ...

    # commands; on instances that nobody drives, or this epoch does

    async def get(self, workflow: str, instance_id: str) -> InstanceRow | None:
        """Return one instance."""
        ...

    async def history(self, row: int, *, after: int = 0, limit: int | None = None) -> list[HistoryEvent]:
        """Return an instance's log, from the event behind ``after``, in order; at most ``limit`` events."""
        ...

    async def chunk(self, row: int, step: int, number: int) -> bytes | None:
        """Return a piece of the stream that a step stored; None if there is none."""
        ...

    async def rest(
        self,
        row: int,
        status: Status,
        *,
        epoch: int | None,
        now: int,
        event: HistoryLine,
        due_at: int | None = None,
    ) -> bool:
        """Set a status (pause, resume, terminate) and let the instance go; False if another process drives it."""
        ...

    async def restart(
        self, row: int, *, epoch: int | None, from_step: int | None, version: str, now: int
    ) -> bool:
        """Queue an instance again, without its history from step ``from_step`` on; False if another process drives
        it."""
        ...

    async def delete(self, row: int, *, epoch: int | None) -> bool:
        """Remove an instance and all it stored; False if another process drives it."""
        ...

    async def add_event(self, row: int, event_type: str, payload: bytes, at: int) -> EventRow | None:
        """Store an event for an instance and make it due; None if the instance has ended."""
        ...

    async def events(self, row: int, *, after: int) -> tuple[list[EventRow], int]:
        """Return the undelivered events behind number ``after``, and the signal count that includes them."""
        ...

    async def signalled(self, epoch: int) -> list[tuple[int, int]]:
        """Return ``(row, signal)`` of the instances this epoch drives that ever got an event."""
        ...

    # between processes

    async def ask(self, row: int, request: Request | None) -> None:
        """Ask something of the process that drives an instance; None takes it back."""
        ...

    async def asked(self, epoch: int) -> list[tuple[int, Request]]:
        """Return ``(row, request)`` of what other processes ask of this one."""
        ...

    async def let_go(self, row: int, *, epoch: int, due_at: int) -> None:
        """Give up an instance, because another process asked for it; due again, should that one die, at ``due_at``.

        The request is over with that.
        """
        ...

    # reading

    async def list_instances(self, workflow: str, query: ListQuery) -> InstancePage:
        """Return a page of a workflow's instances."""
        ...

    async def latest(self, workflow: str) -> InstanceRow | None:
        """Return the instance created last."""
        ...

    async def status_counts(self, workflow: str) -> dict[str, int]:
        """Return how many instances have each status; statuses without instances are missing."""
        ...

    async def count_queued(self) -> int:
        """Return how many instances are queued, of all workflows."""
        ...

    async def count_created(self, since: int) -> int:
        """Return how many of the instances there are were created at ``since`` (milliseconds) or later."""
        ...

    async def created_at(self, place: int) -> int | None:
        """Return when the newest but ``place - 1`` of all instances was created, None if there are not so many."""
        ...

    async def analyse(self, asked: Analysis) -> list[dict[str, Any]]:
        """Answer a question about history, beside all else that goes on.

        Returns rows by name: the dimensions; of a group ``count`` and, if it measures, ``sum_wallTime``,
        ``avg_wallTime``, ``min_wallTime`` and ``max_wallTime`` in milliseconds; of a single event ``wallTime``.
        """
        ...

    # workflows

    async def bind_workflow(self, workflow: WorkflowRow) -> None:
        """Store a workflow, or bring the stored one up to date; ``created_at`` stays."""
        ...

    async def workflows(self) -> list[WorkflowRow]:
        """Return all workflows ever bound, newest last."""
        ...

    async def unfinished_versions(self, script: str) -> set[str]:
        """Return the versions of a script that instances which have not ended belong to."""
        ...

    async def delete_workflow(self, name: str) -> None:
        """Remove a workflow, its instances and all they stored."""
        ...

    async def change_settings(self, name: str, settings: Settings, *, now: int) -> None:
        """Store what is set for a workflow, in place of what was."""
        ...

    # retention: see `engine.retention`

    async def next_expiry(self) -> int | None:
        """Return when the next ended instance has to go; what was discarded and is still there is due at once."""
        ...

    async def discard_expired(self, *, now: int, limit: int) -> bool:
        """Discard up to ``limit`` instances whose time is up; say whether there may be more."""
        ...

    async def remove_discarded(self, *, limit: int) -> bool:
        """Remove up to ``limit`` lines of what discarded instances stored; say whether there may be more."""
        ...

    async def give_back(self, *, limit: int) -> bool:
        """Give up to ``limit`` free pages of the file back; say whether there may be more worth the effort."""
        ...

    # terminating all: see `engine.terminations`

    async def order_termination(self, workflow: str, status: Status | None, *, now: int) -> bool:
        """Store an order; False if there is one for the workflow already."""
        ...

    async def take_terminations(self, epoch: int | None) -> list[TerminationOrder]:
        """Take the orders that no living process carries out, and return all that this one has."""
        ...

    async def to_terminate(self, order: TerminationOrder, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Return ``(row, id)`` of the next instances an order is for, behind the row ``after``."""
        ...

    async def finish_termination(self, workflow: str) -> None:
        """Forget an order that has been carried out."""
        ...

    async def is_terminating(self, workflow: str) -> bool:
        """Say whether there is an order for a workflow."""
        ...

    async def is_driven(self) -> bool:
        """Say whether any process has a lease."""
        ...

    async def close(self) -> None:
        """Let go of the database."""
        ...
