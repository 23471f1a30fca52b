"""The store in one SQLite file: implements `engine.store.Store`.

All statements run on the event loop's own thread and take microseconds; a thread would cost more than it saves
(measured: a commit handed to a thread and back is four times as slow). A lock of another process is waited for between
the turns of the loop (`storage.waiting`). The heartbeat has its own connection, because it must not share fate with a
step that blocks the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from wrangler_py.engine.analytics import Analysis
from wrangler_py.engine.model import (
    HistoryEvent,
    HistoryType,
    InstanceRow,
    Request,
    Status,
    WorkflowRow,
)
from wrangler_py.engine.quarantine import Evidence
from wrangler_py.engine.settings import Settings
from wrangler_py.engine.store import (
    Batch,
    Change,
    Claimed,
    EventRow,
    InstancePage,
    ListQuery,
    Seen,
    TerminationOrder,
    Wanted,
)
from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries
from wrangler_py.storage.sqlite.analytics import analyse
from wrangler_py.storage.sqlite.batches import write_batch
from wrangler_py.storage.sqlite.commands import carry_out, delete_instance, identity
from wrangler_py.storage.sqlite.instances import read_instance
from wrangler_py.storage.sqlite.leases import check_lease, end_lease, end_leases, ended_leases
from wrangler_py.storage.sqlite.listing import list_instances
from wrangler_py.storage.sqlite.retention import Housekeeping, read_settings
from wrangler_py.storage.waiting import waited, waits_for_lock

_PACKAGE = "wrangler_py.storage.sqlite"
_Q = load_queries(_PACKAGE)
_TYPES = {kind.value: kind for kind in HistoryType}
#: Pages of write-ahead log after which a commit checkpoints by itself; the heartbeat's thread is usually there first.
_AUTOCHECKPOINT_PAGES = 16_000
DATABASE_NAME = "workflows.sqlite"


@waits_for_lock
class SqliteStore:
    """One SQLite database in WAL mode."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._execute, self._transaction = database.execute, database.transaction
        self._read, self._value = database.read, database.value
        self._housekeeping = Housekeeping(database)
        self._background: Database | None = None

    @classmethod
    async def open(cls, path: Path, *, synchronous: str = "NORMAL") -> SqliteStore:
        """Open or make the database at ``path``.

        ``synchronous``: ``"NORMAL"`` survives any crash of the process, ``"FULL"`` also power loss.

        Raises:
            StateError: the file cannot be used; its subclasses say why. Nothing was changed.
        """
        database = await waited(
            Database.open, path, synchronous=synchronous, package=_PACKAGE, shrinks=True, shadows=True
        )
        database.execute(f"PRAGMA wal_autocheckpoint = {_AUTOCHECKPOINT_PAGES}")
        return cls(database)

    @property
    def path(self) -> Path:
        """Return where the file is."""
        return self._database.path

    @property
    def takes_writes(self) -> bool:
        """Return False for a large database that was opened only to be read."""
        return self._database.takes_writes

    @property
    def synchronous(self) -> str:
        """Return how much a commit survives; see `open`."""
        return self._database.synchronous

    async def close(self) -> None:
        """Close the connections; the database is left checkpointed."""
        if self._background is not None:
            self._background.close()
            self._background = None
        self._database.close()

    # leases

    async def take_lease(self, owner: str, expires_at: int) -> int:
        """Register this process as ``owner`` and return its epoch."""
        with self._transaction():
            cursor = self._execute(_Q["take_lease"], {"owner": owner, "expires_at": expires_at})
        epoch = cursor.lastrowid
        assert epoch is not None
        return epoch

    def renew_lease(self, epoch: int, expires_at: int) -> bool:
        """Extend a lease and move the write-ahead log along; False if it is gone. For one thread of its own."""
        if self._background is None:
            self._background = self._database.another()
        stands = self._background.write(_Q["renew_lease"], {"epoch": epoch, "expires_at": expires_at}) == 1
        self._background.read("PRAGMA wal_checkpoint(PASSIVE)")
        return stands

    async def release_lease(self, epoch: int) -> None:
        """Give up a lease; what it still drove is due again at once."""
        with self._transaction():
            end_lease(self._database, epoch, now=0)

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
        """End expired leases and those of dead owners; return how many instances it freed. See `Store.reap`."""

        def over() -> list[tuple[int, str]]:
            return ended_leases(
                self._database, now=now, keep=keep, owners=owners, living=living, stopped=stopped
            )

        if not over():
            return 0
        with self._transaction():
            # Looked at again: while this waited for the lock, one may have been renewed.
            return end_leases(self._database, over(), stopped, evidence, now=now)

    def changed_elsewhere(self) -> bool:
        """Return True if another process has written since the last call."""
        return self._database.changed_elsewhere()

    # the hot path

    async def apply(self, batch: Batch, epoch: int | None) -> list[int | None]:
        """Make a batch durable in one transaction; see `Store.apply`."""
        with self._transaction():
            return write_batch(self._database, batch, epoch)

    async def claim(
        self, wanted: Wanted, epoch: int, *, now: int, limit: int, suspects: bool | None = None
    ) -> list[Claimed]:
        """Take up to ``limit`` due instances, those that go on before those that start; see `Store.claim`."""
        if not self._due(wanted, now, 1, suspects):
            return []
        with self._transaction():
            check_lease(self._database, epoch)
            return [self._claim(row, epoch, now) for row in self._due(wanted, now, limit, suspects)]

    def _due(self, wanted: Wanted, now: int, limit: int, suspects: bool | None) -> list[dict[str, Any]]:
        parameters = {**msgspec.structs.asdict(wanted), "now": now, "limit": limit}
        kinds = () if suspects is False else ("due_suspects",)
        rows: list[dict[str, Any]] = []
        for query in (*kinds, *(() if suspects else ("due_going_on", "due_starting"))):
            if len(rows) < limit:
                rows += self._database.records(_of(wanted, query), {**parameters, "limit": limit - len(rows)})
        return rows

    async def suspects(self, wanted: Wanted, *, limit: int) -> list[tuple[int, int]]:
        """Return ``(deaths, due_at)`` of the suspects that nobody drives; see `Store.suspects`."""
        rows: list[tuple[int, int]] = self._read(
            _of(wanted, "suspects"), {**msgspec.structs.asdict(wanted), "limit": limit}
        )
        return rows

    def _claim(self, stored: dict[str, Any], epoch: int, now: int) -> Claimed:
        instance = read_instance(stored)
        self._execute(_Q["claim"], {"epoch": epoch, "now": now, "number": instance.row})
        instance.epoch, instance.started_at = epoch, instance.started_at or now
        signal = stored["signal"]
        return Claimed(
            instance=instance,
            history=self._history(instance.row, 0, "replay_history"),
            events=self._events(instance.row, 0) if signal else [],
            signal=signal,
            deaths=stored["deaths"],
        )

    async def next_due(self, wanted: Sequence[Wanted]) -> int | None:
        """Return when the next instance that nobody drives is due."""
        due = [
            self._value(_of(one, "next_due"), {**msgspec.structs.asdict(one), "fresh": fresh})
            for one in wanted
            for fresh in (0, 1)
        ]
        return min((at for at in due if at is not None), default=None)

    # one instance

    async def get(self, workflow: str, instance_id: str) -> InstanceRow | None:
        """Return one instance."""
        return self._one(_Q["get"], (workflow, instance_id))

    def _one(self, query: str, parameters: Sequence[Any]) -> InstanceRow | None:
        rows = self._database.records(query, parameters)
        return read_instance(rows[0]) if rows else None

    async def history(self, row: int, *, after: int = 0, limit: int | None = None) -> list[HistoryEvent]:
        """Return an instance's log, from the event behind ``after``, in order; at most ``limit`` events."""
        return self._history(row, after, limit=-1 if limit is None else limit)

    def _history(
        self, row: int, after: int, query: str = "history", *, limit: int = -1
    ) -> list[HistoryEvent]:
        rows = self._read(_Q[query], (row, after, limit))
        return [
            HistoryEvent(r, _TYPES[t], at, step, n, name, data, seq)
            for r, t, at, step, n, name, data, seq in rows
        ]

    async def chunk(self, row: int, step: int, number: int) -> bytes | None:
        """Return a piece of the stream that a step stored; None if there is none."""
        data: bytes | None = self._value(_Q["chunk"], (row, step, number))
        return data

    # commands

    async def look(self, workflow: str, instance_id: str) -> Seen | None:
        """Return one instance for a command to decide on."""
        rows = self._database.records(_Q["look"], (workflow, instance_id))
        return Seen(read_instance(rows[0]), rows[0]["seq"]) if rows else None

    async def change(self, seen: Seen, change: Change, *, now: int) -> bool:
        """Carry out a command, if the instance is still as it was ``seen``; see `Store.change`."""
        with self._transaction():
            return carry_out(self._database, seen, change, now)

    # events

    async def add_event(
        self, instance: InstanceRow, event_type: str, payload: bytes, at: int
    ) -> EventRow | None:
        """Store an event for an instance and make it due; None if the instance has ended or is gone."""
        row = instance.row
        with self._transaction():
            if not self._execute(_Q["takes_events"], identity(instance)).fetchone():
                return None
            number = self._execute(_Q["insert_event"], (row, event_type, payload, at)).lastrowid
            self._execute(_Q["signal"], {"row": row, "at": at})
        assert number is not None
        return EventRow(number, row, event_type, payload, at)

    async def events(self, row: int, *, after: int) -> tuple[list[EventRow], int]:
        """Return the undelivered events behind number ``after``, and the signal count that includes them."""
        return self._events(row, after), self._value(_Q["signal_of"], (row,)) or 0

    def _events(self, row: int, after: int) -> list[EventRow]:
        return [EventRow(*columns) for columns in self._read(_Q["events"], (row, after))]

    async def signalled(self, epoch: int) -> list[tuple[int, int]]:
        """Return ``(row, signal)`` of the instances this epoch drives that ever got an event."""
        return self._read(_Q["signalled"], (epoch,))

    # between processes

    async def ask(self, instance: InstanceRow, request: Request) -> None:
        """Ask something of the process that drives an instance, in place of what was asked before."""
        with self._transaction():
            values = {**identity(instance), "epoch": instance.epoch, "request": request}
            self._execute(_Q["ask"], values)

    async def answered(self, row: int, request: Request) -> None:
        """End a request; another that came in its place stands."""
        with self._transaction():
            self._execute(_Q["answered"], {"row": row, "request": request})

    async def asked(self, epoch: int) -> list[tuple[int, Request]]:
        """Return ``(row, request)`` of what other processes ask of this one."""
        return [(row, Request(request)) for row, request in self._read(_Q["asked"], (epoch,))]

    async def let_go(self, row: int, *, epoch: int, due_at: int) -> None:
        """Give up an instance, because another process asked for it; see `Store.let_go`."""
        with self._transaction():
            self._execute(_Q["let_go"], {"row": row, "epoch": epoch, "due_at": due_at})

    # reading

    async def list_instances(self, workflow: str, query: ListQuery) -> InstancePage:
        """Return a page of a workflow's instances."""
        counts = await self.status_counts(workflow)
        rows, total, cursor = list_instances(self._database, workflow, query, counts)
        return InstancePage(
            [read_instance(row) for row in rows], total, query.page, query.per_page, counts, cursor
        )

    async def latest(self, workflow: str) -> InstanceRow | None:
        """Return the instance created last."""
        return self._one(_Q["latest"], (workflow,))

    async def status_counts(self, workflow: str) -> dict[str, int]:
        """Return how many instances have each status; statuses without instances are missing."""
        return dict(self._read(_Q["status_counts"], (workflow,)))

    async def count_queued(self) -> int:
        """Return how many instances are queued, of all workflows."""
        return int(self._value(_Q["count_queued"]))

    async def count_created(self, since: int) -> int:
        """Return how many of the instances there are were created at ``since`` (milliseconds) or later."""
        return int(self._value(_Q["count_created"], (since,)))

    async def created_at(self, place: int) -> int | None:
        """Return when the newest but ``place - 1`` of all instances was created, None if there are not so many."""
        at: int | None = self._value(_Q["created_at"], (place - 1,))
        return at

    async def analyse(self, asked: Analysis) -> list[dict[str, Any]]:
        """Answer a question about history, in a thread and on a connection of its own: it may read all there is."""

        def work() -> list[dict[str, Any]]:
            with closing(self._database.another()) as beside:
                return analyse(beside, asked)

        return await asyncio.to_thread(work)

    # workflows

    async def bind_workflow(self, workflow: WorkflowRow) -> None:
        """Store a workflow, or bring the stored one up to date; ``created_at`` stays."""
        with self._transaction():
            self._execute(_Q["bind_workflow"], msgspec.structs.asdict(workflow))

    async def workflows(self) -> list[WorkflowRow]:
        """Return all workflows ever bound, newest last."""
        return [_workflow(columns) for columns in self._read(_Q["workflows"])]

    async def unfinished_versions(self, script: str) -> set[str]:
        """Return the versions of a script that instances which have not ended belong to."""
        return {version for (version,) in self._read(_Q["unfinished_versions"], (script,))}

    async def delete_workflow(self, name: str) -> bool:
        """Remove what nobody drives of a workflow, and at last the workflow; see `Store.delete_workflow`."""
        with self._transaction():
            for (row,) in self._execute(_Q["undriven_rows"], (name,)).fetchall():
                delete_instance(self._database, row)
            if self._execute(_Q["any_of_workflow"], (name,)).fetchone():
                self._execute(_Q["ask_all"], {"workflow": name, "request": Request.LET_GO})
                return False
            self._execute(_Q["delete_workflow"], (name,))
        return True

    async def change_settings(self, name: str, settings: Settings, *, now: int) -> None:
        """Store what is set for a workflow, in place of what was."""
        self._housekeeping.change_settings(name, settings, now=now)

    # retention

    async def next_expiry(self) -> int | None:
        """Return when the next ended instance has to go; see `Store.next_expiry`."""
        return self._housekeeping.next_expiry()

    async def discard_expired(self, *, now: int, limit: int) -> bool:
        """Discard instances whose time is up; see `Store.discard_expired`."""
        return self._housekeeping.discard_expired(now=now, limit=limit)

    async def remove_discarded(self, *, limit: int) -> bool:
        """Remove what discarded instances stored; see `Store.remove_discarded`."""
        return self._housekeeping.remove_discarded(limit=limit)

    async def give_back(self, *, limit: int) -> bool:
        """Return free pages of the file to the file system; see `Store.give_back`."""
        return self._housekeeping.give_back(limit=limit)

    # terminations

    async def order_termination(self, workflow: str, status: Status | None, *, now: int) -> bool:
        """Store an order; False if there is one for the workflow already."""
        return self._housekeeping.order_termination(workflow, status, now=now)

    async def take_terminations(self, epoch: int | None) -> list[TerminationOrder]:
        """Take the orders that no living process carries out; see `Store.take_terminations`."""
        return self._housekeeping.take_terminations(epoch)

    async def to_terminate(self, order: TerminationOrder, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Return ``(row, id)`` of the next instances an order is for, behind the row ``after``."""
        return self._housekeeping.to_terminate(order, after=after, limit=limit)

    async def finish_termination(self, order: TerminationOrder, epoch: int | None) -> None:
        """Forget an order that has been carried out; see `Store.finish_termination`."""
        self._housekeeping.finish_termination(order, epoch)

    async def is_terminating(self, workflow: str) -> bool:
        """Return True if there is an order for a workflow."""
        return self._housekeeping.is_terminating(workflow)

    async def is_driven(self) -> bool:
        """Return True if any process has a lease."""
        return bool(self._value(_Q["driven"]))


def _workflow(columns: Sequence[Any]) -> WorkflowRow:
    row = WorkflowRow(*columns[:7])
    row.settings = read_settings(columns[7])
    return row


def _of(wanted: Wanted, query: str) -> str:
    """Return the query for all versions, or for one: each has an index of its own."""
    return _Q[query if wanted.version is None else f"{query}_of_version"]
