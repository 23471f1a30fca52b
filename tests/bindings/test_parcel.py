"""What travels between two Workers, in bytes."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.bindings import parcel
from wrangler_py.bindings.failures import RpcError
from wrangler_py.bindings.parcel import Parcel, open_call, pack_call, pack_result, read_parcel
from wrangler_py.bindings.resources import Target
from wrangler_py.sdk.workers import Request, Response
from wrangler_py.serde import RpcTypeError

TARGET = Target("entrypoint", "Named", props={"a": 1})


def call(*args, **kwargs):
    return pack_call("s", TARGET, "m", args, kwargs)


async def chunks(data, cuts):
    edges = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        yield data[start:end]


@given(
    st.binary(min_size=1, max_size=60),
    st.binary(max_size=60),
    st.lists(st.integers(min_value=0, max_value=120), max_size=6),
)
def test_a_parcel_reads_the_same_however_its_bytes_are_cut(head, body, cuts):
    async def read():
        found = await read_parcel(chunks(Parcel(head).front + body, cuts))
        return found.head, b"".join([chunk async for chunk in found.body])

    assert asyncio.run(read()) == (head, body)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0", b"\0\0\0\x09short", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_parcel_is_refused_before_it_is_read_to_its_end(data):
    with pytest.raises(ValueError, match="parcel ends|longer than any"):
        asyncio.run(read_parcel(chunks(data, [])))


def test_a_call_carries_whom_it_is_for():
    found, args, kwargs = open_call(call(1, "two", three={3}))
    assert (found.script, found.target, found.method, found.depth) == ("s", TARGET, "m", 1)
    assert (args, kwargs) == ([1, "two"], {"three": {3}})


@pytest.mark.parametrize("value", [(1,), [1, (2,)], {"a": bytearray(b"x")}, bytearray()])
def test_tuples_and_bytearrays_are_refused_in_cloudflares_words(value):
    with pytest.raises(RpcTypeError, match=r"^<class '(tuple|bytearray)'> cannot be sent over RPC\.$"):
        call(value)
    with pytest.raises(RpcTypeError, match=r"cannot be sent over RPC\.$"):
        pack_result(value)


def test_other_values_are_refused_by_type_place_and_advice():
    with pytest.raises(TypeError) as caught:
        call(1, [{"when": object()}])
    said = str(caught.value)
    assert said.startswith("a value of type object at [1][0]['when'] cannot be sent to another Worker; use ")


def test_one_call_takes_32_mib(monkeypatch):
    monkeypatch.setattr(parcel, "MAX_VALUES", 1000)
    call("x" * 990)
    with pytest.raises(RpcError, match="limited to 32MiB, but the size of this value was: 1004 bytes"):
        call("x" * 998)
    with pytest.raises(RpcError, match="limited to 32MiB"):
        pack_result("x" * 999)


def test_a_request_may_be_an_argument_by_place_or_by_name():
    async def run():
        for args, kwargs, get in [
            (
                (1, Request("http://a.test/x?y", method="PUT", body="in", headers={"x-a": "b"})),
                {},
                lambda a, k: a[1],
            ),
            ((), {"r": Response("out", 418, "Tea")}, lambda a, k: k["r"]),
        ]:
            _, found, named = open_call(call(*args, **kwargs))
            whole = get(found, named)
            yield type(whole).__name__, await whole.text(), whole

    async def collect():
        return [one async for one in run()]

    (kind, text, request), (other, tea, response) = asyncio.run(collect())
    assert (kind, text, request.method, request.url) == ("Request", "in", "PUT", "http://a.test/x?y")
    assert (request.headers["x-a"], request.headers["content-length"]) == ("b", "2")
    assert (other, tea, response.status, response.status_text) == ("Response", "out", 418, "Tea")


def test_only_one_argument_may_be_a_request_or_a_response():
    with pytest.raises(TypeError, match="only one argument"):
        call(Response("a"), Response("b"))


def test_a_body_that_was_read_cannot_be_sent():
    async def run():
        response = Response("a")
        await response.text()
        pack_result(response)

    with pytest.raises(OSError, match="Body already used"):
        asyncio.run(run())
