"""A wish for another protocol is not granted and costs nothing: the request is answered as it stands, body and all.

``curl --http2`` and Java's HttpClient send it with every first request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.test_serving import run
from wrangler_py.server.serving import Serving

H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
SOCKET = b"connection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZQ==\r\n"


async def telling(scope, receive, send):
    """Answer with what was asked, one line a request."""
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body += message.get("body", b"")
        more = message.get("more_body", False)
    upgrade = dict(scope["headers"]).get(b"upgrade", b"-")
    text = b"%s %s %s %s\n" % (scope["method"].encode(), scope["path"].encode(), upgrade, body)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]}
    )
    await send({"type": "http.response.body", "body": text})


async def exchange(pieces, lines):
    """Send bytes piece by piece over one connection; return the first ``lines`` lines that answers hold."""
    serving = Serving(telling)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    await serving.accept(listener)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0)
    answers = [await answer_of(reader) for _ in range(lines)]
    writer.close()
    await serving.leave(None)
    await serving.finish(5)
    return answers


async def answer_of(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        return head.split(b"\r\n")[0].decode()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
    return (await reader.readexactly(length)).decode().strip()


def request(method=b"POST", path=b"/a", head=H2C, body=b"abc", chunked=False):
    if chunked:
        length, body = b"transfer-encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        length = b"content-length: %d\r\n" % len(body) if body else b""
    return b"%s %s HTTP/1.1\r\nhost: localhost\r\n%s%s\r\n%s" % (method, path, head, length, body)


@pytest.mark.parametrize(("head", "name"), [(H2C, "h2c"), (SOCKET, "websocket")])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_arrives_and_the_connection_stays_in_step(head, name, chunked):
    async def scenario():
        one = request(head=head, chunked=chunked)
        two = request(path=b"/b", head=b"", body=b"de")
        expected = [f"POST /a {name} abc", "POST /b - de", f"POST /a {name} abc"]
        assert await exchange([one, two, one], 3) == expected
        assert await exchange([one + two + one], 3) == expected

    run(scenario)


def test_without_a_body_too():
    async def scenario():
        one, two = request(b"GET", body=b""), request(b"GET", b"/b", b"", b"")
        assert await exchange([one + one + two], 3) == ["GET /a h2c", "GET /a h2c", "GET /b -"]

    run(scenario)


def test_what_is_refused_is_refused_with_the_wish_too():
    """The head is looked at before a request is let in, however it was read."""

    async def scenario():
        assert await exchange([request(head=H2C + b"host: other\r\n")], 1) == ["http/1.1 400 bad request"]
        smuggled = request(head=H2C + b"transfer-encoding: chunked\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError):
            assert await exchange([smuggled], 1) == ["http/1.1 400 bad request"]
        assert await exchange([b"CONNECT localhost:1 HTTP/1.1\r\nhost: localhost\r\n\r\n"], 1) == [
            "http/1.1 405 method not allowed"
        ]

    run(scenario)


def test_hundreds_of_wishes_in_one_piece_are_read_one_after_the_other():
    async def scenario():
        count = 500
        assert await exchange([request() * count], count) == ["POST /a h2c abc"] * count

    run(scenario)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([b"", H2C, SOCKET]), st.binary(max_size=9), st.booleans()),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.integers(1, 400), max_size=12),
)
def test_wherever_the_bytes_are_parted_requests_are_read_alike(asked, cuts):
    data = b"".join(
        request(path=b"/%d" % number, head=head, body=body.hex().encode(), chunked=chunked and bool(body))
        for number, (head, body, chunked) in enumerate(asked)
    )
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    names = {b"": "-", H2C: "h2c", SOCKET: "websocket"}

    async def scenario():
        expected = [
            f"POST /{number} {names[head]} {body.hex()}".strip()
            for number, (head, body, _) in enumerate(asked)
        ]
        assert await exchange([*pieces, data], len(asked)) == expected

    run(scenario)
