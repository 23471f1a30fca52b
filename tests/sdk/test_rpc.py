from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from wrangler_py.sdk.environment import env
from wrangler_py.sdk.pyodide.ffi import JsException, jsnull
from wrangler_py.sdk.web.response import Response
from wrangler_py.sdk.workers import import_from_javascript, python_from_rpc, python_to_rpc


def test_values_come_back_as_python_reads_them() -> None:
    value = {"list": [1, 2.5, None, {"deep": True}], "set": {1}, "when": datetime(2026, 1, 1), "text": "ä"}
    back = python_from_rpc(python_to_rpc(value))
    assert back == value
    assert back.list[3].deep is True
    assert type(back) is not type(python_to_rpc(value))


def test_a_copy_is_sent() -> None:
    value: dict[str, list[int]] = {"a": []}
    python_to_rpc(value)["a"].append(1)
    assert value == {"a": []}


def test_none_is_null_on_the_way() -> None:
    assert python_to_rpc(None) is jsnull
    assert python_from_rpc(jsnull) is None
    assert python_from_rpc({"a": [jsnull]}) == {"a": [None]}


def test_bytes_come_back_as_a_view_of_the_same_bytes() -> None:
    back = python_from_rpc(python_to_rpc(b"\x00\xff"))
    assert isinstance(back, memoryview)
    assert back == b"\x00\xff"


@pytest.mark.parametrize("value", [(1,), bytearray(b"x"), [{"a": (1,)}], {"a": [bytearray()]}])
def test_tuples_and_bytearrays_are_refused_at_any_depth(value: object) -> None:
    with pytest.raises(TypeError, match=r"^<class '(tuple|bytearray)'> cannot be sent over RPC\.$"):
        python_to_rpc(value)


async def test_what_is_to_be_awaited_is_refused() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(TypeError, match="Awaitable .* cannot be sent over RPC"):
        python_to_rpc(future)


def test_the_types_of_workers_pass() -> None:
    response = Response("x")
    assert python_from_rpc(python_to_rpc(response)) is response


def test_an_error_from_the_other_side_is_an_exception() -> None:
    error = python_from_rpc(JsException("bad", name="RangeError"))
    assert (type(error), str(error)) == (Exception, "RangeError: bad")


def test_cloudflares_own_modules_can_be_imported() -> None:
    module = import_from_javascript("cloudflare:workers")
    assert module.env is env
    assert callable(module.waitUntil)
    assert issubclass(import_from_javascript("cloudflare:workflows").NonRetryableError, Exception)


def test_other_modules_are_an_import_error_that_names_what_there_is() -> None:
    with pytest.raises(
        ImportError, match="'cloudflare:sockets': no JavaScript here; there are cloudflare:workers"
    ) as caught:
        import_from_javascript("cloudflare:sockets")
    assert caught.value.name == "cloudflare:sockets"
