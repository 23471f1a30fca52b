"""Threads for what takes long: bytes to and from disk, hashes, commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
#: Of a bucket, made as they are needed. The loop's own threads would not do: user code may hold all of them, waiting.
_THREADS = 4


class Threads:
    """The threads of one bucket."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"r2-{name}")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function on a thread.

        When cancelled, wait until it is done all the same: the caller is about to close files that it works on.
        """
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, partial(function, *args, **kwargs))
        try:
            return await asyncio.shield(work)
        finally:
            while not work.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([work])

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
