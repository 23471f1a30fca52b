"""Writes of one key, one after the other in the order of the calls: the threads would do them in any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager


class Turns:
    """Gives each write its turn. A call takes its place for all its keys at once, so no two wait for each other."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def of(self, keys: Sequence[str]) -> AsyncIterator[None]:
        """Wait until every earlier write of the keys has ended; later ones wait until the block has."""
        mine = asyncio.get_running_loop().create_future()
        earlier = {self._last[key] for key in keys if key in self._last}
        self._last.update(dict.fromkeys(keys, mine))
        try:
            if earlier:
                await asyncio.wait(earlier)
            yield
        finally:
            mine.set_result(None)
            for key in keys:
                if self._last.get(key) is mine:
                    del self._last[key]
