from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPMethod

import pytest

from wrangler_py.sdk.web.blob import Blob
from wrangler_py.sdk.web.forms import FormData
from wrangler_py.sdk.web.request import Request
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.sdk.web.urls import URL, URLSearchParams


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_a_request_says_what_it_asks_for() -> None:
    request = Request("http://A/b?c", method="post", headers={"X-Y": "1"}, body="hi")
    assert request.method is HTTPMethod.POST
    assert request.method == "POST"
    assert request.url == "http://a/b?c"
    assert request.headers.get("x-y") == "1"
    assert repr(request) == "Request(method='POST', url='http://a/b?c')"
    assert request.js_object is request


def test_a_url_object_is_a_url() -> None:
    assert Request(URL("http://a/b")).url == "http://a/b"


def test_a_method_unknown_to_python_is_plain_text() -> None:
    assert Request("http://a", method="PROPFIND").method == "PROPFIND"


@pytest.mark.parametrize(
    ("body", "content_type", "data"),
    [
        ("ä", "text/plain;charset=UTF-8", "ä".encode()),
        (b"\xff", None, b"\xff"),
        (Blob("x", "image/png"), "image/png", b"x"),
        (Blob("x"), None, b"x"),
        (URLSearchParams({"a": "b c"}), "application/x-www-form-urlencoded;charset=UTF-8", b"a=b+c"),
        (ReadableStream(b"s"), None, b"s"),
    ],
)
async def test_a_body_brings_its_content_type(body: object, content_type: str | None, data: bytes) -> None:
    request = Request("http://a", method="PUT", body=body)
    assert request.headers["content-type"] == content_type
    assert await request.bytes() == data


def test_a_given_content_type_wins() -> None:
    request = Request("http://a", method="PUT", body="x", headers={"Content-Type": "text/html"})
    assert list(request.headers.items()) == [("content-type", "text/html")]


@pytest.mark.parametrize("read", ["text", "json", "bytes", "buffer", "blob", "form_data"])
async def test_the_second_read_fails_however_it_reads(read: str) -> None:
    request = Request("http://a", method="POST", body="{}")
    assert not request.body_used
    await request.text()
    assert request.body_used
    with pytest.raises(OSError, match="^Body already used$"):
        await getattr(request, read)()


async def test_no_body_can_be_read_again_and_again() -> None:
    request = Request("http://a")
    assert request.body is None
    assert (await request.text(), await request.text(), request.body_used) == ("", "", False)


async def test_text_is_utf_8_without_a_byte_order_mark() -> None:
    body = b"\xef\xbb\xbfa\xff"
    assert await Request("http://a", method="POST", body=body).text() == "a\ufffd"


async def test_json_takes_the_options_of_json_loads() -> None:
    request = Request("http://a", method="POST", body='{"a": 1.5}')
    assert await request.json(parse_float=str) == {"a": "1.5"}


async def test_a_blob_has_the_requests_content_type() -> None:
    blob = await Request("http://a", method="POST", body="x", headers={"content-type": "a/b"}).blob()
    assert (blob.content_type, await blob.text()) == ("a/b", "x")


async def test_a_form_goes_in_and_comes_out() -> None:
    request = Request("http://a", method="POST", body=FormData({"a": "1", "f": Blob(b"\x00\xff")}))
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    form = await request.form_data()
    assert form["a"] == "1"
    assert await form["f"].bytes() == b"\x00\xff"


async def test_a_clone_of_a_stream_can_be_read_beside_it() -> None:
    request = Request("http://a", method="POST", body=ReadableStream(stream(b"a", b"b")), cf={"colo": "X"})
    copy = request.clone()
    assert (await copy.text(), await request.text(), copy.cf) == ("ab", "ab", {"colo": "X"})
    copy.headers["x"] = "only there"
    assert "x" not in request.headers


async def test_a_used_request_cannot_be_cloned() -> None:
    request = Request("http://a", method="POST", body="x")
    await request.text()
    with pytest.raises(OSError, match="Body already used"):
        request.clone()


async def test_a_request_made_of_a_request_takes_its_body_over() -> None:
    first = Request("http://a/b", method="POST", body="x", headers={"k": "v"}, redirect="manual")
    second = Request(first, headers={"k": "w"})
    assert (second.url, second.method, second.redirect, second.headers["k"]) == (
        "http://a/b",
        "POST",
        "manual",
        "w",
    )
    assert await second.text() == "x"
    with pytest.raises(OSError, match="Body already used"):
        await first.text()


async def test_an_own_body_leaves_the_other_requests_alone() -> None:
    first = Request("http://a/b", method="POST", body="x")
    assert await Request(first, body="y").text() == "y"
    assert await first.text() == "x"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_some_methods_have_no_body(method: str) -> None:
    with pytest.raises(TypeError, match=f"{method} request cannot have a body"):
        Request("http://a", method=method, body="x")


@pytest.mark.parametrize("body", [{"a": 1}, 3, ["x"], bytearray(b"x")])
def test_what_cannot_be_a_body_is_named(body: object) -> None:
    with pytest.raises(TypeError, match=f"^Unsupported type in Request: {type(body).__name__}$"):
        Request("http://a", method="POST", body=body)


def test_a_mistyped_option_is_named() -> None:
    with pytest.raises(TypeError, match="unknown option 'header'.*headers"):
        Request("http://a", header={})


def test_options_that_only_browsers_know_pass() -> None:
    assert Request("http://a", mode="cors", credentials="omit").url == "http://a/"


def test_a_request_needs_an_absolute_url() -> None:
    with pytest.raises(TypeError, match="Invalid URL: '/path'"):
        Request("/path")


def test_redirect_is_one_of_three() -> None:
    with pytest.raises(TypeError, match="follow, manual, error"):
        Request("http://a", redirect="sometimes")
