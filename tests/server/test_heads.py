"""Heads of requests that mean two things, or never end, are refused before anybody acts on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from tests.server.test_serving import app, run
from wrangler_py.errors import RequestError
from wrangler_py.server.heads import MAX_HEAD, MAX_HEADERS, MAX_URL, check_head, head_without_upgrade
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


ONE_HOST = (b"host", b"localhost")


def status_of(*, version="1.1", method=b"GET", url=b"/", headers=(ONE_HOST,)):
    """Return the status with which a head is refused, or 200."""
    try:
        check_head(version, method, url, headers)
    except RequestError as error:
        return error.status
    return 200


def sized(total, *, lines=1):
    """Return headers that take ``total`` bytes on the wire, the host's line among them."""
    left = total - len(b"host: localhost\r\n") - lines * len(b"x: \r\n")
    share, rest = divmod(left, lines)
    return [ONE_HOST, *((b"x", b"a" * (share + (rest if number == 0 else 0))) for number in range(lines))]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ({}, 200),
        ({"version": "1.0"}, 200),
        ({"version": "1.0", "headers": ()}, 200),
        ({"version": "1.0", "headers": (ONE_HOST, ONE_HOST)}, 400),
        ({"headers": ()}, 400),
        ({"headers": (ONE_HOST, ONE_HOST)}, 400),
        ({"version": "0.9"}, 505),
        ({"version": "2"}, 505),
        ({"method": b"CONNECT"}, 405),
        ({"url": b"a" * MAX_URL}, 200),
        ({"url": b"a" * (MAX_URL + 1)}, 414),
        ({"headers": sized(MAX_HEADERS)}, 200),
        ({"headers": sized(MAX_HEADERS + 1)}, 431),
        ({"headers": sized(MAX_HEADERS, lines=1000)}, 200),
        ({"headers": sized(MAX_HEADERS + 1, lines=1000)}, 431),
        ({"headers": (ONE_HOST, (b"transfer-encoding", b" Chunked "))}, 200),
        ({"headers": (ONE_HOST, (b"transfer-encoding", b""))}, 501),
        ({"headers": (ONE_HOST, *[(b"transfer-encoding", b"chunked")] * 2)}, 501),
        ({"headers": (ONE_HOST, (b"content-length", b"3"))}, 200),
        ({"headers": (ONE_HOST, (b"content-length", b"3"), (b"transfer-encoding", b"chunked"))}, 400),
    ],
)
def test_a_head_is_taken_up_to_its_limits_and_not_beyond(head, status):
    assert status_of(**head) == status


def test_the_limits_are_those_of_the_documents():
    assert (MAX_URL, MAX_HEADERS, MAX_HEAD) == (16 * 1024, 128 * 1024, 144 * 1024)


def test_without_the_wish_for_another_protocol_a_head_stays_as_it_is():
    headers = [ONE_HOST, (b"upgrade", b"h2c"), (b"x", b"1")]
    assert head_without_upgrade(b"POST", b"/a?b", "1.1", headers) == (
        b"POST /a?b HTTP/1.1\r\nhost: localhost\r\nx: 1\r\n\r\n"
    )
