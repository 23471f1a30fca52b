from __future__ import annotations

import asyncio
import copy
import json
import pickle
from datetime import datetime
from typing import Any

import pytest

from wrangler_py import serde
from wrangler_py.sdk import js
from wrangler_py.sdk.context import Context, WaitUntil, current_context
from wrangler_py.sdk.pyodide import ffi
from wrangler_py.sdk.pyodide.ffi import (
    JsException,
    JsProxy,
    create_once_callable,
    create_proxy,
    destroy_proxies,
    jsnull,
    run_sync,
    to_js,
)


def test_a_dict_is_an_object_with_attributes() -> None:
    value = to_js({"a": {"b": [1, {"c": 2}]}}, dict_converter=js.Object.fromEntries)
    assert (value.a.b[1].c, value["a"]["b"].length) == (2, 2)
    assert isinstance(value, dict)
    assert isinstance(value, JsProxy)
    assert json.dumps(value) == '{"a": {"b": [1, {"c": 2}]}}'
    assert value == {"a": {"b": [1, {"c": 2}]}}


def test_to_py_gives_plain_python_back() -> None:
    plain = to_js({"a": [b"x", jsnull, (1,)]}).to_py()
    assert plain == {"a": [b"x", None, [1]]}
    assert {type(plain), type(plain["a"]), type(plain["a"][0])} == {dict, list, bytes}


def test_an_object_lists_its_entries() -> None:
    value = to_js({"a": 1})
    assert (value.object_keys(), value.object_values(), value.object_entries()) == (["a"], [1], [["a", 1]])


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x", datetime(2026, 1, 1), {1, 2}, jsnull])
def test_what_needs_no_conversion_stays(value: object) -> None:
    assert to_js(value) is value


def test_the_dict_converter_gets_every_dicts_pairs() -> None:
    assert to_js({"a": {"b": 1}}, dict_converter=sorted) == [("a", [("b", 1)])]


def test_depth_bounds_the_conversion() -> None:
    inner = {"b": 1}
    assert to_js({"a": inner}, depth=1)["a"] is inner


def test_other_types_are_the_default_converters() -> None:
    class Money:
        cents = 5

    def convert(value: Any, convert: Any, cache: Any) -> Any:
        cache(value, None)
        return convert({"cents": value.cents})

    assert to_js([Money()], default_converter=convert) == [{"cents": 5}]
    with pytest.raises(TypeError, match="no conversion for Money"):
        to_js(Money(), create_pyproxies=False)
    money = Money()
    assert to_js(money) is money


def test_bytes_are_a_buffer() -> None:
    buffer = to_js(bytearray(b"ab"))
    assert (buffer, buffer.length, buffer.to_string(), bytes(buffer.to_memoryview())) == (
        b"ab",
        2,
        "ab",
        b"ab",
    )


def test_js_values_can_be_stored() -> None:
    value = to_js({"a": [1, jsnull]})
    assert serde.decode(serde.encode(value)) == {"a": [1, None]}


def test_null_is_one_falsy_thing() -> None:
    assert not jsnull
    assert (repr(jsnull), ffi.JsNull()) == ("jsnull", jsnull)
    assert copy.deepcopy(jsnull) is pickle.loads(pickle.dumps(jsnull)) is jsnull


def test_an_exception_reads_as_in_javascript() -> None:
    error = JsException("bad", name="RangeError")
    assert (str(error), error.name, error.message, error.stack) == (
        "RangeError: bad",
        "RangeError",
        "bad",
        str(error),
    )
    assert isinstance(error, Exception)
    assert str(JsException()) == "Error: "


def test_a_proxy_is_its_object_until_it_is_destroyed() -> None:
    proxy = create_proxy(lambda x: x + 1)
    assert (proxy(1), proxy.__name__, proxy.to_py()(2)) == (2, "<lambda>", 3)
    destroy_proxies([proxy])
    with pytest.raises(RuntimeError, match="already been destroyed"):
        proxy(1)


def test_a_once_callable_is_called_once() -> None:
    once = create_once_callable(lambda: "done")
    assert once() == "done"
    with pytest.raises(RuntimeError, match="already been destroyed"):
        once()


async def value_of_the_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def test_run_sync_on_a_thread_waits_for_the_loop_of_the_call() -> None:
    token = current_context.set(Context(WaitUntil()))
    assert await asyncio.to_thread(lambda: run_sync(value_of_the_loop())) is asyncio.get_running_loop()
    current_context.reset(token)


def test_run_sync_without_a_loop_makes_one() -> None:
    assert ffi.can_run_sync()
    assert run_sync(value_of_the_loop()).is_closed()


async def test_run_sync_does_not_block_a_loop() -> None:
    assert not ffi.can_run_sync()
    with pytest.raises(RuntimeError, match="use await"):
        run_sync(value_of_the_loop())
