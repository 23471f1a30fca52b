"""`ReadableStream`: bytes that are read once, as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any

from wrangler_py.sdk.pyodide.ffi import JsBuffer, JsObject

Source = bytes | AsyncIterator[bytes]


class ReadableStream:
    """The bytes of a body. Reading it, by iteration, reader or as a whole, uses it up."""

    def __init__(self, source: bytes | AsyncIterable[bytes]) -> None:
        self._source: Source = source if isinstance(source, bytes) else _Checked(source)
        self.used = False
        self.locked = False

    @staticmethod
    def from_(chunks: AsyncIterable[bytes] | Iterable[bytes]) -> ReadableStream:
        """Return a stream of the chunks of an iterable, asynchronous or not (JavaScript: ``from``)."""
        return ReadableStream(chunks if isinstance(chunks, AsyncIterable) else _iterate(chunks))

    def take(self) -> Source:
        """Use the stream up: return all of its bytes if they are here already, else an iterator.

        Raises:
            OSError: it was used before.
        """
        self.require_unused()
        return self.begin()

    def begin(self) -> Source:
        """Use the stream up on behalf of whoever has locked it."""
        self.used = True
        return self._source

    async def collect(self) -> bytes:
        """Use the stream up and return all of its bytes."""
        source = self.take()
        return source if isinstance(source, bytes) else b"".join([chunk async for chunk in source])

    def require_unused(self) -> None:
        """Raise ``OSError: Body already used`` if it was."""
        if self.used or self.locked:
            raise OSError("Body already used")

    def tee(self) -> tuple[ReadableStream, ReadableStream]:
        """Use the stream up; return two streams of the same bytes, each to be read at its own pace."""
        source = self.take()
        if isinstance(source, bytes):
            return ReadableStream(source), ReadableStream(source)
        shared = _Tee(source)
        return ReadableStream(shared.branch(0)), ReadableStream(shared.branch(1))

    def getReader(self) -> StreamReader:
        """Lock the stream and return a reader of its chunks."""
        self.require_unused()
        self.locked = True
        return StreamReader(self)

    async def cancel(self, reason: Any = None) -> None:
        """Drop what is left."""
        _ = reason
        self.used = True
        if not isinstance(self._source, bytes):
            await close(self._source)

    async def __aiter__(self) -> AsyncIterator[JsBuffer]:
        source = chunks_of(self.take())
        try:
            async for chunk in source:
                yield JsBuffer(chunk)
        finally:
            await close(source)


class RepeatableStream(ReadableStream):
    """A stream whose bytes are kept somewhere: every reading begins anew."""

    def __init__(self, reading: Callable[[], AsyncIterator[bytes]]) -> None:
        self._reading = reading
        super().__init__(b"")

    def begin(self) -> Source:
        """Return an iterator of its own over all bytes."""
        return self._reading()


class StreamReader:
    """Reads a stream chunk by chunk: ``await reader.read()`` has ``done`` and ``value``."""

    def __init__(self, stream: ReadableStream) -> None:
        self._stream = stream
        self._chunks: AsyncIterator[bytes] | None = None

    async def read(self) -> JsObject:
        """Return ``{done, value}``; ``value`` is None at the end."""
        if self._chunks is None:
            self._chunks = chunks_of(self._stream.begin())
        chunk = await anext(self._chunks, None)
        return JsObject(done=chunk is None, value=None if chunk is None else JsBuffer(chunk))

    def releaseLock(self) -> None:
        """Unlock the stream."""
        self._stream.locked = False

    async def cancel(self, reason: Any = None) -> None:
        """Drop what is left of the stream."""
        await self._stream.cancel(reason)


class _Tee:
    """Reads one iterator for two readers; what the slower one has not read yet is held in memory."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._queues: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self._reading = asyncio.Lock()
        self._ended = False
        self._error: Exception | None = None

    async def branch(self, number: int) -> AsyncIterator[bytes]:
        queue = self._queues[number]
        while True:
            async with self._reading:
                # The other branch may have read for this one while it waited for its turn.
                if not queue and not self._ended:
                    await self._pull()
            if not queue:
                break
            yield queue.popleft()
        if self._error is not None:
            raise self._error

    async def _pull(self) -> None:
        try:
            chunk = await anext(self._source)
        except StopAsyncIteration:
            self._ended = True
        except Exception as error:  # noqa: BLE001 - both readers get it
            self._ended, self._error = True, error
        else:
            for queue in self._queues:
                queue.append(chunk)


async def chunks_of(source: Source) -> AsyncIterator[bytes]:
    """Return an iterator over ``source`` whichever form it has."""
    if isinstance(source, bytes):
        if source:
            yield source
        return
    try:
        async for chunk in source:
            yield chunk
    finally:
        await close(source)


async def close(source: AsyncIterator[bytes]) -> None:
    """Close an iterator that has something to close."""
    aclose = getattr(source, "aclose", None)
    if aclose is not None:
        await aclose()


class _Checked:
    """Chunks that are surely bytes; closing it closes what it reads, even before the first chunk."""

    def __init__(self, source: AsyncIterable[Any]) -> None:
        self._chunks = aiter(source)

    def __aiter__(self) -> _Checked:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise TypeError(f"a body stream yields bytes, not {type(chunk).__name__}")
        return bytes(chunk)

    async def aclose(self) -> None:
        await close(self._chunks)


async def _iterate(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
