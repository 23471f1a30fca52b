from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from wrangler_py.sdk.web.streams import ReadableStream


async def chunks(*items: bytes) -> AsyncIterator[bytes]:
    for item in items:
        await asyncio.sleep(0)
        yield item


async def test_a_stream_is_read_once() -> None:
    stream = ReadableStream(chunks(b"a", b"b"))
    assert [chunk async for chunk in stream] == [b"a", b"b"]
    with pytest.raises(OSError, match="^Body already used$"):
        await stream.collect()


async def test_a_chunk_answers_to_the_names_of_a_js_buffer() -> None:
    (chunk,) = [chunk async for chunk in ReadableStream(b"abc")]
    assert type(chunk.to_bytes()) is bytes
    assert (chunk.to_bytes(), chunk.byteLength, bytes(chunk.to_py())) == (b"abc", 3, b"abc")


async def test_a_reader_locks_the_stream_and_says_when_it_is_done() -> None:
    stream = ReadableStream(chunks(b"a"))
    reader = stream.getReader()
    with pytest.raises(OSError, match="already used"):
        stream.getReader()
    assert await reader.read() == {"done": False, "value": b"a"}
    assert (await reader.read()).done is True
    assert (await reader.read()).value is None


async def test_both_halves_of_a_tee_get_everything_at_their_own_pace() -> None:
    left, right = ReadableStream(chunks(b"1", b"2", b"3")).tee()
    assert await left.collect() == b"123"
    assert await right.collect() == b"123"


async def test_both_halves_of_a_tee_can_be_read_at_the_same_time() -> None:
    """Interleaving: one half waits for the source while the other asks for the same chunk; it is read once."""
    left, right = ReadableStream(chunks(*(bytes([number]) for number in range(50)))).tee()
    assert await asyncio.gather(left.collect(), right.collect()) == [bytes(range(50))] * 2


async def test_a_failing_source_fails_both_halves_after_what_it_gave() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"a"
        raise ConnectionResetError("gone")

    for half in ReadableStream(failing()).tee():
        got = []
        with pytest.raises(ConnectionResetError, match="gone"):
            async for chunk in half:
                got.append(chunk)
        assert got == [b"a"]


async def test_a_body_stream_yields_bytes_and_nothing_else() -> None:
    with pytest.raises(TypeError, match="yields bytes, not str"):
        await ReadableStream.from_(["text"]).collect()  # type: ignore[list-item]


async def test_any_iterable_of_bytes_makes_a_stream() -> None:
    assert await ReadableStream.from_([b"a", b"b"]).collect() == b"ab"
    assert await ReadableStream.from_(chunks(b"a", b"b")).collect() == b"ab"


async def test_leaving_a_stream_early_closes_its_source() -> None:
    closed = []

    async def source() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    reader = ReadableStream(source()).getReader()
    await reader.read()
    await reader.cancel("enough")
    assert closed == [True]
