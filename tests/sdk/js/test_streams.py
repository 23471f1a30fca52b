from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wrangler_py.sdk import js, workers
from wrangler_py.sdk.js.streams import StreamController


async def test_a_stream_is_filled_as_it_is_read() -> None:
    pulls = iter([b"a", b"b"])

    async def pull(controller: StreamController) -> None:
        await asyncio.sleep(0)
        chunk = next(pulls, None)
        controller.close() if chunk is None else controller.enqueue(chunk)

    stream = js.ReadableStream.new({"pull": pull})
    assert await workers.Response(stream).text() == "ab"


async def test_a_stream_may_be_filled_from_outside() -> None:
    """The reader waits before anything is there; `start` has only handed out the controller."""
    controllers: list[StreamController] = []
    stream = js.ReadableStream.new(start=controllers.append)
    reading = asyncio.create_task(stream.collect())
    await asyncio.sleep(0)
    controllers[0].enqueue(b"a")
    await asyncio.sleep(0)
    controllers[0].enqueue(b"b")
    controllers[0].close()
    assert await reading == b"ab"


async def test_start_is_over_before_the_first_pull() -> None:
    order = []

    async def start(_: Any) -> None:
        await asyncio.sleep(0)
        order.append("start")

    def pull(controller: StreamController) -> None:
        order.append("pull")
        controller.close()

    await js.ReadableStream.new(start=start, pull=pull).collect()
    assert order == ["start", "pull"]


async def test_an_error_reaches_the_reader() -> None:
    with pytest.raises(OSError, match="no more"):
        await js.ReadableStream.new(start=lambda controller: controller.error("no more")).collect()


async def test_leaving_early_is_told_once() -> None:
    reasons: list[object] = []
    stream = js.ReadableStream.new(pull=lambda c: c.enqueue(b"x"), cancel=reasons.append)
    reader = stream.getReader()
    await reader.read()
    await reader.cancel()
    await reader.cancel()
    assert reasons == [None]


async def test_what_is_written_to_a_pipe_is_read_from_it() -> None:
    pipe = js.TransformStream.new()

    async def write() -> None:
        writer = pipe.writable.getWriter()
        for chunk in (b"a", b"b", b"c"):
            await writer.write(chunk)
        await writer.close()
        writer.releaseLock()

    writing = asyncio.create_task(write())
    assert await workers.Response(pipe.readable).text() == "abc"
    await writing


async def test_an_aborted_pipe_fails_its_reader() -> None:
    pipe = js.TransformStream.new()
    await pipe.writable.getWriter().abort("broken")
    with pytest.raises(OSError, match="broken"):
        await pipe.readable.collect()


async def test_a_writer_hears_that_the_reader_has_gone() -> None:
    """Interleaving: the writer already waits for room when the reader leaves; it must not wait for ever."""
    pipe = js.TransformStream.new()
    writer = pipe.writable.getWriter()
    await writer.write(b"a")
    waiting = asyncio.create_task(writer.write(b"b"))
    await asyncio.sleep(0)
    await pipe.readable.cancel()
    await waiting
    with pytest.raises(BrokenPipeError, match="reader of the stream has gone"):
        await writer.write(b"c")
