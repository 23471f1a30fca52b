"""The user's fetch over ASGI: requests and responses arrive whole, stream, and fail readably."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.session import FakeHost, in_session
from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.sdk.web.response import Response
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.server.app import create_app


def visit(tmp_path, fetch, body, **options):
    async def within(session):
        return await body(session.client)

    return in_session(tmp_path, within, fetch=fetch, **options)


def test_method_url_headers_and_body_arrive(tmp_path):
    async def fetch(request):
        text = await request.text()
        return Response(f"{request.method} {request.url} {request.headers['x-one']} {text}")

    async def body(client):
        response = await client.post("/a%20b?q=1&r=%2F", headers={"X-One": "1"}, content="hello")
        assert response.text == "POST http://127.0.0.1:8787/a%20b?q=1&r=%2F 1 hello"

    visit(tmp_path, fetch, body)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
def test_a_request_without_a_body_has_none(tmp_path, method):
    async def fetch(request):
        return Response(headers={"x-body": str(request.body)})

    async def body(client):
        assert (await client.request(method, "/")).headers["x-body"] == "None"

    visit(tmp_path, fetch, body)


def test_status_headers_and_cookies_leave_as_they_are(tmp_path):
    async def fetch(request):
        headers = [
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("X-Name", "caf\u00e9"),
            ("Connection", "close"),
        ]
        return Response("made", status=201, headers=headers)

    async def body(client):
        response = await client.get("/")
        assert (response.status_code, response.text) == (201, "made")
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert response.headers["content-length"] == "4"
        assert "connection" not in response.headers
        assert dict(response.headers.raw)[b"x-name"].decode() == "caf\u00e9"

    visit(tmp_path, fetch, body)


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_statuses_have_no_length(tmp_path, status):
    async def fetch(request):
        return Response(status=status, headers={"content-length": "0"})

    async def body(client):
        response = await client.get("/")
        assert response.status_code == status
        assert "content-length" not in response.headers

    visit(tmp_path, fetch, body)


def test_head_gets_the_headers_of_get(tmp_path):
    closed = []

    async def chunks():
        try:
            yield b"never"
        finally:
            closed.append(True)

    async def fetch(request):
        return Response("hello" if request.url.endswith("text") else ReadableStream(chunks()))

    async def body(client):
        response = await client.head("/text")
        assert (response.content, response.headers["content-length"]) == (b"", "5")
        assert (await client.head("/stream")).content == b""

    visit(tmp_path, fetch, body)


SCOPE = {
    "type": "http",
    "method": "POST",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")],
}


class Client:
    """The other end of an ASGI conversation, turn by turn."""

    def __init__(self, fetch):
        self.app = create_app(FakeHost(None, fetch=fetch))
        self.incoming, self.sent = asyncio.Queue(), asyncio.Queue()
        self.task = asyncio.ensure_future(self.app(dict(SCOPE), self.incoming.get, self.sent.put))

    def say(self, chunk, *, more=True):
        self.incoming.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    def leave(self):
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def hear(self):
        return await asyncio.wait_for(self.sent.get(), 5)


def test_both_bodies_stream_at_once():
    """Each chunk comes back before the next one is sent: nothing waits for the whole."""

    async def fetch(request):
        async def shout():
            async for chunk in request.body:
                yield bytes(chunk).upper()

        return Response(ReadableStream(shout()))

    async def main():
        client = Client(fetch)
        start = await client.hear()
        assert start["status"] == 200
        assert not any(name == b"content-length" for name, _ in start["headers"])
        for word in (b"one", b"two"):
            client.say(word)
            message = await client.hear()
            assert (message["body"], message["more_body"]) == (word.upper(), True)
        client.say(b"", more=False)
        assert (await client.hear()).get("more_body", False) is False
        await client.task

    asyncio.run(main())


def test_a_client_that_leaves_stops_the_stream():
    """An endless response ends, and its generator is closed, when nobody listens any more."""
    closed = []

    async def fetch(request):
        async def forever():
            try:
                while True:
                    yield b"tick"
                    await asyncio.sleep(0)
            finally:
                closed.append(True)

        await request.text()
        return Response(ReadableStream(forever()))

    async def main():
        client = Client(fetch)
        client.say(b"", more=False)
        await client.hear()
        assert (await client.hear())["body"] == b"tick"
        client.leave()
        await asyncio.wait_for(client.task, 5)
        assert closed == [True]

    asyncio.run(main())


def test_a_client_that_leaves_while_sending_fails_the_read(caplog):
    seen = []

    async def fetch(request):
        try:
            await request.text()
        except OSError as error:
            seen.append(error)
        return Response("done")

    async def main():
        client = Client(fetch)
        client.say(b"half")
        client.leave()
        await asyncio.wait_for(client.task, 5)

    asyncio.run(main())
    assert isinstance(seen[0], ConnectionResetError)


def test_a_stream_that_fails_leaves_the_response_unfinished(caplog):
    """The status is out already; only a broken connection can tell the client."""

    async def fetch(request):
        async def broken():
            yield b"some"
            raise ValueError("no more")

        return Response(ReadableStream(broken()))

    async def main():
        client = Client(fetch)
        client.say(b"", more=False)
        await asyncio.wait_for(client.task, 5)
        sent = [client.sent.get_nowait() for _ in range(client.sent.qsize())]
        assert [message.get("more_body") for message in sent[1:]] == [True]

    asyncio.run(main())
    assert "no more" in caplog.text


def test_an_exception_of_the_users_is_a_short_page(tmp_path, caplog):
    async def fetch(request):
        return {}["missing"]

    async def body(client):
        response = await client.get("/broken")
        assert response.status_code == 500
        assert response.headers["content-type"].startswith("text/plain")
        assert response.text.rstrip().endswith("KeyError: 'missing'")
        assert "test_fetch.py" in response.text
        assert "wrangler_py" not in response.text

    visit(tmp_path, fetch, body)
    assert "GET /broken failed" in caplog.text


def test_a_response_used_before_is_a_mistake_of_the_users(tmp_path, caplog):
    async def fetch(request):
        response = Response("once")
        await response.text()
        return response

    async def body(client):
        response = await client.get("/")
        assert response.status_code == 500
        assert "Body already used" in response.text

    visit(tmp_path, fetch, body)


@pytest.mark.parametrize(
    "error",
    [
        WorkerLoadError("entry.py is broken", traceback="  line 3\n", hint="Mend it."),
        UserError("Method fetch does not exist", hint="Add it."),
    ],
)
def test_a_mistake_is_told_with_its_advice(tmp_path, caplog, error):
    async def fetch(request):
        raise error

    async def body(client):
        response = await client.get("/")
        assert response.status_code == 500
        assert str(error) in response.text
        assert error.hint in response.text
        assert "Error" not in response.text
        assert getattr(error, "traceback", "").strip() in response.text

    visit(tmp_path, fetch, body)


def test_an_address_that_is_none_is_a_bad_request(tmp_path):
    async def body(client):
        response = await client.get("/", headers={"host": "[bad"})
        assert response.status_code == 400

    visit(tmp_path, None, body)
