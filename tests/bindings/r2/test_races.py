"""Interleavings that real processes meet too rarely: each is made to happen."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest

from tests.bindings.r2.support import START, HandClock, bucket_in, text, with_bucket
from wrangler_py.bindings.r2.threads import Threads
from wrangler_py.storage.r2 import BucketStore, NewBlob, StoredObject


@pytest.fixture
def store(tmp_path):
    found = BucketStore.open(tmp_path / "bucket", HandClock().new_id, forget_uploads_before=0)
    yield found
    found.close()


def put(store, value, allows=lambda _: True):
    """Store an object; return its blob, which is not closed yet."""
    blob = store.new_blob()
    blob.open()
    blob.write(value)
    new = StoredObject("key", blob.name, "v", len(value), "e", START, {}, {}, {}, "Standard")
    assert store.put(new, blob, allows)
    return blob


def test_an_object_is_whole_from_the_moment_the_index_has_it(store):
    """The writer may be stopped between its commit and its close."""
    blob = put(store, b"value")
    stored, opened = store.open_object("key")
    assert opened.read(0, stored.size) == b"value"
    blob.close()


def test_while_a_condition_is_looked_at_nobody_else_writes(store, tmp_path):
    """Else what was looked at is no longer there when the object takes its place."""
    other = sqlite3.connect(tmp_path / "bucket" / "index.sqlite", isolation_level=None, timeout=0)

    def look(_):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        return True

    put(store, b"value", look).close()
    other.close()


def test_an_object_that_is_replaced_while_it_is_opened_is_opened_anew(tmp_path):
    """Its row was read, then its file was removed, then it was to be opened."""

    async def body(bucket):
        await bucket.put("key", "old")
        opened = await bucket.opened()
        find = opened.store._index.find

        def stale(key):
            found = find(key)
            opened.store._index.find = find
            with bucket_in(tmp_path, HandClock("1")) as other:
                thread = threading.Thread(target=lambda: asyncio.run(other.put("key", "new")))
                thread.start()
                thread.join()
            return found

        opened.store._index.find = stale
        return await text(bucket, "key")

    assert with_bucket(tmp_path, body) == "new"


def test_who_is_cancelled_waits_for_the_thread_that_works_on_their_files():
    async def main():
        threads, go_on, done = Threads("test"), threading.Event(), []
        waiting = asyncio.create_task(threads.run(lambda: done.append(go_on.wait(10))))
        for _ in range(3):
            await asyncio.sleep(0)
            waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        threads.close()
        return done

    assert asyncio.run(main()) == [True]


def test_a_stream_that_breaks_off_while_its_bytes_are_written_closes_the_file_after_the_write(
    tmp_path, monkeypatch
):
    broken, order = threading.Event(), []
    write, close = NewBlob.write, NewBlob.close

    def slow(blob, data):
        assert broken.wait(10)
        order.append("written")
        write(blob, data)

    monkeypatch.setattr(NewBlob, "write", slow)
    monkeypatch.setattr(NewBlob, "close", lambda blob: order.append("closed") or close(blob))

    async def breaking():
        yield bytes(5_000_000)
        await asyncio.sleep(0)
        broken.set()
        raise ConnectionError("hung up")

    async def body(bucket):
        with pytest.raises(ConnectionError):
            await bucket.put("key", breaking())

    with_bucket(tmp_path, body)
    assert order == ["written", "closed"]


def test_writes_of_a_key_take_effect_in_the_order_of_their_calls(tmp_path):
    """Four threads store them; without turns about each second round ends with another value."""

    async def body(bucket):
        ends = []
        for number in range(30):
            for value in "abcd":
                bucket.put("key", f"{value}{number}")
            await bucket.put("other", "")
            await bucket.delete(["gone", "key"])
            ends.append(await text(bucket, "key"))
            bucket.delete("key")
            await bucket.put("key", f"end{number}")
            ends.append(await text(bucket, "key"))
        return ends

    assert with_bucket(tmp_path, body) == [one for number in range(30) for one in (None, f"end{number}")]
