"""Messages in their file: who holds them, who has died over them, and long queues (storage.queues)."""

from __future__ import annotations

import os

import pytest

from wrangler_py.errors import StateCorruptError
from wrangler_py.storage.queues import NewMessage, QueueStore, Settlement
from wrangler_py.storage.queues.store import _Q

DAY = 86_400_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "queues" / "queues.sqlite"


@pytest.fixture
def store(path):
    found = QueueStore.open(path)
    yield found
    found.close()


def message(n, queue="q", due_at=0, expires_at=DAY):
    return NewMessage(queue, f"m{n}", 0, expires_at, due_at, "text", b"body %d" % n)


def taken(store, holder, limit=10, now=0):
    return [one.id for one in store.take("q", now, limit, holder.number)]


def test_messages_are_taken_in_the_order_they_are_due_and_once(store):
    store.apply([message(1, due_at=5), message(2), message(3, due_at=9), message(4, queue="other")], ())
    holder = store.new_holder()
    assert taken(store, holder, now=5) == ["m2", "m1"]
    assert taken(store, holder, now=5) == []
    assert store.due_times("q", 10) == [9]
    holder.release()


def test_only_the_holder_settles(store):
    store.apply([message(1)], ())
    first, second = store.new_holder(), store.new_holder()
    [held] = store.take("q", 0, 1, first.number)
    store.apply((), [Settlement(second.number, removed=[held.number])])
    assert store.backlog("q", 0).messages == 1
    store.apply((), [Settlement(first.number, removed=[held.number])])
    assert store.backlog("q", 0).messages == 0
    assert store._execute("SELECT count(*) FROM bodies").fetchone() == (0,)
    first.release()
    second.release()


def test_what_the_living_hold_stays_and_what_the_dead_held_is_free(path, store):
    other = QueueStore.open(path)
    store.apply([message(1)], ())
    theirs, ours = other.new_holder(), store.new_holder()
    assert taken(other, theirs) == ["m1"]
    assert not store.free_dead(ours.number)
    os.close(theirs._file)  # what the kernel does when a process ends
    other.close()
    assert store.free_dead(ours.number)
    [again] = store.take("q", 0, 1, ours.number)
    assert (again.id, again.attempts) == ("m1", 2)
    ours.release()


def test_no_number_of_a_holder_is_given_twice_and_no_file_stays(path, store):
    first = store.new_holder()
    first.release()
    second = store.new_holder()
    os.close(second._file)
    third = store.new_holder()
    assert [second.number - first.number, third.number - second.number] == [1, 1]
    assert [one.name for one in path.parent.glob("*holder*")] == [f"queues.sqlite-holder-{third.number}"]
    third.release()


def test_numbers_of_messages_are_not_given_twice_either(store):
    """A late settlement must not hit a newer message."""
    holder = store.new_holder()
    store.apply([message(1)], ())
    [first] = store.take("q", 0, 1, holder.number)
    store.apply((), [Settlement(holder.number, removed=[first.number])])
    store.apply([message(2)], ())
    [second] = store.take("q", 0, 1, holder.number)
    assert second.number > first.number
    holder.release()


def test_purging_and_expiring_spare_what_is_being_delivered(store):
    store.apply([message(n) for n in range(1200)], ())
    holder = store.new_holder()
    taken(store, holder, limit=3)
    assert store.purge("q") == 1197
    assert store.expire(2 * DAY) == 0
    assert store.backlog("q", 0) == (3, 18, 0, 0, 3)
    holder.release()


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("due_times", ("q", 10)),
        ("due_messages", ("q", 100, 10)),
        ("expired_numbers", (0, 10)),
        ("other_holders", (1,)),
    ],
)
def test_what_runs_all_the_time_is_found_by_an_index_however_much_waits(store, query, parameters):
    plan = " ".join(row[3] for row in store._execute(f"EXPLAIN QUERY PLAN {_Q[query]}", parameters))
    assert "INDEX" in plan
    assert "TEMP B-TREE" not in plan


def test_another_programs_file_is_refused(path):
    path.parent.mkdir()
    path.write_text("not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(StateCorruptError):
        QueueStore.open(path)
