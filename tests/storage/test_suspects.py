"""Instances that were in flight when their process died: counted, postponed, and taken up apart from the others."""

from __future__ import annotations

import msgspec
import pytest

from tests.storage.test_store import with_store
from wrangler_py.engine.entries import DeathData
from wrangler_py.engine.model import HistoryType, Request, Status, Trigger
from wrangler_py.engine.quarantine import FIRST_DELAY_MS, LONGEST_DELAY_MS, Accused, Evidence
from wrangler_py.engine.store import Batch, Creation, Parking, StatusChange, Wanted

KINDS = ("suspect", "sound", "new")
V1, V2, ANY = Wanted("w", "v1"), Wanted("w", "v2"), Wanted("w")


async def at_rest(store, *instances):
    """Store instances that nobody drives, given as (name, version, deaths, due_at, has begun); return an epoch."""
    epoch = await store.take_lease("one", 10_000)
    for name, version, deaths, due_at, has_begun in instances:
        batch = Batch()
        batch.creations.append(Creation("w", name, b"{}", Trigger.API, version, 0 if has_begun else due_at))
        (row,) = await store.apply(batch, None)
        if has_begun:
            await store.claim(ANY, epoch, now=0, limit=1)
            batch = Batch()
            batch.deaths.append((row, deaths))
            batch.parkings.append(Parking(row, Status.WAITING, due_at, 0, 1))
            await store.apply(batch, epoch)
    return epoch


async def claimed(store, wanted, epoch, now, *, suspects, limit=9):
    found = await store.claim(wanted, epoch, now=now, limit=limit, suspects=suspects)
    return [one.instance.id for one in found]


@pytest.mark.parametrize("wanted", [ANY, V1], ids=["any", "one version"])
@pytest.mark.parametrize(
    ("suspects", "ids"),
    [
        (False, ["sound", "new"]),
        (True, ["once", "twice, first", "twice, later"]),
        (None, ["once", "twice, first", "twice, later", "sound", "new"]),
    ],
)
def test_a_suspect_is_taken_up_by_who_asks_for_suspects_those_with_fewest_deaths_first(
    tmp_path, wanted, suspects, ids
):
    async def body(store):
        epoch = await at_rest(
            store,
            ("twice, later", "v1", 2, 11, True),
            ("once", "v1", 1, 12, True),
            ("sound", "v1", 0, 10, True),
            ("twice, first", "v1", 2, 10, True),
            ("not due", "v1", 1, 13, True),
            ("new", "v1", 0, 9, False),
        )
        return await claimed(store, wanted, epoch, 12, suspects=suspects)

    assert with_store(tmp_path, body) == ids


def test_a_process_of_one_version_takes_up_no_suspect_of_another(tmp_path):
    async def body(store):
        epoch = await at_rest(store, ("a", "v1", 1, 10, True), ("b", "v2", 1, 10, True))
        listed = [await store.suspects(wanted, limit=9) for wanted in (V1, V2, ANY)]
        return listed, await claimed(store, V2, epoch, 10, suspects=True)

    assert with_store(tmp_path, body) == ([[(1, 10)], [(1, 10)], [(1, 10), (1, 10)]], ["b"])


@pytest.mark.parametrize("has_begun", [True, False], ids=["goes on", "starts"])
def test_a_process_of_one_version_takes_up_nothing_else_of_another(tmp_path, has_begun):
    async def body(store):
        epoch = await at_rest(store, ("a", "v1", 0, 10, has_begun), ("b", "v2", 0, 10, has_begun))
        return await claimed(store, V2, epoch, 10, suspects=False), await claimed(
            store, V1, epoch, 10, suspects=None
        )

    assert with_store(tmp_path, body) == (["b"], ["a"])


def test_no_more_suspects_are_taken_up_than_asked_for(tmp_path):
    async def body(store):
        epoch = await at_rest(store, *((name, "v1", 1, 10, True) for name in "abc"))
        return [await claimed(store, V1, epoch, 10, suspects=None, limit=2) for _ in range(2)]

    assert with_store(tmp_path, body) == [["a", "b"], ["c"]]


def test_the_limit_is_one_for_all_kinds_together(tmp_path):
    async def body(store):
        instances = [
            (f"{kind} {n}", "v1", kind == "suspect", 10, kind != "new") for kind in KINDS for n in (1, 2)
        ]
        epoch = await at_rest(store, *instances)
        return [await claimed(store, V1, epoch, 10, suspects=None, limit=limit) for limit in (3, 2, 9)]

    claims = [["suspect 1", "suspect 2", "sound 1"], ["sound 2", "new 1"], ["new 2"]]
    assert with_store(tmp_path, body) == claims


@pytest.mark.parametrize("wanted", [ANY, V1], ids=["any", "one version"])
def test_suspects_are_listed_in_the_order_in_which_they_are_due(tmp_path, wanted):
    """Not those that somebody drives, and not those that wait for no time."""

    async def body(store):
        epoch = await at_rest(
            store,
            ("later", "v1", 1, 30, True),
            ("driven", "v1", 1, 5, True),
            ("waits for an event", "v1", 1, None, True),
            ("first", "v1", 3, 10, True),
            ("sound", "v1", 0, 10, True),
            ("second", "v1", 2, 20, True),
        )
        assert await claimed(store, wanted, epoch, 5, suspects=True) == ["driven"]
        return await store.suspects(wanted, limit=9), await store.suspects(wanted, limit=2)

    everything = [(3, 10), (2, 20), (1, 30)]
    assert with_store(tmp_path, body) == (everything, everything[:2])


@pytest.mark.parametrize("wanted", [ANY, V1], ids=["any", "one version"])
def test_the_next_due_is_no_suspects(tmp_path, wanted):
    async def body(store):
        await at_rest(store, ("suspect", "v1", 1, 10, True), ("sound", "v1", 0, 20, True))
        return await store.next_due([wanted])

    assert with_store(tmp_path, body) == 20


@pytest.mark.parametrize("has_begun", [True, False], ids=["goes on", "starts"])
def test_the_next_due_of_a_version_is_not_that_of_another(tmp_path, has_begun):
    async def body(store):
        await at_rest(store, ("a", "v1", 0, 10, has_begun), ("b", "v2", 0, 20, has_begun))
        return [await store.next_due([one]) for one in (V1, V2, ANY)]

    assert with_store(tmp_path, body) == [10, 20, 10]


# a death --------------------------------------------------------------------------------------------------------------


async def driven(store, *instances):
    """Let a process drive instances, given as (name, status, due_at, deaths), with a lease until 100."""
    epoch = await store.take_lease("one", 100)
    for name, status, due_at, deaths in instances:
        batch = Batch()
        batch.creations.append(Creation("w", name, b"{}", Trigger.API, "v1", 0))
        (row,) = await store.apply(batch, None)
        await store.claim(ANY, epoch, now=0, limit=1)
        batch = Batch()
        batch.deaths.append((row, deaths))
        batch.statuses.append(StatusChange(row, status, due_at, 6))
        await store.apply(batch, epoch)


async def after_death(store, evidence=(), now=101):
    """Let the process be found dead; return the deaths of each instance and when it is due."""
    for (name,) in store._read("SELECT id FROM instances"):
        await store.ask(await store.get("w", name), Request.PAUSE)
    freed = await store.reap(now=now, keep=(), evidence=evidence)
    rows = store._read("SELECT id, deaths, due_at FROM instances ORDER BY number")
    assert not store._read("SELECT 1 FROM instances WHERE epoch IS NOT NULL OR request IS NOT NULL")
    assert freed == len(rows)
    return {name: (deaths, due_at) for name, deaths, due_at in rows}


def test_a_death_counts_for_all_that_executed_or_was_about_to(tmp_path):
    async def body(store):
        await driven(
            store,
            ("runs", Status.RUNNING, None, 0),
            ("pauses", Status.WAITING_FOR_PAUSE, None, 0),
            ("is due", Status.WAITING, 101, 0),
            ("is not due", Status.WAITING, 102, 0),
            ("waits for an event", Status.WAITING, None, 0),
        )
        return await after_death(store)

    assert with_store(tmp_path, body) == {
        "runs": (1, 101),
        "pauses": (1, 101),
        "is due": (1, 101),
        "is not due": (0, 102),
        "waits for an event": (0, None),
    }


def test_after_a_second_death_each_makes_an_instance_due_twice_as_late(tmp_path):
    """Not one that waits for another time."""

    async def body(store):
        deaths = {f"{count} before": count for count in (0, 1, 2, 3, 100)}
        await driven(
            store,
            *((name, Status.RUNNING, None, count) for name, count in deaths.items()),
            ("waited", Status.WAITING, 101, 1),
            ("waits", Status.WAITING, 102, 5),
        )
        return await after_death(store)

    first = FIRST_DELAY_MS
    assert with_store(tmp_path, body) == {
        "0 before": (1, 101),
        "1 before": (2, 101 + first),
        "2 before": (3, 101 + 2 * first),
        "3 before": (4, 101 + 4 * first),
        "100 before": (101, 101 + LONGEST_DELAY_MS),
        "waited": (2, 101 + first),
        "waits": (5, 102),
    }


def test_a_death_with_a_known_culprit_counts_for_nobody_else(tmp_path):
    async def body(store):
        await driven(store, ("culprit", Status.RUNNING, None, 0), ("neighbour", Status.RUNNING, None, 0))
        await store.take_lease("another", 10_000)
        return await after_death(store, [Evidence("one", [("w", "culprit")], is_certain=True)])

    assert with_store(tmp_path, body) == {"culprit": (2, 101 + FIRST_DELAY_MS), "neighbour": (0, 101)}


def test_a_death_counts_for_those_whose_code_executed(tmp_path):
    async def body(store):
        await driven(store, *((name, Status.RUNNING, None, 0) for name in ("one", "two", "neighbour")))
        return await after_death(store, [Evidence("one", [("w", "one"), ("w", "two")])])

    assert with_store(tmp_path, body) == {"one": (1, 101), "two": (1, 101), "neighbour": (0, 101)}


def test_a_culprits_deaths_count_on(tmp_path):
    async def body(store):
        await driven(store, ("culprit", Status.RUNNING, None, 4))
        return await after_death(store, [Evidence("one", [("w", "culprit")], is_certain=True)])

    assert with_store(tmp_path, body) == {"culprit": (5, 101 + 8 * FIRST_DELAY_MS)}


def test_a_death_that_no_instance_caused_makes_suspects_and_counts_no_second_time(tmp_path):
    async def body(store):
        await driven(store, ("sound", Status.RUNNING, None, 0), ("suspect", Status.RUNNING, None, 3))
        return await after_death(store, [Evidence("one")])

    assert with_store(tmp_path, body) == {"sound": (1, 101), "suspect": (3, 101 + 2 * FIRST_DELAY_MS)}


# which attempts it was ------------------------------------------------------------------------------------------------


def deaths_of(store):
    lines = store._read(
        "SELECT workflow, id, at, step, attempt, name, history.data FROM history JOIN instances ON number = instance"
        " WHERE type = 'PROCESS_DIED' ORDER BY seq"
    )
    return [(*line[:-1], msgspec.json.decode(line[-1], type=DeathData)) for line in lines]


async def begins(store, name, *lines):
    """Append to the history of a driven instance, given as (type, step)."""
    instance = await store.get("w", name)
    batch = Batch()
    batch.history += [(instance.row, kind, 6, step, 1, "s-1", None) for kind, step in lines]
    await store.apply(batch, instance.epoch)


@pytest.mark.parametrize("is_rollback", [True, False])
def test_the_attempts_that_executed_are_stored_with_their_instances_and_no_others(tmp_path, is_rollback):
    async def body(store):
        epoch = await store.take_lease("one", 100)
        batch = Batch()
        batch.creations += [
            Creation(workflow, name, b"{}", Trigger.API, "v1", 0)
            for workflow, name in (("w", "a"), ("other", "a"), ("w", "b"))
        ]
        await store.apply(batch, None)
        for workflow in ("w", "other"):
            await store.claim(Wanted(workflow), epoch, now=0, limit=9)
        batch = Batch()
        batch.creations.append(Creation("w", "not driven", b"{}", Trigger.API, "v1", 0))
        await store.apply(batch, None)
        attempts = [Accused("w", name, "step-1", 3, is_rollback) for name in ("a", "not driven")]
        evidence = Evidence("one", [("w", "a"), ("w", "not driven")], attempts)
        await store.reap(now=101, keep=(), evidence=[evidence])
        rows = store._read("SELECT workflow, id, deaths FROM instances ORDER BY number")
        return deaths_of(store), [tuple(row) for row in rows]

    told, rows = with_store(tmp_path, body)
    assert told == [("w", "a", 101, 0, 3, "step-1", DeathData(is_rollback, is_certain=False))]
    assert rows == [("w", "a", 1), ("other", "a", 0), ("w", "b", 0), ("w", "not driven", 0)]


ATTEMPT, UNDOING = HistoryType.ATTEMPT_START, HistoryType.ROLLBACK_ATTEMPT_START
SUCCESS, STEP = HistoryType.ATTEMPT_SUCCESS, HistoryType.STEP_START


@pytest.mark.parametrize(
    ("lines", "status", "is_spared"),
    [
        (((ATTEMPT, 1),), Status.RUNNING, True),
        (((UNDOING, 1),), Status.RUNNING, True),
        (((ATTEMPT, 1),), Status.WAITING_FOR_PAUSE, True),
        (((ATTEMPT, 1),), Status.WAITING, False),
        (((STEP, 1),), Status.RUNNING, False),
        (((ATTEMPT, 1), (SUCCESS, 1)), Status.RUNNING, False),
        (((ATTEMPT, 1), (ATTEMPT, 2), (SUCCESS, 2)), Status.RUNNING, True),
        (((ATTEMPT, 1), (SUCCESS, 1), (ATTEMPT, 1)), Status.RUNNING, True),
        (((SUCCESS, 1), (ATTEMPT, 1)), Status.RUNNING, True),
        (((ATTEMPT, 1), (STEP, 1)), Status.RUNNING, True),
    ],
)
def test_neighbours_with_an_attempt_under_way_are_spared_when_the_culprit_is_certain(
    tmp_path, lines, status, is_spared
):
    async def body(store):
        await driven(store, ("culprit", Status.RUNNING, None, 0), ("neighbour", status, 500, 0))
        await begins(store, "culprit", (ATTEMPT, 1))
        await begins(store, "neighbour", *lines)
        accused = [Accused("w", "culprit", "step-1", 1, False)]
        await after_death(store, [Evidence("one", [("w", "culprit")], accused, is_certain=True)])
        return deaths_of(store)

    culprit = ("w", "culprit", 101, 0, 1, "step-1", DeathData(is_certain=True))
    neighbour = ("w", "neighbour", 101, 0, 0, None, DeathData(is_certain=True))
    assert with_store(tmp_path, body) == [culprit, *([neighbour] if is_spared else [])]


def test_nobody_is_spared_when_no_culprit_is_certain(tmp_path):
    async def body(store):
        await driven(store, ("a", Status.RUNNING, None, 0), ("b", Status.RUNNING, None, 0))
        await begins(store, "b", (ATTEMPT, 1))
        await after_death(store, [Evidence("one", [("w", "a")])])
        return deaths_of(store)

    assert with_store(tmp_path, body) == []


def test_another_process_and_its_instances_have_nothing_to_do_with_it(tmp_path):
    async def body(store):
        await driven(store, ("culprit", Status.RUNNING, None, 0))
        batch = Batch()
        batch.creations.append(Creation("w", "elsewhere", b"{}", Trigger.API, "v1", 0))
        await store.apply(batch, None)
        other = await store.take_lease("another", 10_000)
        await store.claim(ANY, other, now=0, limit=9)
        await begins(store, "elsewhere", (ATTEMPT, 1))
        evidence = Evidence("one", [("w", "culprit")], is_certain=True)
        assert await store.reap(now=101, keep=(), evidence=[evidence]) == 1
        instance = await store.get("w", "elsewhere")
        return deaths_of(store), instance.epoch == other

    assert with_store(tmp_path, body) == ([], True)
