"""What a lease's end, a rest and a finish leave in an instance's row."""

from __future__ import annotations

import pytest

from tests.storage.test_store import create, with_store
from wrangler_py.engine.model import HistoryType, Request, Status
from wrangler_py.engine.store import Batch, Ending, Parking, StatusChange, Wanted
from wrangler_py.errors import StaleEpochError

W = [Wanted("w")]


async def driven(store, *, status=None, due_at=None):
    """Create an instance and claim it, with a lease until 100; return its row and the epoch."""
    (row,) = await create(store, "a")
    epoch = await store.take_lease("one", 100)
    await store.claim(W[0], epoch, now=5, limit=9)
    if status is not None:
        batch = Batch()
        batch.statuses.append(StatusChange(row, status, due_at, 6))
        await store.apply(batch, epoch)
    return row, epoch


async def columns(store, row, *names):
    return store._read(f"SELECT {', '.join(names)} FROM instances WHERE number = ?", (row,))[0]


@pytest.mark.parametrize(
    ("status", "due_at", "has_event", "due"),
    [
        (Status.RUNNING, 6, False, 6),
        (Status.RUNNING, 500, False, 20),
        (Status.RUNNING, None, False, 20),
        (Status.WAITING_FOR_PAUSE, 500, False, 20),
        (Status.WAITING, 500, False, 500),
        (Status.WAITING, 500, True, 20),
    ],
)
@pytest.mark.parametrize("end", ["released", "reaped", "stopped"])
def test_the_end_of_a_lease_frees_an_instance_when_it_is_due(tmp_path, status, due_at, has_event, due, end):
    """At once, unless it waits for nothing but its timer. A process that died postpones what it ran."""

    async def body(store):
        row, epoch = await driven(store, status=status, due_at=due_at)
        other = await store.take_lease("other", 10_000)
        if has_event:
            await store.add_event(await store.get("w", "a"), "go", b"1", 7)
        await store.ask(await store.get("w", "a"), Request.PAUSE)
        if end == "released":
            freed = await store.release_lease(epoch)
        else:
            stopped = ("one",) if end == "stopped" else ()
            freed = await store.reap(now=20 if stopped else 101, keep=(other,), stopped=stopped)
        assert freed in (None, 1)
        assert not store.renew_lease(epoch, 1000)
        with pytest.raises(StaleEpochError):
            await store.claim(W[0], epoch, now=1000, limit=1)
        return await columns(store, row, "epoch", "request", "due_at")

    epoch, request, found = with_store(tmp_path, body)
    assert (epoch, request) == (None, None)
    if end == "released":
        assert found == (500 if due == 500 else 0)
    if end == "stopped":
        assert found == due


def test_a_lease_is_over_after_its_last_millisecond(tmp_path):
    async def body(store):
        await driven(store)
        first = await store.reap(now=100, keep=())
        return first, await store.reap(now=101, keep=())

    assert with_store(tmp_path, body) == (0, 1)


def test_a_parked_instance_belongs_to_nobody(tmp_path):
    async def body(store):
        row, epoch = await driven(store)
        await store.ask(await store.get("w", "a"), Request.PAUSE)
        batch = Batch()
        batch.parkings.append(Parking(row, Status.PAUSED, None, 0, 8, paused_at=8))
        await store.apply(batch, epoch)
        names = ("status", "epoch", "request", "paused_at", "modified_at", "due_at")
        return await columns(store, row, *names)

    assert tuple(with_store(tmp_path, body)) == ("paused", None, None, 8, 8, None)


@pytest.mark.parametrize(("status", "kept"), [(Status.COMPLETE, 1000), (Status.ERRORED, 2000)])
def test_an_ended_instance_belongs_to_nobody_and_is_kept_as_long_as_its_end_says(tmp_path, status, kept):
    async def body(store):
        row, epoch = await driven(store)
        await store.ask(await store.get("w", "a"), Request.PAUSE)
        store._execute("UPDATE instances SET success_ms = 1000, error_ms = 2000, paused_at = 3")
        batch = Batch()
        batch.endings.append(Ending(row, status, 9))
        batch.history.append((row, HistoryType.WORKFLOW_SUCCESS, 9, 0, 0, None, None))
        await store.apply(batch, epoch)
        names = ("status", "epoch", "request", "paused_at", "modified_at", "due_at", "ended_at", "expires_at")
        return await columns(store, row, *names)

    assert tuple(with_store(tmp_path, body)) == (status.value, None, None, None, 9, None, 9, 9 + kept)


def test_the_chunks_of_one_step_are_dropped_and_no_others(tmp_path):
    async def body(store):
        row, epoch = await driven(store)
        batch = Batch()
        batch.chunks += [(row, 1, 0, b"a"), (row, 2, 0, b"b")]
        await store.apply(batch, epoch)
        batch = Batch()
        batch.chunks.append((row, 1, 0, None))
        await store.apply(batch, epoch)
        return [tuple(one) for one in store._read("SELECT step, data FROM chunks")]

    assert with_store(tmp_path, body) == [(2, b"b")]


@pytest.mark.parametrize("version", [None, "v1"])
def test_what_was_due_first_goes_on_first_and_from_its_very_millisecond(tmp_path, version):
    async def body(store):
        rows = await create(store, "a", "b", "c")
        epoch = await store.take_lease("one", 100)
        await store.claim(W[0], epoch, now=5, limit=9)
        batch = Batch()
        batch.parkings += [
            Parking(row, Status.WAITING, due_at, 0, 6) for row, due_at in zip(rows, (30, 10, 20), strict=True)
        ]
        await store.apply(batch, epoch)
        wanted = Wanted("w", version)
        claims = [
            await store.claim(wanted, epoch, now=now, limit=limit)
            for now, limit in ((9, 9), (10, 9), (30, 1), (30, 1))
        ]
        return [[one.instance.id for one in claim] for claim in claims]

    assert with_store(tmp_path, body) == [[], ["b"], ["c"], ["a"]]
