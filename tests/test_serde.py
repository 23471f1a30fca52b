"""Laws of values on their way to disk and back (python-sdk, section 4)."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from wrangler_py.sdk.pyodide.ffi import jsnull
from wrangler_py.serde import MAX_DEPTH, NotSerialisableError, Record, RpcTypeError, decode, encode, to_json

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


class Kind(str, Enum):  # noqa: UP042 - a StrEnum overrides __str__, this one does not
    PAID = "paid"


class Level(IntEnum):
    HIGH = 3


class Plain(Enum):
    ONE = 1


class Ratio(float):
    def __repr__(self):
        raise RuntimeError


class Words(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError

    __repr__ = encode = __str__


class Hostile(dict):
    def keys(self):
        raise RuntimeError

    __iter__ = items = values = __repr__ = keys


class Stack(list):
    def __iter__(self):
        raise RuntimeError

    __repr__ = __len__ = __iter__


class Raising:
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__
    __class__ = property(__str__)


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


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (1, "1"),
        (-7, "-7"),
        (2**70, str(2**70)),
        (True, "true"),
        (False, "false"),
        (None, "undefined"),
        (1.5, "1.5"),
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (123e18, "123000000000000000000"),
        (1e-6, "0.000001"),
        (-1.25e-7, "-1.25e-7"),
        (5e-324, "5e-324"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (Colour.RED, "red"),
        (Level.HIGH, "3"),
    ],
)
def test_keys_that_are_numbers_booleans_or_none_become_text_as_javascript_writes_it(key, text):
    assert decode(encode({key: 1, "b": [2]})) == {text: 1, "b": [2]}


def test_of_two_keys_of_one_text_the_last_wins():
    assert decode(encode({1: "a", "1": "b"})) == {"1": "b"}


@pytest.mark.parametrize(
    "key", [(1, 2), b"x", datetime(2026, 1, 1), Plain.ONE, pytest.param(10**5000, id="huge")]
)
def test_other_keys_are_refused_with_their_type_path_and_remedy(key):
    with pytest.raises(NotSerialisableError) as caught:
        encode({"rows": [{key: 1}]})
    assert type(key).__name__ in str(caught.value)
    assert caught.value.path.startswith("['rows'][0]")
    assert "use " in str(caught.value)


def test_subclasses_are_stored_as_what_they_hold_whatever_they_override():
    value = [Kind.PAID, Level.HIGH, Ratio(0.5), Words("x"), {"a": Hostile(a=1)}, Stack([1, Kind.PAID])]
    back = decode(encode(value))
    assert back == ["paid", 3, 0.5, "x", {"a": {"a": 1}}, [1, "paid"]]
    assert [type(each) for each in back] == [str, int, float, str, Record, list]


def test_an_ordered_dict_keeps_its_order():
    value = OrderedDict(a=1, b=[2])
    value.move_to_end("a")
    assert list(decode(encode(value))) == ["b", "a"]


def nested(levels, wrap):
    value = 1
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS = [lambda value: [value], lambda value: {"a": value}, lambda value: {"$x": value, "b": 0}]


@pytest.mark.parametrize("wrap", [*WRAPS, lambda value: {"$x": value}])
def test_the_deepest_value_there_may_be_can_be_read_and_shown_in_a_deep_call_stack(wrap):
    value = nested(MAX_DEPTH, wrap)

    def inside(calls):
        if calls:
            return inside(calls - 1)
        data = encode(value)
        return decode(data), json.dumps(to_json(data)), msgspec.json.decode(data), pretty_repr(decode(data))

    assert inside(400)[0] == value


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 5000])
def test_a_deeper_value_is_refused_with_the_limit(wrap, levels):
    with pytest.raises(NotSerialisableError, match=rf"at .*\.\.\..* nested {MAX_DEPTH} levels deep"):
        encode(nested(levels, wrap))


def test_levels_that_pywrangler_puts_around_a_value_do_not_count():
    assert encode({"payload": nested(MAX_DEPTH, WRAPS[0])}, around=1)


def test_what_contains_itself_is_refused_with_the_place_where_it_does():
    node, row = {"name": "root"}, [1]
    node["parent"], row[0:] = node, [{"of": row}]
    for value, path in ((node, "['parent']"), ({"x": node}, "['x']['parent']"), (row, "[0]['of']")):
        with pytest.raises(NotSerialisableError, match="contains itself") as caught:
            encode(value)
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("\ud800", ""),
        (["a", {"b": "x\udce9"}], "[1]['b']"),
        ({"a": 1, "x\udfff": 2}, r"['x\udfff']"),
        ({"s": {"\ud800"}}, "['s']"),
        ([Words("\ud800")], "[0]"),
    ],
)
def test_text_that_is_not_unicode_is_refused_with_its_path(value, path):
    with pytest.raises(NotSerialisableError, match="half of a surrogate pair") as caught:
        encode(value)
    assert caught.value.path == path
    str(caught.value).encode()


@pytest.mark.parametrize("number", [10**4300, -(10**5000)], ids=["4301 digits", "5001 digits"])
def test_numbers_that_python_does_not_write_are_refused_with_their_path(number):
    for value in (number, {"a": number, "b": 1}, {"a": [number]}):
        with pytest.raises(NotSerialisableError, match=r"more than 4300 digits"):
            encode(value)
    assert decode(encode([10**4300 - 1])) == [10**4300 - 1]


def test_a_moment_that_cannot_be_read_back_is_refused():
    with pytest.raises(NotSerialisableError, match=r"at \['at'\].*years 1 to 9999"):
        encode({"at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))})


class Zone(tzinfo):
    def utcoffset(self, _):
        raise LookupError


def test_a_value_whose_own_methods_raise_is_refused_with_its_path():
    released = memoryview(b"x")
    released.release()
    for value, what in ((datetime(2026, 1, 1, tzinfo=Zone()), "LookupError"), (released, "ValueError")):
        with pytest.raises(NotSerialisableError, match=rf"at \['a'\]\[1\] .*reading it raised {what}"):
            encode({"a": [1, value]})


ODD = [Kind.PAID, Plain.ONE, Words("\ud800"), 10**5000, (1,), object(), Raising, Raising()]


def built(make, parts):
    return lambda: make(part() for part in parts)


def built_dict(make, parts):
    return lambda: make({key: part() for key, part in parts.items()})


KEYS = st.text(st.characters()) | st.integers() | st.floats() | st.none()
#: Recipes: hypothesis looks at what it draws, and some of these values do not like that.
RECIPES = st.recursive(
    (SCALARS | st.text(st.characters())).map(lambda value: lambda: value)
    | st.integers(0, len(ODD) - 1).map(lambda index: lambda: ODD[index]),
    lambda inner: (
        st.builds(built, st.sampled_from([list, Stack]), st.lists(inner, max_size=4))
        | st.builds(built_dict, st.sampled_from([dict, Hostile]), st.dictionaries(KEYS, inner, max_size=4))
    ),
    max_leaves=20,
)


@given(RECIPES)
def test_any_value_is_stored_and_readable_or_refused_with_a_message_that_can_be_stored(recipe):
    try:
        data = encode(recipe())
    except NotSerialisableError as error:
        encode(str(error))
    else:
        assert encode(decode(data)) == data
        json.dumps(to_json(data))


def test_records_read_write_and_delete_by_attribute_and_methods_win():
    record = decode(encode({"a": 1, "items": 2}))
    record.b = 3
    del record.a
    assert (record.b, record["items"], callable(record.items)) == (3, 2, True)
    with pytest.raises(AttributeError, match="no entry 'c'; there are: items, b"):
        _ = record.c
