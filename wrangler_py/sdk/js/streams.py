"""``ReadableStream.new`` and ``TransformStream.new``: streams that user code fills."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from typing import TYPE_CHECKING, Any

from wrangler_py.sdk.js.timers import Promise
from wrangler_py.sdk.web import streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

_Result = bytes | BaseException | None


class ReadableStream(streams.ReadableStream):
    """``ReadableStream``."""

    @classmethod
    def new(
        cls, source: Mapping[str, Callable[..., Any]] | None = None, **more: Callable[..., Any]
    ) -> ReadableStream:
        """Return a stream filled by ``start(controller)`` and ``pull(controller)``; ``cancel()`` ends it."""
        return cls(_Pulled({**(source or {}), **more}))


class StreamController:
    """What ``start`` and ``pull`` fill a stream with."""

    def __init__(self) -> None:
        self.ready: deque[_Result] = deque()
        self.changed = asyncio.Event()

    def enqueue(self, chunk: bytes) -> None:
        """Add a chunk."""
        self._add(chunk)

    def close(self) -> None:
        """End the stream after what was added."""
        self._add(None)

    def error(self, reason: object = "the stream failed") -> None:
        """Fail whoever reads the stream."""
        self._add(reason if isinstance(reason, BaseException) else OSError(str(reason)))

    def _add(self, result: _Result) -> None:
        self.ready.append(result)
        self.changed.set()


class _Pulled:
    """The chunks of a stream; more are asked for when there are none left."""

    def __init__(self, source: Mapping[str, Callable[..., Any]]) -> None:
        self._source = source
        self._controller = StreamController()
        self._ended = False
        started = source["start"](self._controller) if "start" in source else None
        # Its result is awaited before the first pull.
        self._starting = Promise.resolve(started) if inspect.isawaitable(started) else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        result = None if self._ended else await self._next()
        if isinstance(result, bytes):
            return result
        self._ended = True
        raise result or StopAsyncIteration

    async def aclose(self) -> None:
        if not self._ended:
            self._ended = True
            await _call(self._source.get("cancel"), None)

    async def _next(self) -> _Result:
        controller = self._controller
        if not controller.ready and self._starting is not None and "pull" in self._source:
            await self._starting
        if not controller.ready:
            controller.changed.clear()
            await _call(self._source.get("pull"), controller)
            await controller.changed.wait()
        return controller.ready.popleft()


async def _call(callback: Callable[..., Any] | None, argument: Any) -> None:
    result = None if callback is None else callback(argument)
    if inspect.isawaitable(result):
        await result


class TransformStream:
    """A pipe: what is written to ``writable`` is read from ``readable``."""

    def __init__(self) -> None:
        pipe = _Pipe()
        self.readable = streams.ReadableStream(pipe)
        self.writable = WritableStream(pipe)

    @classmethod
    def new(cls) -> TransformStream:
        """Construct."""
        return cls()


class WritableStream:
    """The end of a pipe that is written to."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    def getWriter(self) -> StreamWriter:
        """Return what to write with."""
        return StreamWriter(self._pipe)


class StreamWriter:
    """Writes to a pipe; each ``write`` waits until there is room.

    Raises:
        BrokenPipeError: the reader has gone.
    """

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    async def write(self, chunk: bytes) -> None:
        """Send a chunk."""
        await self._pipe.put(bytes(chunk))

    async def close(self) -> None:
        """End the stream."""
        await self._pipe.put(None)

    async def abort(self, reason: object = "the stream was aborted") -> None:
        """Fail whoever reads the stream."""
        await self._pipe.put(reason if isinstance(reason, BaseException) else OSError(str(reason)))

    def releaseLock(self) -> None:
        """Do nothing: a pipe has one writer at a time here too, but it is not enforced."""


class _Pipe:
    def __init__(self) -> None:
        self._queue: asyncio.Queue[_Result] = asyncio.Queue(1)
        self._closed = False

    async def put(self, result: _Result) -> None:
        if self._closed:
            raise BrokenPipeError("the reader of the stream has gone")
        await self._queue.put(result)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        result = None if self._closed else await self._queue.get()
        if isinstance(result, bytes):
            return result
        self._closed = True
        raise result or StopAsyncIteration

    async def aclose(self) -> None:
        self._closed = True
        while not self._queue.empty():
            self._queue.get_nowait()  # a writer that waits for room goes on
