"""What may be bound, and what comes back (D1 docs, "Type conversion")."""

from __future__ import annotations

import tempfile
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bindings.d1.conftest import with_database
from wrangler_py.bindings.d1.values import to_sqlite
from wrangler_py.bindings.failures import D1Error
from wrangler_py.sdk.pyodide.ffi import JsBuffer, jsnull

SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=50)
@given(
    st.lists(
        st.none() | SAFE | st.floats(allow_nan=False, allow_infinity=False) | TEXT | st.binary(), max_size=20
    )
)
def test_values_come_back_as_they_were(values):
    async def body(db):
        await db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        insert = db.prepare("INSERT INTO t (v) VALUES (?)")
        for value in values:
            await insert.bind(value).run()
        return [row.v for row in (await db.prepare("SELECT v FROM t ORDER BY id").all()).results]

    with tempfile.TemporaryDirectory() as folder:
        stored = with_database(Path(folder) / "a.sqlite", body)
    assert [(type(one), one) for one in stored] == [(type(one), one) for one in values]


class Colour(IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, 1),
        (False, 0),
        (jsnull, None),
        (float("nan"), None),
        (float("inf"), None),
        (JsBuffer(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (bytearray(b"ab"), b"ab"),
        ([97, 98], b"ab"),
        (Colour.RED, 3),
    ],
)
def test_values_that_are_stored_as_another_type(value, stored):
    found = to_sqlite(value)
    assert (type(found), found) == (type(stored), stored)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, "Type 'object' not supported for value '{'a': 1}'"),
        ((1,), "Type 'object' not supported for value '(1,)'"),
        ([256], "Type 'object' not supported for value '[256]'"),
        (["a"], "Type 'object' not supported for value '['a']'"),
        (datetime(2026, 1, 2), "Type 'object' not supported for value '2026-01-02 00:00:00'"),
        (Decimal(1), "Type 'object' not supported for value '1'"),
        (len, "Type 'function' not supported for value '<built-in function len>'"),
        (2**53, "Type 'bigint' not supported for value '9007199254740992'"),
        ({"a": "b" * 200}, f"Type 'object' not supported for value '{{'a': '{'b' * 93}...'"),
    ],
)
def test_values_that_are_refused(value, message):
    with pytest.raises(D1Error) as caught:
        to_sqlite(value)
    assert str(caught.value) == f"Error: D1_TYPE_ERROR: {message}"


def test_half_a_surrogate_pair_is_told(on):
    async def body(db):
        with pytest.raises(D1Error, match="half of a surrogate pair"):
            await db.prepare("SELECT ?").bind("\ud800").all()

    on(body)
