"""One port: which paths are the session's own, and how it answers to what it does not know."""

from __future__ import annotations

import pytest

from tests.server.session import EXPLORER, FakeHost, echo, errors, in_session, result
from wrangler_py import __version__
from wrangler_py.errors import StoreUnavailableError, WorkerLoadError
from wrangler_py.sdk.web.response import Response
from wrangler_py.server.app import create_app


async def users(request):
    return Response(f"user got {request.method} {request.url}")


@pytest.mark.parametrize(
    "path",
    ["/", "/anything", "/client", "/client/7", "/clients/v4", "/cdn-cgix", "//cdn-cgi/x", "/__scheduled"],
)
def test_everything_else_is_the_users(tmp_path, path):
    async def body(session):
        response = await session.client.get(f"http://127.0.0.1:8787{path}")
        assert response.text == f"user got GET http://127.0.0.1:8787{path}"

    in_session(tmp_path, body, fetch=users)


@pytest.mark.parametrize(
    "path",
    [
        "/cdn-cgi",
        "/cdn-cgi/nope",
        "/%63dn-cgi/nope",
        "/client/v4",
        "/client/v4/user",
        "/client/v4/accounts/local/nope",
        f"{EXPLORER}/nope",
        "/client/v4/accounts/local/workflows/w/nope",
    ],
)
def test_unknown_paths_of_ours_are_404_envelopes(tmp_path, path):
    async def body(session):
        response = await session.client.get(path)
        assert response.status_code == 404
        assert errors(response)[0][0] == 7003
        assert response.headers["content-type"] == "application/json"

    in_session(tmp_path, body, fetch=users)


def test_a_wrong_method_is_405_with_allow(tmp_path):
    async def body(session):
        response = await session.rest("PUT", "/workflows/w/instances")
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        assert errors(response)[0][0] == 7001

    in_session(tmp_path, body)


def test_options_and_head(tmp_path):
    async def body(session):
        options = await session.rest("OPTIONS", "/workflows/w")
        assert (options.status_code, options.content) == (204, b"")
        assert options.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
        assert "access-control-allow-origin" not in options.headers
        assert (await session.rest("OPTIONS", "/nope")).status_code == 404
        head, get = await session.rest("HEAD", "/workflows"), await session.rest("GET", "/workflows")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(get.content))

    in_session(tmp_path, body)


@pytest.mark.parametrize(
    "path", ["/client/v4/accounts/a/workflows", "/cdn-cgi/x", "/cdn-cgi/pywrangler/health"]
)
def test_foreign_hosts_are_refused_on_our_paths_only(tmp_path, path):
    async def body(session):
        refused = await session.client.get(path)
        assert refused.status_code == 403
        assert errors(refused)
        assert (await session.client.get("/")).status_code == 200

    in_session(tmp_path, body, fetch=users, base_url="http://evil.example:8787")


def test_a_cross_site_post_is_refused_and_changes_nothing(tmp_path):
    async def body(session):
        headers = {"origin": "http://evil.example", "content-type": "text/plain"}
        response = await session.rest("POST", "/workflows/w/instances", content=b"{}", headers=headers)
        assert response.status_code == 403
        assert (await session.world.engine.instances("w")).total_count == 0

    in_session(tmp_path, body, run=echo)


def test_allowed_hosts(tmp_path):
    async def body(session):
        assert (await session.rest("GET", "/workflows")).status_code == 200

    in_session(tmp_path, body, base_url="http://my-box:8787", app={"allowed_hosts": ["my-box:8787"]})


def test_a_failure_of_ours_is_a_logged_500(tmp_path, caplog):
    async def body(session):
        async def broken(*_):
            raise ZeroDivisionError

        session.world.engine.status_counts = broken
        rest = await session.rest("GET", "/workflows/w")
        assert (rest.status_code, errors(rest)) == (500, [(10001, "workflows.api.error.internal_server")])
        explorer = await session.explorer("GET", "/workflows/w")
        assert (explorer.status_code, errors(explorer)) == (
            500,
            [(10001, "workflows.api.error.internal_server")],
        )

    in_session(tmp_path, body, run=echo)
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError, ZeroDivisionError]


def test_a_store_that_takes_no_writes_says_so_and_when_to_try_again(tmp_path):
    async def body(session):
        async def full(*_, **__):
            raise StoreUnavailableError("the disk is full")

        session.world.engine.create = full
        response = await session.rest("POST", "/workflows/w/instances", json={})
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert errors(response)[0][1] == "the disk is full"

    in_session(tmp_path, body, run=echo)


def test_past_the_creation_rate_is_429(tmp_path):
    async def body(session):
        batch = await session.rest("POST", "/workflows/w/instances/batch", json=[{}] * 100)
        assert len(result(batch)) == 100
        response = await session.rest("POST", "/workflows/w/instances", json={})
        assert response.status_code == 429
        assert "retry-after" in response.headers

    in_session(tmp_path, body, run=echo, enforce_limits=True)


def test_health(tmp_path):
    async def body(session):
        session.host.configure(name="my-app")
        found = (await session.client.get("/cdn-cgi/pywrangler/health")).json()
        assert (found["status"], found["version"], found["name"], found["error"]) == (
            "ok",
            __version__,
            "my-app",
            None,
        )
        session.host.load_error = WorkerLoadError("entry.py is broken")
        broken = (await session.client.get("/cdn-cgi/pywrangler/health")).json()
        assert (broken["status"], broken["error"]) == ("broken", "entry.py is broken")

    in_session(tmp_path, body)


async def drive(app, scope, *incoming):
    """Run one ASGI conversation; return what the app sent."""
    messages, sent = list(incoming), []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


def test_lifespan_and_websockets(tmp_path):
    async def body(session):
        app = create_app(FakeHost(session.world.engine))
        steps = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent = await drive(app, {"type": "lifespan"}, *steps)
        assert [message["type"] for message in sent] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
        (closed,) = await drive(app, {"type": "websocket"}, {"type": "websocket.connect"})
        assert closed["type"] == "websocket.close"

    in_session(tmp_path, body)


def test_a_client_that_leaves_during_its_request_is_not_answered(tmp_path):
    async def body(session):
        app = create_app(FakeHost(session.world.engine))
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/client/v4/accounts/x/workflows/w/instances",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        part = {"type": "http.request", "body": b'{"par', "more_body": True}
        assert await drive(app, scope, part, {"type": "http.disconnect"}) == []
        assert (await session.world.engine.instances("w")).total_count == 0

    in_session(tmp_path, body, run=echo)
