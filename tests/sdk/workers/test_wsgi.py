from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from wrangler_py.sdk import workers
from wrangler_py.sdk.workers import Request, wsgi


async def test_an_app_answers_and_finds_the_bindings() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ, body=environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        start_response("201 Made", [("X-A", "b"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b"he", b"llo"]

    request = Request(
        "https://a:8443/j%C3%B6?q=%20", method="POST", headers={"X-B": "ä", "Content-Type": "t/u"}, body="hi"
    )
    response = await wsgi.fetch(app, request, "env")
    assert (response.status, response.status_text, response.headers["x-a"]) == (201, "Made", "b")
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert await response.text() == "hello"
    expected = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/jö".encode().decode("latin-1"),
        "QUERY_STRING": "q=%20",
        "SERVER_NAME": "a",
        "SERVER_PORT": "8443",
        "wsgi.url_scheme": "https",
        "HTTP_X_B": "ä".encode().decode("latin-1"),
        "CONTENT_TYPE": "t/u",
        "CONTENT_LENGTH": "2",
        "workers.env": "env",
        "body": b"hi",
    }
    assert {name: seen[name] for name in expected} == expected


async def test_the_app_runs_on_one_thread_of_its_own_with_the_requests_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("set")
    threads = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(3):
            threads.append(threading.current_thread())
            yield variable.get().encode()

    assert await (await wsgi.fetch(app, Request("http://a"), None)).text() == "setsetset"
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


class Result:
    """An iterable of chunks that knows what became of it."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = iter(chunks)
        self.given = 0
        self.closed = 0

    def __iter__(self) -> Result:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.chunks)
        self.given += 1
        return chunk

    def close(self) -> None:
        self.closed += 1


def answering(result: Result, status: str = "200 OK") -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Result:
        start_response(status, [])
        return result

    return app


async def test_the_body_streams_and_is_closed_once_at_its_end() -> None:
    result = Result(b"", b"a", b"b", b"c")
    reader = (await wsgi.fetch(answering(result), Request("http://a"), None)).body.getReader()  # type: ignore[union-attr]
    assert ((await reader.read()).value, result.given) == (b"a", 2)
    assert [(await reader.read()).value for _ in range(3)] == [b"b", b"c", None]
    assert result.closed == 1


async def test_a_client_that_goes_closes_the_result() -> None:
    result = Result(b"a", b"b")
    response = await wsgi.fetch(answering(result), Request("http://a"), None)
    assert response.body is not None
    await response.body.cancel()
    assert (result.given, result.closed) == (1, 1)


async def test_a_status_without_a_body_closes_the_result() -> None:
    result = Result()
    response = await wsgi.fetch(answering(result, "204 No Content"), Request("http://a"), None)
    assert (response.status, response.body, result.closed) == (204, None, 1)


async def test_what_was_written_comes_first() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"a")
        return [b"b"]

    assert await (await wsgi.fetch(app, Request("http://a"), None)).text() == "ab"


async def test_an_app_may_change_its_mind_before_the_first_chunk() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("500 Sorry", [], ("type", "value", None))
        return [b"x"]

    assert (await wsgi.fetch(app, Request("http://a"), None)).status == 500


def raising(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise ValueError("bad")


def silent(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return [b"x"]


def twice(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


@pytest.mark.parametrize(
    ("app", "error", "text"),
    [
        (raising, ValueError, "bad"),
        (silent, RuntimeError, "did not call"),
        (twice, AssertionError, "called twice"),
    ],
)
async def test_a_broken_app_fails_the_request(app: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        await wsgi.fetch(app, Request("http://a"), None)


async def test_an_entrypoint_can_be_made_of_an_app() -> None:
    default = wsgi.entrypoint(answering(Result(b"x")), options=wsgi.Options())
    assert (default.__name__, issubclass(default, workers.WorkerEntrypoint)) == ("Default", True)
    assert await (await default(None, None).fetch(Request("http://a"))).text() == "x"  # type: ignore[attr-defined]
