"""Cutting SQL text into statements."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.storage.statements import is_empty, named_parameter, offset_of, split

TRIGGER = "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM t; END"
PIECES = [
    "SELECT 1",
    "SELECT 'a;b', \"c;d\", `e;f`, [g;h]",
    "SELECT 'it''s;'",
    "SELECT 1 -- a ; b\n + 2",
    "SELECT /* ; */ 3",
    TRIGGER,
    TRIGGER.replace("TRIGGER", "TEMP TRIGGER").replace(" a ", " end "),
    f"explain {TRIGGER.lower()}",
    "UPDATE t SET a = 'CREATE TRIGGER BEGIN'",
]


@given(st.lists(st.sampled_from(PIECES)), st.sampled_from([";", " ;\n", ";;", "; -- tail ; \n;"]))
def test_joined_statements_are_found_again(pieces, end):
    text = "".join(piece + end for piece in pieces)
    assert split(text) == pieces
    assert split(end + text.removesuffix(end)) == pieces


@given(st.text("ab;'\"`[]-/*\n :?CREATETRIGGEREND", max_size=40))
def test_nothing_but_ends_and_comments_is_lost(text):
    """Every statement found stands in the text, in order, and what is between them is no statement."""
    place = 0
    for piece in split(text):
        found = text.index(piece, place)
        assert is_empty(text[place:found])
        place = found + len(piece)
    assert is_empty(text[place:])


@pytest.mark.parametrize("piece", PIECES)
def test_sqlite_agrees_where_a_statement_ends(piece):
    assert sqlite3.complete_statement(f"{piece};")
    assert not sqlite3.complete_statement(piece)


@pytest.mark.parametrize(
    "text", ["", " \n", ";", "-- a", "/* a ; b */", "/* never ended", " ; -- a\n ; /* b */ "]
)
def test_texts_without_a_statement(text):
    assert is_empty(text)
    assert split(text) == []


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT :a", ":a"),
        ("SELECT ?, @b", "@b"),
        ("SELECT $c", "$c"),
        ("SELECT ?1, ':a', \"@b\" -- $c", None),
        ("SELECT a$b", None),
    ],
)
def test_named_parameters_are_seen(sql, found):
    assert named_parameter(sql) == found


def test_an_offset_counts_bytes_and_is_not_guessed():
    assert offset_of("SELECT 'é', b", "b") == 13
    assert offset_of("SELECT b, b", "b") is None
    assert offset_of("SELECT 'b'", "b") is None
