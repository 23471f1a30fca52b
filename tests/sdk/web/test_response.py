from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from wrangler_py.sdk.pyodide.ffi import jsnull
from wrangler_py.sdk.web.blob import Blob
from wrangler_py.sdk.web.forms import FormData
from wrangler_py.sdk.web.response import FetchResponse, Response
from wrangler_py.sdk.web.streams import ReadableStream


async def test_a_response_defaults_to_200() -> None:
    response = Response("hi")
    assert (response.status, response.ok, response.status_text, response.url) == (200, True, "", "")
    assert response.headers["content-type"] == "text/plain;charset=UTF-8"
    assert await response.text() == "hi"
    assert isinstance(response, FetchResponse)


def test_a_status_may_be_an_httpstatus() -> None:
    response = Response(None, HTTPStatus.NOT_FOUND, "Nope", {"a": "b"})
    assert (response.status, response.ok, response.status_text) == (404, False, "Nope")
    assert response.body is None
    assert repr(response) == "Response(status=404, status_text='Nope')"


@pytest.mark.parametrize("status", [0, 101, 199, 600, -1])
def test_a_status_outside_200_to_599_is_a_value_error(status: int) -> None:
    with pytest.raises(ValueError, match=f"between 200 and 599, not {status}"):
        Response(None, status)


@pytest.mark.parametrize("status", ["200", 200.0, True])
def test_a_status_is_a_number(status: object) -> None:
    with pytest.raises(TypeError, match="status is a number"):
        Response(None, status)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [204, 205, 304])
def test_some_statuses_allow_no_body(status: int) -> None:
    assert Response(None, status).body is None
    with pytest.raises(TypeError, match=f"status {status} cannot have a body"):
        Response("", status)


@pytest.mark.parametrize("body", [{"a": 1}, 3, [b"x"], (b for b in [b"x"]), bytearray(b"x"), object()])
def test_what_cannot_be_a_body_is_named(body: object) -> None:
    with pytest.raises(TypeError, match=f"^Unsupported type in Response: {type(body).__name__}$"):
        Response(body)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [b"x", Blob("x"), ReadableStream(b"x"), "x"])
async def test_what_can_be_a_body(body: object) -> None:
    assert await Response(body).bytes() == b"x"  # type: ignore[arg-type]


async def test_a_form_is_a_body() -> None:
    assert (await Response(FormData({"a": "b"})).form_data())["a"] == "b"


async def test_json_builds_with_the_separators_of_json_dumps() -> None:
    response = Response.json({"a": [1, None, jsnull]}, status=201, headers={"X-Y": "z"})
    assert response.status == 201
    assert list(response.headers.items()) == [("x-y", "z"), ("content-type", "application/json")]
    assert await response.text() == '{"a": [1, null, null]}'


async def test_json_reads_on_an_instance() -> None:
    assert await Response.json({"a": 1}).json() == {"a": 1}
    assert await Response('{"a": 1.5}').json(parse_float=str) == {"a": "1.5"}
    assert await Response.from_json([1]).json() == [1]


def test_json_keeps_a_given_content_type() -> None:
    assert Response.json(1, headers={"Content-Type": "a/b"}).headers["content-type"] == "a/b"


def test_json_refuses_what_json_cannot_say() -> None:
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        Response.json({1})


def test_redirect_names_an_absolute_place() -> None:
    response = Response.redirect("http://a/b c", 303)
    assert (response.status, response.headers["location"]) == (303, "http://a/b%20c")
    assert Response.redirect("http://a").status == 302
    with pytest.raises(TypeError, match="Invalid URL"):
        Response.redirect("/relative")
    with pytest.raises(ValueError, match="200 is not a status of a redirect"):
        Response.redirect("http://a", 200)


async def test_a_response_of_a_response_takes_it_over() -> None:
    first = Response("x", 404, "No", {"a": "b"})
    second = Response(first)
    assert (second.status, second.status_text, second.headers["a"], await second.text()) == (
        404,
        "No",
        "b",
        "x",
    )
    with pytest.raises(OSError, match="Body already used"):
        await first.text()
    with pytest.raises(ValueError, match="takes no status"):
        Response(Response("x"), status=201)


async def test_a_clone_of_a_stream_can_be_read_beside_it() -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    response = Response(ReadableStream(stream()), 202, headers={"a": "b"})
    copy = response.clone()
    assert (copy.status, dict(copy.headers)) == (202, {"a": "b"})
    assert (await response.text(), await copy.text()) == ("ab", "ab")


async def test_another_body_keeps_the_rest() -> None:
    response = Response("x", 404, headers={"content-type": "text/html"}).replace_body("y")
    assert (response.status, response.headers["content-type"], await response.text()) == (
        404,
        "text/html",
        "y",
    )


@pytest.mark.parametrize(("status", "whose"), [(404, "Client"), (503, "Server")])
def test_raise_for_status_raises_for_errors_only(status: int, whose: str) -> None:
    Response("x").raise_for_status()
    with pytest.raises(OSError, match=f"{status} {whose} Error: why for url"):
        Response("x", status, "why").raise_for_status()


async def test_the_other_ways_to_read() -> None:
    assert await Response("x").string() == "x"
    assert (await Response("abc").buffer()).byteLength == 3
    assert bytes(await Response("abc").memoryview()) == b"abc"
    assert (await (await Response("abc").blob()).text()) == "abc"
    assert (await Response(FormData({"a": "b"})).formData())["a"] == "b"


def test_web_sockets_are_refused_with_a_reason() -> None:
    with pytest.raises(TypeError, match="WebSockets are not available"):
        Response(None, web_socket=object())  # type: ignore[arg-type]
