"""The index of a bucket in SQLite.

Reading one object takes microseconds and runs on the event loop, on a connection of its own that no writer can hold
up. Writes and lists come from threads.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from wrangler_py.storage.database import Database
from wrangler_py.storage.r2.records import Part, StoredObject, Upload
from wrangler_py.storage.schema import closed_if_it_fails, connect
from wrangler_py.storage.sql import load_queries
from wrangler_py.storage.waiting import waiting_here

_PACKAGE = "wrangler_py.storage.r2"
_Q = load_queries(_PACKAGE)
_SYNCHRONOUS = "NORMAL"
_JSON = frozenset({"checksums", "http_metadata", "custom_metadata"})


class Index:
    """Objects, uploads and parts. What names a blob that is not referred to any more is returned, to be removed."""

    def __init__(self, path: Path) -> None:
        self._reader = Database.open(path, synchronous=_SYNCHRONOUS, package=_PACKAGE)
        with closed_if_it_fails(self._reader):
            self._writer = waiting_here(lambda: connect(path, synchronous=_SYNCHRONOUS))
        with closed_if_it_fails(self._reader), closed_if_it_fails(self._writer):
            self._lister = waiting_here(lambda: connect(path, synchronous=_SYNCHRONOUS))
        self._writing, self._listing = threading.Lock(), threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        with self._writing:
            self._writer.close()
        with self._listing:
            self._lister.close()
        self._reader.close()

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        execute = self._writer.execute
        with self._writing:
            waiting_here(lambda: execute("BEGIN IMMEDIATE"))
            try:
                yield execute
                execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    execute("ROLLBACK")
                raise

    # objects

    def find(self, key: str) -> StoredObject | None:
        """Return an object."""
        return _object(self._first("find", {"key": key.encode()}))

    def _first(self, query: str, parameters: dict[str, Any]) -> Sequence[Any] | None:
        return next(iter(self._reader.read(_Q[query], parameters)), None)

    @contextmanager
    def walk(self, start: bytes, end: bytes) -> Iterator[Walk]:
        """Go over the objects whose keys are from ``start`` to before ``end``, in order; from one thread at a time."""
        with self._listing:
            cursor = self._lister.cursor()
            try:
                yield Walk(cursor, start, end)
            finally:
                cursor.close()

    def put(self, new: StoredObject, allows: Callable[[StoredObject | None], bool]) -> list[str] | None:
        """Store an object if the one that is there now ``allows`` it; None: it does not."""
        key = new.key.encode()
        with self._transaction() as execute:
            if not allows(_object(execute(_Q["find"], {"key": key}).fetchone())):
                return None
            replaced = _blobs(execute(_Q["blob_of"], {"key": key}))
            execute(_Q["put"], _row(new))
        return replaced

    def delete(self, keys: Collection[str]) -> list[str]:
        """Remove objects, all at once."""
        removed: list[str] = []
        with self._transaction() as execute:
            for key in keys:
                removed += _blobs(execute(_Q["blob_of"], {"key": key.encode()}))
                execute(_Q["delete"], {"key": key.encode()})
        return removed

    # multipart uploads

    def create_upload(self, new: Upload) -> None:
        """Store a new upload."""
        with self._transaction() as execute:
            execute(_Q["create_upload"], _row(new))

    def find_upload(self, upload_id: str, key: str) -> Upload | None:
        """Return an upload of ``key``, which may have ended."""
        row = self._first("find_upload", {"id": upload_id, "key": key.encode()})
        return None if row is None else _read_upload(row)

    def parts(self, upload_id: str) -> list[Part]:
        """Return the parts of an upload, by number."""
        return [Part(*row) for row in self._reader.read(_Q["parts"], {"upload": upload_id})]

    def put_part(self, new: Part) -> list[str] | None:
        """Store a part in the place of one of the same number; None: its upload has ended."""
        with self._transaction() as execute:
            if not execute(_Q["is_open"], {"id": new.upload}).fetchone()[0]:
                return None
            replaced = _blobs(execute(_Q["part_blobs"], {"upload": new.upload, "number": new.number}))
            execute(_Q["put_part"], _row(new))
        return replaced

    def complete(self, upload_id: str, new: StoredObject) -> list[str] | None:
        """End an upload and store its object; None: it has ended before."""
        with self._transaction() as execute:
            if not execute(_Q["close_upload"], {"id": upload_id}).rowcount:
                return None
            released = _blobs(execute(_Q["blob_of"], {"key": new.key.encode()}))
            execute(_Q["put"], _row(new))
            return released + _drop_parts(execute, upload_id)

    def abort(self, upload_id: str) -> list[str]:
        """End an upload without an object."""
        with self._transaction() as execute:
            # The parts of a completed upload are gone already.
            execute(_Q["close_upload"], {"id": upload_id})
            return _drop_parts(execute, upload_id)

    # blobs

    def forget_uploads(self, before: int) -> None:
        """Remove uploads that were created before an instant."""
        with self._transaction() as execute:
            execute(_Q["drop_old_parts"], {"before": before})
            execute(_Q["drop_old_uploads"], {"before": before})

    def blobs(self) -> set[str]:
        """Return the names of all blobs that are referred to."""
        with self._writing:
            return set(_blobs(self._writer.execute(_Q["blobs"])))

    def has_blob(self, name: str) -> bool:
        """Return True if a blob is referred to now."""
        with self._writing:
            return bool(self._writer.execute(_Q["has_blob"], {"blob": name}).fetchone()[0])


class Walk:
    """The objects of a range of keys, read one by one as they are asked for."""

    def __init__(self, cursor: sqlite3.Cursor, start: bytes, end: bytes) -> None:
        self._cursor, self._end = cursor, end
        self._row: Sequence[Any] = ()
        self.jump(start)

    def jump(self, start: bytes) -> None:
        """Go on at the first key from ``start`` on: a search in the index, whatever stands before it."""
        self._cursor.execute(_Q["walk"], {"start": start, "end": self._end})

    def next_key(self) -> bytes | None:
        """Go to the next object and return its key, None behind the last one."""
        row = self._cursor.fetchone()
        if row is None:
            return None
        self._row = row
        key: bytes = row[0]
        return key

    def found(self) -> StoredObject:
        """Return the object that `next_key` has gone to."""
        return _read_object(self._row)


def _drop_parts(execute: Callable[..., sqlite3.Cursor], upload_id: str) -> list[str]:
    blobs = _blobs(execute(_Q["part_blobs"], {"upload": upload_id, "number": None}))
    execute(_Q["drop_parts"], {"upload": upload_id})
    return blobs


def _blobs(rows: sqlite3.Cursor) -> list[str]:
    return [blob for (blob,) in rows]


def _row(record: StoredObject | Upload | Part) -> dict[str, Any]:
    row = msgspec.structs.asdict(record)
    for name in _JSON & row.keys():
        row[name] = msgspec.json.encode(row[name]).decode()
    if "key" in row:
        row["key"] = row["key"].encode()
    return row


def _object(row: Sequence[Any] | None) -> StoredObject | None:
    return None if row is None else _read_object(row)


def _read_object(row: Sequence[Any]) -> StoredObject:
    key, blob, version, size, etag, uploaded_at, checksums, http, custom, storage_class = row
    read = msgspec.json.decode
    return StoredObject(
        key.decode(), blob, version, size, etag, uploaded_at,
        read(checksums), read(http), read(custom), storage_class,
    )  # fmt: skip


def _read_upload(row: Sequence[Any]) -> Upload:
    upload_id, key, created_at, is_open, http, custom, storage_class = row
    read = msgspec.json.decode
    return Upload(upload_id, key.decode(), created_at, bool(is_open), read(http), read(custom), storage_class)
