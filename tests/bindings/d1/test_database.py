"""`env.DB` as user code sees it (D1 docs, "Workers Binding API")."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bindings.d1.conftest import with_database
from wrangler_py.bindings.failures import D1Error
from wrangler_py.errors import BindingError
from wrangler_py.sdk.pyodide.ffi import JsException, to_js

SETUP = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, n); CREATE TABLE child (t INTEGER REFERENCES t (id))"


def failure(on, sql, *values):
    """Return the error of a statement, on a database with the tables above."""

    async def body(db):
        await db.exec(SETUP.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
        with pytest.raises(D1Error) as caught:
            await db.prepare(sql).bind(*values).all()
        return caught.value

    return on(body)


# rows and results


def test_rows_answer_to_keys_and_to_attributes(on):
    async def body(db):
        await db.exec(SETUP)
        await db.prepare("INSERT INTO t VALUES (?, ?, ?)").bind(1, "a", 2.5).run()
        result = await db.prepare("SELECT * FROM t").all()
        return result.results[0].v, result["results"][0]["n"], result.success

    assert on(body) == ("a", 2.5, True)


def test_meta_tells_what_a_write_did(on):
    async def body(db):
        await db.exec(SETUP)
        return (await db.prepare("INSERT INTO t (id, v) VALUES (7, 'a'), (9, 'b')").run()).meta

    meta = on(body)
    assert (meta.changes, meta.last_row_id, meta.rows_written, meta.changed_db) == (2, 9, 2, True)
    assert meta.duration >= 0
    assert meta.size_after >= 4 * 4096
    assert meta.served_by


def test_meta_tells_that_a_read_changed_nothing(on):
    async def body(db):
        await db.exec(SETUP)
        await db.prepare("INSERT INTO t (v) VALUES ('a'), ('b')").run()
        return (await db.prepare("SELECT * FROM t").run()).meta

    meta = on(body)
    assert (meta.changes, meta.rows_written, meta.rows_read, meta.changed_db) == (0, 0, 2, False)


def test_size_grows_with_the_database(on):
    async def body(db):
        await db.exec(SETUP)
        before = (await db.prepare("SELECT 1").all()).meta.size_after
        after = (await db.prepare("INSERT INTO t (n) VALUES (zeroblob(100000))").run()).meta.size_after
        return before, after, (await db.prepare("SELECT 1").all()).meta.size_after

    before, after, later = on(body)
    assert before < 100_000 < after == later


def test_run_returns_rows_too(on):
    async def body(db):
        await db.exec(SETUP)
        return (await db.prepare("INSERT INTO t (v) VALUES ('a') RETURNING id, v").run()).results

    assert on(body) == [{"id": 1, "v": "a"}]


def test_first_is_a_row_or_one_of_its_columns_or_none(on):
    async def body(db):
        await db.exec(SETUP)
        await db.exec("INSERT INTO t VALUES (1, 'a', NULL), (2, 'b', NULL)")
        statement = db.prepare("SELECT id, v, n FROM t WHERE id >= ? ORDER BY id")
        return (
            await statement.bind(1).first(),
            await statement.bind(2).first("v"),
            await statement.bind(2).first("n"),
            await statement.bind(3).first(),
            await statement.bind(3).first("v"),
        )

    assert on(body) == ({"id": 1, "v": "a", "n": None}, "b", None, None, None)


def test_first_of_a_column_that_is_not_there(on):
    async def body(db):
        with pytest.raises(D1Error) as caught:
            await db.prepare("SELECT 1 AS a").first("b")
        return str(caught.value)

    assert on(body) == "Error: D1_COLUMN_NOTFOUND: Column not found (b)"


def test_raw_gives_lists_and_the_columns_if_asked(on):
    async def body(db):
        statement = db.prepare("SELECT 1 AS a, 2 AS a UNION ALL SELECT 3, 4")
        return (
            await statement.raw(),
            await statement.raw(columnNames=True),
            await statement.raw(column_names=True),
            await statement.raw(to_js({"columnNames": True})),
        )

    rows = [[1, 2], [3, 4]]
    assert on(body) == (rows, *[[["a", "a"], *rows]] * 3)


# statements and values


def test_a_statement_is_used_again_with_other_values(on):
    async def body(db):
        statement = db.prepare("SELECT ? + ? AS n")
        one, two = statement.bind(1, 2), statement.bind(3, 4)
        return [await one.first("n"), await two.first("n"), await one.first("n"), statement.params]

    assert on(body) == [3, 7, 3, ()]


def test_numbered_parameters(on):
    async def body(db):
        return await db.prepare("SELECT ?2 || ?1 || ?2 AS v").bind("a", "b").first("v")

    assert on(body) == "bab"


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT ?", ()),
        ("SELECT ?", (1, 2)),
        ("SELECT '?'", ("Bs Beverages",)),
        # SQLite counts up to the highest number: a bare ? behind ?3 is the fourth.
        ("SELECT ?3, ?", (1, 2)),
    ],
)
def test_a_wrong_number_of_values(on, sql, values):
    error = failure(on, sql, *values)
    assert str(error) == "Error: D1_ERROR: Wrong number of parameter bindings for SQL query."
    assert error.sql == sql


@pytest.mark.parametrize("sql", ["SELECT :a", "SELECT @a", "SELECT $a"])
@pytest.mark.parametrize("values", [(), (1,)])
def test_named_parameters_are_refused(on, sql, values):
    assert str(failure(on, sql, *values)) == (
        f"Error: D1_ERROR: named parameters such as {sql[-2:]} are not supported; use ? or ?1, ?2"
    )


def test_a_colon_or_a_dollar_in_a_text_is_no_parameter(on):
    async def body(db):
        return await db.prepare("SELECT json_extract(?, '$.a') || ' :b @c' AS v").bind('{"a": 1}').first("v")

    assert on(body) == "1 :b @c"


# errors


def test_errors_are_javascripts_and_ours_and_carry_the_statement(on):
    error = failure(on, "SELEC 1")
    assert str(error) == 'Error: D1_ERROR: near "SELEC": syntax error at offset 0: SQLITE_ERROR'
    assert isinstance(error, JsException)
    assert isinstance(error, BindingError)
    assert error.sql == "SELEC 1"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nope FROM t", "no such column: nope at offset 7: SQLITE_ERROR"),
        ("SELECT nope, nope FROM t", "no such column: nope: SQLITE_ERROR"),
        ("SELECT 'é', nope FROM t", "no such column: nope at offset 13: SQLITE_ERROR"),
        ("SELECT * FROM nope", "no such table: nope: SQLITE_ERROR"),
        ("INSERT INTO t (v) VALUES ('a'), ('a')", "UNIQUE constraint failed: t.v: SQLITE_CONSTRAINT"),
        ("INSERT INTO child VALUES (5)", "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT"),
        ("INSERT INTO t (id) VALUES ('a')", "datatype mismatch: SQLITE_MISMATCH"),
        ("SELECT 1; SELECT 2", "A prepared SQL statement must contain only one statement."),
        ("", "No SQL statements detected."),
        (" -- only a comment", "No SQL statements detected."),
        ("SELECT 1 \0", "the statement contains a NUL character"),
    ],
)
def test_errors_in_d1s_words(on, sql, message):
    assert str(failure(on, sql)) == f"Error: D1_ERROR: {message}"


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH 'other.sqlite' AS other",
        "DETACH main",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version = 3",
        "PRAGMA wal_checkpoint",
        "CREATE TEMP TABLE x (a)",
        "CREATE VIRTUAL TABLE x USING dbstat",
        "SELECT * FROM pragma_database_list",
    ],
)
def test_what_reaches_around_the_binding_is_refused(on, sql):
    assert str(failure(on, sql)) == "Error: D1_ERROR: not authorized: SQLITE_AUTH"


@pytest.mark.parametrize(
    "sql", ["BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a"]
)
def test_transactions_are_pointed_to_batch(on, sql):
    # Once more behind a batch, whose own BEGIN and COMMIT have been compiled by then.
    async def body(db):
        await db.batch([db.prepare("SELECT 1")])
        with pytest.raises(D1Error, match="instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements"):
            await db.prepare(sql).run()
        with pytest.raises(D1Error, match="not authorized"):
            await db.prepare("ATTACH 'x' AS y").run()

    assert "env.DB.batch([...])" in str(failure(on, sql))
    on(body)


def test_pragmas_that_only_look_are_allowed(on):
    async def body(db):
        await db.exec(SETUP)
        columns = await db.prepare("PRAGMA table_info(t)").raw()
        return [column[1] for column in columns], await db.prepare("PRAGMA foreign_key_check").raw()

    assert on(body) == (["id", "v", "n"], [])


def test_foreign_keys_stay_on(on):
    async def body(db):
        await db.exec("PRAGMA foreign_keys = OFF")
        await db.prepare("PRAGMA foreign_keys = OFF").run()
        return await db.prepare("PRAGMA foreign_keys").first("foreign_keys")

    assert on(body) == 1


def test_foreign_keys_may_be_put_off_to_the_end_of_a_batch(on):
    async def body(db):
        await db.exec(SETUP)
        defer = db.prepare("PRAGMA defer_foreign_keys = ON")
        child = db.prepare("INSERT INTO child VALUES (1)")
        await db.batch([defer, child, db.prepare("INSERT INTO t (id) VALUES (1)")])
        with pytest.raises(D1Error, match="FOREIGN KEY constraint failed"):
            await db.batch([defer, db.prepare("INSERT INTO child VALUES (2)")])
        return await db.prepare("SELECT t FROM child").raw()

    assert on(body) == [[1]]


# limits


@pytest.mark.parametrize(
    ("sql", "values", "message"),
    [
        (f"SELECT '{'a' * 100_000}'", (), "statement too long: SQLITE_TOOBIG"),
        (f"SELECT '{'é' * 50_000}'", (), "statement too long: SQLITE_TOOBIG"),
        ("SELECT ?", ("a" * 2_000_001,), "string or blob too big: SQLITE_TOOBIG"),
        ("SELECT ?", (b"a" * 2_000_001,), "string or blob too big: SQLITE_TOOBIG"),
        (f"SELECT {', '.join('?' * 101)}", (1,) * 101, "too many SQL variables: SQLITE_ERROR"),
        (
            f"CREATE TABLE wide ({', '.join(f'c{n}' for n in range(101))})",
            (),
            "too many columns on wide: SQLITE_ERROR",
        ),
    ],
)
def test_one_more_than_the_limit_is_refused(on, sql, values, message):
    assert str(failure(on, sql, *values)) == f"Error: D1_ERROR: {message}"


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        (f"SELECT '{'a' * 99_991}'", ()),
        ("SELECT length(?)", (b"a" * 2_000_000,)),
        (f"SELECT {', '.join('?' * 100)}", (1,) * 100),
    ],
)
def test_the_limit_itself_is_allowed(on, sql, values):
    async def body(db):
        return (await db.prepare(sql).bind(*values).all()).success

    assert on(body)


# batch


def test_a_batch_returns_the_results_in_order(on):
    async def body(db):
        await db.exec(SETUP)
        insert = db.prepare("INSERT INTO t (v) VALUES (?)")
        return await db.batch([insert.bind("a"), insert.bind("b"), db.prepare("SELECT v FROM t")])

    first, second, third = on(body)
    assert (first.meta.last_row_id, second.meta.last_row_id) == (1, 2)
    assert third.results == [{"v": "a"}, {"v": "b"}]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_a_batch_is_all_or_nothing(numbers):
    """Whatever is inserted: a batch with a duplicate changes nothing, one without changes all."""

    async def body(db):
        await db.exec(SETUP)
        insert = db.prepare("INSERT INTO t (v) VALUES (?)")
        try:
            await db.batch([insert.bind(str(number)) for number in numbers])
        except D1Error as error:
            assert "UNIQUE" in str(error)  # noqa: PT017
        return [int(row[0]) for row in await db.prepare("SELECT v FROM t ORDER BY id").raw()]

    with tempfile.TemporaryDirectory() as folder:
        stored = with_database(Path(folder) / "a.sqlite", body)
    assert stored == (numbers if len(set(numbers)) == len(numbers) else [])


def test_the_error_of_a_batch_names_the_statement_that_failed(on):
    async def body(db):
        with pytest.raises(D1Error) as caught:
            await db.batch([db.prepare("CREATE TABLE x (a)"), db.prepare("SELECT * FROM y")])
        return str(caught.value), caught.value.sql, await db.prepare("SELECT name FROM sqlite_master").raw()

    assert on(body) == ("Error: D1_ERROR: no such table: y: SQLITE_ERROR", "SELECT * FROM y", [])


def test_batch_refuses_what_is_no_statement(on):
    async def body(db):
        with pytest.raises(D1Error, match="No SQL statements detected"):
            await db.batch([])
        with pytest.raises(D1Error, match="batch takes prepared statements, not str"):
            await db.batch(["SELECT 1"])

    on(body)


# exec


def test_exec_runs_many_statements(on):
    async def body(db):
        done = await db.exec(
            """
            CREATE TABLE log (v TEXT); -- with a ; in a comment
            CREATE TRIGGER copy AFTER INSERT ON t BEGIN
                INSERT INTO log VALUES (new.v || ';');
                INSERT INTO log VALUES (CASE WHEN new.n THEN 'n' ELSE '-' END);
            END;
            INSERT INTO t (v, n) VALUES ('a;b', 1) /* ; */;
            """
        )
        return done.count, done.duration >= 0, await db.prepare("SELECT v FROM log").raw()

    async def setup(db):
        await db.exec(SETUP)

    on(setup)
    assert on(body) == (3, True, [["a;b;"], ["n"]])


def test_a_statement_behind_a_comment_runs(on):
    """It may not be taken for a comment because it begins with one."""

    async def body(db):
        await db.exec(
            "/* the shop */ CREATE TABLE shop (name); /* seed; */\n-- more\nINSERT INTO shop VALUES ('a')"
        )
        await db.batch([db.prepare("/* app=shop */ INSERT INTO shop VALUES (?)").bind("b")])
        await db.prepare("-- app=shop\nINSERT INTO shop VALUES ('c') /* over; */").run()
        return await db.prepare("/* app=shop */ SELECT name FROM shop").raw()

    assert on(body) == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("before", [" ", "\n", "\t ", ";", "/**/", "--\n", "/* "])
def test_what_stands_before_a_statement_costs_no_time(on, before):
    """A statement without rows was once compared with a pattern that took time exponential in the spaces."""

    async def body(db):
        await db.exec("CREATE TABLE shop (name)")
        end = "*/" if before == "/* " else ""
        sql = before * (90_000 // len(before)) + end + "INSERT INTO shop VALUES ('a')"
        began = time.process_time()
        with suppress(D1Error):  # leading semicolons: Python's module takes one statement only
            await db.prepare(sql).run()
        await db.exec(sql)
        took = time.process_time() - began
        return took < 3, await db.prepare("SELECT DISTINCT name FROM shop").raw()

    assert on(body) == (True, [["a"]])


def test_exec_tells_the_statement_that_failed_and_leaves_nothing(on):
    async def body(db):
        with pytest.raises(D1Error) as caught:
            await db.exec("CREATE TABLE x (a);\nSELEC 1;\nCREATE TABLE y (a)")
        return str(caught.value), await db.prepare("SELECT name FROM sqlite_master").raw()

    assert on(body) == (
        'Error: D1_EXEC_ERROR: Error in line 2: SELEC 1: near "SELEC": syntax error at offset 0: SQLITE_ERROR',
        [],
    )


# sessions, files


def test_a_session_has_statements_batches_and_bookmarks(on):
    async def body(db):
        session = db.withSession("first-primary")
        before = session.getBookmark()
        value = await session.prepare("SELECT 1 AS a").first("a")
        batch = await session.batch([session.prepare("SELECT 2 AS a")])
        again = db.with_session(session.get_bookmark())
        return value, batch[0].results, before <= again.get_bookmark()

    assert on(body) == (1, [{"a": 2}], True)


def test_the_file_is_the_users_own(on, file):
    async def body(db):
        await db.exec("CREATE TABLE mine (a)")

    assert not file.exists()
    on(body)
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    assert connection.execute("PRAGMA application_id").fetchone() == (0,)
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_file_that_is_no_database_is_told_and_left_alone(on, file):
    async def body(db):
        with pytest.raises(D1Error) as caught:
            await db.prepare("SELECT 1").all()
        return str(caught.value)

    file.parent.mkdir()
    file.write_text("precious notes, not a database" * 100)
    assert on(body) == (
        f"Error: D1_ERROR: {file} is not a usable database: file is not a database "
        "(Restore it from a backup, or move the state directory away to start afresh)"
    )
    assert file.read_text().startswith("precious notes")


def test_a_write_does_not_overtake_one_that_takes_long(on):
    """The slow one is given up on the event loop and waits for the thread; the fast one must wait behind it."""
    numbers = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000)"

    async def body(db):
        await db.exec("CREATE TABLE log (v)")
        db.prepare(f"/* slow */ INSERT INTO log {numbers} SELECT count(*) FROM c").run()
        await db.prepare("INSERT INTO log VALUES ('fast')").run()
        return await db.prepare("SELECT v FROM log ORDER BY rowid").raw()

    assert on(body) == [[300_000], ["fast"]]
