"""A bucket whose files are open: what its methods and its uploads share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrangler_py.bindings.r2.intake import Intake
from wrangler_py.bindings.r2.objects import R2Object

if TYPE_CHECKING:
    from wrangler_py.bindings.r2.threads import Threads
    from wrangler_py.clock import Clock
    from wrangler_py.storage.r2 import BucketStore, StoredObject


class OpenBucket:
    """The store, the threads and the intake of one open bucket."""

    def __init__(self, store: BucketStore, threads: Threads, clock: Clock) -> None:
        self.store, self.threads, self.clock = store, threads, clock
        self.intake = Intake(store, threads, clock)

    def shown(self, stored: StoredObject) -> R2Object:
        """Return an object as user code sees it."""
        return R2Object(stored, self.store.open_blob)

    def new_version(self) -> str:
        """Return a fresh version: 32 hexadecimal digits."""
        return self.clock.new_id().replace("-", "")

    def new_upload_id(self) -> str:
        """Return a fresh id of an upload."""
        return self.new_version() + self.new_version()
