"""What may be stored: text, bytes, blobs, and streams of bytes, which are taken as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any

from wrangler_py.bindings.r2.options import absent
from wrangler_py.bindings.r2.refusals import wrong_type
from wrangler_py.sdk.web.blob import Blob
from wrangler_py.sdk.web.streams import ReadableStream, chunks_of

Source = memoryview | AsyncIterator[bytes]
Batch = bytes | memoryview
#: Bytes of a stream that go to disk at a time. An object on its way takes a few such batches in memory.
BATCH = 1 << 20


def source_of(method: str, value: Any) -> Source:
    """Return the bytes of a value, or what gives them. A stream is used up by that.

    Raises:
        R2Error: it is no value, or a stream that was read before.
    """
    if absent(value):
        return memoryview(b"")
    if isinstance(value, ReadableStream):
        return _of_stream(method, value)
    if isinstance(value, str):
        return memoryview(value.encode("utf-8", "replace"))
    if isinstance(value, bytes | bytearray | memoryview):
        return _flat(memoryview(value))
    if isinstance(value, Blob):
        return memoryview(value.content())
    if isinstance(value, AsyncIterable):
        return _of_stream(method, ReadableStream(value))
    hint = "; give its body" if hasattr(value, "body") else ""
    raise wrong_type(
        f"{method}: a value is a ReadableStream, bytes, a str or a Blob, not {type(value).__name__}{hint}"
    )


def _of_stream(method: str, stream: ReadableStream) -> Source:
    try:
        source = stream.take()
    except OSError:
        raise wrong_type(f"{method}: This ReadableStream is disturbed (has already been read from)") from None
    return memoryview(source) if isinstance(source, bytes) else source


def _flat(view: memoryview) -> memoryview:
    return view.cast("B") if view.c_contiguous else memoryview(bytes(view))


async def batches(source: Source) -> AsyncGenerator[Batch, None]:
    """Yield the bytes of a source: of a stream about `BATCH` at a time, what is in memory already at once."""
    if isinstance(source, memoryview):
        yield source
        return
    chunks, size = list[bytes](), 0
    async for chunk in chunks_of(source):
        chunks.append(chunk)
        size += len(chunk)
        if size >= BATCH:
            # One piece, so that a thread waits for its turn among Python's threads once a batch, not once a chunk.
            yield b"".join(chunks)
            chunks, size = [], 0
    yield b"".join(chunks)
