"""Heads of requests that mean two things, or never end, are refused before anybody acts on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from tests.server.test_serving import app, run
from wrangler_py.server.heads import MAX_HEADERS, MAX_URL
from wrangler_py.server.serving import Serving

HOST = b"Host: localhost\r\n"
BODY = b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"


async def ask(data):
    """Send bytes; return what comes back until the connection is closed, and what the application has seen."""
    seen = []

    async def noting(scope, receive, send):
        seen.append(scope["path"])
        await app(b"taken")(scope, receive, send)

    serving = Serving(noting)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    await serving.accept(listener)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(data)
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    await serving.leave(None)
    await serving.finish(5)
    return answer, seen


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Host: other\r\n\r\n", 400),
        (b"GET /\r\n" + HOST + b"\r\n", 505),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: a\nb: c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: a\rb: c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: a\0b\r\n\r\n", 400),
        (b"GET /\r\nx: HTTP/1.1\r\n" + HOST + b"\r\n", 505),
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: +3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: xchunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 3\r\n" + BODY, 400),
        (b"GET /" + b"a" * MAX_URL + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"a" * MAX_HEADERS + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: a\r\n" * 40_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 1_000_000, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: a\r\n" * 200_000, 431),
    ],
)
def test_what_is_refused(head, status):
    async def scenario():
        answer, seen = await ask(head)
        # A connection that is closed with bytes unread may lose its answer on the way.
        assert not answer or answer.startswith(b"HTTP/1.1 %d " % status)
        assert not seen
        assert len(head) > 200_000 or answer

    run(scenario)


def test_what_is_let_in():
    async def scenario():
        long = b"x: " + b"a" * (MAX_HEADERS - 100)
        head = b"GET / HTTP/1.1\r\n" + HOST + b"connection: close\r\n" + long + b"\r\n\r\n"
        answer, seen = await ask(head)
        assert (answer[:12], answer[-5:], seen) == (b"HTTP/1.1 200", b"taken", ["/"])
        answer, seen = await ask(b"GET /old HTTP/1.0\r\n\r\n")
        assert (answer[:12], seen) == (b"HTTP/1.1 200", ["/old"])

    run(scenario)
