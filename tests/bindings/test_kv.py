"""KV as user code sees it: real files, virtual time (KV docs, "Workers Binding API" and "Limits")."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.conftest import Project
from tests.support.locker import locked
from tests.support.session import kill_worker, place
from tests.support.world import DAY, run_virtual
from wrangler_py.bindings.failures import KvError
from wrangler_py.bindings.kv import declare
from wrangler_py.bindings.kv.namespace import KvNamespace
from wrangler_py.clock import LoopClock
from wrangler_py.config import load
from wrangler_py.errors import StateCorruptError, StoreUnavailableError
from wrangler_py.sdk.pyodide.ffi import JsException, create_proxy, jsnull, to_js
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.storage.kv import LARGE, KvStore

NOW = 1_767_225_600
MIB = 1 << 20
KEYS = st.text(min_size=1, max_size=40).filter(lambda key: key not in {".", ".."})
WRONG_VALUE = "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values."

NOT_PAST = "Please specify integer greater than the current number of seconds since the UNIX epoch."
NOT_SOON = "Expiration times must be at least 60 seconds in the future."


def in_kv(folder, body):
    """Run ``body(namespace)`` under virtual time."""

    async def run():
        store = KvStore(Path(folder) / "kv" / "id.sqlite")
        try:
            return await body(KvNamespace("id", store, LoopClock()))
        finally:
            store.close()

    return run_virtual(run())


async def chunks(*parts):
    for part in parts:
        yield part


# values --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("text", b"text"),
        ("", b""),
        ("grüße 🎉\0end", "grüße 🎉\0end".encode()),
        (b"\x00\xff\xfe", b"\x00\xff\xfe"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abc")[1:], b"bc"),
        (to_js(b"js"), b"js"),
        (create_proxy(b"lent"), b"lent"),
        (ReadableStream(b"whole"), b"whole"),
        (ReadableStream(chunks(b"in ", b"parts")), b"in parts"),
    ],
)
def test_a_value_comes_back_byte_for_byte(tmp_path, stored, read):
    async def body(kv):
        await kv.put("key", stored)
        return await kv.get("key", "arrayBuffer")

    assert in_kv(tmp_path, body) == read


def test_a_value_is_read_as_what_was_asked_for(tmp_path):
    async def body(kv):
        await kv.put("key", '{"a": [{"b": 1}]}')
        assert await kv.get("key") == await kv.get("key", "text") == '{"a": [{"b": 1}]}'
        assert (await kv.get("key", "json")).a[0].b == 1
        assert await kv.get("key", {"type": "json", "cacheTtl": 60}) == {"a": [{"b": 1}]}
        assert await kv.get("key", type="json") == {"a": [{"b": 1}]}
        assert (await kv.get("key", type="arrayBuffer")).byteLength == 17
        assert await (await kv.get("key", "stream")).collect() == b'{"a": [{"b": 1}]}'
        await kv.put("bytes", b"\xff")
        assert await kv.get("bytes") == "\ufffd"

    in_kv(tmp_path, body)


def test_what_is_not_there_is_none_in_every_form(tmp_path):
    async def body(kv):
        assert [await kv.get("none", kind) for kind in ("text", "json", "arrayBuffer", "stream")] == [
            None
        ] * 4
        assert await kv.getWithMetadata("none") == {"value": None, "metadata": None, "cacheStatus": None}
        assert await kv.get(["none"]) == {"none": None}
        assert await kv.get_with_metadata(["none"]) == {"none": None}
        assert await kv.delete("none") is None
        assert await kv.list() == {"keys": [], "list_complete": True, "cacheStatus": None}

    in_kv(tmp_path, body)


@pytest.mark.parametrize("size", [LARGE - 1, LARGE, LARGE + 1, 25 * MIB])
def test_a_value_of_any_size_up_to_the_limit_is_kept(tmp_path, size):
    async def body(kv):
        value = os.urandom(1024) * (size // 1024) + b"x" * (size % 1024)
        await kv.put("large", value, metadata={"n": 1})
        found = await kv.getWithMetadata("large", "arrayBuffer")
        assert (found.value == value, found.metadata) == (True, {"n": 1})

    in_kv(tmp_path, body)


def test_small_writes_wait_for_the_large_one_in_another_thread_and_none_is_lost(tmp_path):
    """A second writer would find the database locked, and the event loop would stand still until it is not."""

    async def body(kv):
        await kv.put("first", "v")
        kv._store._here.execute("PRAGMA busy_timeout = 0")
        large = kv.put("large", b"x" * (8 * MIB))
        small = [kv.put(f"small-{n}", str(n)) for n in range(20)]
        await asyncio.gather(large, *small, kv.delete("never there"))
        assert len((await kv.list())["keys"]) == 22

    in_kv(tmp_path, body)


def test_metadata_is_any_json_value(tmp_path):
    async def body(kv):
        for number, metadata in enumerate([{"a": {"b": [1, None]}}, [1], "text", 0, False]):
            await kv.put(f"k{number}", "v", metadata=metadata)
            assert (await kv.getWithMetadata(f"k{number}")).metadata == metadata
        assert [one.metadata for one in (await kv.list())["keys"]] == [
            {"a": {"b": [1, None]}},
            [1],
            "text",
            0,
            False,
        ]
        await kv.put("k0", "again", {"metadata": jsnull})
        assert (await kv.getWithMetadata("k0")).metadata is None

    in_kv(tmp_path, body)


def test_many_keys_are_read_at_once_in_the_order_asked_for(tmp_path):
    async def body(kv):
        for name in "abc":
            await kv.put(name, f'"{name}"', metadata={"name": name})
        assert list((await kv.get(["c", "none", "a"])).items()) == [
            ("c", '"c"'),
            ("none", None),
            ("a", '"a"'),
        ]
        assert await kv.get(["b"], "json") == {"b": "b"}
        assert await kv.getWithMetadata(["a", "x"], {"type": "json"}) == {
            "a": {"value": "a", "metadata": {"name": "a"}},
            "x": None,
        }

    in_kv(tmp_path, body)


# expiry --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "put",
    [
        lambda kv: kv.put("key", "v", expirationTtl=60),
        lambda kv: kv.put("key", "v", expiration_ttl=60),
        lambda kv: kv.put("key", "v", {"expirationTtl": 60}),
        lambda kv: kv.put("key", "v", expiration=NOW + 60),
        lambda kv: kv.put("key", "v", {"expiration": NOW + 60.0}),
        lambda kv: kv.put("key", "v", {"expiration": NOW + 9999, "expirationTtl": 60}),
    ],
)
def test_an_entry_is_there_until_it_expires_and_then_nowhere(tmp_path, put):
    async def body(kv):
        await put(kv)
        await asyncio.sleep(59.9)
        assert await kv.get("key") == "v"
        assert (await kv.list())["keys"] == [{"name": "key", "expiration": NOW + 60}]
        await asyncio.sleep(0.2)
        assert await kv.get("key") is None
        assert await kv.get(["key"]) == {"key": None}
        assert (await kv.getWithMetadata("key")).value is None
        assert (await kv.list())["keys"] == []

    in_kv(tmp_path, body)


def test_a_put_without_expiry_takes_the_old_one_away(tmp_path):
    async def body(kv):
        await kv.put("key", "v", expirationTtl=60, metadata=1)
        await kv.put("key", "w")
        await asyncio.sleep(DAY)
        assert await kv.getWithMetadata("key") == {"value": "w", "metadata": None, "cacheStatus": None}

    in_kv(tmp_path, body)


def test_expired_entries_leave_the_file_with_later_writes(tmp_path):
    async def body(kv):
        for number in range(150):
            await kv.put(f"old-{number}", "v", expirationTtl=60)
        await asyncio.sleep(120)
        for number in range(3):
            await kv.put(f"new-{number}", "v")

    in_kv(tmp_path, body)
    with sqlite3.connect(tmp_path / "kv" / "id.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (3,)
    connection.close()


# lists ---------------------------------------------------------------------------------------------------------------


def test_a_list_is_in_the_order_of_utf8_bytes_and_within_its_prefix(tmp_path):
    names = ["a", "a/", "a/1", "a/é", "a/\U0010ffff", "a0", "b", "Z", "é", "\uffff", "\U00010000"]

    async def body(kv):
        for name in names:
            await kv.put(name, "v")
        everything = [one.name for one in (await kv.list())["keys"]]
        under = [one.name for one in (await kv.list(prefix="a/"))["keys"]]
        return everything, under

    everything, under = in_kv(tmp_path, body)
    assert everything == sorted(names, key=str.encode)
    assert under == ["a/", "a/1", "a/é", "a/\U0010ffff"]


def test_pages_follow_each_other_by_cursor(tmp_path):
    async def body(kv):
        for number in range(5):
            await kv.put(f"k{number}", "v")
        first = await kv.list({"limit": 2})
        second = await kv.list(limit=2, cursor=first.cursor)
        last = await kv.list({"limit": 2, "cursor": second.cursor})
        assert [[one.name for one in page["keys"]] for page in (first, second, last)] == [
            ["k0", "k1"],
            ["k2", "k3"],
            ["k4"],
        ]
        assert [page.list_complete for page in (first, second, last)] == [False, False, True]
        assert "cursor" not in last
        assert (await kv.list(limit=5)).list_complete

    in_kv(tmp_path, body)


@settings(max_examples=40)
@given(
    before=st.sets(KEYS, max_size=12),
    writes=st.lists(st.tuples(st.sampled_from(["put", "delete"]), KEYS), max_size=12),
    limit=st.integers(1, 4),
    prefix=st.text(max_size=1),
)
def test_writes_between_pages_neither_hide_nor_repeat_a_key(before, writes, limit, prefix):
    """Keys that are there from first page to last are listed once each, whatever comes and goes around them."""

    async def body(kv):
        for key in before:
            await kv.put(key, "v")
        listed, touched, cursor, left = [], set(), None, list(writes)
        while True:
            page = await kv.list(prefix=prefix, limit=limit, cursor=cursor)
            listed += [one.name for one in page["keys"]]
            if page.list_complete:
                return listed, touched
            cursor = page.cursor
            for kind, key in left[:2]:
                await (kv.put(key, "w") if kind == "put" else kv.delete(key))
                touched.add(key)
            left = left[2:]

    with tempfile.TemporaryDirectory() as folder:
        listed, touched = in_kv(folder, body)
    assert listed == sorted(set(listed), key=str.encode)
    assert {key for key in before - touched if key.startswith(prefix)} <= set(listed)
    assert all(key.startswith(prefix) and (key in before or key in touched) for key in listed)


# refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda kv: kv.get(""), "TypeError: Key name cannot be empty."),
        (lambda kv: kv.put(".", "v"), 'TypeError: "." is not allowed as a key name.'),
        (lambda kv: kv.delete(".."), 'TypeError: ".." is not allowed as a key name.'),
        (lambda kv: kv.get(7), "TypeError: KV keys are strings, not int."),
        (lambda kv: kv.put("\ud800", "v"), "TypeError: The key '\\ud800' is not valid Unicode."),
        (
            lambda kv: kv.put("é" * 257, "v"),
            "Error: KV PUT failed: 414 UTF-8 encoded length of 514 exceeds key length limit of 512.",
        ),
        (
            lambda kv: kv.list(prefix="p" * 513),
            "Error: KV GET failed: 414 UTF-8 encoded length of 513 exceeds key length limit of 512.",
        ),
        (lambda kv: kv.put("k", 5), f"TypeError: {WRONG_VALUE} (This one is of type int.)"),
        (lambda kv: kv.put("k", None), f"TypeError: {WRONG_VALUE} (This one is of type NoneType.)"),
        (lambda kv: kv.put("k", {"a": 1}), f"TypeError: {WRONG_VALUE} (This one is of type dict.)"),
        (
            lambda kv: kv.put("k", b"x" * (25 * MIB + 1)),
            "Error: KV PUT failed: 413 Value length of 26214401 exceeds limit of 26214400.",
        ),
        (
            lambda kv: kv.put("k", ReadableStream(chunks(*[b"x" * (5 * MIB)] * 6))),
            "Error: KV PUT failed: 413 Value length of 31457280 exceeds limit of 26214400.",
        ),
        (
            lambda kv: kv.put("k", "v", metadata="m" * 1023),
            "Error: KV PUT failed: 413 Metadata length of 1025 exceeds limit of 1024.",
        ),
        (
            lambda kv: kv.put("k", "v", metadata=object()),
            "TypeError: Metadata must be JSON: Object of type object is not JSON serializable",
        ),
        (
            lambda kv: kv.put("k", "v", expirationTtl=30),
            "Error: KV PUT failed: 400 Invalid expiration_ttl of 30. Expiration TTL must be at least 60.",
        ),
        (
            lambda kv: kv.put("k", "v", {"expirationTtl": "soon"}),
            "Error: KV PUT failed: 400 Invalid expiration_ttl of soon. Please specify integer greater than 0.",
        ),
        (
            lambda kv: kv.put("k", "v", expirationTtl=90.5),
            "Error: KV PUT failed: 400 Invalid expiration_ttl of 90.5. Please specify integer greater than 0.",
        ),
        (
            lambda kv: kv.put("k", "v", expiration=NOW),
            f"Error: KV PUT failed: 400 Invalid expiration of {NOW}. {NOT_PAST}",
        ),
        (
            lambda kv: kv.put("k", "v", expiration=NOW + 59),
            f"Error: KV PUT failed: 400 Invalid expiration of {NOW + 59}. {NOT_SOON}",
        ),
        (
            lambda kv: kv.list(limit=0),
            "Error: KV GET failed: 400 Invalid key_count_limit of 0. Please specify an integer greater than 0.",
        ),
        (
            lambda kv: kv.list(limit=1001),
            "Error: KV GET failed: 400 Invalid key_count_limit of 1001. Please specify an integer less than 1000.",
        ),
        (
            lambda kv: kv.list(cursor="?"),
            "Error: KV GET failed: 400 Invalid cursor. Please pass on the cursor of the page before.",
        ),
        (lambda kv: kv.list("prefix"), "TypeError: Options are an object such as {...}, not str."),
        (
            lambda kv: kv.get("k", "xml"),
            'TypeError: Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".',
        ),
        (
            lambda kv: kv.get("k", cacheTtl=29),
            "Error: KV GET failed: 400 Invalid cache_ttl of 29. Cache TTL must be at least 30.",
        ),
        (
            lambda kv: kv.get([str(n) for n in range(101)]),
            "Error: KV GET_BULK failed: 400 You can request a maximum of 100 keys",
        ),
        (lambda kv: kv.get([]), "Error: KV GET_BULK failed: 400 You must request a minimum of 1 key"),
        (
            lambda kv: kv.get(["k"], "stream"),
            'Error: KV GET_BULK failed: 400 "stream" is not a valid type. Use "json" or "text"',
        ),
        (
            lambda kv: kv.get(["text"], "json"),
            "Error: KV GET_BULK failed: 400 At least one of the requested keys corresponds to a non-json value",
        ),
        (
            lambda kv: kv.get("text", "json"),
            'SyntaxError: "hello" is not valid JSON: Expecting value: line 1 column 1 (char 0)',
        ),
        (lambda kv: kv.get("nan", "json"), 'SyntaxError: "[NaN]" is not valid JSON: JSON has no NaN'),
    ],
)
def test_what_kv_refuses_it_refuses_in_cloudflares_words_and_writes_nothing(tmp_path, call, message):
    async def body(kv):
        await kv.put("text", "hello")
        await kv.put("nan", "[NaN]")
        with pytest.raises(KvError) as caught:
            await call(kv)
        assert isinstance(caught.value, JsException)
        assert str(caught.value) == message
        assert [one.name for one in (await kv.list())["keys"]] == ["nan", "text"]

    in_kv(tmp_path, body)


def test_a_bulk_read_of_much_data_leaves_the_event_loop(tmp_path, monkeypatch):
    """Many values that are small each are a large one together."""

    async def body(kv):
        names = [f"k{number}" for number in range(10)]
        for name in names:
            await kv.put(name, "x" * (MIB // 4))
        here, get = [], kv._store.get
        monkeypatch.setattr(kv._store, "get", lambda key, now: here.append(key) or get(key, now))
        found = await kv.get(names)
        return len(here), [len(found[name]) for name in names]

    assert in_kv(tmp_path, body) == (5, [MIB // 4] * 10)


def test_a_bulk_read_is_at_most_25_mib(tmp_path):
    async def body(kv):
        for name in ("a", "b"):
            await kv.put(name, b"x" * (13 * MIB))
        with pytest.raises(
            KvError, match="GET_BULK failed: 413 Total size of request exceeds the limit of 25MB"
        ):
            await kv.get(["a", "b"])

    in_kv(tmp_path, body)


def test_a_key_of_512_bytes_and_metadata_of_1024_are_taken(tmp_path):
    async def body(kv):
        await kv.put("k" * 512, "v", metadata="m" * 1022)
        assert await kv.get("k" * 512) == "v"

    in_kv(tmp_path, body)


# state ---------------------------------------------------------------------------------------------------------------


def test_the_file_is_made_when_it_is_first_needed_and_keeps_what_it_has(tmp_path):
    async def nothing(kv):
        assert repr(kv) == "<KV namespace id>"

    in_kv(tmp_path, nothing)
    assert not (tmp_path / "kv").exists()
    in_kv(tmp_path, lambda kv: kv.put("key", "v"))
    assert in_kv(tmp_path, lambda kv: kv.get("key")) == "v"


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "kv").mkdir()
    (tmp_path / "kv" / "id.sqlite").write_bytes(
        b"not a database, but long enough to be read as the header of one" * 20
    )
    with pytest.raises(StateCorruptError, match=r"id\.sqlite"):
        in_kv(tmp_path, lambda kv: kv.get("key"))


def test_a_database_that_cannot_be_written_now_says_so(tmp_path):
    async def body(kv):
        await kv.put("key", "v")
        other = sqlite3.connect(tmp_path / "kv" / "id.sqlite", isolation_level=None)
        kv._store._here.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(StoreUnavailableError, match="locked"):
                await kv.put("key", "w")
            assert await kv.get("key") == "v"
        finally:
            other.close()

    in_kv(tmp_path, body)


def test_each_namespace_of_the_configuration_is_declared_by_its_id(tmp_path):
    project = Project(tmp_path)
    project.write(
        "wrangler.toml",
        'name = "w"\nkv_namespaces = [{ binding = "A", id = "one" }, { binding = "B" }]',
    )
    declared = list(declare(load(tmp_path / "wrangler.toml").config))
    assert [one[:3] for one in declared] == [("A", "KV Namespace", "one"), ("B", "KV Namespace", "B")]


CONFIG = """
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[kv_namespaces]]
binding = "KV"
id = "crash"
"""
ENTRY = """
import asyncio
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        self.ctx.waitUntil(self.fill())
        return Response("started")

    async def fill(self):
        for number in range(1_000_000):
            await self.env.KV.put(f"key-{number:06}", str(number))
            print("put", number, flush=True)
            await asyncio.sleep(0)
"""


def test_every_awaited_put_survives_a_kill_of_the_worker(tmp_path, monkeypatch):
    """The line is printed after the await; the worker is killed in the midst of the puts."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with place(tmp_path / "project") as where:
        where.has(CONFIG, ENTRY)
        session = where.dev().ready()
        assert session.get() == (200, "started")
        session.wait_for(r"put 200\n")
        kill_worker(session)
        printed = max(int(number) for number in re.findall(r"put (\d+)\n", session.output))
        listed = where.command("kv", "key", "list", "--binding", "KV").stdout
    names = {one["name"] for one in json.loads(listed)}
    assert {f"key-{number:06}" for number in range(printed + 1)} <= names


def test_reads_are_answered_and_writes_wait_while_another_process_has_locked_the_file(tmp_path):
    async def main():
        path = tmp_path / "kv" / "id.sqlite"
        store = KvStore(path)
        namespace = KvNamespace("id", store, LoopClock())
        await namespace.put("a", "1")
        with locked(path) as process:
            written = asyncio.create_task(namespace.put("a", "2"))
            removed = asyncio.create_task(namespace.delete("b"))
            for _ in range(5):
                await asyncio.sleep(0.01)
                assert await namespace.get("a") == "1"
            assert process.poll() is None
            assert not written.done()
            assert not removed.done()
            process.stdin.close()
            await asyncio.gather(written, removed)
        found = await namespace.get("a")
        store.close()
        return found

    assert asyncio.run(main()) == "2"
