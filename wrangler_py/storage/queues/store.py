"""Reading and writing messages. But for counting, all statements take microseconds, and run where they are called.

A message is free, or held by one process that delivers it. Every change of a held one is conditional on its holder: who
was taken for dead cannot change what others hold by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from wrangler_py.errors import StoreUnavailableError
from wrangler_py.storage.database import Database
from wrangler_py.storage.queues.holder import Holder, holder_file, is_alive, sweep
from wrangler_py.storage.sql import load_queries

PACKAGE = "wrangler_py.storage.queues"
_Q = load_queries(PACKAGE)
#: Messages that one transaction removes: some milliseconds.
_CHUNK = 500


class NewMessage(NamedTuple):
    """A message as it is sent. Instants in ms since 1970."""

    queue: str
    id: str
    sent_at: int
    expires_at: int
    due_at: int
    content_type: str
    body: bytes


class HeldMessage(NamedTuple):
    """A message that is held for its delivery number ``attempts``, from 1."""

    number: int
    id: str
    sent_at: int
    attempts: int
    content_type: str
    body: bytes


class Move(NamedTuple):
    """A message goes to another queue, where it is new."""

    queue: str
    due_at: int
    expires_at: int
    number: int


class Settlement(NamedTuple):
    """What becomes of messages that ``holder`` held, by number.

    ``removed``: gone. ``retried``: (due_at, number). ``returned``: as if they had not been taken.
    """

    holder: int
    removed: Sequence[int] = ()
    retried: Sequence[tuple[int, int]] = ()
    moved: Sequence[Move] = ()
    returned: Sequence[int] = ()


class Backlog(NamedTuple):
    """The contents of a queue: ``delayed`` are not due yet, ``held`` are being delivered; ``bytes`` counts bodies."""

    messages: int
    bytes: int
    oldest_at: int | None
    delayed: int
    held: int


class QueueStore:
    """One database; several processes may use it at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._execute, self._execute_many = database.execute, database.execute_many
        self._transaction = database.transaction

    @classmethod
    def open(cls, path: Path, *, synchronous: str = "NORMAL") -> QueueStore:
        """Open or make the database at ``path``; raise StateError if it cannot be used."""
        return cls(Database.open(path, synchronous=synchronous, package=PACKAGE))

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def changed_elsewhere(self) -> bool:
        """Return True if another process has written since the last call; raise StoreUnavailableError."""
        return self._database.changed_elsewhere()

    # writing

    def apply(self, sent: Sequence[NewMessage], settled: Sequence[Settlement]) -> None:
        """Store messages and settle others, in one transaction; raise StoreUnavailableError if nothing was done."""
        with self._transaction():
            for one in settled:
                self._settle(one)
            if sent:
                self._insert(sent)

    def _insert(self, sent: Sequence[NewMessage]) -> None:
        last = self._execute(_Q["last_number"]).fetchone()
        numbered = list(enumerate(sent, (last[0] if last else 0) + 1))
        self._execute_many(
            _Q["insert_message"], [(number, *new[:6], len(new.body)) for number, new in numbered]
        )
        self._execute_many(_Q["insert_body"], [(number, new.body) for number, new in numbered])

    def _settle(self, settled: Settlement) -> None:
        holder = settled.holder
        if settled.removed:
            self._remove(settled.removed, holder)
        if settled.retried:
            self._execute_many(_Q["retry"], [(*one, holder) for one in settled.retried])
        if settled.moved:
            self._execute_many(_Q["move"], [(*one, holder) for one in settled.moved])
        if settled.returned:
            self._execute_many(_Q["give_back"], [(number, holder) for number in settled.returned])

    def _remove(self, numbers: Sequence[int], holder: int | None) -> int:
        removed = self._execute_many(_Q["remove_message"], [(number, holder) for number in numbers]).rowcount
        self._execute_many(_Q["remove_body"], [(number,) for number in numbers])
        return removed

    # delivering

    def due_times(self, queue: str, limit: int) -> list[int]:
        """Return when the next ``limit`` free messages of a queue are due, earliest first."""
        return [at for (at,) in self._database.read(_Q["due_times"], (queue, limit))]

    def take(self, queue: str, now: int, limit: int, holder: int) -> list[HeldMessage]:
        """Hold up to ``limit`` messages that are due, and count the attempt: who dies over them has had it."""
        with self._transaction():
            rows = self._execute(_Q["due_messages"], (queue, now, limit)).fetchall()
            self._execute_many(_Q["hold"], [(holder, row[0]) for row in rows])
        return [HeldMessage(*row) for row in rows]

    # holders

    def new_holder(self) -> Holder:
        """Return the right to hold messages, and remove the files of dead holders; raise StoreUnavailableError."""
        # The transaction keeps others from looking at the file before it is locked.
        with self._transaction():
            sweep(self._database.path)
            self._execute(_Q["count_holder"])
            number = self._execute(_Q["last_holder"]).fetchone()[0]
            try:
                return Holder(number, holder_file(self._database.path, number))
            except OSError as error:
                raise StoreUnavailableError(f"{error.filename} cannot be used: {error.strerror}") from error

    def free_dead(self, own: int) -> bool:
        """Free what dead processes held; say whether there was any."""
        if not self._database.read(_Q["other_holders"], (own,)):
            return False
        with self._transaction():
            others = self._execute(_Q["other_holders"], (own,)).fetchall()
            dead = [number for (number,) in others if not is_alive(holder_file(self._database.path, number))]
            self._execute_many(_Q["free_held"], [(number,) for number in dead])
        return bool(dead)

    # upkeep

    def expire(self, now: int) -> int:
        """Remove some of the free messages whose time is over; return how many."""
        return self._remove_some("expired_numbers", now)

    def purge(self, queue: str) -> int:
        """Remove all free messages of a queue; return how many."""
        purged = 0
        while removed := self._remove_some("unheld_numbers", queue):
            purged += removed
        return purged

    def _remove_some(self, query: str, parameter: Any) -> int:
        numbers = [number for (number,) in self._database.read(_Q[query], (parameter, _CHUNK))]
        if not numbers:
            return 0
        with self._transaction():
            return self._remove(numbers, None)

    def backlog(self, queue: str, now: int) -> Backlog:
        """Count what a queue holds, on a connection of its own: for a long queue, do it in a thread."""
        with closing(self._database.another()) as beside:
            return Backlog(*beside.read(_Q["backlog"], {"queue": queue, "now": now})[0])

    def queue_names(self) -> list[str]:
        """Return the queues that hold messages."""
        return [name for (name,) in self._database.read(_Q["queue_names"])]
