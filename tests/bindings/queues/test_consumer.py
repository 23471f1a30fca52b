"""Batches, verdicts, retries, dead letters, and the end of a process (Queues docs, "Batching, Retries and Delays")."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import threading

import pytest

from tests.bindings.queues.world import in_queues
from wrangler_py.bindings.failures import QueueError
from wrangler_py.bindings.queues.rules import deliver_at
from wrangler_py.config.model import ConsumerConfig

HOUR = 3600


class Times:
    """A handler that notes what came, when (seconds since the start), and does as it is told."""

    def __init__(self, world, act=lambda batch: None):
        self.world, self.act, self.seen = world, act, []
        self.began = world.clock.now()

    async def __call__(self, batch):
        at = (self.world.clock.now() - self.began) / 1000
        self.seen.append((at, [(message.body, message.attempts) for message in batch.messages]))
        answer = self.act(batch)
        if asyncio.iscoroutine(answer):
            await answer

    @property
    def bodies(self):
        return [(at, [body for body, _ in messages]) for at, messages in self.seen]


def run(tmp_path, body):
    return in_queues(tmp_path, body)


# batching


def test_a_batch_goes_when_it_is_full(tmp_path):
    async def body(world):
        times = Times(world)
        await world.consume(times, max_batch_size=3, max_batch_timeout=60)
        for n in range(3):
            await world.producer().send(n)
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        return times.bodies

    assert run(tmp_path, body) == [(2.0, [0, 1, 2])]


def test_a_batch_that_is_not_full_goes_a_timeout_after_its_first_message(tmp_path):
    async def body(world):
        times = Times(world)
        await world.consume(times, max_batch_size=3, max_batch_timeout=60)
        await asyncio.sleep(100)
        await world.producer().send("first")
        await asyncio.sleep(59)
        await world.producer().send("second")
        await asyncio.sleep(500)
        return times.bodies

    assert run(tmp_path, body) == [(160.0, ["first", "second"])]


def test_no_timeout_means_no_waiting(tmp_path):
    async def body(world):
        times = Times(world)
        await world.consume(times, max_batch_timeout=0)
        await world.producer().send("x")
        await asyncio.sleep(0.5)
        return times.bodies

    assert run(tmp_path, body) == [(0.0, ["x"])]


def test_a_delay_of_twelve_hours_is_kept(tmp_path):
    async def body(world):
        times = Times(world)
        await world.consume(times, max_batch_timeout=5)
        await world.producer().send("late", delaySeconds=12 * HOUR)
        await world.producer().send("now")
        await asyncio.sleep(13 * HOUR)
        return times.bodies

    assert run(tmp_path, body) == [(5.0, ["now"]), (12 * HOUR + 5.0, ["late"])]


@pytest.mark.parametrize(
    ("due", "size", "timeout", "expected"),
    [
        ([], 3, 5, None),
        ([1000], 3, 5, 6000),
        ([1000, 2000, 3000], 3, 5, 3000),
        ([1000, 2000, 90_000], 3, 5, 6000),
        ([1000], 1, 60, 1000),
    ],
)
def test_a_batch_is_due_when_full_or_timed_out(due, size, timeout, expected):
    config = ConsumerConfig("q", max_batch_size=size, max_batch_timeout=timeout)
    assert deliver_at(due, config) == expected


def test_a_message_says_what_it_is(tmp_path):
    async def body(world):
        code = await world.consume(lambda batch: None, max_batch_timeout=0)
        await world.producer().send({"a": 1})
        await asyncio.sleep(1)
        return code.batches[0]

    batch = run(tmp_path, body)
    [message] = batch.messages
    assert batch.queue == "q"
    assert (len(message.id), message.attempts, message.body) == (32, 1, {"a": 1})
    assert message.timestamp == dt.datetime(2026, 1, 1)


def test_only_so_many_batches_are_in_flight(tmp_path):
    async def body(world):
        now, most = 0, 0

        async def handler(batch):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(10)
            now -= 1

        code = await world.consume(handler, max_batch_size=1, max_concurrency=3)
        for n in range(7):
            await world.producer().send(n)
        await asyncio.sleep(100)
        return most, len(code.batches), world.left()

    assert run(tmp_path, body) == (3, 7, 0)


def test_a_thousand_waiting_messages_are_not_read_before_they_are_due(tmp_path):
    """Only as many rows as a batch has are looked at, however long the queue is."""

    async def body(world):
        for _ in range(20):
            await world.producer().sendBatch([{"body": n} for n in range(100)], delaySeconds=HOUR)
        read = []
        due_times = world.queues.due_times
        world.queues.due_times = lambda *given: read.append(due_times(*given)) or read[-1]
        code = await world.consume(lambda batch: None, max_batch_size=10)
        await asyncio.sleep(HOUR - 1)
        assert code.batches == []
        assert [len(one) for one in read] == [10]
        await asyncio.sleep(10)
        return len(code.batches), world.left()

    assert run(tmp_path, body) == (200, 0)


# verdicts


async def outcome(world, act, count=3, **options):
    """Send messages 0, 1, ... to a consumer; return the attempts that each had."""
    times = Times(world, act)
    await world.consume(times, max_batch_size=count, max_retries=1, max_batch_timeout=1, **options)
    await world.producer().sendBatch([{"body": n} for n in range(count)])
    await asyncio.sleep(10_000)
    attempts = dict.fromkeys(range(count), 0)
    for _, messages in times.seen:
        for number, attempt in messages:
            attempts[number] = max(attempts[number], attempt)
    assert world.left() == 0
    return attempts


def fail(batch):
    raise RuntimeError("the handler fails")


def first(*calls):
    """Act on the first attempt only."""

    def act(batch):
        if batch.messages[0].attempts == 1:
            for call in calls:
                call(batch)

    return act


ACK_0 = lambda batch: batch.messages[0].ack()  # noqa: E731
RETRY_0 = lambda batch: batch.messages[0].retry()  # noqa: E731
ACK_ALL = lambda batch: batch.ackAll()  # noqa: E731
RETRY_ALL = lambda batch: batch.retryAll()  # noqa: E731


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], [1, 1, 1]),
        ([RETRY_0], [2, 1, 1]),
        ([RETRY_ALL], [2, 2, 2]),
        ([ACK_0, fail], [1, 2, 2]),
        ([fail], [2, 2, 2]),
        ([ACK_ALL, fail], [1, 1, 1]),
        ([RETRY_0, ACK_0], [2, 1, 1]),
        ([ACK_0, RETRY_0], [1, 1, 1]),
        ([ACK_0, RETRY_ALL], [1, 2, 2]),
        ([RETRY_0, ACK_ALL], [2, 1, 1]),
        ([RETRY_ALL, ACK_ALL], [2, 2, 2]),
        ([ACK_ALL, RETRY_ALL], [1, 1, 1]),
    ],
)
def test_the_first_call_counts_and_the_end_of_the_handler_decides_the_rest(tmp_path, calls, expected):
    found = run(tmp_path, lambda world: outcome(world, first(*calls)))
    assert list(found.values()) == expected


def test_calls_have_two_spellings(tmp_path):
    async def body(world):
        return await outcome(world, first(lambda batch: batch.retry_all(delay_seconds=1)))

    assert list(run(tmp_path, body).values()) == [2, 2, 2]
    assert list(run(tmp_path / "b", lambda world: outcome(world, lambda b: b.ack_all())).values()) == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("options", "retry", "second_at"),
    [
        ({}, lambda m: m.retry(), 2.0),
        ({"retry_delay": 100}, lambda m: m.retry(), 102.0),
        ({"retry_delay": 100}, lambda m: m.retry(delaySeconds=7), 9.0),
        ({"retry_delay": 100}, lambda m: m.retry({"delaySeconds": 0}), 2.0),
        ({"retry_delay": 100}, fail, 102.0),
    ],
)
def test_a_retry_waits_for_its_own_delay_or_the_consumers(tmp_path, options, retry, second_at):
    async def body(world):
        times = Times(world, first(lambda batch: retry(batch.messages[0])))
        await world.consume(times, max_batch_timeout=1, **options)
        await world.producer().send("x")
        await asyncio.sleep(1000)
        return times.seen

    assert run(tmp_path, body) == [(1.0, [("x", 1)]), (second_at, [("x", 2)])]


def test_a_delay_out_of_range_is_an_error_of_the_handler(tmp_path):
    async def body(world):
        errors = []

        def act(batch):
            try:
                batch.messages[0].retry(delaySeconds=50_000)
            except QueueError as error:
                errors.append(str(error))

        await world.consume(act, max_batch_timeout=0)
        await world.producer().send("x")
        await asyncio.sleep(10)
        return errors

    assert "message delay 50000 is invalid" in run(tmp_path, body)[0]


def test_an_error_that_looks_like_cancelling_is_a_failure(tmp_path):
    def cancel(batch):
        raise asyncio.CancelledError

    found = run(tmp_path, lambda world: outcome(world, first(cancel)))
    assert list(found.values()) == [2, 2, 2]


def test_verdicts_may_come_from_a_thread(tmp_path):
    def act(batch):
        thread = threading.Thread(target=batch.ackAll)
        thread.start()
        thread.join()
        fail(batch)

    found = run(tmp_path, lambda world: outcome(world, act))
    assert list(found.values()) == [1, 1, 1]


# dead letters


def test_after_its_retries_a_message_goes_to_the_dead_letter_queue(tmp_path, caplog):
    async def body(world):
        dead = Times(world)
        times = Times(world, fail)
        await world.consume(
            lambda batch: (dead if batch.queue == "dead" else times)(batch),
            ConsumerConfig("q", max_retries=2, max_batch_timeout=0, dead_letter_queue="dead", retry_delay=10),
            ConsumerConfig("dead", max_batch_timeout=0),
        )
        await world.producer().send({"poison": True})
        await asyncio.sleep(1000)
        assert world.left() == world.left("dead") == 0
        return [attempts for _, [(_, attempts)] in times.seen], dead.seen

    attempts, dead = run(tmp_path, body)
    assert attempts == [1, 2, 3]
    assert dead == [(20.0, [({"poison": True}, 1)])]
    assert "failed 3 times and went to the dead letter queue dead" in caplog.text


def test_without_a_dead_letter_queue_a_message_is_deleted_and_that_is_said(tmp_path, caplog):
    async def body(world):
        times = Times(world, fail)
        await world.consume(times, max_retries=0, max_batch_timeout=0)
        await world.producer().send("x")
        await asyncio.sleep(1000)
        return len(times.seen), world.left()

    assert run(tmp_path, body) == (1, 0)
    assert "failed and was deleted" in caplog.text
    assert "the handler fails" in caplog.text


def test_a_message_that_kills_its_process_every_time_ends_as_a_dead_letter(tmp_path):
    async def body(world):
        deliveries = 0
        await world.producer().send("poison")

        async def hang(batch):
            nonlocal deliveries
            deliveries += 1
            assert batch.messages[0].attempts == deliveries
            await asyncio.sleep(10 * HOUR)

        for _ in range(5):
            await world.consume(hang, max_retries=2, max_batch_timeout=0, dead_letter_queue="dead")
            await asyncio.sleep(1)
            await world.crash()
        return deliveries, world.left(), world.left("dead")

    assert run(tmp_path, body) == (3, 0, 1)


# the end of a process


def test_an_acked_message_stays_acked_through_a_crash_and_the_others_come_again(tmp_path):
    async def body(world):
        async def hang(batch):
            batch.messages[0].ack()
            batch.messages[1].retry()
            await asyncio.sleep(HOUR)

        await world.producer().sendBatch([{"body": n} for n in range(3)])
        await world.consume(hang, max_batch_timeout=0)
        await asyncio.sleep(1)
        await world.crash()
        times = Times(world)
        await world.consume(times, max_batch_timeout=0)
        await asyncio.sleep(1)
        return times.seen

    [(_, messages)] = run(tmp_path, body)
    assert messages == [(1, 2), (2, 2)]


def test_draining_waits_for_the_handler_and_takes_no_more(tmp_path):
    async def body(world):
        times = Times(world, lambda batch: asyncio.sleep(5))
        await world.consume(times, max_batch_size=1)
        await world.producer().sendBatch([{"body": n} for n in range(3)])
        await asyncio.sleep(1)
        await world.drain(10)
        return times.bodies, world.left()

    assert run(tmp_path, body) == ([(0.0, [0])], 2)


def test_what_is_not_done_in_the_grace_is_given_back_as_if_it_had_not_been_delivered(tmp_path):
    async def body(world):
        async def slow(batch):
            batch.messages[0].ack()
            batch.messages[1].retry(delaySeconds=30)
            await asyncio.sleep(HOUR)

        await world.producer().sendBatch([{"body": n} for n in range(3)])
        await world.consume(slow, max_batch_timeout=0)
        await asyncio.sleep(1)
        await world.drain(2)
        times = Times(world)
        await world.consume(times, max_batch_timeout=0)
        await asyncio.sleep(100)
        return times.seen

    assert [messages for _, messages in run(tmp_path, body)] == [[(2, 1)], [(1, 2)]]


def test_what_a_living_process_holds_is_not_taken_by_the_next(tmp_path):
    """The old worker drains while the new one begins: the message in its hands stays there, and is handled once."""

    async def body(world):
        old = Times(world, lambda batch: asyncio.sleep(50))
        await world.producer().send("x")
        await world.consume(old, max_batch_timeout=0)
        first_consumers = world.consumers
        await asyncio.sleep(1)
        draining = asyncio.create_task(first_consumers.drain(100))
        await asyncio.sleep(0)
        new = Times(world)
        await world.consume(new, max_batch_timeout=0)
        await asyncio.sleep(20)
        assert world.left() == 1
        await draining
        return len(old.seen), len(new.seen), world.left()

    assert run(tmp_path, body) == (1, 0, 0)


def test_without_a_handler_messages_are_kept_and_it_is_said_once(tmp_path, caplog):
    async def body(world):
        await world.consume(None, max_batch_timeout=0)
        await world.producer().send("x")
        await asyncio.sleep(1000)
        kept = world.left()
        times = Times(world)
        await world.consume(times, max_batch_timeout=0)
        await asyncio.sleep(1)
        return kept, times.seen[0][1]

    assert run(tmp_path, body) == (1, [("x", 1)])
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "q: Method queue does not exist. Messages are kept" in caplog.text


def test_a_queue_that_nobody_consumes_keeps_its_messages_for_four_days(tmp_path, caplog):
    async def body(world):
        await world.producer().send("x")
        await asyncio.sleep(3.9 * 24 * HOUR)
        await world.crash()
        kept = world.left()
        await asyncio.sleep(0.2 * 24 * HOUR)
        await world.crash()
        return kept, world.left()

    assert run(tmp_path, body) == (1, 0)
    assert "1 messages expired" in caplog.text


def test_a_store_that_takes_no_writes_is_tried_again_and_no_message_is_handled_twice(tmp_path, caplog):
    async def body(world):
        times = Times(world)
        await world.producer().send("x")
        apply, failures = world.queues._store.apply, [1, 2]

        def broken(*given):
            from wrangler_py.errors import StoreUnavailableError

            if failures:
                failures.pop()
                raise StoreUnavailableError("disk full")
            apply(*given)

        world.queues._store.apply = broken
        await world.consume(times, max_batch_timeout=0)
        await asyncio.sleep(10)
        return len(times.seen), world.left()

    assert run(tmp_path, body) == (1, 0)
    assert "cannot be written, trying again: disk full" in caplog.text


# what is said


def test_a_batch_is_told_as_wrangler_does(tmp_path, caplog):
    caplog.set_level(logging.INFO, "wrangler_py")

    async def body(world):
        await world.consume(first(RETRY_0), max_batch_size=3, max_batch_timeout=1, queue="my-queue")
        await world.producer("my-queue").sendBatch([{"body": n} for n in range(3)])
        await asyncio.sleep(10)

    run(tmp_path, body)
    assert caplog.messages == ["QUEUE my-queue 2/3 (0ms)", "QUEUE my-queue 1/1 (0ms)"]


def test_many_batches_are_told_together(tmp_path, caplog):
    caplog.set_level(logging.INFO, "wrangler_py")

    async def body(world):
        await world.consume(lambda batch: None, max_batch_size=1)
        await world.producer().sendBatch([{"body": n} for n in range(100)])
        await asyncio.sleep(10)

    run(tmp_path, body)
    assert caplog.messages == ["QUEUE q 1/1 (0ms)", "QUEUE q 99/99 in 99 batches (0ms)"]
