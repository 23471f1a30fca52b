"""The columns of an instance's row after a lease's end, a rest and a finish."""

from __future__ import annotations

import pytest

from tests.storage.test_store import create, with_store
from wrangler_py.engine.model import HistoryType, Request, Status, Trigger
from wrangler_py.engine.store import Batch, Creation, Ending, Parking, StatusChange, Wanted
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


def test_a_process_of_one_version_takes_up_no_other_and_what_goes_on_first(tmp_path):
    """Each is asked for at the very millisecond in which it is due."""

    async def body(store):
        batch = Batch()
        batch.creations += [
            Creation("w", name, b"{}", Trigger.API, version, at)
            for name, version, at in (("old", "v1", 5), ("new", "v2", 6), ("later", "v1", 9))
        ]
        rows = await store.apply(batch, None)
        epoch = await store.take_lease("one", 100)
        v1, v2 = Wanted("w", "v1"), Wanted("w", "v2")

        async def claimed(wanted, now, limit=9):
            return [one.instance.id for one in await store.claim(wanted, epoch, now=now, limit=limit)]

        started = await claimed(v1, 4), await claimed(v1, 5), await claimed(v2, 5), await claimed(v2, 6)
        batch = Batch()
        batch.parkings += [Parking(row, Status.WAITING, 12, 0, 7) for row in rows[:2]]
        await store.apply(batch, epoch)
        # "later" has waited longer, and comes second: it has not begun.
        going = (
            await claimed(v1, 11, 0),
            await claimed(v1, 12, 1),
            await claimed(v1, 12),
            await claimed(v2, 12),
        )
        return started, going

    assert with_store(tmp_path, body) == (([], ["old"], [], ["new"]), ([], ["old"], ["later"], ["new"]))


@pytest.mark.parametrize("version", [None, "v1"])
def test_new_instances_start_in_the_order_of_their_creation(tmp_path, version):
    async def body(store):
        batch = Batch()
        batch.creations += [
            Creation("w", name, b"{}", Trigger.API, "v1", at)
            for name, at in (("a", 3), ("b", 1), ("c", 2), ("d", 1))
        ]
        await store.apply(batch, None)
        epoch = await store.take_lease("one", 100)
        claims = [await store.claim(Wanted("w", version), epoch, now=9, limit=1) for _ in range(5)]
        return [one.instance.id for claim in claims for one in claim]

    assert with_store(tmp_path, body) == ["b", "d", "c", "a"]


def test_a_lease_that_is_kept_stands_although_it_is_over(tmp_path):
    async def body(store):
        _, epoch = await driven(store)
        return await store.reap(now=101, keep=(epoch,)), store.renew_lease(epoch, 200)

    assert with_store(tmp_path, body) == (0, True)


@pytest.mark.parametrize("version", [None, "v1"])
def test_the_next_due_is_the_earliest(tmp_path, version):
    async def body(store):
        rows = await create(store, "a", "b")
        fresh = await store.next_due([Wanted("w", version)])
        epoch = await store.take_lease("one", 100)
        await store.claim(W[0], epoch, now=5, limit=9)
        nobody = await store.next_due([Wanted("w", version)])
        batch = Batch()
        batch.parkings += [
            Parking(rows[0], Status.WAITING, 30, 0, 6),
            Parking(rows[1], Status.WAITING, 20, 0, 6),
        ]
        await store.apply(batch, epoch)
        return fresh, nobody, await store.next_due([Wanted("w", version), Wanted("other", version)])

    assert with_store(tmp_path, body) == (1, None, 20)


def test_a_claim_gives_the_row_to_its_process_and_history_without_ends_of_attempts(tmp_path):
    async def body(store):
        row, epoch = await driven(store)
        batch = Batch()
        kinds = (
            HistoryType.STEP_START,
            HistoryType.ATTEMPT_START,
            HistoryType.ATTEMPT_SUCCESS,
            HistoryType.STEP_SUCCESS,
        )
        batch.history += [(row, kind, 6, 1, 1, "s-1", None) for kind in kinds]
        batch.parkings.append(Parking(row, Status.WAITING, 30, 0, 6))
        await store.apply(batch, epoch)
        (claimed,) = await store.claim(W[0], epoch, now=50, limit=1)
        names = ("epoch", "status", "fresh", "modified_at", "due_at", "started_at")
        assert tuple(await columns(store, row, *names)) == (epoch, "running", 0, 50, 50, 5)
        return [event.type.value for event in claimed.history]

    types = ["WORKFLOW_QUEUED", "STEP_START", "ATTEMPT_START", "STEP_SUCCESS"]
    assert with_store(tmp_path, body) == types
