"""The part of the store for `engine.retention`, `engine.terminations` and `engine.maintenance`."""

from __future__ import annotations

import msgspec

from wrangler_py.engine.model import Status
from wrangler_py.engine.settings import Settings
from wrangler_py.engine.store import TerminationOrder
from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries
from wrangler_py.storage.sqlite.commands import delete_instance

_Q = load_queries("wrangler_py.storage.sqlite")
_settings = msgspec.json.Decoder(Settings)
#: The file is made smaller until fewer of its pages are free: those are soon used again.
WORTH_PAGES = 256
#: Removing a chunk of a stream takes about as long as removing so many lines of history.
CHUNK_LINES = 16


class Housekeeping:
    """The statements that make room in the database, and those that end many instances at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # retention

    def next_expiry(self) -> int | None:
        """Return when the next ended instance has to go; what was discarded and is still there is due at once."""
        if self._database.value(_Q["discarded_any"]):
            return 0
        due: int | None = self._database.value(_Q["next_expiry"])
        return due

    def discard_expired(self, *, now: int, limit: int) -> bool:
        """Discard up to ``limit`` instances whose time is up; return True if there may be more."""
        if not self._database.read(f"{_Q['next_expiry']} AND expires_at <= ?", (now,))[0][0]:
            return False
        with self._database.transaction():
            cursor = self._database.execute(_Q["discard_expired"], {"now": now, "limit": limit})
        return cursor.rowcount > 0

    def remove_discarded(self, *, limit: int) -> bool:
        """Remove up to ``limit`` lines of what discarded instances stored; return True if there may be more."""
        rows = [row for (row,) in self._database.read(_Q["discarded"], {"limit": limit})]
        if not rows:
            return False
        with self._database.transaction():
            for row in rows:
                most = max(1, limit // CHUNK_LINES)
                chunks = self._database.execute(_Q["remove_chunks"], {"row": row, "limit": most}).rowcount
                if chunks == most:
                    break
                limit -= chunks * CHUNK_LINES
                removed = self._database.execute(_Q["remove_history"], {"row": row, "limit": limit}).rowcount
                limit -= removed + 1
                if limit <= 0:
                    break
                delete_instance(self._database, row)
        return True

    def give_back(self, *, limit: int) -> bool:
        """Give up to ``limit`` free pages of the file back; return True if there may be more worth the effort."""
        if self._database.value("PRAGMA freelist_count") < WORTH_PAGES:
            return False
        before = self._database.value("PRAGMA page_count")
        self._database.read(f"PRAGMA incremental_vacuum({limit:d})")
        return bool(self._database.value("PRAGMA page_count") < before)

    # terminations

    def order_termination(self, workflow: str, status: Status | None, *, now: int) -> bool:
        """Store an order; False if there is one for the workflow already."""
        asked = {"workflow": workflow, "status": status, "now": now}
        with self._database.transaction():
            return self._database.execute(_Q["order_termination"], asked).rowcount == 1

    def take_terminations(self, epoch: int | None) -> list[TerminationOrder]:
        """Take the orders that no living process carries out, and return all that this one has."""
        if not self._database.value("SELECT 1 FROM terminations"):
            return []
        with self._database.transaction():
            self._database.execute(_Q["take_terminations"], {"epoch": epoch})
        return [
            TerminationOrder(workflow, None if status is None else Status(status), up_to)
            for workflow, status, up_to in self._database.read(_Q["terminations_of"], {"epoch": epoch})
        ]

    def to_terminate(self, order: TerminationOrder, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Return ``(row, id)`` of the next instances an order is for, behind the row ``after``."""
        asked = {**msgspec.structs.asdict(order), "after": after, "limit": limit}
        return self._database.read(_Q["to_terminate"], asked)

    def finish_termination(self, order: TerminationOrder, epoch: int | None) -> None:
        """Forget an order that has been carried out; one that another process has taken over stands."""
        with self._database.transaction():
            values = {**msgspec.structs.asdict(order), "epoch": epoch}
            self._database.execute(_Q["finish_termination"], values)

    def is_terminating(self, workflow: str) -> bool:
        """Return True if there is an order for a workflow."""
        return bool(self._database.value(_Q["terminating"], (workflow,)))

    # settings

    def change_settings(self, name: str, settings: Settings, *, now: int) -> None:
        """Store what is set for a workflow, in place of what was."""
        with self._database.transaction():
            values = {"settings": msgspec.json.encode(settings), "name": name, "now": now}
            self._database.execute(_Q["change_settings"], values)


def read_settings(stored: bytes | None) -> Settings:
    """Return what a workflow's column ``settings`` holds."""
    return Settings() if stored is None else _settings.decode(stored)
