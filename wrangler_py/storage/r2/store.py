"""A bucket's index and blobs, in step: a blob is complete before the index has it, and goes after the index let it go.

Whatever moment a process dies at, a key has its old object or its new one. What is then left over is a file that
nothing refers to; it is swept when the bucket is next opened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from wrangler_py.storage.private import make_folder
from wrangler_py.storage.r2.blobs import Blobs, NewBlob, OpenBlob
from wrangler_py.storage.r2.index import Index
from wrangler_py.storage.r2.records import Part, StoredObject, Upload
from wrangler_py.storage.reading import is_reading_only
from wrangler_py.storage.schema import closed_if_it_fails

_DATABASE = "index.sqlite"
_BLOBS = "blobs"


class BucketStore:
    """One bucket. What writes, and `walk`, may take long and belongs into a thread; other reads take microseconds."""

    def __init__(self, index: Index, blobs: Blobs) -> None:
        self._index, self._blobs = index, blobs
        self.new_blob = blobs.create
        self.find, self.walk = index.find, index.walk
        self.create_upload, self.find_upload, self.parts = index.create_upload, index.find_upload, index.parts
        self.close = index.close

    @classmethod
    def open(cls, folder: Path, new_id: Callable[[], str], *, forget_uploads_before: int) -> BucketStore:
        """Open or make the bucket in ``folder``, and remove what crashes and forgotten uploads left in it.

        Raises:
            StateError: the folder or its database cannot be used.
        """
        index = Index(folder / _DATABASE)
        with closed_if_it_fails(index):
            found = cls(index, Blobs(folder / _BLOBS, new_id))
            if not is_reading_only():
                make_folder(folder / _BLOBS)
                index.forget_uploads(forget_uploads_before)
                found._sweep()
        return found

    def _sweep(self) -> None:
        # The files first: one that comes into being after that is none of ours.
        for name in set(self._blobs.names()) - self._index.blobs():
            self._blobs.remove_leftover(name, self._index.has_blob)

    def open_object(self, key: str) -> tuple[StoredObject, OpenBlob] | None:
        """Return an object with its bytes, which stay readable whatever becomes of the key.

        Raises:
            FileNotFoundError: the index has a blob that is not there.
        """
        missing = None
        while stored := self._index.find(key):
            try:
                return stored, self._blobs.open(stored.blob)
            except FileNotFoundError:
                # Another process replaced it between the two reads. Missing twice, it was lost.
                if stored.blob == missing:
                    raise
                missing = stored.blob
        return None

    def open_blob(self, name: str) -> OpenBlob:
        """Open a blob; raise FileNotFoundError if it was removed."""
        return self._blobs.open(name)

    def put(self, new: StoredObject, blob: NewBlob, allows: Callable[[StoredObject | None], bool]) -> bool:
        """Store an object whose bytes are in ``blob``, if the one that is there now ``allows`` it."""
        blob.finish()
        return self._settle(blob, self._index.put(new, allows))

    def put_part(self, new: Part, blob: NewBlob) -> bool:
        """Store a part whose bytes are in ``blob``; False: its upload has ended."""
        blob.finish()
        return self._settle(blob, self._index.put_part(new))

    def complete(self, upload: Upload, new: StoredObject, blob: NewBlob) -> bool:
        """End an upload by its object, whose bytes are in ``blob``; False: it has ended before."""
        blob.finish()
        return self._settle(blob, self._index.complete(upload.id, new))

    def _settle(self, blob: NewBlob, released: list[str] | None) -> bool:
        if released is None:
            return False
        blob.keep()
        self._blobs.remove(released)
        return True

    def abort(self, upload: Upload) -> None:
        """End an upload and remove its parts."""
        self._blobs.remove(self._index.abort(upload.id))

    def delete(self, keys: Collection[str]) -> None:
        """Remove objects, all at once."""
        self._blobs.remove(self._index.delete(keys))
