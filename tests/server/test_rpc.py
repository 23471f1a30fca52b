"""The way in for other Workers: who may use it, and what it makes of what is no call."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.support.peers import Registry, Worker
from wrangler_py.bindings.parcel import Misdirected, Parcel, Result, open_answer, open_result, pack_call
from wrangler_py.bindings.resources import Target
from wrangler_py.bindings.wires import CONTENT_TYPE, PATH
from wrangler_py.sdk.workers import WorkerEntrypoint
from wrangler_py.server.app import create_app

TYPE = {"content-type": CONTENT_TYPE}


class Default(WorkerEntrypoint):
    calls = 0

    async def add(self, a, b):
        Default.calls += 1
        return a + b


def post(content, headers, *, dispatches=True):
    async def main():
        worker = Worker("there", Registry(), Default=Default)
        if not dispatches:
            worker.dispatcher = None
        transport = httpx.ASGITransport(create_app(worker))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787") as client:
            return await client.post(PATH, content=content, headers=headers)

    Default.calls = 0
    return asyncio.run(main())


def a_call(script="there"):
    return pack_call(script, Target("entrypoint"), "add", (1, 2), {}).front


def answer_of(response):
    length = int.from_bytes(response.content[:4], "big")
    return open_answer(Parcel(response.content[4 : 4 + length]))


def test_a_call_is_answered():
    response = post(a_call(), TYPE)
    answer = answer_of(response)
    assert response.headers["content-type"] == CONTENT_TYPE
    assert isinstance(answer, Result)
    assert open_result(answer) == 3


def test_a_call_for_another_script_is_not_carried_out():
    assert answer_of(post(a_call("somebody-else"), TYPE)) == Misdirected("there")
    assert Default.calls == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_can_send_is_refused(kind):
    assert post(a_call(), {"content-type": kind}).status_code == 415
    assert Default.calls == 0


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.test"}, {"host": "evil.test"}, {"sec-fetch-site": "cross-site"}]
)
def test_other_sites_are_refused(headers):
    assert post(a_call(), {**TYPE, **headers}).status_code == 403
    assert Default.calls == 0


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0", b"\0\0\0\x02{}", b"\0\0\0\x04null", b"\xff" * 8, b"\0\0\0\x03[1,", a_call()[:-3]],
)
def test_what_is_no_call_is_refused(content):
    response = post(content, TYPE)
    assert response.status_code == 400
    assert "not a call of a Worker" in response.text


def test_a_state_without_a_worker_says_so():
    assert post(a_call(), TYPE, dispatches=False).status_code == 503
