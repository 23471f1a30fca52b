"""The durable changes, one by one: read from the file itself after each call of a store that writes."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.ledger import Run
    from tests.simulation.world import Process, World


@dataclass(frozen=True)
class Line:
    """One line of history as it became durable."""

    tick: int
    time: int
    #: Virtual seconds, whatever the wall clock says.
    moment: float
    commit: int
    writer: str
    epoch: int | None
    row: int
    life: int
    seq: int
    type: str
    at: int
    step: int
    attempt: int
    name: str | None
    data: bytes | None


@dataclass(frozen=True)
class State:
    """The contents of an instance's row from some moment on."""

    tick: int
    time: int
    commit: int
    writer: str
    op: str
    writer_epoch: int | None
    status: str
    epoch: int | None
    due_at: int | None
    #: A restart made it so.
    restarted: bool


@dataclass(eq=False)
class Record:
    """All that was ever stored for one row."""

    row: int
    workflow: str
    id: str
    made: int
    life: int = 1
    states: list[State] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    #: When each life after the first began, and the numbers of the lines it took over from the one before.
    restarts: list[tuple[int, set[int]]] = field(default_factory=list)
    deleted: int | None = None
    #: Deaths of processes that count for it now.
    deaths: int = 0
    output: bytes | None = None
    error: bytes | None = None

    @property
    def status(self) -> str:
        """The status now; "deleted" once it is gone."""
        return "deleted" if self.deleted is not None else self.states[-1].status

    @property
    def epoch(self) -> int | None:
        """The lease it is held under now."""
        return self.states[-1].epoch


@dataclass(frozen=True)
class Sent:
    """An event that was stored."""

    tick: int
    time: int
    #: Virtual seconds, whatever the wall clock says.
    moment: float
    number: int
    record: Record
    life: int
    type: str
    payload: bytes


_INSTANCES = (
    "SELECT number, workflow, id, status, epoch, due_at, output, error, deaths FROM instances "
    "WHERE workflow <> ''"
)
_HISTORY = "SELECT seq, instance, type, at, step, attempt, name, data FROM history WHERE seq > ? ORDER BY seq"
_EVENTS = "SELECT number, instance, type, payload FROM events WHERE number > ? ORDER BY number"


class Journal:
    """Watches one database file."""

    def __init__(self, world: World, path: Path) -> None:
        self._world = world
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._last_seq = 0
        self._last_event = 0
        #: The instances there are, by row; numbers of rows that were deleted are given again.
        self.present: dict[int, Record] = {}
        #: All there ever were.
        self.records: list[Record] = []
        self.leases: set[int] = set()
        #: Leases that ended, and when.
        self.ended_leases: dict[int, int] = {}
        self.events: list[Sent] = []
        self.commits = 0
        self._seen: dict[int, tuple[Any, ...]] = {}

    def close(self) -> None:
        """Stop watching."""
        self._connection.close()

    def of(self, instance: str) -> list[Record]:
        """Return what was stored for an id: one record, and one more for each time it was made anew."""
        return [record for record in self.records if record.id == instance]

    def alive(self, instance: str) -> Record | None:
        """Return the record of an id that exists now."""
        return next((record for record in self.present.values() if record.id == instance), None)

    def owns(self, run: Run) -> bool:
        """Return True if ``run`` goes on under a lease that stands and holds its instance."""
        record = run.record
        return record.deleted is None and record.epoch == run.epoch in self.leases

    def look(self, process: Process, op: str, epoch: int | None) -> None:
        """Take in what a call of the store has changed."""
        self.commits += 1
        self._look_at_leases()
        new = self._connection.execute(_HISTORY, (self._last_seq,)).fetchall()
        again = {line[1] for line in new if line[2] == "WORKFLOW_QUEUED" and line[1] in self.present}
        self._look_at_instances(process, op, epoch, again)
        self._look_at_history(process, epoch, new, again)
        self._look_at_events()

    def _look_at_leases(self) -> None:
        now = {epoch for (epoch,) in self._connection.execute("SELECT epoch FROM leases")}
        if now != self.leases:
            for epoch in self.leases - now:
                self.ended_leases[epoch] = self._world.tick()
            self.leases = now

    def _look_at_instances(self, process: Process, op: str, epoch: int | None, again: set[int]) -> None:
        world, found = self._world, {}
        for (
            row,
            workflow,
            instance,
            status,
            driver,
            due_at,
            output,
            error,
            deaths,
        ) in self._connection.execute(_INSTANCES):
            values = (status, driver, due_at, output, error, deaths)
            found[row] = values
            if self._seen.get(row) == values:
                continue
            record = self.present.get(row)
            if record is None:
                record = self.present[row] = Record(row, workflow, instance, world.tick())
                self.records.append(record)
            record.deaths = deaths
            if self._seen.get(row, ())[:-1] == values[:-1]:
                continue
            record.states.append(
                State(
                    world.tick(),
                    world.clock.now(),
                    self.commits,
                    process.name,
                    op,
                    epoch,
                    status,
                    driver,
                    due_at,
                    row in again,
                )
            )
            record.output, record.error = output, error
        for row in self._seen.keys() - found.keys():
            self.present.pop(row).deleted = world.tick()
            self._forget_deleted()
        self._seen = found

    def _forget_deleted(self) -> None:
        (self._last_seq,) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM history").fetchone()

    def _look_at_history(
        self, process: Process, epoch: int | None, new: list[tuple[Any, ...]], again: set[int]
    ) -> None:
        world = self._world
        for row in again & self.present.keys():
            self._restart(self.present[row])
        for seq, row, kind, at, step, attempt, name, data in new:
            self._last_seq = seq
            record = self.present.get(row)
            if record is None:
                world.report(
                    "well-formed", f"row {row}", f"{kind} was written for an instance that is not there"
                )
                continue
            record.lines.append(
                Line(
                    world.tick(),
                    world.clock.now(),
                    world.now,
                    self.commits,
                    process.name,
                    epoch,
                    row,
                    record.life,
                    seq,
                    kind,
                    at,
                    step,
                    attempt,
                    name,
                    data,
                )
            )

    def _restart(self, record: Record) -> None:
        lines = self._connection.execute(
            "SELECT seq FROM history WHERE instance = ? AND seq <= ?", (record.row, self._last_seq)
        )
        record.life += 1
        record.restarts.append((self._world.tick(), {seq for (seq,) in lines}))

    def _look_at_events(self) -> None:
        world = self._world
        for number, row, kind, payload in self._connection.execute(_EVENTS, (self._last_event,)):
            self._last_event = number
            record = self.present[row]
            self.events.append(
                Sent(world.tick(), world.clock.now(), world.now, number, record, record.life, kind, payload)
            )
