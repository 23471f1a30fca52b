"""Requests reach a session or an app in this process; who does not answer, or answers nonsense, is told."""

import json
import socket
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from wrangler_py.cli.client import Client
from wrangler_py.cli.transport import ColdTransport, SessionTransport
from wrangler_py.errors import SessionError, StateCorruptError


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def echo(request):
    body = await request.body()
    result = {"path": request.url.path, "query": request.url.query, "body": json.loads(body or b"null")}
    return JSONResponse({"success": True, "result": result})


@asynccontextmanager
async def echoing(log):
    log.append("open")
    yield Starlette(routes=[Route("/{rest:path}", echo, methods=["GET", "POST"])])
    log.append("closed")


def test_the_app_in_this_process_gets_the_same_requests_as_a_session():
    log = []
    with ColdTransport(echoing(log)) as transport:
        client = Client(transport)
        assert client.is_stored
        result = client.trigger("wf", {"params": 1})
        assert result["path"] == "/client/v4/accounts/local/workflows/wf/instances"
        assert result["body"] == {"params": 1}
        assert client.workflow("wf")["body"] is None
    assert log == ["open", "closed"]


def test_state_that_cannot_be_opened_is_told_as_it_is():
    @asynccontextmanager
    async def broken():
        raise StateCorruptError("not a database")
        yield

    with pytest.raises(StateCorruptError), ColdTransport(broken()):
        pass


def test_the_app_is_closed_after_a_command_that_failed():
    log = []
    with pytest.raises(KeyError), ColdTransport(echoing(log)):
        raise KeyError
    assert log == ["open", "closed"]


def test_a_port_where_nobody_listens_names_it_and_what_to_do(alone):
    port = free_port()
    result = alone("workflows", "list", "--port", str(port))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        f"✘ [ERROR] Could not connect to local dev session on port {port}. "
        'Make sure "pywrangler dev" is running.\n'
    )


def test_a_session_that_stays_silent_is_not_waited_for_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = SessionTransport("127.0.0.1", server.getsockname()[1], timeout=0.05)
        with pytest.raises(SessionError, match=r"did not answer within 0\.05 seconds"):
            transport.request("GET", "/")


@pytest.mark.parametrize("text", ["<html>hello</html>", "[]", '{"hello": "world"}', ""])
def test_what_is_no_session_is_told(run, session, text):
    session.answers["GET "] = [(404, text)]
    result = run("workflows", "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not a pywrangler session: status 404" in result.stderr
