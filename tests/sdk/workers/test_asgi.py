from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

from wrangler_py.sdk import workers
from wrangler_py.sdk.context import Context, WaitUntil
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.sdk.workers import Request, asgi


async def test_an_app_answers_and_finds_the_bindings() -> None:
    async def page(request: StarletteRequest) -> JSONResponse:
        body = (await request.body()).decode()
        seen = [
            request.method,
            request.path_params["name"],
            request.query_params["q"],
            request.headers["x-a"],
            body,
        ]
        return JSONResponse([*seen, request.scope["env"].NAME], 201, {"x-b": "c"})

    app = Starlette(routes=[Route("/hello/{name}", page, methods=["POST"])])
    request = Request("http://a/hello/j%C3%B6?q=1", method="POST", headers={"X-A": "b"}, body="hi")
    response = await asgi.fetch(app, request, SimpleNamespace(NAME="env"))
    assert (response.status, response.headers["x-b"]) == (201, "c")
    assert await response.json() == ["POST", "jö", "1", "b", "hi", "env"]
    await asgi.close_applications()


async def test_every_cookie_of_the_app_arrives() -> None:
    async def page(request: StarletteRequest) -> PlainTextResponse:
        response = PlainTextResponse("x")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    response = await asgi.fetch(Starlette(routes=[Route("/", page)]), Request("http://a"), None)
    assert [cookie.partition(";")[0] for cookie in response.headers.get_all("set-cookie")] == ["a=1", "b=2"]
    await asgi.close_applications()


async def test_the_lifespan_starts_once_and_ends_at_the_end() -> None:
    events = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        events.append("start")
        yield {"pool": "p"}
        events.append("stop")

    async def page(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse(request.state.pool)

    app = Starlette(routes=[Route("/", page)], lifespan=lifespan)
    responses = await asyncio.gather(*(asgi.fetch(app, Request("http://a"), None) for _ in range(3)))
    assert [await response.text() for response in responses] == ["p", "p", "p"]
    assert events == ["start"]
    await asgi.close_applications()
    assert events == ["start", "stop"]


async def test_an_app_that_cannot_start_says_why() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    for _ in range(2):
        with pytest.raises(RuntimeError, match="failed to start: no database"):
            await asgi.fetch(app, Request("http://a"), None)
    await asgi.close_applications()


def bare(app: Any) -> Any:
    """An app without a lifespan, which says so by raising."""

    async def run(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await app(scope, receive, send)

    return run


async def test_a_response_streams_while_the_app_still_works() -> None:
    """The app waits for the first chunk to be read here before it sends the second."""
    go_on = asyncio.Event()

    @bare
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"two"})

    reader = (await asgi.fetch(app, Request("http://a"), None)).body.getReader()  # type: ignore[union-attr]
    assert (await reader.read()).value == b"one"
    go_on.set()
    assert (await reader.read()).value == b"two"
    assert (await reader.read()).done
    await asgi.close_applications()


async def test_a_fast_app_waits_for_a_slow_client() -> None:
    sent = []

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(200):
            sent.append(number)
            yield bytes([number])

    async def page(_: StarletteRequest) -> StreamingResponse:
        return StreamingResponse(chunks())

    response = await asgi.fetch(Starlette(routes=[Route("/", page)]), Request("http://a"), None)
    await asyncio.sleep(0)
    assert len(sent) < 50
    assert await response.bytes() == bytes(range(200))
    await asgi.close_applications()


async def test_the_app_hears_that_the_client_has_gone() -> None:
    """Interleaving: the app waits for room in the queue when the client leaves; it goes on, and is told."""
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @bare
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        heard.set_result((await receive())["type"])

    response = await asgi.fetch(app, Request("http://a"), None)
    assert response.body is not None
    await response.body.cancel()
    assert await heard == "http.disconnect"
    await asgi.close_applications()


async def test_a_request_body_arrives_in_chunks() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    messages = []

    @bare
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            messages.append(await receive())
            if not messages[-1]["more_body"]:
                break
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    request = Request("http://a", method="POST", body=ReadableStream(chunks()))
    response = await asgi.fetch(app, request, None)
    assert (response.status, response.body) == (204, None)
    assert [(message["body"], message["more_body"]) for message in messages] == [
        (b"a", True),
        (b"b", True),
        (b"", False),
    ]
    await asgi.close_applications()


async def test_what_the_app_raises_is_raised() -> None:
    @bare
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        await asgi.fetch(app, Request("http://a"), None)


async def test_an_app_that_breaks_off_breaks_the_body_off() -> None:
    @bare
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise ValueError("bad")

    response = await asgi.fetch(app, Request("http://a"), None)
    with pytest.raises(ValueError, match="bad"):
        await response.text()


@pytest.mark.parametrize("starts", [False, True])
async def test_an_app_without_a_response_is_an_error(starts: bool) -> None:
    @bare
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if starts:
            await send({"type": "http.response.start", "status": 200})

    with pytest.raises(
        RuntimeError, match="ended before its response did" if starts else "without a response"
    ):
        await (await asgi.fetch(app, Request("http://a"), None)).text()


async def test_background_work_goes_on_after_the_response() -> None:
    done = []
    go_on = asyncio.Event()

    async def work() -> None:
        await go_on.wait()
        done.append("work")

    async def page(_: StarletteRequest) -> StarletteResponse:
        return PlainTextResponse("x", background=BackgroundTask(work))

    pending = WaitUntil()
    app = Starlette(routes=[Route("/", page)])
    response = await asgi.fetch(app, Request("http://a"), None, Context(pending))
    assert (await response.text(), done) == ("x", [])
    go_on.set()
    await pending.drain()
    assert done == ["work"]
    await asgi.close_applications()


async def test_failing_background_work_is_reported() -> None:
    @bare
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x"})
        raise ValueError("afterwards")

    errors: list[BaseException] = []
    pending = WaitUntil(errors.append)
    assert await (await asgi.fetch(app, Request("http://a"), None, Context(pending))).text() == "x"
    await pending.drain()
    assert [str(error) for error in errors] == ["afterwards"]


async def test_an_entrypoint_can_be_made_of_an_app() -> None:
    @bare
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["env"].encode()})

    default = asgi.entrypoint(app, options=asgi.Options(encode_body="manual"))
    assert (default.__name__, issubclass(default, workers.WorkerEntrypoint)) == ("Default", True)
    assert await (await default(None, "env").fetch(Request("http://a"))).text() == "env"  # type: ignore[attr-defined]


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="automatic.*'gzip'"):
        asgi.Options(encode_body="gzip")  # type: ignore[arg-type]


async def test_env_is_a_dependency_of_fastapi(monkeypatch: pytest.MonkeyPatch) -> None:
    """FastAPI reads the dependency's annotation to know that it wants the request."""
    fastapi = SimpleNamespace(Request=StarletteRequest, Depends=lambda dependency: dependency)
    monkeypatch.setitem(sys.modules, "fastapi", fastapi)  # type: ignore[arg-type]
    dependency = asgi.env
    assert dependency.__annotations__["request"] is StarletteRequest
    assert await dependency(SimpleNamespace(scope={"env": "env"})) == "env"
    with pytest.raises(AttributeError, match="no attribute 'websocket'"):
        _ = asgi.websocket
