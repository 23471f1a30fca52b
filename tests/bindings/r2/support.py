"""A bucket on disk, under a clock that moves when a test says so."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wrangler_py.bindings.r2.bucket import R2Bucket

START = 1_767_225_600_000


class HandClock:
    """Stands still; ids are counted, differently in every process that has another ``name``."""

    max_wait = 5.0

    def __init__(self, name: str = "0") -> None:
        self.at = START
        self._ids = (f"{name}{number:031x}" for number in itertools.count())

    def now(self) -> int:
        return self.at

    def new_id(self) -> str:
        return next(self._ids)


@contextmanager
def bucket_in(folder: Path, clock: HandClock | None = None):
    bucket = R2Bucket("bucket", folder / "bucket", clock or HandClock())
    try:
        yield bucket
    finally:
        bucket.close()


def with_bucket(folder: Path, body: Callable[..., Awaitable[Any]], clock: HandClock | None = None) -> Any:
    """Run ``body(bucket)``."""

    async def main() -> Any:
        with bucket_in(folder, clock) as bucket:
            return await body(bucket)

    return asyncio.run(main())


def blobs(folder: Path) -> list[str]:
    """Return the names of the files that have the bytes of objects."""
    return sorted(path.name for path in (folder / "bucket" / "blobs").iterdir())


async def chunks(*parts: bytes):
    for part in parts:
        yield part


async def text(bucket: R2Bucket, key: str) -> str | None:
    found = await bucket.get(key)
    return None if found is None else await found.text()
