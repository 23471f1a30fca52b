from __future__ import annotations

import uuid

import pytest

from wrangler_py.sdk import js
from wrangler_py.sdk.pyodide.ffi import jsnull, to_js


def test_object_functions() -> None:
    value = js.Object.fromEntries([["a", 1], ("b", 2)])
    assert (value.a, js.Object.keys(value), js.Object.values(value)) == (1, ["a", "b"], [1, 2])
    assert js.Object.entries(value) == [["a", 1], ["b", 2]]
    assert js.Object.assign(js.Object.new(), value, None, {"b": 3}) == {"a": 1, "b": 3}


def test_an_entry_called_like_a_method_is_still_an_entry() -> None:
    assert js.Object.keys(to_js({"keys": 1, "items": 2})) == ["keys", "items"]
    assert js.Object.values(to_js({"values": 1})) == [1]


def test_arrays() -> None:
    array = js.Array.from_(range(2))
    assert (array.push(2, 3), array, array.length, js.Array.isArray(array)) == (4, [0, 1, 2, 3], 4, True)
    assert js.Array.new(1, 2) == js.Array.of(1, 2) == [1, 2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, "ä", None, True]}, '{"a":[1,"ä",null,true]}'),
        ([float("nan"), jsnull], "[null,null]"),
        (js.Date.new(0), '"1970-01-01T00:00:00.000Z"'),
    ],
)
def test_json_is_written_as_javascript_does(value: object, text: str) -> None:
    assert js.JSON.stringify(value) == text


def test_json_can_be_indented_and_read() -> None:
    assert js.JSON.stringify({"a": 1}, None, 2) == '{\n  "a": 1\n}'
    assert js.JSON.parse('{"a": {"b": [1]}}').a.b == [1]
    with pytest.raises(ValueError, match="Expecting"):
        js.JSON.parse("{")
    with pytest.raises(TypeError, match="object is not JSON serializable"):
        js.JSON.stringify(object())


def test_numbers_bytes_and_ids() -> None:
    assert 0 <= js.Math.random() < 1
    assert (js.Math.round(2.5), js.Math.round(-2.5), js.Math.floor(1.9), js.Math.max(1, 2)) == (3, -2, 1, 2)
    assert (js.Uint8Array.new(2), js.Uint8Array.new([1, 2])) == (b"\0\0", b"\1\2")
    assert uuid.UUID(js.crypto.randomUUID()).version == 4


def test_a_name_without_a_stand_in_is_named() -> None:
    with pytest.raises(
        AttributeError, match="js.WebSocket is not available in ordinary Python; there are: JSON"
    ):
        _ = js.WebSocket
    assert all(hasattr(js, name) for name in js.__all__)
