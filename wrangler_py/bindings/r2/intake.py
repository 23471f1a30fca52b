"""How bytes become a blob: written and hashed on two threads, a megabyte at a time, while the next ones arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, closing
from typing import TYPE_CHECKING, TypeVar

from wrangler_py.bindings.r2.digests import Digests
from wrangler_py.bindings.r2.refusals import TOO_LARGE, explained
from wrangler_py.bindings.r2.values import Batch, Source, batches

if TYPE_CHECKING:
    from wrangler_py.bindings.r2.threads import Threads
    from wrangler_py.clock import Clock
    from wrangler_py.storage.r2 import BucketStore, NewBlob

T = TypeVar("T")
#: Puts a whole blob into the index; is given the time as well.
Commit = Callable[["NewBlob", int], T]
#: Below, one trip to a thread costs more than two threads save.
_SMALL = 1 << 20
#: R2 docs, "Limits": what one put or one part may have.
LARGEST = (5 << 30) - (5 << 20)


class Intake:
    """Takes the bytes of objects and parts into one bucket."""

    def __init__(self, store: BucketStore, threads: Threads, clock: Clock) -> None:
        self._store, self._threads, self._clock = store, threads, clock

    async def take(self, method: str, source: Source, digests: Digests, commit: Commit[T]) -> T:
        """Write the bytes of ``source`` and let ``commit``, on a thread, put the whole blob into the index.

        Raises:
            R2Error: it is too large, or the disk is full. Errors of the source pass. Nothing is left of it then.
        """
        if isinstance(source, memoryview) and len(source) <= _SMALL:
            with explained(method):
                return await self._threads.run(self._take_small, source, digests, commit, self._clock.now())
        async with self.blob(method) as blob:
            await self._fill(method, blob, digests, source)
            with explained(method):
                return await self._threads.run(commit, blob, self._clock.now())

    def _take_small(self, data: memoryview, digests: Digests, commit: Commit[T], now: int) -> T:
        with closing(self._store.new_blob()) as blob:
            blob.open()
            blob.write(data)
            digests.update(data)
            return commit(blob, now)

    @asynccontextmanager
    async def blob(self, method: str) -> AsyncIterator[NewBlob]:
        """Hold a new blob; it is removed unless it was committed."""
        blob = self._store.new_blob()
        try:
            with explained(method):
                await self._threads.run(blob.open)
            yield blob
        finally:
            with explained(method):
                await self._threads.run(blob.close)

    async def _fill(self, method: str, blob: NewBlob, digests: Digests, source: Source) -> None:
        writing = asyncio.ensure_future(asyncio.sleep(0))
        try:
            async with aclosing(batches(source)) as arriving:
                async for batch in arriving:
                    await writing
                    writing = asyncio.ensure_future(self._write(method, blob, digests, batch))
            await writing
        finally:
            # Whatever ended it, the file is closed only after the last write.
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, method: str, blob: NewBlob, digests: Digests, batch: Batch) -> None:
        with explained(method):
            writing = self._threads.run(blob.write, batch)
            if digests.is_wanted:
                await asyncio.gather(writing, self._threads.run(digests.update, batch))
            else:
                await writing
        if blob.size > LARGEST:
            raise TOO_LARGE.of(method)
