"""A batch of the group commit as SQL, inside a transaction of `SqliteStore`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wrangler_py.engine.model import HistoryType, Status, Trigger
from wrangler_py.engine.store import Batch, ChunkLine, Creation
from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries
from wrangler_py.storage.sqlite.leases import check_lease, set_deaths

_Q = load_queries("wrangler_py.storage.sqlite")
_INSERT_HISTORY = _Q["insert_history"]
_encode = msgspec.json.Encoder().encode
#: Members of an Enum as exact str: sqlite3 looks in vain for an adapter of any other class, which costs more than the
#: insert of a row.
_TEXTS = {member: member.value for kind in (HistoryType, Status, Trigger) for member in kind}
_QUEUED = HistoryType.WORKFLOW_QUEUED.value


def write_batch(database: Database, batch: Batch, epoch: int | None) -> list[int | None]:
    """Write a batch; return the row of each creation, None for an instance that exists. See `Store.apply`.

    Raises:
        StaleEpochError: the lease is gone.
    """
    if lost := _not_driven(database, batch.rows, epoch):
        batch.lose(lost)
    rows = [_create(database, creation) for creation in batch.creations] if batch.creations else []
    if batch.deaths:
        set_deaths(database, batch.deaths)
    _write_changes(database, batch)
    if batch.chunks:
        _write_chunks(database, batch.chunks)
    if batch.history:
        lines = [
            (row, _TEXTS[kind], at, step, attempt, name, data)
            for row, kind, at, step, attempt, name, data in batch.history
        ]
        database.execute_many(_INSERT_HISTORY, lines)
    return rows


def _not_driven(database: Database, rows: frozenset[int], epoch: int | None) -> frozenset[int]:
    """Return those of ``rows`` that ``epoch`` does not drive; raise StaleEpochError if its lease is gone.

    A lease that ends frees its instances in the same transaction: it stands where all of them are driven.
    """
    if len(rows) > 1:  # One query for all is quicker from the second on.
        asked = {"rows": _encode(list(rows)).decode(), "epoch": epoch}
        lost = [row for (row,) in database.execute(_Q["not_driven"], asked)]
    else:
        lost = [row for row in rows if not database.execute(_Q["drives"], (row, epoch)).fetchone()]
    if lost or (epoch is not None and not rows):
        check_lease(database, epoch)
    return frozenset(lost)


def _create(database: Database, new: Creation) -> int | None:
    values = (
        new.workflow,
        new.id,
        new.params,
        _TEXTS[new.trigger],
        None if new.schedule is None else _encode(new.schedule).decode(),
        new.version,
        new.at,
        new.at,
        new.at,
        new.retention.success_ms,
        new.retention.error_ms,
    )
    cursor = database.execute(_Q["insert_instance"], values)
    if cursor.rowcount != 1:
        return None
    row = cursor.lastrowid
    database.execute(_INSERT_HISTORY, (row, _QUEUED, new.at, 0, 0, None, None))
    database.execute(_Q["touch_workflow"], (new.at, new.workflow))
    return row


def _write_chunks(database: Database, lines: Sequence[ChunkLine]) -> None:
    for row, step, number, data in lines:
        if data is None:
            database.execute(_Q["drop_chunks"], (row, step))
        else:
            database.execute(_Q["insert_chunk"], (row, step, number, data))


def _write_changes(database: Database, batch: Batch) -> None:
    for change in batch.statuses:
        changed = (_TEXTS[change.status], change.due_at, change.at, change.row)
        database.execute(_Q["change_status"], changed)
    for event in batch.consumed:
        database.execute(_Q["consume_event"], (event.number,))
    for event in batch.returned:
        database.execute(_Q["return_event"], msgspec.structs.asdict(event))
    for parking in batch.parkings:
        parked = {**msgspec.structs.asdict(parking), "status": _TEXTS[parking.status]}
        database.execute(_Q["park"], parked)
    for end in batch.endings:
        error = _encode(end.error) if end.error else None
        status = _TEXTS[end.status]
        values = (status, end.output, error, end.at, end.at, end.at, status, end.row)
        database.execute(_Q["finish"], values)
        database.execute(_Q["drop_events"], (end.row,))
