"""Laws of steps that return a stream of bytes (engine-semantics, section 2)."""

from __future__ import annotations

import asyncio
import hashlib
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.world import in_world
from wrangler_py.engine import Status, StepRef
from wrangler_py.engine.instance.streams import CHUNK_BYTES
from wrangler_py.engine.settings import Retention
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.serde import decode

PIECE = bytes(range(256)) * 256
MIB = 1024 * 1024


async def pieces(count):
    for number in range(count):
        yield number.to_bytes(4) + PIECE


async def digest(stream):
    total = hashlib.sha256()
    async for chunk in stream:
        total.update(chunk)
    return total.hexdigest()


def chunk_count(world):
    return world.store._database.connection.execute("SELECT count(*) FROM chunks").fetchone()[0]


def output_of(row):
    assert row.error is None, row.error
    return decode(row.output)


def test_a_stream_larger_than_any_value_may_be_comes_back_byte_for_byte(tmp_path):
    async def run(event, step):
        stream = await step.do("make", lambda: pieces(100))
        return [await digest(stream), await digest(stream)]

    async def body(world):
        row = await world.run(run)
        detail = await world.engine.detail("w", row.id)
        assert output_of(row) == [await digest(pieces(100))] * 2
        assert detail.steps[0].output == f"[ReadableStream {100 * (len(PIECE) + 4)} bytes]"

    in_world(tmp_path, body)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 2 * CHUNK_BYTES + 3), max_size=5), st.integers(0, 2**32))
def test_however_it_is_cut_the_same_bytes_come_back(tmp_path_factory, sizes, seed):
    rng = random.Random(seed)
    given = [rng.randbytes(size) for size in sizes]

    async def source():
        for number, piece in enumerate(given):
            yield (bytes, bytearray, memoryview)[number % 3](piece)

    async def run(event, step):
        stream = await step.do("make", source)
        return await digest(stream)

    row = in_world(tmp_path_factory.mktemp("world"), lambda world: world.run(run))
    assert output_of(row) == hashlib.sha256(b"".join(given)).hexdigest()


@pytest.mark.parametrize("form", ["generator", "async def", "ReadableStream", "declared"])
def test_every_way_to_give_one(tmp_path, form):
    async def giving():
        return pieces(2)

    async def run(event, step):
        if form == "declared":

            @step.do("make")
            async def make():
                yield b"a"
                yield b"b"

            return b"".join([chunk async for chunk in await make()]).decode()
        given = {
            "generator": lambda: pieces(2),
            "async def": giving,
            "ReadableStream": lambda: ReadableStream(pieces(2)),
        }
        return await digest(await step.do("make", given[form]))

    row = in_world(tmp_path, lambda world: world.run(run))
    assert output_of(row) in {"ab", asyncio.run(digest(pieces(2)))}


def test_a_replay_reads_what_was_stored_and_does_not_make_it_again(tmp_path):
    calls = []

    async def run(event, step):
        stream = await step.do("make", lambda: calls.append(1) or pieces(10))
        await step.sleep("long", "1 day")
        return await digest(stream)

    async def body(world):
        await world.define(run)
        instance = await world.engine.create("w")
        await world.settle()
        await world.crash()
        row = await world.finish(instance)
        assert output_of(row) == await digest(pieces(10))
        assert calls == [1]

    in_world(tmp_path, body)


def test_a_process_that_dies_in_the_middle_leaves_nothing_of_the_first_attempt(tmp_path):
    lives = []

    async def source(number):
        lives.append(number)
        async for piece in pieces(20 if len(lives) == 1 else 3):
            yield piece
        if len(lives) == 1:
            await asyncio.Event().wait()

    async def run(event, step):
        config = {"retries": {"limit": 3, "delay": 0}, "timeout": "100 days"}
        return await digest(await step.do("make", config, lambda ctx: source(ctx.attempt)))

    async def body(world):
        await world.define(run)
        instance = await world.engine.create("w")
        await world.settle()
        assert chunk_count(world) == 5
        await world.crash()
        row = await world.finish(instance)
        assert output_of(row) == await digest(pieces(3))
        assert chunk_count(world) == 1
        assert lives == [1, 2]

    in_world(tmp_path, body)


def test_an_attempt_that_fails_in_the_middle_is_tried_again_and_leaves_nothing(tmp_path):
    async def source(attempt):
        yield PIECE * 8
        if attempt < 3:
            raise ValueError("broken pipe")

    async def run(event, step):
        stream = await step.do("make", {"retries": {"limit": 2, "delay": 0}}, lambda ctx: source(ctx.attempt))
        return await digest(stream)

    async def failing(event, step):
        await step.do("make", {"retries": {"limit": 1, "delay": 0}}, lambda: source(0))

    async def body(world):
        row = await world.run(run)
        assert output_of(row) == hashlib.sha256(PIECE * 8).hexdigest()
        detail = await world.engine.detail("w", row.id)
        assert [attempt.success for attempt in detail.steps[0].attempts] == [False, False, True]
        before = chunk_count(world)
        await world.define(failing, "f")
        ended = await world.finish(await world.engine.create("f"))
        assert ended.error.message == "broken pipe"
        assert chunk_count(world) == before

    in_world(tmp_path, body)


def test_the_timeout_of_an_attempt_covers_the_reading(tmp_path):
    async def slow():
        for _ in range(10):
            await asyncio.sleep(1)
            yield b"x"

    async def run(event, step):
        await step.do("slow", {"timeout": "5 seconds", "retries": {"limit": 0, "delay": 0}}, slow)

    row = in_world(tmp_path, lambda world: world.run(run))
    assert row.error.name == "WorkflowTimeoutError"


def test_what_is_no_bytes_ends_the_instance_and_says_so(tmp_path):
    async def texts():
        yield "text"

    async def run(event, step):
        await step.do("texts", texts)

    async def body(world):
        row = await world.run(run)
        assert row.status is Status.ERRORED
        assert (
            "a value of type str cannot be stored; a stream that a step returns yields bytes"
            in row.error.message
        )
        assert chunk_count(world) == 0

    in_world(tmp_path, body)


def test_a_stream_inside_a_value_is_refused(tmp_path):
    async def run(event, step):
        await step.do("nested", lambda: {"a": pieces(1), "b": 2})

    row = in_world(tmp_path, lambda world: world.run(run))
    assert "a value of type async_generator at ['a'] cannot be stored" in row.error.message


def test_a_users_own_dollar_stream_is_a_value(tmp_path):
    async def run(event, step):
        return await step.do("value", lambda: {"$stream": {"step": 1, "size": 3}})

    async def body(world):
        row = await world.run(run)
        assert output_of(row) == {"$stream": {"step": 1, "size": 3}}
        detail = await world.engine.detail("w", row.id)
        assert detail.steps[0].output == {"$stream": {"step": 1, "size": 3}}

    in_world(tmp_path, body)


def test_it_counts_against_the_plans_storage(tmp_path):
    async def run(event, step):
        await step.do("large", lambda: pieces(2000))

    async def body(world):
        row = await world.run(run)
        assert "storage limit" in row.error.message
        assert chunk_count(world) == 0

    in_world(tmp_path, body, plan="free")


def test_restart_and_delete_take_the_chunks_along(tmp_path):
    async def run(event, step):
        await step.do("one", lambda: pieces(5))
        await step.do("two", lambda: pieces(5))
        await step.wait_for_event("hold", "go", timeout="300 days")

    async def body(world):
        await world.define(run)
        instance = await world.engine.create("w")
        await world.settle()
        assert chunk_count(world) == 4
        await world.engine.restart("w", instance.id, from_=StepRef("two"))
        assert chunk_count(world) == 2
        await world.settle()
        assert chunk_count(world) == 4
        await world.engine.restart("w", instance.id)
        assert chunk_count(world) == 0
        await world.settle()
        await world.engine.delete("w", instance.id)
        assert chunk_count(world) == 0

    in_world(tmp_path, body)


def test_what_is_due_to_go_takes_its_chunks_along(tmp_path):
    async def run(event, step):
        await step.do("one", lambda: pieces(300))

    async def body(world):
        await world.define(run)
        await world.finish(await world.engine.create("w", retention=Retention(success_ms=1000)))
        assert chunk_count(world) == 76
        await asyncio.sleep(3600)
        assert chunk_count(world) == 0

    in_world(tmp_path, body)


def test_a_rollback_gets_the_stream_as_its_output(tmp_path):
    seen = []

    async def undo(output):
        seen.append(await digest(output))

    async def run(event, step):
        @step.do("make", rollback=undo)
        async def make():
            return pieces(6)

        await make()
        raise RuntimeError("no")

    async def body(world):
        await world.run(run)
        assert seen == [await digest(pieces(6))]

    in_world(tmp_path, body)


def test_strict_mode_reads_it_once_as_cloudflare_does(tmp_path):
    async def run(event, step):
        @step.do("make")
        async def make():
            return pieces(1)

        stream = await make()
        await digest(stream)
        await digest(stream)

    row = in_world(tmp_path, lambda world: world.run(run), strict=True)
    assert row.error.message == "Body already used"


def test_its_memory_is_a_chunk_however_long_it_is(tmp_path):
    async def run(event, step):
        return await digest(await step.do("large", lambda: pieces(1600)))

    async def body(world):
        tracemalloc.start()
        try:
            row = await world.run(run)
            return row, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    row, peak = in_world(tmp_path, body)
    assert output_of(row) == asyncio.run(digest(pieces(1600)))
    assert peak < 8 * MIB < 1600 * len(PIECE)


@pytest.mark.parametrize("end", ["well", "badly"])
def test_what_gives_the_pieces_is_closed_however_the_attempt_ends(tmp_path, end):
    class Source:
        def __init__(self):
            self.left, self.closed = 2, 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            self.left -= 1
            if self.left:
                return b"piece"
            raise StopAsyncIteration if end == "well" else ValueError("no")

        async def aclose(self):
            self.closed += 1

    source = Source()

    async def run(event, step):
        await step.do("make", {"retries": {"limit": 0, "delay": 0}}, lambda: source)

    in_world(tmp_path, lambda world: world.run(run))
    assert source.closed == 1


def test_what_an_attempt_stored_before_it_failed_takes_nothing_of_the_plans_storage(tmp_path):
    """Twice three fifths of it."""

    async def run(event, step):
        async def source(ctx):
            for _ in range(60):
                yield bytes(1_000_000)
            if ctx.attempt == 1:
                raise ValueError("no")

        await step.do("make", {"retries": {"limit": 1, "delay": 0}}, source)
        return "done"

    assert output_of(in_world(tmp_path, lambda world: world.run(run), plan="free")) == "done"


def test_the_last_byte_of_a_stream_comes_back_too(tmp_path):
    async def run(event, step):
        async def source():
            yield bytes(CHUNK_BYTES)
            yield b"x"

        stream = await step.do("make", source)
        return [len(chunk) async for chunk in stream]

    assert output_of(in_world(tmp_path, lambda world: world.run(run))) == [CHUNK_BYTES, 1]
