"""Laws of values on their way to disk and back (python-sdk, section 4)."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.sdk.pyodide.ffi import jsnull
from wrangler_py.serde import NotSerialisableError, Record, RpcTypeError, decode, encode, to_json

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 1, 1)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | MOMENTS
)
VALUES = st.recursive(
    SCALARS | st.sets(st.integers() | st.text()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_goes_in_comes_out_equal_and_of_the_same_type(value):
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value) or (isinstance(value, dict) and type(back) is Record)


@given(VALUES)
def test_whatever_is_stored_can_be_shown_as_json(value):
    json.dumps(to_json(encode(value)))


@given(
    st.dictionaries(st.sampled_from(["$bytes", "$date", "$set", "$dict", "$x"]), st.integers(), max_size=2)
)
def test_a_users_own_dollar_keys_are_data(value):
    assert decode(encode(value)) == value
    assert to_json(encode(value)) == value


def test_nan_and_infinity_survive():
    back = decode(encode([math.nan, math.inf, -math.inf]))
    assert math.isnan(back[0])
    assert back[1:] == [math.inf, -math.inf]


def test_aware_datetimes_come_back_as_naive_utc():
    moment = datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert decode(encode(moment)) == datetime(2026, 5, 1, 10)
    assert to_json(encode(moment)) == "2026-05-01T10:00:00.000Z"


class Colour(StrEnum):
    RED = "red"


def test_subclasses_of_plain_types_are_stored_as_those():
    value = [Colour.RED, OrderedDict(a=1), memoryview(b"x"), type("MyBytes", (bytes,), {})(b"y"), jsnull]
    assert decode(encode(value)) == ["red", {"a": 1}, b"x", b"y", None]


class Pair(NamedTuple):
    x: int


@pytest.mark.parametrize("value", [(1,), bytearray(b"x"), Pair(1)])
def test_tuples_and_bytearrays_are_refused_in_cloudflares_words(value):
    for whole in (value, {"deep": [value]}):
        with pytest.raises(RpcTypeError, match=r"^<class '.*'> cannot be sent over RPC\.$"):
            encode(whole)


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (date(2026, 1, 1), "ISO string"),
        (timedelta(1), "milliseconds"),
        (Decimal(1), "str or a float"),
        (Point(1), "dataclasses.asdict"),
        (frozenset({1}), "a set or a list"),
        (print, "functions do not survive"),
        (object(), "use a dict"),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_path_and_what_to_use(value, advice):
    with pytest.raises(NotSerialisableError) as caught:
        encode({"rows": [1, {"x": value}]})
    assert "['rows'][1]['x']" in str(caught.value)
    assert type(value).__name__ in str(caught.value)
    assert advice in str(caught.value)


def test_keys_must_be_text():
    with pytest.raises(NotSerialisableError, match="keys of a dict must be str"):
        encode({1: "x"})


def test_records_read_write_and_delete_by_attribute_and_methods_win():
    record = decode(encode({"a": 1, "items": 2}))
    record.b = 3
    del record.a
    assert (record.b, record["items"], callable(record.items)) == (3, 2, True)
    with pytest.raises(AttributeError, match="no entry 'c'; there are: items, b"):
        _ = record.c
