"""`list`: order, prefixes, delimiters, pages."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bindings.r2.support import with_bucket
from wrangler_py.bindings.failures import R2Error
from wrangler_py.bindings.r2.listing import find_page, read_query
from wrangler_py.storage.r2 import StoredObject
from wrangler_py.storage.r2 import index as index_module
from wrangler_py.storage.r2.index import Index

FILES = [
    "dir0/file0", "dir0/file1", "dir0/sub0/file2", "dir0/sub0/file3", "dir0/sub1/file4", "dir0/sub1/file5",
    "dir1/file6", "dir1/file7", "file8", "file9",
]  # fmt: skip


def listing(folder, keys, **options):
    async def body(bucket):
        for key in reversed(keys):
            await bucket.put(key, key)
        return await bucket.list(**options)

    found = with_bucket(folder, body)
    return [one.key for one in found.objects], found.delimitedPrefixes, found.truncated


@pytest.mark.parametrize(
    ("options", "keys", "prefixes"),
    [
        ({}, FILES, []),
        ({"delimiter": ""}, FILES, []),
        ({"prefix": "none"}, [], []),
        ({"prefix": "dir1"}, ["dir1/file6", "dir1/file7"], []),
        ({"startAfter": "file8"}, ["file9"], []),
        ({"start_after": "dir1/z"}, ["file8", "file9"], []),
        ({"prefix": "dir1/", "startAfter": "dir0"}, ["dir1/file6", "dir1/file7"], []),
        ({"delimiter": "/"}, ["file8", "file9"], ["dir0/", "dir1/"]),
        ({"delimiter": "/", "prefix": "dir0"}, [], ["dir0/"]),
        ({"delimiter": "/", "prefix": "dir0/"}, ["dir0/file0", "dir0/file1"], ["dir0/sub0/", "dir0/sub1/"]),
        ({"delimiter": "file8"}, [*FILES[:8], "file9"], ["file8"]),
        ({"delimiter": "le", "prefix": "fi"}, [], ["file"]),
        ({"delimiter": "/", "startAfter": "dir0/zzz"}, ["file8", "file9"], ["dir1/"]),
    ],
)
def test_prefix_start_and_delimiter(tmp_path, options, keys, prefixes):
    assert listing(tmp_path, FILES, **options) == (keys, prefixes, False)


def test_keys_come_in_the_order_of_their_bytes(tmp_path):
    keys = ["!", ", ", "Z", "a", "é", "\uffee", "𐀀", "\U0010ffff"]
    assert listing(tmp_path, keys) == (keys, [], False)
    assert listing(tmp_path, keys, prefix="\U0010ffff") == (["\U0010ffff"], [], False)


def test_pages_follow_each_other_and_see_what_was_put_behind_them(tmp_path):
    async def body(bucket):
        for key in ("key1", "key3", "key5"):
            await bucket.put(key, "v")
        first = await bucket.list(limit=2)
        await bucket.put("key2", "v")
        await bucket.put("key4", "v")
        second = await bucket.list({"limit": 2, "cursor": first.cursor})
        return (
            [one.key for one in first.objects],
            first.truncated,
            [one.key for one in second.objects],
            second.cursor,
        )

    assert with_bucket(tmp_path, body) == (["key1", "key3"], True, ["key4", "key5"], None)


def test_metadata_is_listed_where_it_was_asked_for(tmp_path):
    async def body(bucket):
        await bucket.put("key", "v", httpMetadata={"contentType": "a/b"}, customMetadata={"c": "d"})
        seen = []
        for include in (None, ["httpMetadata"], ["customMetadata", "httpMetadata"]):
            (found,) = (await bucket.list(include=include)).objects
            seen.append((found.httpMetadata, found.customMetadata))
            if include is None:
                with pytest.raises(R2Error, match="HTTP metadata unknown for key `key`. Did you forget"):
                    found.writeHttpMetadata({})
        return seen

    http, custom = {"contentType": "a/b"}, {"c": "d"}
    assert with_bucket(tmp_path, body) == [(None, None), (http, None), (http, custom)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, r"Error: list: MaxKeys params must be positive integer <= 1000. \(10022\)"),
        ({"limit": 1001}, "10022"),
        ({"limit": 1.5}, "10022"),
        ({"limit": True}, "10022"),
        ({"limit": "5"}, "10022"),
        ({"cursor": "?"}, "The cursor is not one that list"),
        ({"prefix": 5}, "prefix is text, not int"),
        ({"include": ["metadata"]}, "Unsupported include value metadata"),
        ({"after": "a"}, "there is no option 'after'"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    async def body(bucket):
        with pytest.raises(R2Error, match=message):
            await bucket.list(options)

    with_bucket(tmp_path, body)


@contextmanager
def index_of(keys):
    """An index on disk with objects of these keys."""
    with tempfile.TemporaryDirectory() as folder:
        index = Index(Path(folder) / "index.sqlite")
        try:
            with index._transaction() as execute:
                for key in keys:
                    new = StoredObject(key, key, "", 0, "", 0, {}, {}, {}, "Standard")
                    execute(index_module._Q["put"], index_module._row(new))
            yield index
        finally:
            index.close()


def grouped(keys, prefix, delimiter):
    """Every key, or what stands for it, as one would work it out by hand."""
    entries = []
    for key in sorted(keys, key=str.encode):
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            entry = ("key", key) if at < 0 else ("prefix", key[: at + len(delimiter)])
            if entry not in entries:
                entries.append(entry)
    return entries


words = st.text("ab/é𐀀", min_size=1, max_size=6)


@settings(max_examples=300)
@given(
    st.sets(words, max_size=20),
    st.text("ab/é", max_size=2),
    st.sampled_from(["", "/", "a", "é", "b/"]),
    st.integers(1, 5),
)
def test_pages_together_are_the_whole_list_each_entry_once(keys, prefix, delimiter, limit):
    seen, cursor = [], ""
    with index_of(keys) as index:
        while cursor is not None:
            options = {"prefix": prefix, "delimiter": delimiter, "limit": limit, "cursor": cursor}
            page = find_page(index, read_query(options, {}))
            assert len(page.objects) + len(page.prefixes) <= limit
            assert page.cursor is None or len(page.objects) + len(page.prefixes) == limit
            seen += [("key", one.key) for one in page.objects] + [("prefix", one) for one in page.prefixes]
            cursor = page.cursor
    assert len(seen) == len(set(seen))
    assert set(seen) == set(grouped(keys, prefix, delimiter))


def steps(index, **options):
    """Return a page, and how many tens of SQLite's instructions it took."""
    taken = []
    index._lister.set_progress_handler(lambda: taken.append(1), 10)
    try:
        return find_page(index, read_query(options, {})), len(taken)
    finally:
        index._lister.set_progress_handler(None, 0)


def test_a_long_list_below_one_prefix_is_passed_over_at_once():
    """However many keys a prefix stands for, they are not read one by one."""
    with index_of([*(f"dir/{number:05}" for number in range(5000)), "z"]) as index:
        found, taken = steps(index, delimiter="/", limit=10)
    assert ([one.key for one in found.objects], found.prefixes, found.cursor) == (["z"], ["dir/"], None)
    assert taken < 20


def test_a_thousand_prefixes_take_about_as_long_as_a_thousand_objects(monkeypatch):
    with index_of([f"user{number:04}/photo.jpg" for number in range(1000)]) as index:
        flat, flat_steps = steps(index)
        decoded = []
        monkeypatch.setattr(index_module, "_read_object", decoded.append)
        page, page_steps = steps(index, delimiter="/")
    assert (len(flat.objects), len(page.prefixes), len(decoded)) == (1000, 1000, 0)
    assert page_steps < 4 * flat_steps


def test_a_list_leaves_the_event_loop_to_others(tmp_path):
    async def body(bucket):
        for number in range(20):
            await bucket.put(f"dir{number}/a", "")
        lister, threads = bucket._open_bucket.store._index._lister, set()
        lister.set_trace_callback(lambda _: threads.add(threading.current_thread()))
        await asyncio.gather(bucket.list(), bucket.list(delimiter="/"))
        return threads

    threads = with_bucket(tmp_path, body)
    assert threads
    assert threading.current_thread() not in threads


def test_lists_at_once_do_not_disturb_each_other(tmp_path):
    async def body(bucket):
        await asyncio.gather(*(bucket.put(f"dir{number % 7}/{number}", "") for number in range(40)))
        found = await asyncio.gather(
            *(bucket.list(delimiter="/", prefix=f"dir{number}/") for number in range(7))
        )
        return [len(one.objects) for one in found]

    assert with_bucket(tmp_path, body) == [6, 6, 6, 6, 6, 5, 5]
