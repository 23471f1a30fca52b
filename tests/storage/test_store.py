"""The contract every store keeps; run against SQLite."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.world import run_virtual
from wrangler_py.engine.model import HistoryType, Status, Trigger, WorkflowRow
from wrangler_py.engine.store import Batch, Creation, Ending, ListQuery, Parking, Wanted
from wrangler_py.errors import (
    InvalidArgumentError,
    StaleEpochError,
    StateCorruptError,
    StateTooNewError,
    StateUnwritableError,
    StoreUnavailableError,
)
from wrangler_py.storage.sqlite import SqliteStore
from wrangler_py.storage.sqlite.store import DATABASE_NAME


def creation(name: str = "a", at: int = 1) -> Creation:
    return Creation("w", name, b"{}", Trigger.API, "v1", at)


async def opened(folder: Path) -> SqliteStore:
    store = await SqliteStore.open(folder / "state" / "workflows.sqlite")
    await store.bind_workflow(WorkflowRow("w", "s", "W", "v1", 1, 1))
    return store


async def create(store: SqliteStore, *names: str) -> list[int | None]:
    batch = Batch()
    batch.creations += [creation(name, at) for at, name in enumerate(names, 1)]
    return await store.apply(batch, None)


def with_store(folder, body):
    async def main():
        store = await opened(folder)
        try:
            return await body(store)
        finally:
            await store.close()

    return run_virtual(main())


def test_a_state_directory_keeps_its_database_under_one_name():
    """Another name in a later version would leave everybody's instances behind."""
    assert DATABASE_NAME == "workflows.sqlite"


def test_a_commit_checkpoints_only_where_the_heartbeat_is_far_behind(tmp_path):
    async def body(store):
        return store._value("PRAGMA wal_autocheckpoint")

    assert with_store(tmp_path, body) == 16_000  # Pages: 64 MiB.


def test_an_id_is_created_once(tmp_path):
    async def body(store):
        return await create(store, "a", "b", "a")

    first, second, third = with_store(tmp_path, body)
    assert first != second
    assert third is None


def test_an_instance_is_claimed_by_one_process_only(tmp_path):
    async def body(store):
        await create(store, "a")
        one, two = await store.take_lease("one", 100), await store.take_lease("two", 100)
        first = await store.claim(Wanted("w"), one, now=5, limit=9)
        second = await store.claim(Wanted("w"), two, now=5, limit=9)
        return len(first), len(second), two > one

    assert with_store(tmp_path, body) == (1, 0, True)


def test_a_process_that_lost_its_lease_cannot_change_anything(tmp_path):
    async def body(store):
        (row,) = await create(store, "a")
        old = await store.take_lease("old", 10)
        await store.claim(Wanted("w"), old, now=5, limit=9)
        new = await store.take_lease("new", 1000)
        assert await store.reap(now=11, keep=(new,)) == 1
        batch = Batch()
        batch.endings.append(Ending(row, Status.COMPLETE, 12, output=b"1"))
        batch.history.append((row, HistoryType.WORKFLOW_SUCCESS, 12, 0, 0, None, None))
        with pytest.raises(StaleEpochError):
            await store.apply(batch, old)
        with pytest.raises(StaleEpochError):
            await store.claim(Wanted("w"), old, now=12, limit=1)
        claimed = await store.claim(Wanted("w"), new, now=12, limit=9)
        return claimed[0].instance.status, [event.type.value for event in await store.history(row)]

    assert with_store(tmp_path, body) == (Status.RUNNING, ["WORKFLOW_QUEUED"])


def test_the_leases_of_living_siblings_stand_whatever_else_is_reaped(tmp_path):
    """Several processes of one session: a sibling's lease stands, a dead one's and another session's do not."""

    async def body(store):
        sibling = await store.take_lease("now-1", 1000)
        late = await store.take_lease("now-2", 1000)
        mine = await store.take_lease("now-3", 1000)
        others = [await store.take_lease(name, 1000) for name in ("before-1", "dead")]
        await store.reap(now=20, keep=(mine,), owners=["now-2"], living="now-")
        return [store.renew_lease(epoch, 2000) for epoch in (sibling, mine, late, *others)]

    assert with_store(tmp_path, body) == [True, True, False, False, False]


def test_an_event_that_comes_while_an_instance_parks_makes_it_due(tmp_path):
    async def body(store):
        (row,) = await create(store, "a")
        epoch = await store.take_lease("one", 100)
        (claimed,) = await store.claim(Wanted("w"), epoch, now=5, limit=9)
        await store.add_event(claimed.instance, "go", b"1", 6)
        batch = Batch()
        batch.parkings.append(Parking(row, Status.WAITING, 1000, claimed.signal, 7))
        await store.apply(batch, epoch)
        return await store.next_due([Wanted("w")])

    assert with_store(tmp_path, body) == 7


def test_those_that_go_on_are_claimed_before_those_that_start(tmp_path):
    async def body(store):
        old, *_ = await create(store, "old", "new1", "new2")
        epoch = await store.take_lease("one", 100)
        await store.claim(Wanted("w"), epoch, now=1, limit=1)
        batch = Batch()
        batch.parkings.append(Parking(old, Status.WAITING, 50, 0, 2))
        await store.apply(batch, epoch)
        return [one.instance.id for one in await store.claim(Wanted("w"), epoch, now=60, limit=2)]

    assert with_store(tmp_path, body) == ["old", "new1"]


def test_pages_and_cursors_show_every_instance_once(tmp_path):
    async def body(store):
        await create(store, *(f"i{n}" for n in range(7)))
        pages = [await store.list_instances("w", ListQuery(page=n, per_page=3)) for n in (1, 2, 3, 4)]
        by_page = [row.id for page in pages for row in page.items]
        by_cursor, cursor = [], None
        while True:
            page = await store.list_instances("w", ListQuery(per_page=2, cursor=cursor))
            by_cursor += [row.id for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        with pytest.raises(InvalidArgumentError):
            await store.list_instances("w", ListQuery(cursor="x"))
        dated = await store.list_instances("w", ListQuery(date_start_ms=3, date_end_ms=5, descending=False))
        return by_page, by_cursor, pages[0].total_count, [row.id for row in dated.items]

    expected = [f"i{n}" for n in reversed(range(7))]
    assert with_store(tmp_path, body) == (expected, expected, 7, ["i2", "i3", "i4"])


def test_a_newer_schema_is_refused_and_nothing_changes(tmp_path):
    with_store(tmp_path, lambda store: create(store, "a"))
    path = tmp_path / "state" / "workflows.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StateTooNewError, match="newer pywrangler"):
        run_virtual(SqliteStore.open(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 500])
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "workflows.sqlite"
    path.write_bytes(content)
    with pytest.raises(StateCorruptError, match="not a usable database"):
        run_virtual(SqliteStore.open(path))
    assert path.read_bytes() == content


def test_a_strangers_database_is_refused(tmp_path):
    path = tmp_path / "workflows.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    with pytest.raises(StateCorruptError, match="another program"):
        run_virtual(SqliteStore.open(path))


def test_a_state_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateUnwritableError, match="cannot be written"):
        run_virtual(SqliteStore.open(tmp_path / "file" / "state" / "workflows.sqlite"))


def test_a_full_disk_refuses_the_write_and_loses_nothing(tmp_path):
    async def body(store):
        await create(store, "a")
        pages = store._execute("PRAGMA page_count").fetchone()[0]
        store._execute(f"PRAGMA max_page_count = {pages}")
        batch = Batch()
        batch.creations.append(Creation("w", "big", b"x" * 200_000, Trigger.API, "v1", 1))
        with pytest.raises(StoreUnavailableError, match="free some disk space"):
            await store.apply(batch, None)
        store._execute("PRAGMA max_page_count = 1073741823")
        return [row.id for row in (await store.list_instances("w", ListQuery())).items]

    assert with_store(tmp_path, body) == ["a"]


PROCESS = """
import asyncio, sys
from pathlib import Path
from wrangler_py.engine.store import Batch, Wanted
from wrangler_py.errors import StaleEpochError
from wrangler_py.storage.sqlite import SqliteStore

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    epoch = await store.take_lease("other process", 10)
    claimed = await store.claim(Wanted("w"), epoch, now=5, limit=9)
    print(len(claimed), flush=True)
    sys.stdin.readline()
    batch = Batch()
    batch.history.append((claimed[0].instance.row, "WORKFLOW_SUCCESS", 1, 0, 0, None, None))
    try:
        await store.apply(batch, epoch)
        print("written")
    except StaleEpochError:
        print("stale")

asyncio.run(main())
"""


def test_two_real_processes_the_fenced_one_writes_nothing(tmp_path):
    async def body(store):
        (row,) = await create(store, "a")
        other = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(store.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert other.stdout.readline() == "1\n"
        assert store.changed_elsewhere()
        mine = await store.take_lease("me", 1000)
        await store.reap(now=20, keep=(mine,))
        said, _ = other.communicate("go\n", timeout=30)
        return said.strip(), len(await store.history(row))

    assert with_store(tmp_path, body) == ("stale", 1)


def test_reads_by_asyncio_run_too(tmp_path):
    """The store does not depend on the virtual loop of the other tests."""

    async def main():
        store = await opened(tmp_path)
        await create(store, "a")
        latest = await store.latest("w")
        await store.close()
        return latest.id

    assert asyncio.run(main()) == "a"


def test_a_database_that_is_closed_is_one_file(tmp_path):
    """The heartbeat's connection is closed, too."""

    async def body():
        store = await opened(tmp_path)
        epoch = await store.take_lease("one", 100)
        assert store.renew_lease(epoch, 200)
        await create(store, "a")
        names = {path.name for path in store.path.parent.iterdir()}
        assert f"{store.path.name}-wal" in names
        await store.close()
        return {path.name for path in store.path.parent.iterdir()} & {f"{store.path.name}-wal"}

    assert run_virtual(body()) == set()


def test_the_heartbeat_moves_the_write_ahead_log_along(tmp_path):
    async def body(store):
        epoch = await store.take_lease("one", 100)
        await create(store, *(f"instance {number}" for number in range(300)))
        before = store.path.stat().st_size
        assert store.renew_lease(epoch, 200)
        return store.path.stat().st_size > before

    assert with_store(tmp_path, body)


def test_a_commit_survives_a_crash_of_the_process_unless_more_is_asked_for(tmp_path):
    async def body():
        store = await opened(tmp_path)
        usual = store.synchronous, store._read("PRAGMA synchronous")[0][0]
        await store.close()
        store = await SqliteStore.open(store.path, synchronous="FULL")
        full = store.synchronous, store._read("PRAGMA synchronous")[0][0]
        await store.close()
        return usual, full

    assert run_virtual(body()) == (("NORMAL", 1), ("FULL", 2))
