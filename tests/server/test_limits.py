"""Limits of a request's size hold on every route, and for every form in which a body can be sent."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.server.session import EXPLORER, REST, echo, errors, in_session
from wrangler_py.server import call, operations, rest
from wrangler_py.server.graphql import serving as graphql

ROUTES = [
    (prefix, *route.split(" "))
    for prefix, table in ((REST, operations.REST), (EXPLORER, operations.EXPLORER))
    for route, operation in table.items()
    if operation.body is not None
]
PARTS = {"workflow": "w", "instance": "i", "event_type": "go"}
PIECE = 64 * 1024
SMALL = 100_000


async def in_pieces(body: bytes):
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


async def in_one_piece(body: bytes):
    yield body


async def without_an_end(body: bytes):
    """An endless body: the server must refuse it before its end."""
    for _ in itertools.count():
        yield body


FORMS = {
    "declared": lambda body: body,
    "chunked": in_pieces,
    "in one chunk": in_one_piece,
    "without an end": without_an_end,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("prefix", "method", "path"), ROUTES)
def test_a_body_over_the_limit_is_413_and_changes_nothing(tmp_path, monkeypatch, prefix, method, path, form):
    monkeypatch.setattr(call.Call.body, "__defaults__", (SMALL,))
    monkeypatch.setattr(rest, "BATCH_BODY_LIMIT", SMALL)

    async def body(session):
        row = await session.create("i", params="kept")
        await session.world.finish(row)
        url = f"{prefix}/{path.format(**PARTS)}"
        response = await session.client.request(method, url, content=FORMS[form](b" " * (SMALL + 1)))
        assert (response.status_code, errors(response)) == (
            413,
            [(10413, f"The request body is larger than {SMALL} bytes.")],
        )
        assert (await session.world.engine.instances("w")).total_count == 1
        return (await session.world.engine.status("w", "i")).output

    assert in_session(tmp_path, body, run=echo) == b'"kept"'


def test_a_body_that_declares_too_much_is_refused_before_any_of_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(call.Call.body, "__defaults__", (SMALL,))

    async def unread():
        raise AssertionError("the body was read")
        yield b""

    async def body(session):
        length = {"content-length": str(SMALL + 1)}
        return (
            await session.rest("POST", "/workflows/w/instances", content=unread(), headers=length)
        ).status_code

    assert in_session(tmp_path, body, run=echo) == 413


@pytest.mark.parametrize("form", ["declared", "chunked", "in one chunk"])
def test_a_body_of_just_the_limit_is_read(tmp_path, monkeypatch, form):
    monkeypatch.setattr(call.Call.body, "__defaults__", (SMALL,))

    async def body(session):
        sent = b'{"instance_id": "i"}'.ljust(SMALL)
        response = await session.rest("POST", "/workflows/w/instances", content=FORMS[form](sent))
        return response.status_code

    assert in_session(tmp_path, body, run=echo) == 200


@pytest.mark.parametrize("form", FORMS)
def test_a_graphql_query_over_the_limit_is_413(tmp_path, monkeypatch, form):
    monkeypatch.setattr(graphql, "BODY_LIMIT", SMALL)

    async def body(session):
        sent = json.dumps({"query": "{__typename}" + " " * SMALL}).encode()
        response = await session.client.post("/client/v4/graphql", content=FORMS[form](sent))
        return response.status_code

    assert in_session(tmp_path, body, run=echo) == 413


def test_the_limits_fit_what_they_bound():
    """A parameter of 1 MiB may take six bytes for each of its own in a JSON string; a batch has a hundred."""
    assert call.BODY_LIMIT == 8 * 2**20 == call.Call.body.__defaults__[0]
    assert rest.BATCH_BODY_LIMIT == 128 * 2**20
    assert graphql.BODY_LIMIT == 256 * 1024
