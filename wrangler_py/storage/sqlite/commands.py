"""Commands on one instance as SQL, each inside a transaction of `SqliteStore`."""

from __future__ import annotations

from typing import Any

from wrangler_py.engine.model import HistoryType, InstanceRow
from wrangler_py.engine.store import Change, Deleting, Restarting, Resting, Seen
from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries

_Q = load_queries("wrangler_py.storage.sqlite")


def identity(instance: InstanceRow) -> dict[str, Any]:
    """Return what tells an instance from a later one with the same row, as parameters."""
    return {"row": instance.row, "workflow": instance.workflow, "id": instance.id}


def carry_out(database: Database, seen: Seen, change: Change, now: int) -> bool:
    """Change an instance that is still as it was ``seen``; return False, and change nothing, if it is not."""
    instance = seen.instance
    condition = {**identity(instance), "status": instance.status, "epoch": instance.epoch, "seq": seen.seq}
    if not database.execute(_Q["unchanged"], condition).fetchone():
        return False
    match change:
        case Resting():
            _rest(database, instance.row, change, now)
        case Restarting():
            _restart(database, instance.row, change, now)
        case Deleting():
            delete_instance(database, instance.row)
    return True


def _rest(database: Database, row: int, change: Resting, now: int) -> None:
    values = {"row": row, "status": change.status, "now": now, "due_at": change.due_at}
    database.execute(_Q["rest"], values)
    database.execute(_Q["insert_history"], (row, change.event, now, 0, 0, None, change.data))
    if change.status.is_final:
        database.execute(_Q["drop_events"], (row,))


def _restart(database: Database, row: int, change: Restarting, now: int) -> None:
    seq = database.execute(_Q["last_seq"], (row,)).fetchone()[0] or 0
    if change.from_step is None:
        _forget(database, row)
    else:
        for query in ("forget_steps", "forget_chunks_from"):
            database.execute(_Q[query], {"row": row, "from_step": change.from_step})
    # Numbers of history only grow within an instance, or a subscriber's cursor would skip what is new.
    newest = database.execute("SELECT max(seq) FROM history").fetchone()[0] or 0
    numbered = (row, HistoryType.WORKFLOW_QUEUED, now, max(seq, newest) + 1)
    database.execute(_Q["insert_numbered_history"], numbered)
    database.execute(_Q["queue_again"], {"row": row, "now": now, "version": change.version})


def delete_instance(database: Database, row: int) -> None:
    """Remove an instance and all it stored."""
    _forget(database, row)
    database.execute(_Q["delete_instance"], (row,))


def _forget(database: Database, row: int) -> None:
    for query in ("forget_history", "forget_chunks", "forget_events"):
        database.execute(_Q[query], (row,))
