"""Connections pass from one server to the next, each between two requests."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from wrangler_py.server.patience import Patience
from wrangler_py.server.serving import Serving


def app(text, gate=None):
    async def answer(scope, receive, send):
        if gate is not None:
            gate.reached.set()
            await gate.open.wait()
        headers = [(b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    return answer


class Gate:
    def __init__(self):
        self.reached, self.open = asyncio.Event(), asyncio.Event()


async def ask(reader, writer):
    """Send a request; return the body of its answer and whether the connection stays."""
    writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    return await answer_of(reader)


async def answer_of(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200 ok\r\n")
    assert head.count(b"\r\ndate: ") == 1
    length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
    return await reader.readexactly(length), b"connection: close" not in head


class Pair:
    """An old and a new server on one socket."""

    def __init__(self, old, new):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.old, self.new = Serving(old), Serving(new)
        self.giving, taking = socket.socketpair()
        self.adopting = asyncio.create_task(self.new.adopt(taking))

    async def connect(self):
        return await asyncio.open_connection(*self.listener.getsockname())

    async def end(self):
        self.giving.close()
        await self.adopting
        for server in (self.old, self.new):
            if not server.is_leaving:
                await server.leave(None)
            await server.finish(5)
        self.listener.close()


def run(scenario):
    async def limited():
        async with asyncio.timeout(15):
            await scenario()

    asyncio.run(limited())


def test_an_idle_connection_gets_its_next_answer_from_the_successor():
    async def scenario():
        pair = Pair(app(b"old"), app(b"new"))
        await pair.old.accept(pair.listener.dup())
        reader, writer = await pair.connect()
        assert await ask(reader, writer) == (b"old", True)
        await pair.old.leave(pair.giving)
        assert await ask(reader, writer) == (b"new", True)
        writer.close()
        await pair.end()

    run(scenario)


def test_a_request_in_flight_is_answered_where_it_is_and_the_next_one_by_the_successor():
    async def scenario():
        gate = Gate()
        pair = Pair(app(b"old", gate), app(b"new"))
        await pair.old.accept(pair.listener.dup())
        reader, writer = await pair.connect()
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await gate.reached.wait()
        await pair.old.leave(pair.giving)
        gate.open.set()
        assert await answer_of(reader) == (b"old", True)
        assert await ask(reader, writer) == (b"new", True)
        writer.close()
        await pair.end()

    run(scenario)


def test_requests_sent_together_are_answered_in_order_before_the_connection_moves():
    async def scenario():
        gate = Gate()
        pair = Pair(app(b"old", gate), app(b"new"))
        await pair.old.accept(pair.listener.dup())
        reader, writer = await pair.connect()
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 2)
        await gate.reached.wait()
        await pair.old.leave(pair.giving)
        gate.open.set()
        assert await answer_of(reader) == (b"old", True)
        assert await answer_of(reader) == (b"old", True)
        assert await ask(reader, writer) == (b"new", True)
        writer.close()
        await pair.end()

    run(scenario)


def test_without_a_successor_the_last_answer_says_that_it_is_the_last():
    async def scenario():
        gate = Gate()
        pair = Pair(app(b"old", gate), app(b"new"))
        await pair.old.accept(pair.listener.dup())
        busy_reader, busy_writer = await pair.connect()
        idle_reader, idle_writer = await pair.connect()
        half_reader, half_writer = await pair.connect()
        half_writer.write(b"GET / HTTP/1.1\r\nhos")
        busy_writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await gate.reached.wait()
        await pair.old.leave(None)
        assert await idle_reader.read() == b""
        gate.open.set()
        half_writer.write(b"t: a\r\n\r\n")
        assert (await answer_of(half_reader))[0] == b"old"
        assert (await answer_of(busy_reader))[0] == b"old"
        assert await busy_reader.read() == await half_reader.read() == b""
        for writer in (busy_writer, idle_writer, half_writer):
            writer.close()
        await pair.end()

    run(scenario)


def test_finishing_does_not_wait_for_ever():
    async def scenario():
        gate = Gate()
        pair = Pair(app(b"old", gate), app(b"new"))
        await pair.old.accept(pair.listener.dup())
        _, writer = await pair.connect()
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await gate.reached.wait()
        await pair.old.leave(None)
        await pair.old.finish(0)
        gate.open.set()
        writer.close()
        await pair.end()

    run(scenario)


async def swallow(scope, receive, send):
    """Read the body and say how long it was."""
    size = 0
    while (message := await receive())["type"] == "http.request":
        size += len(message["body"])
        if not message.get("more_body"):
            break
    await app(b"%d" % size)(scope, receive, send)


async def flood(scope, receive, send):
    """Answer more than anybody wants."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(100):
        await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def impatient(application, **patience):
    serving = Serving(application, Patience(**patience))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    await serving.accept(listener)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    yield serving, reader, writer
    writer.close()
    await serving.leave(None)
    await serving.finish(5)


BODY_OF_10 = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhos", b"GET / HTTP/1.1\r\nhost: a\r\nx: "])
def test_a_client_that_does_not_say_what_it_wants_is_let_go(sent):
    async def scenario():
        async with impatient(app(b"here"), head=0.05) as (_, reader, writer):
            writer.write(sent)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""

    run(scenario)


@pytest.mark.parametrize("sent", [b"", b"12345"])
def test_a_client_that_stops_in_the_middle_of_a_body_is_let_go(sent):
    async def scenario():
        async with impatient(swallow, body=0.05) as (_, reader, writer):
            writer.write(BODY_OF_10 + sent)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""

    run(scenario)


def test_nobody_is_blamed_for_a_body_that_is_not_read():
    async def scenario():
        gate = Gate()

        async def late(scope, receive, send):
            await gate.open.wait()
            await swallow(scope, receive, send)

        size = 1 << 20
        async with impatient(late, body=0.05) as (_, reader, writer):
            writer.write(BODY_OF_10.replace(b"10", b"%d" % size) + bytes(size))
            looks = 5
            asyncio.get_running_loop().call_later(looks * 0.05, gate.open.set)
            assert await answer_of(reader) == (b"%d" % size, True)

    run(scenario)


def test_a_client_that_does_not_take_its_answer_is_let_go():
    async def scenario():
        async with impatient(flood, answer=0.05) as (serving, reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            while not serving._connections:
                await asyncio.sleep(0)
            while serving._connections:
                await asyncio.sleep(0.01)
            with contextlib.suppress(ConnectionError):
                assert len(await reader.read()) < 100 << 20

    run(scenario)


def test_a_connection_whose_successor_has_died_is_closed():
    async def scenario():
        pair = Pair(app(b"old"), app(b"new"))
        await pair.old.accept(pair.listener.dup())
        reader, writer = await pair.connect()
        assert await ask(reader, writer) == (b"old", True)
        giving, taking = socket.socketpair()
        taking.close()
        await pair.old.leave(giving)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        giving.close()
        await pair.end()

    run(scenario)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_is_the_same_on_both_event_loops(loop):
    async def scenario():
        pair = Pair(app(b"old"), app(b"new"))
        await pair.old.accept(pair.listener.dup())
        reader, writer = await pair.connect()
        assert await ask(reader, writer) == (b"old", True)
        await pair.old.leave(pair.giving)
        assert await ask(reader, writer) == (b"new", True)
        writer.close()
        await pair.end()

    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(scenario(), 15))
