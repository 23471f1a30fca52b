"""`ctx.storage`: keys, transactions and SQL, on a real file (Cloudflare's docs, "Storage API")."""

from __future__ import annotations

import datetime as dt
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bindings.durable.room import Keeper, in_room, inside
from wrangler_py.bindings.durable.keys import KeyValues
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.serde import RpcTypeError
from wrangler_py.storage.durable import ObjectFile

VALUES = {
    "text": "ä",
    "number": 1.5,
    "nothing": None,
    "bytes": b"\0\xff",
    "when": dt.datetime(2026, 1, 31, 12),
    "set": {1, 2},
    "deep": {"rows": [{"v": True}]},
}


class Unwatched:
    def before_commit(self, at):
        pass

    after_commit = before_commit


def file_in(folder) -> ObjectFile:
    return ObjectFile(Path(folder) / "o.sqlite", Unwatched(), lambda: None)


async def refused(operation):
    with pytest.raises(ObjectError) as caught:
        await operation
    return str(caught.value)


# keys ----------------------------------------------------------------------------------------------------------------


def test_values_of_every_kind_come_back_after_the_object_left_memory(tmp_path):
    async def write(it):
        await it.ctx.storage.put(VALUES)

    async def read(it):
        return await it.ctx.storage.get(list(VALUES)), (await it.ctx.storage.get("deep")).rows[0].v

    async def leave(it):
        it.ctx.abort("again")

    async def body(room):
        from tests.bindings.durable.room import tasks

        tasks.update(write=write, leave=leave)
        await room.only().run("write")
        with pytest.raises(ObjectError, match="again"):
            await room.only().run("leave")

    in_room(tmp_path, body, Keeper)
    assert inside(tmp_path, read) == (VALUES, True)


def test_missing_keys_are_none_and_left_out_of_many_while_none_itself_is_a_value(tmp_path):
    async def body(it):
        await it.ctx.storage.put("none", None)
        return await it.ctx.storage.get("x"), await it.ctx.storage.get(["x", "none"])

    assert inside(tmp_path, body) == (None, {"none": None})


def test_reading_makes_no_file(tmp_path):
    async def body(it):
        storage = it.ctx.storage
        found = (
            await storage.get("a"),
            await storage.list(),
            await storage.delete("a"),
            await storage.getAlarm(),
        )
        await storage.deleteAll()
        return found

    assert inside(tmp_path, body) == (None, {}, False, None)
    assert not list(tmp_path.rglob("????????????????????????????????*.sqlite"))


def test_delete_says_what_was_there(tmp_path):
    async def body(it):
        storage = it.ctx.storage
        await storage.put({"a": 1, "b": 2, "c": 3})
        return await storage.delete("a"), await storage.delete("a"), await storage.delete(["a", "b", "c"])

    assert inside(tmp_path, body) == (True, False, 2)


def test_limits_are_said_in_cloudflares_words(tmp_path):
    async def body(it):
        storage = it.ctx.storage
        await storage.put("k" * 2048, b"x" * 2 * 1024 * 1024)
        return [
            await refused(storage.put("k" * 2049, 1)),
            await refused(storage.put("ä" * 1025, 1)),
            await refused(storage.put("k", "x" * 2 * 1024 * 1024)),
            await refused(storage.put({str(n): n for n in range(129)})),
            await refused(storage.get([str(n) for n in range(129)])),
            await refused(storage.put("k")),
            await refused(storage.get("\ud800")),
            await refused(storage.list(limit=0)),
            await refused(storage.list(start="a", startAfter="b")),
            await refused(storage.list(after="b")),
            len(await storage.list()),
        ]

    assert inside(tmp_path, body) == [
        "RangeError: Keys cannot be larger than 2048 bytes.",
        "RangeError: Keys cannot be larger than 2048 bytes.",
        "RangeError: Values cannot be larger than 2097152 bytes.",
        "RangeError: Maximum number of keys is 128.",
        "RangeError: Maximum number of keys is 128.",
        "TypeError: put() called with undefined value.",
        "TypeError: a key is text that UTF-8 can say, without lone surrogates",
        "TypeError: List limit must be positive.",
        "TypeError: list() cannot be called with both start and startAfter values.",
        "TypeError: list() has no option 'after'",
        1,
    ]


def test_if_one_value_of_many_cannot_be_stored_none_is(tmp_path):
    async def body(it):
        with pytest.raises(RpcTypeError, match="<class 'tuple'> cannot be sent over RPC"):
            await it.ctx.storage.put({"a": 1, "b": (1,)})
        return await it.ctx.storage.list()

    assert inside(tmp_path, body) == {}


def test_both_spellings_work(tmp_path):
    async def body(it):
        storage = it.ctx.storage
        for one in ("delete_all", "transaction_sync", "get_alarm", "set_alarm", "delete_alarm"):
            first, *rest = one.split("_")
            assert getattr(storage, one) == getattr(storage, first + "".join(map(str.title, rest)))
        storage.kv.put("a", 1)
        return storage.sql.database_size == storage.sql.databaseSize > 0, dict(
            storage.kv.list({"prefix": "a"})
        )

    assert inside(tmp_path, body) == (True, {"a": 1})


KEYS = st.text(st.sampled_from("ab\0ä\ud7ff\ue000\U0010ffff"), max_size=3)


@given(
    st.dictionaries(KEYS, st.integers(), max_size=12),
    st.none() | KEYS,
    st.none() | KEYS,
    st.none() | KEYS,
    KEYS,
    st.none() | st.integers(1, 5),
    st.booleans(),
)
@settings(max_examples=200)
def test_list_is_what_a_sorted_dict_gives(entries, start, after, end, prefix, limit, reverse):
    """Whatever the options: keys between them, in the order of their bytes, the last ones first if reversed."""
    after = None if start is not None else after
    with tempfile.TemporaryDirectory() as folder:
        file = file_in(folder)
        keys = KeyValues(file)
        keys.put_all(entries)
        found = list(
            keys.list(start=start, startAfter=after, end=end, prefix=prefix, limit=limit, reverse=reverse)
        )
        file.close(Exception())
    wanted = [
        (key, value)
        for key, value in sorted(entries.items(), key=lambda entry: entry[0].encode(), reverse=reverse)
        if key.startswith(prefix)
        and (start is None or key >= start)
        and (after is None or key > after)
        and (end is None or key < end)
    ]
    assert found == wanted[:limit]


# transactions --------------------------------------------------------------------------------------------------------


class Undone(Exception):
    pass


KEY = st.sampled_from("abc")
WRITES = st.one_of(
    st.tuples(st.just("put"), KEY, st.integers()),
    st.tuples(st.just("delete"), KEY),
    st.tuples(st.just("delete_all")),
)
PROGRAM = st.recursive(
    WRITES,
    lambda inner: st.tuples(
        st.sampled_from(["transaction", "transaction_sync"]),
        st.sampled_from(["ends", "raises", "rolls back"]),
        st.lists(inner, max_size=5),
    ),
    max_leaves=20,
)


async def run_program(storage, program, *, nested=False):
    for step in program:
        match step:
            case ("put", key, value):
                await storage.put(key, value)
            case ("delete", key):
                await storage.delete(key)
            case ("delete_all",) if not nested:
                await storage.deleteAll()
            case ("transaction", end, inner):
                await run_transaction(storage, end, inner)
            case ("transaction_sync", end, inner):
                run_transaction_sync(storage, end, inner)


async def run_transaction(storage, end, inner):
    async def closure(txn):
        await run_program(storage, inner, nested=True)
        if end == "raises":
            raise Undone
        if end == "rolls back":
            txn.rollback()

    try:
        await storage.transaction(closure)
    except Undone:
        assert end == "raises"


def run_transaction_sync(storage, end, inner):
    def closure():
        for step in inner:
            match step:
                case ("put", key, value):
                    storage.kv.put(key, value)
                case ("delete", key):
                    storage.kv.delete(key)
                case ("transaction_sync", inner_end, rest):
                    run_transaction_sync(storage, inner_end, rest)
        if end != "ends":
            raise Undone

    try:
        storage.transactionSync(closure)
    except Undone:
        assert end != "ends"


def model(state, program, *, nested=False, sync=False):
    """The same program over a plain dict."""
    for step in program:
        match step:
            case ("put", key, value):
                state[key] = value
            case ("delete", key):
                state.pop(key, None)
            case ("delete_all",) if not nested:
                state.clear()
            case (kind, end, inner) if kind == "transaction_sync" or (kind == "transaction" and not sync):
                inside_it = dict(state)
                model(inside_it, inner, nested=True, sync=kind == "transaction_sync")
                if end == "ends":
                    state.clear()
                    state.update(inside_it)


@given(st.lists(PROGRAM, max_size=8))
@settings(max_examples=60)
def test_storage_behaves_like_a_dict_with_undo(program):
    """Any nesting of transactions, async and sync, of which any raise or roll back; then seen by a new life too."""
    wanted: dict[str, int] = {}
    model(wanted, program)

    async def run(it):
        await run_program(it.ctx.storage, program)
        return await it.ctx.storage.list()

    async def read(it):
        return await it.ctx.storage.list()

    with tempfile.TemporaryDirectory() as folder:
        assert inside(Path(folder), run) == wanted
        assert inside(Path(folder), read) == wanted


def test_a_transaction_returns_what_its_closure_does(tmp_path):
    async def body(it):
        async def closure(txn):
            await txn.put("a", 1)
            return await txn.get("a")

        return await it.ctx.storage.transaction(closure), it.ctx.storage.transactionSync(lambda: 2)

    assert inside(tmp_path, body) == (1, 2)


def test_a_transaction_that_is_over_takes_no_more(tmp_path):
    async def body(it):
        kept = []

        async def closure(txn):
            kept.append(txn)
            if len(kept) == 1:
                await txn.put("a", 1)
                txn.rollback()
                txn.rollback()
                return [await refused(txn.put("b", 1)), await refused(txn.deleteAll())]
            return []

        found = await it.ctx.storage.transaction(closure)
        await it.ctx.storage.transaction(closure)
        return [*found, await refused(kept[1].get("a")), await it.ctx.storage.list()]

    assert inside(tmp_path, body) == [
        "Error: Cannot put() on rolled back transaction",
        "Error: Cannot call deleteAll() within a transaction",
        (
            "Error: Cannot call get() on transaction that has already committed: "
            "did you move `txn` outside of the closure?"
        ),
        {},
    ]


# SQL -----------------------------------------------------------------------------------------------------------------


def test_sql_runs_several_statements_and_gives_the_rows_of_the_last(tmp_path):
    async def body(it):
        sql = it.ctx.storage.sql
        cursor = sql.exec(
            """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); -- a comment; with a semicolon
            CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET name = name || ';' WHERE id = new.id; END;
            INSERT INTO t (name) VALUES (?), (?) RETURNING id""",
            "one",
            "two",
        )
        return (
            cursor.toArray(),
            cursor.rowsWritten,
            sql.exec("SELECT * FROM t").columnNames,
            [row.name for row in sql.exec("SELECT name FROM t")],
            list(sql.exec("SELECT * FROM t").raw()),
            sql.exec("SELECT name FROM t WHERE id = ?", 1).one().name,
            sql.exec("SELECT 1 AS one").next(),
        )

    assert inside(tmp_path, body) == (
        [{"id": 1}, {"id": 2}],
        4,
        ["id", "name"],
        ["one;", "two;"],
        [[1, "one;"], [2, "two;"]],
        "one;",
        {"done": False, "value": {"one": 1}},
    )


def test_a_statement_behind_a_comment_runs_and_long_texts_cost_no_time(tmp_path):
    async def body(it):
        sql = it.ctx.storage.sql
        began = time.process_time()
        sql.exec("/* a; */ CREATE TABLE t (a); /* b */ INSERT INTO t VALUES ('" + ";" * 200_000 + "')")
        sql.exec(" ;" * 100_000 + " " * 100_000 + "INSERT INTO t VALUES ('x')")
        return time.process_time() - began < 3, [len(row.a) for row in sql.exec("SELECT a FROM t")]

    assert inside(tmp_path, body) == (True, [200_000, 1])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM missing", "no such table: missing: SQLITE_ERROR"),
        ("SELEC 1", 'near "SELEC": syntax error: SQLITE_ERROR'),
        ("", "SQL code did not contain a statement."),
        ("-- nothing\n/* at all; */ ;", "SQL code did not contain a statement."),
        ("SELECT * FROM _cf_KV", "access to _cf_KV.key is prohibited: SQLITE_AUTH"),
        ("SELECT value FROM _cf_KV WHERE key = ?", "access to _cf_KV.value is prohibited: SQLITE_AUTH"),
        ("DELETE FROM _CF_alarm", "not authorized: SQLITE_AUTH"),
        ("CREATE TABLE _cf_mine (a)", "not authorized: SQLITE_AUTH"),
        ("ATTACH 'x' AS y", "not authorized: SQLITE_AUTH"),
        ("PRAGMA journal_mode = DELETE", "not authorized: SQLITE_AUTH"),
        (
            "SELECT ?",
            "Incorrect number of bindings supplied. The current statement uses 1, and there are 0 supplied.",
        ),
    ],
)
def test_bad_sql_is_refused_with_sqlites_words(tmp_path, query, message):
    async def body(it):
        await it.ctx.storage.put("a", 1)
        await it.ctx.storage.get("a")
        with pytest.raises(ObjectError) as caught:
            it.ctx.storage.sql.exec(query)
        return caught.value.message

    assert inside(tmp_path, body) == message


@pytest.mark.parametrize(
    "query", ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "/* */ begin immediate"]
)
def test_transactions_in_sql_are_refused_with_the_way_to_do_it(tmp_path, query):
    async def body(it):
        await it.ctx.storage.put("a", 1)
        with pytest.raises(ObjectError, match="please use the state.storage.transaction"):
            it.ctx.storage.sql.exec(query)
        return await it.ctx.storage.get("a")

    assert inside(tmp_path, body) == 1


@pytest.mark.parametrize(("rows", "word"), [(0, "no"), (2, "multiple")])
def test_one_wants_exactly_one(tmp_path, rows, word):
    async def body(it):
        sql = it.ctx.storage.sql
        sql.exec("CREATE TABLE t (a)")
        for _ in range(rows):
            sql.exec("INSERT INTO t VALUES (1)")
        with pytest.raises(ObjectError, match=f"got {word} results"):
            sql.exec("SELECT * FROM t").one()

    inside(tmp_path, body)


def test_bindings_are_sql_values(tmp_path):
    async def body(it):
        sql = it.ctx.storage.sql
        for value in ([], 1 << 64):
            with pytest.raises(ObjectError):
                sql.exec("SELECT ?", value)
        return list(sql.exec("SELECT ?, ?, ?, ?", None, b"a", 1.5, True).raw())

    assert inside(tmp_path, body) == [[None, b"a", 1.5, 1]]


def test_foreign_keys_are_enforced(tmp_path):
    async def body(it):
        sql = it.ctx.storage.sql
        sql.exec("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a REFERENCES a (id))")
        with pytest.raises(ObjectError, match="FOREIGN KEY constraint failed: SQLITE_CONSTRAINT"):
            sql.exec("INSERT INTO b VALUES (1)")

    inside(tmp_path, body)


def test_delete_all_leaves_nothing_of_tables_and_keys(tmp_path):
    async def body(it):
        storage = it.ctx.storage
        await storage.put("a", 1)
        storage.sql.exec(
            """CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT);
            CREATE TABLE "chi""ld" (p REFERENCES parent (id));
            CREATE INDEX i ON "chi""ld" (p);
            CREATE VIEW v AS SELECT * FROM parent;
            CREATE TRIGGER g AFTER INSERT ON parent BEGIN SELECT 1; END;
            CREATE VIRTUAL TABLE words USING fts5 (word);
            INSERT INTO words VALUES ('hello');
            INSERT INTO parent VALUES (1);
            INSERT INTO "chi""ld" VALUES (1)"""
        )
        await storage.deleteAll()
        left = [row.name for row in storage.sql.exec("SELECT name FROM sqlite_master ORDER BY name")]
        return left, await storage.list()

    assert inside(tmp_path, body) == (["_cf_ALARM", "_cf_KV", "sqlite_sequence"], {})


def test_a_strangers_file_is_refused_and_left_alone(tmp_path):
    (tmp_path / "o.sqlite").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(ObjectError, match="is not a usable database"):
        KeyValues(file_in(tmp_path)).get("a")
    assert (tmp_path / "o.sqlite").read_bytes().startswith(b"not a database")


def test_what_one_turn_writes_is_one_transaction(tmp_path):
    """Another connection sees nothing of it before the event loop turns, then all."""

    async def body(it):
        storage = it.ctx.storage
        await storage.put("first", 1)
        await storage.sync()
        path = next(tmp_path.rglob("????????????????????????????????*.sqlite"))
        other = sqlite3.connect(path)

        def keys():
            return [row[0] for row in other.execute("SELECT key FROM _cf_KV ORDER BY key")]

        seen = [keys()]
        await storage.put("second", 2)
        storage.kv.put("third", 3)
        seen.append(keys())
        import asyncio

        await asyncio.sleep(0)
        seen.append(keys())
        other.close()
        return seen

    assert inside(tmp_path, body) == [["first"], ["first"], ["first", "second", "third"]]
