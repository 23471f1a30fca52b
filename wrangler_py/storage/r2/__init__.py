"""A bucket on disk: an index in SQLite, and the bytes of each object in a file of its own."""

from __future__ import annotations

from wrangler_py.storage.r2.blobs import NewBlob, OpenBlob
from wrangler_py.storage.r2.index import Walk
from wrangler_py.storage.r2.records import Part, StoredObject, Upload
from wrangler_py.storage.r2.store import BucketStore

__all__ = ["BucketStore", "NewBlob", "OpenBlob", "Part", "StoredObject", "Upload", "Walk"]
