"""Changes by commands and drivers: the contract of `Store.change` and `Store.apply`; run against SQLite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.storage.test_store import create, with_store
from wrangler_py.engine.model import HistoryType, InstanceRow, Request, Status
from wrangler_py.engine.store import (
    Batch,
    Change,
    Deleting,
    Ending,
    Parking,
    Restarting,
    Resting,
    Seen,
    StatusChange,
    Wanted,
)
from wrangler_py.errors import StaleEpochError
from wrangler_py.storage.sqlite import SqliteStore

TERMINATE = Resting(Status.TERMINATED, HistoryType.WORKFLOW_TERMINATED)
CHANGES = (
    TERMINATE,
    Resting(Status.PAUSED, HistoryType.WORKFLOW_PAUSED),
    Restarting("v2"),
    Restarting("v2", 1),
    Deleting(),
)


async def looked(store: SqliteStore, name: str = "a") -> Seen:
    seen = await store.look("w", name)
    assert seen is not None
    return seen


async def driven(store: SqliteStore, *names: str) -> tuple[InstanceRow, int]:
    """Create instances and claim them under a fresh lease; return the first."""
    await create(store, *names)
    epoch = await store.take_lease("one", 1000)
    claimed = await store.claim(Wanted("w"), epoch, now=5, limit=9)
    return claimed[0].instance, epoch


def ending(row: int, kind: HistoryType = HistoryType.WORKFLOW_SUCCESS) -> Batch:
    batch = Batch()
    batch.history.append((row, kind, 7, 0, 0, None, None))
    batch.chunks.append((row, 1, 0, b"late"))
    batch.endings.append(Ending(row, Status.COMPLETE, 7, output=b"1"))
    return batch


async def it_completes(store: SqliteStore) -> None:
    """End as its driver ends it."""
    epoch = await store.take_lease("driver", 1000)
    (claimed,) = await store.claim(Wanted("w"), epoch, now=5, limit=9)
    await store.apply(ending(claimed.instance.row), epoch)


async def it_is_claimed(store: SqliteStore) -> None:
    await store.claim(Wanted("w"), await store.take_lease("driver", 1000), now=5, limit=9)


async def it_comes_back_as_it_was_but_further(store: SqliteStore) -> None:
    """Claimed and given up again by another process: status and driver are as before, its history is not."""
    epoch = await store.take_lease("driver", 1000)
    (claimed,) = await store.claim(Wanted("w"), epoch, now=5, limit=9)
    batch = Batch()
    batch.history.append((claimed.instance.row, HistoryType.STEP_START, 6, 1, 0, "s-1", b"{}"))
    batch.parkings.append(Parking(claimed.instance.row, Status.QUEUED, 1, claimed.signal, 6))
    await store.apply(batch, epoch)


async def it_is_deleted_and_another_has_its_row(store: SqliteStore) -> None:
    assert await store.change(await looked(store), Deleting(), now=5)
    await create(store, "b")


async def it_is_terminated(store: SqliteStore) -> None:
    assert await store.change(await looked(store), TERMINATE, now=5)


@pytest.mark.parametrize("change", CHANGES, ids=repr)
@pytest.mark.parametrize(
    "between",
    [
        it_completes,
        it_is_claimed,
        it_comes_back_as_it_was_but_further,
        it_is_deleted_and_another_has_its_row,
        it_is_terminated,
    ],
)
def test_a_command_changes_nothing_if_something_happened_since_it_looked(
    tmp_path: Path, between: Callable[[SqliteStore], Awaitable[None]], change: Change
) -> None:
    async def body(store: SqliteStore) -> None:
        await create(store, "a")
        seen = await looked(store)
        await between(store)
        before = await everything(store)
        assert not await store.change(seen, change, now=9)
        assert await everything(store) == before

    with_store(tmp_path, body)


async def everything(store: SqliteStore) -> list[Any]:
    tables = ("instances", "history", "events", "chunks")
    return [store._read(f"SELECT * FROM {table} ORDER BY rowid") for table in tables]


@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_a_command_changes_what_is_as_it_was_seen(tmp_path: Path, change: Change) -> None:
    async def body(store: SqliteStore) -> Status | None:
        await create(store, "a")
        assert await store.change(await looked(store), change, now=9)
        found = await store.get("w", "a")
        return None if found is None else found.status

    expected = change.status if isinstance(change, Resting) else Status.QUEUED
    assert with_store(tmp_path, body) == (None if isinstance(change, Deleting) else expected)


def test_a_command_may_change_what_its_own_process_drove(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> Status:
        instance, _ = await driven(store, "a")
        assert await store.change(await looked(store), TERMINATE, now=9)
        found = await looked(store)
        assert found.instance.epoch is None
        assert found.instance.row == instance.row
        return found.instance.status

    assert with_store(tmp_path, body) is Status.TERMINATED


def late_status(row: int) -> Batch:
    batch = Batch()
    batch.history.append((row, HistoryType.STEP_SUCCESS, 7, 1, 0, "s-1", b"1"))
    batch.statuses.append(StatusChange(row, Status.WAITING, 9, 7))
    return batch


def late_parking(row: int) -> Batch:
    batch = Batch()
    batch.history.append((row, HistoryType.WORKFLOW_PAUSED, 7, 0, 0, None, None))
    batch.parkings.append(Parking(row, Status.PAUSED, None, 0, 7, paused_at=7))
    return batch


def late_lines(row: int) -> Batch:
    batch = Batch()
    batch.history.append((row, HistoryType.ATTEMPT_START, 7, 1, 2, "s-1", None))
    return batch


def late_chunk(row: int) -> Batch:
    batch = Batch()
    batch.chunks.append((row, 1, 0, b"piece"))
    return batch


def late_deaths(row: int) -> Batch:
    batch = Batch()
    batch.deaths.append((row, 3))
    return batch


@pytest.mark.parametrize("late", [ending, late_status, late_parking, late_lines, late_chunk, late_deaths])
@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_what_a_driver_writes_too_late_is_not_there_and_neither_is_its_history(
    tmp_path: Path, change: Change, late: Callable[[int], Batch]
) -> None:
    """Its lease stands: only this row has gone another way. What it wrote for others counts."""

    async def body(store: SqliteStore) -> None:
        instance, epoch = await driven(store, "a", "b")
        other = (await looked(store, "b")).instance
        assert await store.change(await looked(store), change, now=6)
        before = await store.look("w", "a")
        batch = late(instance.row)
        fine = ending(other.row)
        batch.history += fine.history
        batch.endings += fine.endings
        await store.apply(batch, epoch)
        assert await store.look("w", "a") == before
        assert await store.chunk(instance.row, 1, 0) is None
        assert batch.lost == {instance.row}
        assert [line[0] for line in batch.history] == [other.row]
        assert (await looked(store, "b")).instance.status is Status.COMPLETE

    with_store(tmp_path, body)


def test_an_event_is_not_consumed_for_an_instance_that_went_another_way(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> int:
        instance, epoch = await driven(store, "a")
        event = await store.add_event(instance, "go", b"1", 6)
        assert event is not None
        pause = Resting(Status.PAUSED, HistoryType.WORKFLOW_PAUSED)
        assert await store.change(await looked(store), pause, now=6)
        batch = Batch()
        batch.consumed.append(event)
        await store.apply(batch, epoch)
        return len((await store.events(instance.row, after=0))[0])

    assert with_store(tmp_path, body) == 1


def test_without_a_lease_nothing_but_creations_is_written(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> None:
        instance, _ = await driven(store, "a")
        for batch in (ending(instance.row), late_status(instance.row), late_parking(instance.row)):
            before = await everything(store)
            with pytest.raises(StaleEpochError):
                await store.apply(batch, None)
            assert await everything(store) == before

    with_store(tmp_path, body)


@pytest.mark.parametrize("ends", [it_completes, it_is_terminated, it_is_deleted_and_another_has_its_row])
def test_an_instance_that_has_ended_takes_no_event(
    tmp_path: Path, ends: Callable[[SqliteStore], Awaitable[None]]
) -> None:
    async def body(store: SqliteStore) -> int:
        await create(store, "a")
        instance = (await looked(store)).instance
        await ends(store)
        assert await store.add_event(instance, "go", b"1", 9) is None
        return len(store._read("SELECT * FROM events"))

    assert with_store(tmp_path, body) == 0


def test_a_request_is_answered_only_while_it_is_the_one_that_stands(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> list[tuple[int, Request]]:
        instance, epoch = await driven(store, "a")
        await store.ask(instance, Request.PAUSE)
        await store.ask(instance, Request.LET_GO)
        await store.answered(instance.row, Request.PAUSE)
        stands = await store.asked(epoch)
        await store.answered(instance.row, Request.LET_GO)
        assert await store.asked(epoch) == []
        return [(row - instance.row, request) for row, request in stands]

    assert with_store(tmp_path, body) == [(0, Request.LET_GO)]


def test_a_workflow_is_deleted_when_nobody_drives_any_of_its_instances(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> None:
        instance, epoch = await driven(store, "a")
        await create(store, "b")
        assert not await store.delete_workflow("w")
        assert await store.get("w", "b") is None
        assert await store.asked(epoch) == [(instance.row, Request.LET_GO)]
        await store.let_go(instance.row, epoch=epoch, due_at=100)
        assert await store.delete_workflow("w")
        assert (await store.workflows(), await everything(store)) == ([], [[], [], [], []])

    with_store(tmp_path, body)


def test_an_order_that_another_process_took_over_is_not_forgotten(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> bool:
        slow, quick = await store.take_lease("slow", 10), await store.take_lease("quick", 1000)
        await store.order_termination("w", None, now=5)
        (order,) = await store.take_terminations(slow)
        await store.reap(now=11, keep=(quick,))
        await store.take_terminations(quick)
        await store.finish_termination(order, slow)
        stands = await store.is_terminating("w")
        await store.finish_termination(order, quick)
        return stands and not await store.is_terminating("w")

    assert with_store(tmp_path, body)


def test_a_pause_that_waits_for_steps_outlives_its_driver(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> list[Status]:
        instance, epoch = await driven(store, "a")
        batch = Batch()
        batch.statuses.append(StatusChange(instance.row, Status.WAITING_FOR_PAUSE, 6, 6))
        await store.apply(batch, epoch)
        await store.release_lease(epoch)
        again = await store.take_lease("two", 1000)
        (claimed,) = await store.claim(Wanted("w"), again, now=9, limit=9)
        return [claimed.instance.status, (await looked(store)).instance.status]

    assert with_store(tmp_path, body) == [Status.WAITING_FOR_PAUSE] * 2
