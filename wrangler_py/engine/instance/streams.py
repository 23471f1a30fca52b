"""A step that returns a stream of bytes: stored in chunks, read again from there (engine-semantics, section 2).

The checkpoint of such a step is the size of its stream. An attempt that fails drops the chunks it stored; those of
an attempt that a crash ended, the next stream of the step drops before it stores any. Memory holds one chunk.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from wrangler_py.engine.entries import Checkpoint, encode_checkpoint, read_checkpoint
from wrangler_py.engine.instance.context import InstanceContext
from wrangler_py.engine.instance.place import current_step
from wrangler_py.errors import StoreError
from wrangler_py.serde import NotSerialisableError, decode

#: Size of a chunk in bytes; the last one of a stream may be smaller.
CHUNK_BYTES = 256 * 1024


class StepStream(NamedTuple):
    """The stream that a step stored: its size in bytes, and its chunks in order."""

    size: int
    chunks: AsyncGenerator[bytes, None]


class NotBytesError(NotSerialisableError):
    """A stream gave something other than bytes."""

    def __init__(self, value: object) -> None:
        super().__init__(value, "", "a stream that a step returns yields bytes")


def restore(context: InstanceContext, data: bytes) -> Any:
    """Return the result `run()` sees: the value that is stored, or a stream that reads the chunks.

    The stream may be read more than once, each time from its beginning; under strict mode once, as on Cloudflare.
    """
    checkpoint = read_checkpoint(data)
    if checkpoint is None:
        return decode(data)
    from wrangler_py.sdk.web.streams import ReadableStream, RepeatableStream

    def chunk(row: int, step: int, number: int) -> Awaitable[bytes | None]:
        answer = context.answered(lambda: context.shared.store.chunk(row, step, number))
        return answer if current_step.get() is not None else context.order.read(answer)

    def reading() -> AsyncIterator[bytes]:
        return read_chunks(chunk, context.row, checkpoint)

    return ReadableStream(reading()) if context.shared.strict else RepeatableStream(reading)


async def read_chunks(
    read: Callable[[int, int, int], Awaitable[bytes | None]], row: int, checkpoint: Checkpoint
) -> AsyncGenerator[bytes, None]:
    """Give the stored chunks in order, as ``read`` (`Store.chunk`) returns them; raise StoreError if they are gone."""
    left, number = checkpoint.size, 0
    while left > 0:
        chunk = await read(row, checkpoint.step, number)
        if chunk is None:
            raise StoreError("The stream this step stored is gone: its instance was restarted or deleted")
        yield chunk
        left, number = left - len(chunk), number + 1


async def record(context: InstanceContext, step: int, source: AsyncIterable[Any]) -> bytes:
    """Read ``source`` to its end and store its chunks; return the step's checkpoint.

    Raises:
        NotBytesError: it gave something else.
        Abort: the instance has more than its plan allows.
    """
    recorder = _Recorder(context, step)
    chunks = aiter(source)
    try:
        async for piece in chunks:
            await recorder.add(piece)
        return recorder.end()
    except BaseException:
        recorder.drop()
        raise
    finally:
        if (close := getattr(chunks, "aclose", None)) is not None:
            await close()


class _Recorder:
    """Cuts what comes into chunks, and lets no more come before they are on disk."""

    def __init__(self, context: InstanceContext, step: int) -> None:
        self._context, self._step = context, step
        self._buffer = bytearray()
        self._number = self._size = 0
        context.store_chunk(step, 0, None)

    async def add(self, piece: object) -> None:
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise NotBytesError(piece)
        view = memoryview(piece).cast("B")
        while view.nbytes:
            room = CHUNK_BYTES - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            if len(self._buffer) == CHUNK_BYTES:
                self._write()
                await self._context.durable()
                self._context.check_going()

    def end(self) -> bytes:
        if self._buffer:
            self._write()
        return encode_checkpoint(Checkpoint(self._step, self._size))

    def _write(self) -> None:
        self._size += len(self._buffer)
        self._context.store_chunk(self._step, self._number, bytes(self._buffer))
        self._context.count_bytes(len(self._buffer))
        self._number += 1
        self._buffer.clear()

    def drop(self) -> None:
        self._context.replay.stored_bytes -= self._size
        self._context.store_chunk(self._step, 0, None)
