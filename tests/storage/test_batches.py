"""A batch's writes and a command's, column by column: what of an instance, its history and its events they leave."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.storage.test_commands import TERMINATE, driven, looked
from tests.storage.test_store import create, with_store
from wrangler_py.engine.model import ErrorRecord, HistoryType, Request, Status, Trigger
from wrangler_py.engine.settings import Retention, Settings
from wrangler_py.engine.store import (
    Batch,
    Creation,
    Ending,
    Parking,
    Restarting,
    Resting,
    StatusChange,
    Wanted,
)
from wrangler_py.errors import StaleEpochError

PAUSE = Resting(Status.PAUSED, HistoryType.WORKFLOW_PAUSED, data=b"why")


async def sent(store, *payloads, name="a"):
    """Send events to an instance; return them."""
    instance = await store.get("w", name)
    return [await store.add_event(instance, "go", payload, at) for at, payload in enumerate(payloads, 10)]


async def waiting(store, row):
    return [event.payload for event in (await store.events(row, after=0))[0]]


def history_of(store, row):
    columns = "type, at, step, attempt, name, data"
    return [tuple(line) for line in store._read(f"SELECT {columns} FROM history WHERE instance = ?", (row,))]


# creations ------------------------------------------------------------------------------------------------------------


def test_a_creation_begins_a_history_and_is_the_last_trigger_of_its_workflow(tmp_path):
    async def body(store):
        batch = Batch()
        batch.creations += [
            Creation("w", name, b"{}", Trigger.API, "v1", at) for name, at in (("a", 3), ("b", 8))
        ]
        row, _ = await store.apply(batch, None)
        (workflow,) = await store.workflows()
        return history_of(store, row), workflow.triggered_at

    assert with_store(tmp_path, body) == ([("WORKFLOW_QUEUED", 3, 0, 0, None, None)], 8)


def test_a_creation_that_is_refused_leaves_nothing(tmp_path):
    async def body(store):
        (row,) = await create(store, "a")
        batch = Batch()
        batch.creations.append(Creation("w", "a", b"other", Trigger.API, "v2", 99))
        assert await store.apply(batch, None) == [None]
        (workflow,) = await store.workflows()
        return len(history_of(store, row)), (await store.get("w", "a")).params, workflow.triggered_at

    assert with_store(tmp_path, body) == (1, b"{}", 1)


# a driver's batches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_lease_that_is_gone_refuses_every_batch_even_one_that_writes_for_nobody(tmp_path, is_empty):
    async def body(store):
        instance, epoch = await driven(store, "a")
        await store.reap(now=2000, keep=())
        batch = Batch()
        if not is_empty:
            batch.statuses.append(StatusChange(instance.row, Status.WAITING, None, 9))
        with pytest.raises(StaleEpochError):
            await store.apply(batch, epoch)

    with_store(tmp_path, body)


def test_a_change_of_status_says_when_it_is_due_and_when_it_was(tmp_path):
    async def body(store):
        instance, epoch = await driven(store, "a")
        batch = Batch()
        batch.statuses.append(StatusChange(instance.row, Status.WAITING, 70, 9))
        await store.apply(batch, epoch)
        stored = await store.get("w", "a")
        return stored.status, stored.due_at, stored.modified_at, stored.epoch == epoch

    assert with_store(tmp_path, body) == (Status.WAITING, 70, 9, True)


def test_an_event_is_taken_out_and_comes_back_before_what_was_sent_later(tmp_path):
    async def body(store):
        instance, epoch = await driven(store, "a")
        first, second, _ = await sent(store, b"1", b"2", b"3")
        batch = Batch()
        batch.consumed += [first, second]
        await store.apply(batch, epoch)
        without = await waiting(store, instance.row)
        batch = Batch()
        batch.returned.append(second)
        await store.apply(batch, epoch)
        return (
            without,
            await waiting(store, instance.row),
            (await store.events(instance.row, after=0))[0][0] == second,
        )

    assert with_store(tmp_path, body) == ([b"3"], [b"2", b"3"], True)


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.ERRORED])
def test_an_end_is_stored_with_its_time_and_nothing_waits_for_it_any_more(tmp_path, status):
    """Events that it did not take are gone, or a restart from a step would be given those of its last life."""

    async def body(store):
        instance, epoch = await driven(store, "a", "b")
        await sent(store, b"1")
        await sent(store, b"other", name="b")
        await store.ask(await store.get("w", "a"), Request.PAUSE)
        error = ErrorRecord("E", "m") if status is Status.ERRORED else None
        batch = Batch()
        batch.endings.append(Ending(instance.row, status, 9, output=None if error else b"1", error=error))
        await store.apply(batch, epoch)
        end, other = await store.get("w", "a"), await store.get("w", "b")
        assert (end.status, end.ended_at, end.modified_at, end.due_at, end.epoch) == (
            status,
            9,
            9,
            None,
            None,
        )
        assert (end.output, end.error) == ((None, error) if error else (b"1", None))
        return await waiting(store, instance.row), await waiting(store, other.row), end.request

    assert with_store(tmp_path, body) == ([], [b"other"], None)


def test_an_event_that_came_while_an_instance_parks_makes_it_due_at_once_unless_it_waits_for_no_time(
    tmp_path,
):
    async def body(store):
        await driven(store, "a", "b", "c")
        rows = [(await store.get("w", name)).row for name in "abc"]
        epoch = (await store.get("w", "a")).epoch
        for name in "ac":
            await sent(store, b"1", name=name)
        batch = Batch()
        batch.parkings += [
            Parking(row, Status.WAITING, due_at, 0, 9)
            for row, due_at in zip(rows, (500, 500, None), strict=True)
        ]
        await store.apply(batch, epoch)
        return [(await store.get("w", name)).due_at for name in "abc"]

    assert with_store(tmp_path, body) == [9, 500, None]


# commands -------------------------------------------------------------------------------------------------------------


async def rested(store, change):
    (row,) = await create(store, "a")
    await sent(store, b"1")
    assert await store.change(await looked(store), change, now=7)
    return row, await store.get("w", "a")


def test_what_is_terminated_has_its_end_and_no_events(tmp_path):
    async def body(store):
        row, end = await rested(store, TERMINATE)
        assert (end.status, end.ended_at, end.paused_at, end.modified_at) == (Status.TERMINATED, 7, None, 7)
        return history_of(store, row)[1:], await waiting(store, row)

    assert with_store(tmp_path, body) == ([("WORKFLOW_TERMINATED", 7, 0, 0, None, None)], [])


def test_what_is_paused_has_no_end_and_keeps_its_events(tmp_path):
    async def body(store):
        row, rest = await rested(store, PAUSE)
        assert (rest.status, rest.ended_at, rest.paused_at, rest.due_at) == (Status.PAUSED, None, 7, None)
        assert await store.next_expiry() is None
        return history_of(store, row)[1:], await waiting(store, row)

    assert with_store(tmp_path, body) == ([("WORKFLOW_PAUSED", 7, 0, 0, None, b"why")], [b"1"])


def test_a_restart_from_a_step_forgets_that_step_and_all_behind_it_and_each_end(tmp_path):
    kinds = HistoryType

    async def body(store):
        instance, epoch = await driven(store, "a")
        row, batch = instance.row, Batch()
        batch.history += [
            *((row, kinds.STEP_SUCCESS, 6, step, 1, f"s-{step}", None) for step in (1, 2, 3)),
            (row, kinds.ROLLBACK_START, 6, 0, 0, None, None),
            (row, kinds.REPLAY_DIVERGED, 6, 0, 0, None, None),
            (row, kinds.WORKFLOW_FAILURE, 6, 0, 0, None, None),
        ]
        batch.chunks += [(row, step, 0, b"x") for step in (1, 2, 3)]
        batch.deaths.append((row, 3))
        batch.endings.append(Ending(row, Status.ERRORED, 6, error=ErrorRecord("E", "m")))
        await store.apply(batch, epoch)
        assert await store.change(await looked(store), Restarting("v2", 2), now=9)
        again = await store.get("w", "a")
        assert (again.status, again.version, again.due_at, again.modified_at) == (Status.QUEUED, "v2", 9, 9)
        assert (again.started_at, again.ended_at, again.error, again.epoch) == (None, None, None, None)
        assert await store.suspects(Wanted("w"), limit=9) == []
        chunks = [step for (step,) in store._read("SELECT step FROM chunks")]
        return [(kind, step) for kind, _, step, *_ in history_of(store, row)], chunks

    history = [("WORKFLOW_QUEUED", 0), ("STEP_SUCCESS", 1), ("WORKFLOW_QUEUED", 0)]
    assert with_store(tmp_path, body) == (history, [1])


def test_a_restart_from_the_start_forgets_all_and_its_history_is_numbered_on(tmp_path):
    async def body(store):
        instance, epoch = await driven(store, "a")
        row, batch = instance.row, Batch()
        batch.history += [(row, HistoryType.STEP_SUCCESS, 6, step, 1, "s-1", None) for step in (1, 2)]
        batch.chunks.append((row, 1, 0, b"x"))
        await store.apply(batch, epoch)
        await sent(store, b"1")
        last = (await looked(store)).seq
        assert await store.change(await looked(store), Restarting("v2"), now=9)
        assert (await looked(store)).seq > last
        return history_of(store, row), await waiting(store, row), store._read("SELECT 1 FROM chunks")

    assert with_store(tmp_path, body) == ([("WORKFLOW_QUEUED", 9, 0, 0, None, None)], [], [])


# between processes, and reading ---------------------------------------------------------------------------------------


def test_an_instance_is_let_go_by_who_drives_it_and_by_nobody_else(tmp_path):
    async def body(store):
        instance, epoch = await driven(store, "a", "b")
        await store.ask(instance, Request.LET_GO)
        await store.let_go(instance.row, epoch=epoch + 1, due_at=50)
        assert (await store.get("w", "a")).epoch == epoch
        await store.let_go(instance.row, epoch=epoch, due_at=50)
        free, other = await store.get("w", "a"), await store.get("w", "b")
        return free.epoch, free.request, free.due_at, other.epoch == epoch

    assert with_store(tmp_path, body) == (None, None, 50, True)


def test_only_the_process_that_drives_an_instance_is_told_what_is_asked_and_of_events(tmp_path):
    async def body(store):
        instance, epoch = await driven(store, "a", "b")
        await store.ask(instance, Request.PAUSE)
        await sent(store, b"1", b"2")
        asked = await store.asked(epoch), await store.asked(epoch + 1)
        return asked, await store.signalled(epoch), await store.signalled(epoch + 1), instance.row

    (mine, others), signals, none, row = with_store(tmp_path, body)
    assert (mine, others) == ([(row, Request.PAUSE)], [])
    assert (signals, none) == ([(row, 2)], [])


def test_an_event_makes_an_instance_due_that_nobody_drives_and_that_waits_for_a_time(tmp_path):
    async def body(store):
        await driven(store, "due later", "due before", "driven")
        rows = {name: (await store.get("w", name)).row for name in ("due later", "due before", "driven")}
        epoch = (await store.get("w", "driven")).epoch
        batch = Batch()
        for name, due_at in (("due later", 500), ("due before", 5)):
            batch.parkings.append(Parking(rows[name], Status.WAITING, due_at, 0, 9))
        batch.statuses.append(StatusChange(rows["driven"], Status.WAITING, 500, 9))
        await store.apply(batch, epoch)
        await create(store, "paused")
        await store.change(await looked(store, "paused"), PAUSE, now=7)
        due = {}
        for name in (*rows, "paused"):
            await sent(store, b"1", name=name)
            due[name] = (await store.get("w", name)).due_at
        return due

    due = {"due later": 10, "due before": 5, "driven": 500, "paused": None}
    assert with_store(tmp_path, body) == due


def test_a_reader_is_given_history_in_order_without_what_only_replays_need(tmp_path):
    async def body(store):
        instance, epoch = await driven(store, "a")
        kinds = (
            HistoryType.RESULT_GROUP,
            HistoryType.STEP_START,
            HistoryType.RESULT_ABANDONED,
            HistoryType.STEP_SUCCESS,
        )
        batch = Batch()
        batch.history += [(instance.row, kind, 6, 1, 0, "s-1", None) for kind in kinds]
        await store.apply(batch, epoch)
        found = await store.history(instance.row)
        some = await store.history(instance.row, after=found[0].seq, limit=1)
        return [event.type.value for event in found], [event.type.value for event in some]

    types = ["WORKFLOW_QUEUED", "STEP_START", "STEP_SUCCESS"]
    assert with_store(tmp_path, body) == (types, ["STEP_START"])


def test_counts_are_of_what_is_queued_and_what_was_created_since(tmp_path):
    async def body(store):
        await create(store, "a", "b", "c", "d")
        await store.change(await looked(store, "a"), PAUSE, now=7)
        queued, created = (
            await store.count_queued(),
            [await store.count_created(since) for since in (1, 2, 4, 5)],
        )
        return queued, created, [await store.created_at(place) for place in (1, 2, 4, 5)]

    assert with_store(tmp_path, body) == (3, [4, 3, 1, 0], [4, 3, 1, None])


def test_the_latest_is_the_one_created_last_in_its_workflow(tmp_path):
    async def body(store):
        assert await store.latest("w") is None
        await create(store, "a", "b")
        batch = Batch()
        batch.creations.append(Creation("other", "c", b"{}", Trigger.API, "v1", 9))
        await store.apply(batch, None)
        return (await store.latest("w")).id, (await store.latest("other")).id

    assert with_store(tmp_path, body) == ("b", "c")


@pytest.mark.parametrize("status", Status)
def test_the_versions_that_are_needed_are_those_of_instances_that_have_not_ended(tmp_path, status):
    async def body(store):
        await create(store, "a")
        store._execute("UPDATE instances SET status = ?", (status.value,))
        return await store.unfinished_versions("s"), await store.unfinished_versions("other")

    assert with_store(tmp_path, body) == (set() if status.is_final else {"v1"}, set())


# which instance, and which of its lines -------------------------------------------------------------------------------

#: Differences of an instance that has a row's number: it is another then, or another drives it.
OTHERS = [
    {"row": 99},
    {"workflow": "other"},
    {"id": "b"},
    {"status": Status.PAUSED},
    {"epoch": 99},
    {"epoch": None},
]


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_a_command_changes_nothing_of_an_instance_that_is_not_as_it_was_seen(tmp_path, other):
    async def body(store):
        await driven(store, "a")
        seen = await looked(store)
        elsewhere = replace(seen, instance=replace(seen.instance, **other))
        assert not await store.change(elsewhere, TERMINATE, now=7)
        assert await store.change(seen, TERMINATE, now=7)

    with_store(tmp_path, body)


@pytest.mark.parametrize("other", OTHERS[:3], ids=repr)
def test_an_event_for_another_instance_of_its_row_is_not_taken(tmp_path, other):
    async def body(store):
        instance, _ = await driven(store, "a")
        assert await store.add_event(replace(instance, **other), "go", b"1", 9) is None
        assert await waiting(store, instance.row) == []

    with_store(tmp_path, body)


@pytest.mark.parametrize("other", [*OTHERS[:3], *OTHERS[4:]], ids=repr)
def test_nothing_is_asked_of_a_process_that_drives_another_instance(tmp_path, other):
    async def body(store):
        instance, _ = await driven(store, "a")
        await store.ask(replace(instance, **other), Request.PAUSE)
        assert (await store.get("w", "a")).request is None

    with_store(tmp_path, body)


def test_a_chunk_is_found_by_its_instance_its_step_and_its_number(tmp_path):
    async def body(store):
        instance, epoch = await driven(store, "a", "b")
        rows = [instance.row, (await store.get("w", "b")).row]
        places = [(row, step, number) for row in rows for step in (1, 2) for number in (0, 1)]
        batch = Batch()
        batch.chunks += [(*place, repr(place).encode()) for place in places]
        await store.apply(batch, epoch)
        assert [await store.chunk(*place) for place in places] == [repr(place).encode() for place in places]
        return [await store.chunk(*place) for place in ((rows[0], 1, 2), (rows[0], 3, 0), (99, 1, 0))]

    assert with_store(tmp_path, body) == [None, None, None]


def test_events_are_read_behind_a_number_in_their_order(tmp_path):
    async def body(store):
        instance, _ = await driven(store, "a", "b")
        first, *_ = await sent(store, b"1", b"2", b"3")
        await sent(store, b"other", name="b")
        events, signal = await store.events(instance.row, after=first.number)
        assert await store.events(99, after=0) == ([], 0)
        return [event.payload for event in events], signal

    assert with_store(tmp_path, body) == ([b"2", b"3"], 3)


def test_one_event_is_a_signal(tmp_path):
    async def body(store):
        instance, epoch = await driven(store, "a", "b")
        await sent(store, b"1")
        return await store.signalled(epoch) == [(instance.row, 1)]

    assert with_store(tmp_path, body)


@pytest.mark.parametrize("change", [TERMINATE, PAUSE, Restarting("v1"), Restarting("v1", 1)], ids=repr)
def test_what_was_asked_of_a_driver_is_over_when_it_has_none(tmp_path, change):
    async def body(store):
        instance, _ = await driven(store, "a")
        await store.ask(instance, Request.LET_GO)
        assert await store.change(await looked(store), change, now=7)
        return (await store.get("w", "a")).request

    assert with_store(tmp_path, body) is None


async def kept_for(store, **retention):
    batch = Batch()
    creation = Creation("w", "a", b"{}", Trigger.API, "v1", 1)
    batch.creations.append(replace(creation, retention=Retention(**retention)))
    await store.apply(batch, None)


def test_what_is_terminated_is_kept_as_long_as_what_failed(tmp_path):
    async def body(store):
        await kept_for(store, success_ms=10, error_ms=100)
        assert await store.change(await looked(store), TERMINATE, now=7)
        return await store.next_expiry()

    assert with_store(tmp_path, body) == 107


async def is_fresh(store, row):
    """Return True for an instance that nobody has claimed yet: those come after the ones that are under way."""
    return bool(store._value("SELECT fresh FROM instances WHERE number = ?", (row,)))


@pytest.mark.parametrize("rest", [TERMINATE, PAUSE], ids=repr)
@pytest.mark.parametrize("from_step", [None, 1])
def test_nothing_of_its_last_life_is_left_on_an_instance_that_is_restarted(tmp_path, rest, from_step):
    """It is kept again for as long as it lives, and starts as a new one does."""

    async def body(store):
        await kept_for(store, error_ms=100)
        await store.change(await looked(store), rest, now=7)
        await store.change(await looked(store), Restarting("v1", from_step), now=9)
        again = await store.get("w", "a")
        assert await store.next_expiry() is None
        assert (again.paused_at, again.ended_at, again.started_at, again.output) == (None, None, None, None)
        return await is_fresh(store, again.row)

    assert with_store(tmp_path, body) is True


def test_deleting_a_workflow_asks_its_drivers_and_no_others(tmp_path):
    async def body(store):
        _, epoch = await driven(store, "a")
        batch = Batch()
        batch.creations.append(Creation("other", "c", b"{}", Trigger.API, "v1", 1))
        await store.apply(batch, None)
        await store.claim(Wanted("other"), epoch, now=5, limit=9)
        await create(store, "b")
        assert not await store.delete_workflow("w")
        assert await store.get("w", "b") is None
        return (await store.get("w", "a")).request, (await store.get("other", "c")).request

    assert with_store(tmp_path, body) == (Request.LET_GO, None)


# claims ---------------------------------------------------------------------------------------------------------------


def test_a_claim_gives_the_events_that_wait_and_says_when_the_instance_first_began(tmp_path):
    async def body(store):
        await create(store, "a", "b")
        await sent(store, b"1", b"2")
        epoch = await store.take_lease("one", 1000)
        row = (await store.get("w", "a")).row
        fresh = [await is_fresh(store, row)]
        first, other = await store.claim(Wanted("w"), epoch, now=20, limit=9)
        fresh.append(await is_fresh(store, row))
        assert ([event.payload for event in first.events], first.signal) == ([b"1", b"2"], 2)
        assert (other.events, other.signal) == ([], 0)
        assert (first.instance.started_at, first.instance.epoch) == (20, epoch)
        batch = Batch()
        batch.consumed.append(first.events[0])
        batch.parkings.append(Parking(first.instance.row, Status.WAITING, 30, 2, 25))
        await store.apply(batch, epoch)
        (again,) = await store.claim(Wanted("w"), epoch, now=30, limit=9)
        return (
            [event.payload for event in again.events],
            again.instance.started_at,
            fresh,
        )

    assert with_store(tmp_path, body) == ([b"2"], 20, [True, False])


def test_the_next_due_is_the_earliest_of_all_workflows(tmp_path):
    async def body(store):
        batch = Batch()
        batch.creations += [
            Creation(workflow, "a", b"{}", Trigger.API, "v1", at) for workflow, at in (("w", 9), ("other", 5))
        ]
        await store.apply(batch, None)
        return await store.next_due([Wanted("w"), Wanted("other")]), await store.next_due([Wanted("w")])

    assert with_store(tmp_path, body) == (5, 9)


def test_somebody_drives_while_there_is_a_lease(tmp_path):
    async def body(store):
        before = await store.is_driven()
        epoch = await store.take_lease("one", 100)
        during = await store.is_driven()
        await store.release_lease(epoch)
        return before, during, await store.is_driven()

    assert with_store(tmp_path, body) == (False, True, False)


def test_what_is_set_for_a_workflow_is_read_with_it(tmp_path):
    async def body(store):
        settings = Settings(step_limit=5, concurrency=2, retention=Retention(10, 20))
        await store.change_settings("w", settings, now=9)
        (workflow,) = await store.workflows()
        return workflow.settings == settings, (workflow.name, workflow.script, workflow.class_name)

    assert with_store(tmp_path, body) == (True, ("w", "s", "W"))
