"""One KV namespace in one SQLite file.

A statement takes microseconds and runs where it is called, on the event loop's own thread; a lock of another process is
waited for between the turns of the loop (`storage.waiting`). What may take longer, large
values and lists, has a thread and a connection of its own: `aside`. Not one of the loop's shared threads, because all
of those may be waiting for us: in `def` handlers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from wrangler_py.errors import StoreBusyError
from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries
from wrangler_py.storage.waiting import waits_for_lock

T = TypeVar("T")
P = ParamSpec("P")
_PACKAGE = "wrangler_py.storage.kv"
_Q = load_queries(_PACKAGE)
#: Bytes of a value above which reading and writing it is work for `KvStore.aside`.
LARGE = 1 << 20
#: Longer than any value.
_WHATEVER = 1 << 40
#: Expired entries that one write takes along, and milliseconds until one looks again when there are no more of them.
_SWEPT, _SWEEP_PAUSE = 64, 60_000
#: Above every UTF-8 text.
_END = b"\xff"


class Entry(NamedTuple):
    """The entry of a key; ``value`` None: it is larger than was asked for. ``metadata`` is JSON."""

    value: bytes | None
    metadata: str | None


class ListedKey(NamedTuple):
    """A key of a list; ``expires_at`` in ms since 1970, ``metadata`` is JSON."""

    key: bytes
    expires_at: int | None
    metadata: str | None


@waits_for_lock
class KvStore:
    """Entries by key. The file is opened, or made, when it is first needed.

    Every method raises StateError if the file cannot be used, StoreUnavailableError if not at the moment.
    """

    def __init__(self, path: Path, *, synchronous: str = "NORMAL") -> None:
        self._path, self._synchronous = path, synchronous
        self._sweep_at = 0

    @cached_property
    def _here(self) -> Database:
        return self._open()

    @cached_property
    def _aside(self) -> Database:
        return self._open()

    def _open(self) -> Database:
        return Database.open(self._path, synchronous=self._synchronous, package=_PACKAGE)

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix="kv")

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one of the methods named ``..._aside`` in the thread for what takes long, after what it does now."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    async def get(self, key: bytes, now: int) -> Entry | None:
        """Return the entry that ``key`` has at ``now`` (ms since 1970), its value only if it is not `LARGE`."""
        rows = self._here.read(_Q["get"], (LARGE, key, now))
        return Entry(*rows[0]) if rows else None

    def get_aside(self, key: bytes, now: int) -> Entry | None:
        """Return the entry that ``key`` has at ``now``, with its value."""
        rows = self._aside.read(_Q["get"], (_WHATEVER, key, now))
        return Entry(*rows[0]) if rows else None

    async def put(
        self, key: bytes, value: bytes, expires_at: int | None, metadata: str | None, now: int
    ) -> None:
        """Store an entry; it is on disk when this returns. Now and then entries that have expired go."""
        self._here.write(_Q["put"], (key, expires_at, metadata, value))
        if now >= self._sweep_at:
            self._sweep(now)

    def _sweep(self, now: int) -> None:
        with suppress(StoreBusyError):  # Another process writes: the next entry takes them along.
            more = self._here.write(_Q["sweep"], (now, _SWEPT)) == _SWEPT
            self._sweep_at = now if more else now + _SWEEP_PAUSE

    def put_aside(self, key: bytes, value: bytes, expires_at: int | None, metadata: str | None) -> None:
        """Store an entry with a large value."""
        self._aside.write(_Q["put"], (key, expires_at, metadata, value))

    async def delete(self, key: bytes) -> None:
        """Remove an entry, if it is there."""
        self._here.write(_Q["delete"], (key,))

    def list_aside(self, prefix: bytes, after: bytes | None, limit: int, now: int) -> list[ListedKey]:
        """Return up to ``limit`` keys that begin with ``prefix`` and come after ``after``, in their order."""
        first = prefix if after is None else max(prefix, after + b"\0")
        rows = self._aside.read(_Q["list_keys"], (first, prefix + _END, now, limit))
        return [ListedKey(*row) for row in rows]

    def close(self) -> None:
        """Finish what is done aside, then close the file."""
        opened = vars(self)
        if "_thread" in opened:
            self._thread.shutdown()
        for name in ("_aside", "_here"):
            if name in opened:
                opened.pop(name).close()
