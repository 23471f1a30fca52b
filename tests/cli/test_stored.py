"""Without a session the same requests reach an app in this process."""

import json
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from wrangler_py.cli.client import Client
from wrangler_py.cli.stored import StoredTransport
from wrangler_py.errors import StateCorruptError


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
    with StoredTransport(echoing(log)) as transport:
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

    with pytest.raises(StateCorruptError), StoredTransport(broken()):
        pass


def test_the_app_is_closed_after_a_command_that_failed():
    log = []
    with pytest.raises(KeyError), StoredTransport(echoing(log)):
        raise KeyError
    assert log == ["open", "closed"]
