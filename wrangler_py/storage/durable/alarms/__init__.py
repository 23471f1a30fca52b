"""Whose alarm is next: one SQLite file a script, so that sleeping alarms cost rows and no memory."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries

_PACKAGE = "wrangler_py.storage.durable.alarms"
_Q = load_queries(_PACKAGE)


class Hint(NamedTuple):
    """When to look at an object for its alarm, in milliseconds since 1970. ``name``: what the id was made from."""

    class_name: str
    id: str
    name: str | None
    at: int


class AlarmIndex:
    """Hints of when objects have alarms. Each call is a transaction of its own, microseconds long.

    Every call raises StateError if the file cannot be used, StoreUnavailableError if not at the moment.

    A hint may be early, or of an alarm that is not there; it is never late and never missing. So it is written
    before the alarm is, and taken away after the alarm was.
    """

    def __init__(self, path: Path, *, synchronous: str = "NORMAL") -> None:
        self.path, self._synchronous = path, synchronous

    @cached_property
    def _file(self) -> Database:
        return Database.open(self.path, synchronous=self._synchronous, package=_PACKAGE)

    def lower(self, hint: Hint) -> None:
        """Make the hint as early as ``hint``, or leave it if it is earlier."""
        found = self._file.value(_Q["hinted"], hint[:2])
        if found is None or hint.at < found:
            self.put(hint)

    def put(self, hint: Hint) -> None:
        """Make the hint what the object's file says."""
        self._file.write(_Q["hint"], hint._asdict())

    def remove(self, class_name: str, object_id: str) -> None:
        """Forget it: the object has no alarm."""
        self._file.write(_Q["remove"], (class_name, object_id))

    def upcoming(self, class_name: str, limit: int) -> list[Hint]:
        """Return the earliest hints of a class, past ones too, in order of time."""
        return [Hint(*row) for row in self._file.read(_Q["upcoming"], (class_name, limit))]

    def close(self) -> None:
        """Let go of the file."""
        if "_file" in self.__dict__:
            self.__dict__.pop("_file").close()
