"""The entries of a KV namespace in its file: to the millisecond and to the byte."""

from __future__ import annotations

import threading

import pytest

from tests.support.world import run_virtual
from wrangler_py.storage.kv import LARGE, KvStore


def with_kv(folder, body):
    async def main():
        store = KvStore(folder / "id.sqlite")
        try:
            return await body(store)
        finally:
            store.close()

    return run_virtual(main())


def test_what_is_deleted_is_gone_and_nothing_else(tmp_path):
    async def body(store):
        for key in (b"a", b"b"):
            await store.put(key, b"1", None, None, 0)
        await store.delete(b"a")
        await store.delete(b"never was")
        return await store.get(b"a", 0), (await store.get(b"b", 0)).value

    assert with_kv(tmp_path, body) == (None, b"1")


def test_an_entry_is_there_until_the_millisecond_in_which_it_expires(tmp_path):
    async def body(store):
        await store.put(b"a", b"1", 100, None, 0)
        return [
            (await store.get(b"a", now) is not None, len(store.list_aside(b"", None, 9, now)))
            for now in (99, 100)
        ]

    assert with_kv(tmp_path, body) == [(True, 1), (False, 0)]


@pytest.mark.parametrize(("size", "is_read"), [(LARGE, True), (LARGE + 1, False)])
def test_a_value_larger_than_large_is_read_aside(tmp_path, size, is_read):
    async def body(store):
        store.put_aside(b"a", bytes(size), None, None)
        here, aside = await store.get(b"a", 0), store.get_aside(b"a", 0)
        return here.value is not None, len(aside.value)

    assert with_kv(tmp_path, body) == (is_read, size)


def test_the_keys_of_a_prefix_are_those_that_begin_with_it(tmp_path):
    async def body(store):
        for key in (b"a", b"ab", b"ab\xf4\x8f\xbf\xbf", b"ac", b"b"):
            await store.put(key, b"1", None, None, 0)
        found = [key.key for key in store.list_aside(b"ab", None, 9, 0)]
        return found, [key.key for key in store.list_aside(b"ab", b"ab", 9, 0)]

    last = b"ab\xf4\x8f\xbf\xbf"
    assert with_kv(tmp_path, body) == ([b"ab", last], [last])


def test_what_has_expired_goes_a_few_at_a_time_the_oldest_first_and_once_a_minute(tmp_path):
    async def body(store):
        for number in range(70):
            store.put_aside(b"%d" % number, b"1", 1000 - number, None)

        async def left(now):
            await store.put(b"x", b"1", None, None, now)
            return [
                row[0]
                for row in store._here.read("SELECT key FROM entries WHERE key <> X'78' ORDER BY rowid")
            ]

        assert len(await left(0)) == 70
        assert len(await left(2_000)) == 70
        assert await left(60_000) == [b"%d" % number for number in range(6)]
        assert await left(60_000) == []
        return True

    assert with_kv(tmp_path, body)


def test_a_store_that_is_closed_leaves_no_thread_and_no_log_and_opens_again(tmp_path):
    async def body(store):
        await store.put(b"a", b"1", None, None, 0)
        await store.aside(store.put_aside, b"b", b"2", None, None)
        names = [thread.name for thread in threading.enumerate()]
        assert any(name.startswith("kv") for name in names)
        store.close()
        assert not any(thread.name.startswith("kv") for thread in threading.enumerate())
        files = sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("id.sqlite"))
        return files, (await store.get(b"b", 0)).value

    assert with_kv(tmp_path, body) == (["id.sqlite"], b"2")
