"""Reading and writing messages. But for counting, all statements take microseconds, and run where they are called.

A message is free, or held by one process that delivers it. Every change of a held one is conditional on its holder: who
was taken for dead cannot change what others hold by now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from wrangler_py.errors import StoreUnavailableError
from wrangler_py.storage.queues.holder import Holder, holder_file, is_alive, sweep
from wrangler_py.storage.sql import load_queries
from wrangler_py.storage.sqlite.schema import connect, explain, open_database

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
    """What a queue holds: ``delayed`` are not due yet, ``held`` are being delivered; ``bytes`` counts bodies."""

    messages: int
    bytes: int
    oldest_at: int | None
    delayed: int
    held: int


class QueueStore:
    """One database; several processes may use it at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._execute = connection.execute
        self._data_version = 0

    @classmethod
    def open(cls, path: Path, *, synchronous: str = "NORMAL") -> QueueStore:
        """Open or make the database at ``path``; raise StateError if it cannot be used."""
        return cls(path, open_database(path, synchronous=synchronous, package=PACKAGE))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _read(self, query: str, parameters: Any = ()) -> list[Any]:
        try:
            return self._execute(_Q[query], parameters).fetchall()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: sqlite3.Error) -> StoreUnavailableError:
        meaning = explain(error, self._path)
        return StoreUnavailableError(f"{meaning} ({meaning.hint})")

    def changed_elsewhere(self) -> bool:
        """Say whether another process has written since the last call."""
        try:
            version: int = self._execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        changed, self._data_version = version != self._data_version, version
        return changed

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
        insert = self._connection.executemany
        insert(_Q["insert_message"], [(number, *new[:6], len(new.body)) for number, new in numbered])
        insert(_Q["insert_body"], [(number, new.body) for number, new in numbered])

    def _settle(self, settled: Settlement) -> None:
        holder = settled.holder
        if settled.removed:
            self._remove(settled.removed, holder)
        change = self._connection.executemany
        if settled.retried:
            change(_Q["retry"], [(*one, holder) for one in settled.retried])
        if settled.moved:
            change(_Q["move"], [(*one, holder) for one in settled.moved])
        if settled.returned:
            change(_Q["give_back"], [(number, holder) for number in settled.returned])

    def _remove(self, numbers: Sequence[int], holder: int | None) -> int:
        removed = self._connection.executemany(
            _Q["remove_message"], [(number, holder) for number in numbers]
        ).rowcount
        self._connection.executemany(_Q["remove_body"], [(number,) for number in numbers])
        return removed

    # delivering

    def due_times(self, queue: str, limit: int) -> list[int]:
        """Return when the next ``limit`` free messages of a queue are due, earliest first."""
        return [at for (at,) in self._read("due_times", (queue, limit))]

    def take(self, queue: str, now: int, limit: int, holder: int) -> list[HeldMessage]:
        """Hold up to ``limit`` messages that are due, and count the attempt: who dies over them has had it."""
        with self._transaction():
            rows = self._execute(_Q["due_messages"], (queue, now, limit)).fetchall()
            self._connection.executemany(_Q["hold"], [(holder, row[0]) for row in rows])
        return [HeldMessage(*row) for row in rows]

    # holders

    def new_holder(self) -> Holder:
        """Return the right to hold messages, and remove the files of dead holders; raise StoreUnavailableError."""
        # The transaction keeps others from looking at the file before it is locked.
        with self._transaction():
            sweep(self._path)
            self._execute(_Q["count_holder"])
            number = self._execute(_Q["last_holder"]).fetchone()[0]
            try:
                return Holder(number, holder_file(self._path, number))
            except OSError as error:
                raise StoreUnavailableError(f"{error.filename} cannot be used: {error.strerror}") from error

    def free_dead(self, own: int) -> bool:
        """Free what dead processes held; say whether there was any."""
        if not self._read("other_holders", (own,)):
            return False
        with self._transaction():
            others = self._execute(_Q["other_holders"], (own,)).fetchall()
            dead = [number for (number,) in others if not is_alive(holder_file(self._path, number))]
            self._connection.executemany(_Q["free_held"], [(number,) for number in dead])
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
        numbers = [number for (number,) in self._read(query, (parameter, _CHUNK))]
        if not numbers:
            return 0
        with self._transaction():
            return self._remove(numbers, None)

    def backlog(self, queue: str, now: int) -> Backlog:
        """Count what a queue holds, on a connection of its own: for a long queue, do it in a thread."""
        try:
            with closing(connect(self._path, synchronous="NORMAL")) as connection:
                return Backlog(*connection.execute(_Q["backlog"], {"queue": queue, "now": now}).fetchone())
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def queue_names(self) -> list[str]:
        """Return the queues that hold messages."""
        return [name for (name,) in self._read("queue_names")]
