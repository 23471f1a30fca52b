"""Cutting SQL text into statements: what SQLite itself does with a text is the model."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wrangler_py.storage.statements import is_blank, named_parameter, offset_of, split

TRIGGER = "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM t; END"
PIECES = [
    "SELECT 1",
    "/* a; comment */ SELECT 1",
    "-- a; comment\nSELECT 1",
    "SELECT 'a;b', \"c;d\", `e;f`, [g;h]",
    "SELECT 'it''s;'",
    "SELECT 1 -- a ; b\n + 2",
    "SELECT /* ; */ 3",
    "SELECT $a(b;c)",
    TRIGGER,
    TRIGGER.replace("TRIGGER", "TEMP TRIGGER").replace(" a ", " end "),
    f"explain {TRIGGER.lower()}",
    f"EXPLAIN QUERY PLAN/*;*/{TRIGGER}",
    "UPDATE t SET a = 'CREATE TRIGGER BEGIN'",
]


@given(st.lists(st.sampled_from(PIECES)), st.sampled_from([";", " ;\n", ";;", "; -- tail ; \n;"]))
def test_joined_statements_are_found_again(pieces, end):
    text = "".join(piece + end for piece in pieces)
    assert split(text) == pieces
    assert split(end + text.removesuffix(end)) == pieces


#: What a text is made of that tries to be read in two ways.
FRAGMENTS = [
    *";;;'\"`[]-/*\n :@$",
    "--",
    "/*",
    "*/",
    "/*/",
    "''",
    "\t\f\r\v",
    "\ufeff",
    "\xa0",
    "é",
    "$a(",
    "INSERT INTO t VALUES (1)",
    "insert into [t;] values ('a;')",
    "SELECT",
    " CREATE ",
    " TEMP",
    "TEMPORARY",
    "TRIGGER",
    "trigger a AFTER INSERT ON t BEGIN",
    "EXPLAIN ",
    "END",
    "END;",
    "BEGIN",
    "CASE",
    TRIGGER,
    TRIGGER + ";",
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join)
#: A table that is written once for each statement that has run, and one with a name to be quoted.
SCHEMA = "CREATE TABLE t (a); CREATE TABLE [t;] (a)"


def effects(run):
    """Return what a fresh database is like after ``run``, and True if SQLite refused something."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.executescript(SCHEMA)
        try:
            run(connection)
        except sqlite3.Error:
            refused = True
        else:
            refused = False
        return connection.in_transaction, list(connection.iterdump()), refused
    finally:
        connection.close()


@settings(max_examples=1500)
@given(TEXTS)
@example("BEGIN/*\n")
def test_the_statements_of_a_text_do_what_sqlite_does_with_the_text(text):
    def each(connection):
        for statement in split(text):
            connection.execute(statement, defaultdict(lambda: None))

    assert effects(each) == effects(lambda connection: connection.executescript(text))


@settings(max_examples=1500)
@given(TEXTS)
def test_a_text_is_blank_if_sqlite_finds_no_statement_in_it(text):
    assert is_blank(text) == (split(text) == []) == (not finds_a_statement(text))


def finds_a_statement(text):
    """Return True if SQLite compiles or refuses something: it asks the authorizer about all that it compiles."""
    asked = []

    def run(connection):
        connection.set_authorizer(lambda *action: asked.append(action) or sqlite3.SQLITE_OK)
        try:
            connection.executescript(text)
        finally:
            connection.set_authorizer(None)

    return effects(run)[-1] or bool(asked)


@given(TEXTS)
def test_nothing_but_ends_and_comments_is_lost(text):
    """Every statement found stands in the text, in order, and what is between them is no statement."""
    place = 0
    for piece in split(text):
        found = text.index(piece, place)
        assert is_blank(text[place:found])
        place = found + len(piece)
    assert is_blank(text[place:])


@pytest.mark.parametrize("piece", PIECES)
def test_sqlite_agrees_where_a_statement_ends(piece):
    assert sqlite3.complete_statement(f"{piece};")
    assert not sqlite3.complete_statement(piece)


@pytest.mark.parametrize(
    "text", ["", " \n", ";", "-- a", "/* a ; b */", "/* never ended", " ; -- a\n ; /* b */ ", "\ufeff"]
)
def test_texts_without_a_statement(text):
    assert is_blank(text)
    assert split(text) == []


@pytest.mark.parametrize("text", ["/* a */ SELECT 1", "-- a\nSELECT 1", "/* a */ x /* b", "/*", "\xa0", "'"])
def test_a_comment_does_not_hide_what_stands_behind_it(text):
    assert not is_blank(text)
    assert split(text) == [text]


#: A character of each kind of token, and what nearly is one.
UNITS = [
    *" \t\n;'\"`[]-/*?:@$.x",
    "/*",
    "*/",
    "--",
    "''",
    "/* */",
    "$a(",
    "[;",
    "';",
    ";END;",
    "a.b,",
    "::",
    "\ufeff",
    "\xa0",
]
HEADS = ["", "/*", "'", "CREATE TRIGGER a BEGIN "]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("unit", UNITS)
def test_a_long_text_is_read_in_time_in_proportion_to_its_length(head, unit):
    """Reading what is left of the text again at each of its 100 000 places would take minutes."""
    text = head + unit * (100_000 // len(unit))
    began = time.process_time()
    split(text)
    named_parameter(text)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT :a", ":a"),
        ("SELECT ?, @b", "@b"),
        ("SELECT $c", "$c"),
        ("SELECT $c::d(e)", "$c::d(e)"),
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
