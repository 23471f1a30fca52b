from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from wrangler_py.sdk import js, wire
from wrangler_py.sdk.web.response import Response
from wrangler_py.sdk.web.streams import ReadableStream


class Upload:
    """A request body that knows how much of it was asked for."""

    def __init__(self) -> None:
        self.read = 0
        self.closed = False

    def __aiter__(self) -> Upload:
        return self

    async def __anext__(self) -> bytes:
        self.read += 1
        return b"x"

    async def aclose(self) -> None:
        self.closed = True


async def test_a_request_comes_in() -> None:
    headers = [(b"X-A", b"1"), (b"x-a", b"2"), (b"Cookie", "ä".encode()), (b"x-raw", b"\xff")]
    request = wire.make_request("POST", "http://a/b", headers, b"body", cf={"colo": "X"})
    assert list(request.headers.items()) == [("x-a", "1, 2"), ("cookie", "ä"), ("x-raw", "ÿ")]
    assert request.redirect == "manual"
    assert (request.method, request.url, request.cf, await request.text()) == (
        "POST",
        "http://a/b",
        {"colo": "X"},
        "body",
    )


async def test_a_request_body_is_not_read_before_it_is_asked_for() -> None:
    upload = Upload()
    request = wire.make_request("PUT", "http://a/", [], upload)
    assert upload.read == 0
    assert (await request.body.getReader().read()).value == b"x"  # type: ignore[union-attr]
    assert upload.read == 1


def test_any_method_may_come_in_with_a_body_or_without() -> None:
    assert wire.make_request("GET", "http://a/", [], b"x").body is not None
    assert wire.make_request("POST", "http://a/", [], None).body is None


@pytest.mark.parametrize(("url", "headers"), [("/path", []), ("http://a/", [(b"a b", b"c")])])
def test_what_cannot_be_a_request_is_a_type_error(url: str, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(TypeError, match="Invalid"):
        wire.make_request("GET", url, headers, None)


def test_a_response_goes_out() -> None:
    headers = [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x", "ä"),
        ("connection", "close"),
        ("content-length", "9"),
    ]
    sent = wire.unpack(Response("hi", 201, "Made", headers))
    assert (sent.status, sent.status_text, sent.body) == (201, "Made", b"hi")
    assert sent.headers == [
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x", "ä".encode()),
        (b"content-length", b"2"),
        (b"content-type", b"text/plain;charset=UTF-8"),
    ]


async def test_a_stream_goes_out_chunk_by_chunk_and_can_be_closed() -> None:
    source = Upload()
    sent = wire.unpack(Response(ReadableStream(source), headers={"content-length": "5"}))
    assert isinstance(sent.body, AsyncIterator)
    assert sent.headers == [(b"content-length", b"5")]
    assert await anext(sent.body) == b"x"
    await sent.body.aclose()  # type: ignore[attr-defined]
    assert source.closed


def test_a_stream_that_was_never_begun_can_be_closed_too() -> None:
    source = Upload()
    sent = wire.unpack(Response(ReadableStream(source)))
    with pytest.raises(StopIteration):
        sent.body.aclose().send(None)  # type: ignore[union-attr]
    assert source.closed


def test_no_body_has_length_zero_and_some_statuses_have_none() -> None:
    assert wire.unpack(Response()).headers == [(b"content-length", b"0")]
    assert wire.unpack(Response(None, 204, headers={"content-length": "0"})).headers == []


def test_a_response_is_sent_once() -> None:
    response = Response("x")
    wire.unpack(response)
    with pytest.raises(OSError, match="Body already used"):
        wire.unpack(response)


@pytest.mark.parametrize("wrong", [None, "text", {"a": 1}])
def test_a_handler_returns_a_response(wrong: object) -> None:
    with pytest.raises(TypeError, match=f"returns a Response, not {type(wrong).__name__}"):
        wire.unpack(wrong)


def test_the_error_response_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match=r"Response.error\(\)"):
        wire.unpack(Response.error())


async def test_older_handlers_get_the_js_object() -> None:
    request = wire.as_js(wire.make_request("POST", "http://a/", [(b"x", b"y")], b'{"a": {"b": 1}}'))
    assert isinstance(request, js.Request)
    assert (request.headers.get("X"), request.bodyUsed) == ("y", False)
    assert (await request.json()).a.b == 1
