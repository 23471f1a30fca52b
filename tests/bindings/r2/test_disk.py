"""The bucket's files: under SIGKILL, with several processes, with little memory, and where the disk fails."""

from __future__ import annotations

import asyncio
import os
import random
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bindings.r2.crash_worker import value
from tests.bindings.r2.support import HandClock, blobs, bucket_in, text, with_bucket
from wrangler_py.bindings.failures import R2Error
from wrangler_py.bindings.r2.bucket import R2Bucket
from wrangler_py.clock import SystemClock
from wrangler_py.errors import StateCorruptError
from wrangler_py.storage.r2.blobs import Blobs

ROOT = Path(__file__).parents[3]


@contextmanager
def spawn(folder: Path, role: str) -> Iterator[subprocess.Popen[str]]:
    """Run another process over the bucket; it is killed at the end if it still runs."""
    command = [sys.executable, "-m", "tests.bindings.r2.crash_worker", str(folder), role]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def check(bucket: R2Bucket) -> str | None:
    """Return the letter of the object, which must be whole; None: there is none."""
    found = await bucket.get("key")
    if found is None:
        return None
    data = await found.bytes()
    assert data == value(data[0])
    assert found.customMetadata in ({"l": str(data[0])}, {})
    return chr(data[0])


def test_killed_at_any_moment_the_key_has_its_old_or_its_new_object_and_no_bytes_are_left_over(tmp_path):
    chance, seen = random.Random(5), set()
    for number in range(12):
        with spawn(tmp_path, "write") as process:
            assert process.stdout.readline() == "ready\n"
            select.select([process.stdout], [], [], chance.uniform(0, 0.15))
        seen.add(with_bucket(tmp_path, check, SystemClock()))
        kept = with_bucket(tmp_path, lambda bucket: bucket.list(), HandClock(str(number))).objects
        parts = sum(1 for _ in _open_parts(tmp_path))
        assert len(blobs(tmp_path)) == len(kept) + parts
    assert len(seen) > 1


def _open_parts(folder: Path):
    import sqlite3

    connection = sqlite3.connect(folder / "bucket" / "index.sqlite")
    yield from connection.execute("SELECT blob FROM parts").fetchall()
    connection.close()


def test_with_two_processes_writing_every_read_is_of_one_whole_object(tmp_path):
    with spawn(tmp_path, "write") as first, spawn(tmp_path, "write") as second:
        for process in (first, second):
            assert process.stdout.readline() == "ready\n"

        async def look(bucket):
            seen = set()
            while len(seen) < 8:
                seen.add(await check(bucket))

        with_bucket(tmp_path, look, SystemClock())
        for process in (first, second):
            assert process.poll() is None


def test_of_many_that_want_to_create_a_key_in_two_processes_one_does(tmp_path):
    async def main():
        with bucket_in(tmp_path) as one, bucket_in(tmp_path, HandClock("1")) as other:
            puts = [
                bucket.put("key", f"{name}{number}", onlyIf={"etagDoesNotMatch": "*"})
                for number in range(10)
                for name, bucket in (("a", one), ("b", other))
            ]
            return [stored for stored in await asyncio.gather(*puts) if stored is not None]

    assert len(asyncio.run(main())) == 1
    assert len(blobs(tmp_path)) == 1


def test_a_large_object_takes_little_memory_on_its_way_in_and_out(tmp_path):
    with spawn(tmp_path, "256") as process:
        out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    size, memory = map(int, out.split()[1:])
    assert size == 256 << 20
    assert memory < 16 << 20


def test_what_a_crash_left_is_swept_and_what_is_being_written_is_not(tmp_path):
    async def body(bucket):
        await bucket.put("key", "value")
        leftover = tmp_path / "bucket" / "blobs" / "leftover"
        leftover.write_bytes(b"half of it")
        writing = Blobs(leftover.parent, HandClock("f").new_id).create()
        writing.open()
        with bucket_in(tmp_path, HandClock("1")) as other:
            assert await text(other, "key") == "value"
        there, name = blobs(tmp_path), writing.name
        writing.close()
        return leftover.name in there, name in there

    assert with_bucket(tmp_path, body) == (False, True)
    assert len(blobs(tmp_path)) == 1


def test_a_file_is_not_swept_that_was_committed_while_the_sweep_looked(tmp_path):
    """The list of files is older than the commit: what counts is what the index says under the lock."""
    found = Blobs(tmp_path, HandClock().new_id)
    (tmp_path / "name").write_bytes(b"x")
    found.remove_leftover("name", lambda name: True)
    assert found.names() == ["name"]
    found.remove_leftover("name", lambda name: False)
    found.remove_leftover("name", lambda name: False)
    assert found.names() == []


def test_a_file_that_was_swept_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    from wrangler_py.storage.r2 import blobs as module

    flock, swept = module.fcntl.flock, []

    def late(file, how):
        if not swept:
            swept.append(file.name)
            os.unlink(file.name)
        flock(file, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    made = Blobs(tmp_path, HandClock().new_id).create()
    made.open()
    made.write(b"x")
    assert (tmp_path / made.name).exists()
    assert str(tmp_path / made.name) not in swept
    made.close()
    assert os.listdir(tmp_path) == []


def test_two_processes_that_think_of_the_same_name_have_two_files(tmp_path):
    first, second = Blobs(tmp_path, HandClock().new_id), Blobs(tmp_path, HandClock().new_id)
    made = [first.create(), second.create()]
    for one in made:
        one.open()
    assert len({one.name for one in made}) == 2
    for one in made:
        one.close()


def test_a_full_disk_is_told_and_the_old_object_stays(tmp_path, monkeypatch):
    async def body(bucket):
        await bucket.put("key", "old")

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("wrangler_py.storage.r2.blobs.NewBlob.write", full)
        for data in ("new", bytes(2_000_000)):
            with pytest.raises(R2Error, match=r"put: .*No space left on device.* \(10001\)"):
                await bucket.put("key", data)
        return await text(bucket, "key")

    assert with_bucket(tmp_path, body) == "old"
    assert len(blobs(tmp_path)) == 1


@pytest.mark.parametrize("method", ["get", "put"])
def test_a_state_directory_that_was_removed_meanwhile_is_told(tmp_path, method):
    async def body(bucket):
        await bucket.put("key", "value")
        shutil.rmtree(tmp_path / "bucket" / "blobs")
        with pytest.raises(R2Error, match=f"{method}: The bucket's files cannot be used: No such file"):
            await bucket.get("key") if method == "get" else await bucket.put("key", "new")

    with_bucket(tmp_path, body)


def test_a_file_that_is_not_an_index_is_told(tmp_path):
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "index.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StateCorruptError):
        with_bucket(tmp_path, lambda bucket: bucket.head("key"))
