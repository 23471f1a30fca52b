"""Parameters mean what they mean to SQLite, whatever Python's module takes."""

from __future__ import annotations

import sqlite3

import pytest

from wrangler_py.storage.parameters import bound


@pytest.mark.parametrize(
    ("sql", "values", "expected"),
    [
        ("SELECT ?, ?", ("a", "b"), ("a", "b")),
        ("SELECT ?2, ?1, ?2", ("a", "b"), ("b", "a", "b")),
        ("SELECT ?02, ?1", ("a", "b"), ("b", "a")),
        ("SELECT ?2, ?, ?1", ("a", "b", "c"), ("b", "c", "a")),
        ("SELECT ?, ?1, ?", ("a", "b"), ("a", "a", "b")),
        ("SELECT :one, @two, :one, $three, ?", (1, 2, 3, 4), (1, 2, 1, 3, 4)),
        ("SELECT ?3", ("a", "b", "c"), ("c",)),
        ("SELECT '?1' AS \"?2\", ?1 AS `?3`, 1 AS [?4] -- ?5 :x\n", ("a",), ("?1", "a", 1)),
        ("SELECT '?1', ? /* ?5 */", ("a",), ("?1", "a")),
        ("SELECT 'it''s ?7', ?1", ("a",), ("it's ?7", "a")),
        ("SELECT a$b FROM (SELECT ?1 AS a$b)", ("a",), ("a",)),
        ("SELECT '?1'", (), ("?1",)),
    ],
)
def test_values_go_by_number(sql, values, expected):
    with sqlite3.connect(":memory:") as connection:
        assert connection.execute(*bound(sql, values)).fetchone() == expected
    connection.close()


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c")])
def test_too_many_or_too_few_are_refused(values):
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.ProgrammingError, match="uses 2, and there are"):
        connection.execute(*bound("SELECT ?1, ?2", values))
    connection.close()


def test_a_number_out_of_range_is_sqlites_to_refuse():
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError, match="variable number must be between"):
        connection.execute(*bound("SELECT ?0", ()))
    connection.close()
