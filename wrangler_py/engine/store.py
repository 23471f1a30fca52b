"""The engine's persistence contract: everything durable goes through a `Store`, and every truth is in it.

Four ideas hold it together:

* **A lease belongs to a process and covers all instances it drives.** `take_lease` gives an *epoch*, a number that
  only grows. `Store.apply` takes effect only while that epoch's lease still stands. Whoever takes over a dead
  process's instances removes its lease in the same transaction, so a process that lost its lease cannot change
  anything.
* **Every change is conditional twice.** On the lease, and on what was seen when it was decided: the driver's own writes
  take effect only for rows that its epoch still drives, a command (`Store.change`) only on an instance that nothing has
  happened to since `Store.look`. Nobody but its owner takes an instance away from a lease that stands.
* **Writes come in groups.** `Batch` gathers all writes of one turn of the event loop; `apply` stores them together.
* **One query finds all work.** An instance is due when nobody drives it and ``due_at`` has come.
"""

from __future__ import annotations

from collections import defaultdict
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


class Batch(msgspec.Struct, eq=False):
    """All writes of one turn. All but the creations are a driver's: they need its lease."""

    creations: list[Creation] = []
    chunks: list[ChunkLine] = []
    history: list[HistoryLine] = []
    statuses: list[StatusChange] = []
    #: ``(row, deaths)``: what counts from now on for driven instances (`engine.quarantine`).
    deaths: list[tuple[int, int]] = []
    #: Delivered events.
    consumed: list[EventRow] = []
    #: Events that were consumed and did not reach user code: they wait again.
    returned: list[EventRow] = []
    parkings: list[Parking] = []
    endings: list[Ending] = []
    #: Steps that ended, by the row of their instance, where it has several tasks.
    results: dict[int, list[int]] = {}
    #: Rows that turned out not to be driven under the batch's lease: nothing was written for them.
    lost: frozenset[int] = frozenset()

    @property
    def is_driving(self) -> bool:
        """True if it holds more than creations."""
        return bool(self.history) or any(getattr(self, name) for name in (*_LINES, *_CHANGES))

    @property
    def rows(self) -> frozenset[int]:
        """Return the instances that it writes for, but for those it creates."""
        lines: list[Any] = [*self.history, *self.chunks, *self.deaths]
        changes: list[Any] = [
            *self.statuses,
            *self.consumed,
            *self.returned,
            *self.parkings,
            *self.endings,
        ]
        return frozenset({line[0] for line in lines} | {change.row for change in changes})

    def by_instance(self) -> dict[int, Batch]:
        """Return all but the creations, one batch an instance, by its row."""
        parts: defaultdict[int, Batch] = defaultdict(Batch)
        for name in _LINES:
            for line in getattr(self, name):
                getattr(parts[line[0]], name).append(line)
        for name in _CHANGES:
            for change in getattr(self, name):
                getattr(parts[change.row], name).append(change)
        return dict(parts)

    def lose(self, rows: frozenset[int]) -> None:
        """Drop all writes for ``rows``: afterwards the batch holds what is written."""
        self.lost = rows
        for name in _LINES:
            setattr(self, name, [line for line in getattr(self, name) if line[0] not in rows])
        for name in _CHANGES:
            setattr(self, name, [change for change in getattr(self, name) if change.row not in rows])


#: The parts of a `Batch` by how they say which instance they are for: in the first column, or as ``row``.
_LINES = ("history", "chunks", "deaths")
_CHANGES = ("statuses", "consumed", "returned", "parkings", "endings")


class Seen(msgspec.Struct, frozen=True):
    """An instance as a command found it, and the number of its last history event: what the command is decided on."""

    instance: InstanceRow
    seq: int | None = None


class Resting(msgspec.Struct, frozen=True):
    """A command's change: another status, with the history event that says so. Nobody drives the instance then."""

    status: Status
    event: HistoryType
    due_at: int | None = None
    data: bytes | None = None


class Restarting(msgspec.Struct, frozen=True):
    """A command's change: queued again, without the history from step ``from_step`` on (None: without any)."""

    version: str
    from_step: int | None = None


class Deleting(msgspec.Struct, frozen=True):
    """A command's change: the instance and all it stored are removed."""


Change = Resting | Restarting | Deleting


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
    #: Processes in a row that died while they executed it, without progress between.
    deaths: int = 0


class Wanted(msgspec.Struct, frozen=True):
    """The instances a process takes up: those of a workflow, or of one version of it."""

    workflow: str
    version: str | None = None


class ListQuery(msgspec.Struct):
    """The instances to list. ``page`` counts from 1; ``cursor`` (from `InstancePage.next_cursor`) wins over it."""

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
    """The instances to terminate: those of a workflow up to a row, in a status (None: in whatever)."""

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
        The death counts for the instances that were executing; the ``evidence`` says which, where there is some. It
        does not count where the owner was ``stopped`` on purpose. Returns how many instances are free
        again; one that more than one death counts for is due only after a delay (`engine.quarantine`).
        """
        ...

    def changed_elsewhere(self) -> bool:
        """Return True if another process has written since the last call."""
        ...

    # the hot path

    async def apply(self, batch: Batch, epoch: int | None) -> list[int | None]:
        """Make a batch durable in one transaction.

        Nothing is written for a row that ``epoch`` does not drive: see `Batch.lost`.

        Returns the new row of each creation, None where the id was taken.

        Raises:
            StaleEpochError: the lease of ``epoch`` is gone, or it is None and the batch holds a driver's writes;
                nothing was written.
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

    # one instance

    async def get(self, workflow: str, instance_id: str) -> InstanceRow | None:
        """Return one instance."""
        ...

    async def history(self, row: int, *, after: int = 0, limit: int | None = None) -> list[HistoryEvent]:
        """Return an instance's log, from the event behind ``after``, in order; at most ``limit`` events."""
        ...

    async def chunk(self, row: int, step: int, number: int) -> bytes | None:
        """Return a piece of the stream that a step stored; None if there is none."""
        ...

    # commands

    async def look(self, workflow: str, instance_id: str) -> Seen | None:
        """Return one instance for a command to decide on."""
        ...

    async def change(self, seen: Seen, change: Change, *, now: int) -> bool:
        """Carry out a command, if the instance is still as it was ``seen``; False: look and decide again.

        That holds while its status, its driver and the end of its history are the same. The caller answers for its own
        process: where ``seen`` is driven under this process's epoch, its runner has been stopped.
        """
        ...

    async def add_event(
        self, instance: InstanceRow, event_type: str, payload: bytes, at: int
    ) -> EventRow | None:
        """Store an event for an instance and make it due; None if the instance has ended or is gone."""
        ...

    async def events(self, row: int, *, after: int) -> tuple[list[EventRow], int]:
        """Return the undelivered events behind number ``after``, and the signal count that includes them."""
        ...

    async def signalled(self, epoch: int) -> list[tuple[int, int]]:
        """Return ``(row, signal)`` of the instances this epoch drives that ever got an event."""
        ...

    # between processes

    async def ask(self, instance: InstanceRow, request: Request) -> None:
        """Ask something of the process that drives an instance, in place of what was asked before."""
        ...

    async def answered(self, row: int, request: Request) -> None:
        """End a request: it was done, or is taken back. Another that came in its place stands."""
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

    async def delete_workflow(self, name: str) -> bool:
        """Remove the instances of a workflow that nobody drives, and ask the drivers of the others to let them go.

        Where none is left, the workflow is removed too; False if some are.
        """
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

    async def finish_termination(self, order: TerminationOrder, epoch: int | None) -> None:
        """Forget an order that has been carried out; one that another process has taken over stands."""
        ...

    async def is_terminating(self, workflow: str) -> bool:
        """Return True if there is an order for a workflow."""
        ...

    async def is_driven(self) -> bool:
        """Return True if any process has a lease."""
        ...

    async def close(self) -> None:
        """Let go of the database."""
        ...
