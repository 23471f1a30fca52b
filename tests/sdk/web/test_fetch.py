from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any

import pytest
import uvloop

from tests.sdk.web_server import WebServer
from wrangler_py.sdk.web.blob import Blob
from wrangler_py.sdk.web.fetch import close_client, fetch
from wrangler_py.sdk.web.forms import FormData
from wrangler_py.sdk.web.request import Request
from wrangler_py.sdk.web.response import Response
from wrangler_py.sdk.web.streams import ReadableStream

Test = Callable[..., Awaitable[None]]


def online(test: Test) -> Test:
    """Close the loop's connections at the end, as the runtime does."""

    @wraps(test)
    async def run(**fixtures: Any) -> None:
        try:
            await test(**fixtures)
        finally:
            await close_client()

    return run


def sent(seen: dict[str, Any]) -> dict[str, str]:
    return dict(seen["headers"])


@online
async def test_a_get_arrives(web: WebServer) -> None:
    response = await fetch(f"{web.url}/echo?q=1", headers={"X-Mine": "ä"})
    seen = await response.json()
    assert (response.status, response.ok, response.url, response.redirected) == (
        200,
        True,
        f"{web.url}/echo?q=1",
        False,
    )
    assert (seen["method"], seen["path"]) == ("GET", "/echo?q=1")
    assert sent(seen)["x-mine"].encode("latin-1").decode() == "ä"


@online
async def test_a_worker_names_no_user_agent(web: WebServer) -> None:
    """Cloudflare sends none either: code that needs one must say so here as there."""
    assert "user-agent" not in sent(await (await fetch(f"{web.url}/echo")).json())


@online
@pytest.mark.parametrize("body", ["text", b"text", Blob("text"), ReadableStream(b"text")])
async def test_a_body_arrives_with_its_length(web: WebServer, body: object) -> None:
    response = await fetch(f"{web.url}/echo", method="PUT", body=body, headers={"content-length": "999"})
    seen = await response.json()
    assert (seen["method"], seen["body"], sent(seen)["content-length"]) == ("PUT", "text", "4")


@online
async def test_a_stream_is_sent_as_it_comes(web: WebServer) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    seen = await (await fetch(f"{web.url}/echo", method="POST", body=ReadableStream(chunks()))).json()
    assert (seen["body"], sent(seen)["transfer-encoding"]) == ("one two", "chunked")


@online
async def test_a_form_is_sent_as_multipart(web: WebServer) -> None:
    seen = await (await fetch(f"{web.url}/echo", method="POST", body=FormData({"a": "b"}))).json()
    again = Request("http://a", method="POST", body=seen["body"], headers=seen["headers"])
    assert (await again.form_data())["a"] == "b"


@online
async def test_a_request_is_passed_on_without_what_belonged_to_its_connection(web: WebServer) -> None:
    headers = {"host": "elsewhere", "connection": "x-hop", "transfer-encoding": "chunked", "x-kept": "1"}
    request = Request(f"{web.url}/echo", method="POST", body="x", headers=headers)
    seen = sent(await (await fetch(request)).json())
    assert (seen["host"], seen["x-kept"]) == (web.url.removeprefix("http://"), "1")
    assert "transfer-encoding" not in seen
    with pytest.raises(OSError, match="Body already used"):
        await fetch(request)


@online
async def test_options_change_a_request_that_is_passed_on(web: WebServer) -> None:
    request = Request(f"{web.url}/echo", headers={"a": "b"})
    seen = await (await fetch(request, method="POST", body="x")).json()
    assert (seen["method"], seen["body"], sent(seen)["a"]) == ("POST", "x", "b")


@online
async def test_methods_that_python_does_not_know_arrive(web: WebServer) -> None:
    assert (await (await fetch(f"{web.url}/echo", method="PROPFIND")).json())["method"] == "PROPFIND"


@online
async def test_an_error_status_is_a_response(web: WebServer) -> None:
    response = await fetch(f"{web.url}/nowhere")
    assert (response.status, response.ok, response.status_text) == (404, False, "Not Found")
    assert await response.text() == "no such page"


@online
@pytest.mark.parametrize(
    ("status", "method", "body"), [(302, "GET", ""), (303, "GET", ""), (307, "POST", "x")]
)
async def test_redirects_are_followed(web: WebServer, status: int, method: str, body: str) -> None:
    response = await fetch(f"{web.url}/redirect?status={status}", method="POST", body="x")
    seen = await response.json()
    assert (response.url, response.redirected) == (f"{web.url}/echo?moved", True)
    assert (seen["method"], seen["body"]) == (method, body)


@online
async def test_a_manual_redirect_is_handed_over(web: WebServer) -> None:
    response = await fetch(f"{web.url}/redirect", redirect="manual")
    assert (response.status, response.headers["location"], response.redirected) == (302, "/echo?moved", False)


@online
async def test_a_redirect_may_be_an_error(web: WebServer) -> None:
    with pytest.raises(ConnectionError, match=rf"GET {web.url}/redirect was redirected"):
        await fetch(f"{web.url}/redirect", redirect="error")


@online
async def test_redirects_end_somewhere(web: WebServer) -> None:
    with pytest.raises(ConnectionError, match=f"fetch GET {web.url}/loop failed"):
        await fetch(f"{web.url}/loop")


@online
async def test_a_stream_cannot_be_sent_a_second_time(web: WebServer) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises(ConnectionError, match="failed"):
        await fetch(f"{web.url}/redirect?status=307", method="POST", body=ReadableStream(chunks()))


@online
async def test_a_body_streams_while_the_server_still_writes(web: WebServer) -> None:
    """The server writes its second chunk only after the first was read here: nothing waits for the whole."""
    reader = (await fetch(f"{web.url}/slow")).body.getReader()  # type: ignore[union-attr]
    assert (await reader.read()).value == b"first"
    web.release.set()
    assert (await reader.read()).value == b"second"
    assert (await reader.read()).done


@online
async def test_a_packed_body_comes_unpacked_and_says_so(web: WebServer) -> None:
    response = await fetch(f"{web.url}/gzip")
    assert "content-encoding" not in response.headers
    assert "content-length" not in response.headers
    assert await response.text() == "unpacked"


@online
async def test_repeated_headers_come_through(web: WebServer) -> None:
    headers = (await fetch(f"{web.url}/cookies")).headers
    assert headers.get_all("set-cookie") == ["a=1; Path=/", "b=2, still b"]
    assert headers["vary"] == "x, y"


@online
async def test_cookies_are_not_kept_between_requests(web: WebServer) -> None:
    await (await fetch(f"{web.url}/cookies")).text()
    assert "cookie" not in sent(await (await fetch(f"{web.url}/echo")).json())


@online
async def test_a_response_without_a_body_has_none(web: WebServer) -> None:
    response = await fetch(f"{web.url}/empty")
    assert (response.status, response.body) == (204, None)
    assert await (await fetch(f"{web.url}/echo", method="HEAD")).text() == ""


# A full collection also finds what earlier tests left, of whatever room.
@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@online
async def test_a_body_that_nobody_reads_gives_its_connection_back(web: WebServer) -> None:
    response = await fetch(f"{web.url}/slow")
    del response
    gc.collect()
    web.release.set()
    assert await asyncio.to_thread(web.closed.acquire, timeout=10)


@online
async def test_a_body_that_breaks_off_says_which(web: WebServer) -> None:
    response = await fetch(f"{web.url}/broken")
    with pytest.raises(ConnectionError, match=f"the response of {web.url}/broken broke off"):
        await response.text()


@online
async def test_no_answer_is_a_connection_error_that_names_the_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    with pytest.raises(ConnectionError, match=rf"^fetch GET {url} failed: ") as caught:
        await fetch(url)
    assert isinstance(caught.value, OSError)


async def test_only_http_is_spoken() -> None:
    with pytest.raises(TypeError, match="cannot load ftp://a/"):
        await fetch("ftp://a")


async def test_another_fetcher_can_be_given() -> None:
    async def binding(request: Request) -> Response:
        return Response(f"{request.method} {request.url}")

    assert await (await fetch("http://a", method="PUT", fetcher=binding)).text() == "PUT http://a/"


def test_each_event_loop_has_its_own_connections(web: WebServer) -> None:
    async def once() -> int:
        status = (await fetch(f"{web.url}/echo")).status
        await close_client()
        return status

    assert [asyncio.run(once()), uvloop.run(once())] == [200, 200]
