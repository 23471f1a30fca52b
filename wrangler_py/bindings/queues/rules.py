"""When a batch is delivered and what becomes of it: values in, values out."""

from __future__ import annotations

from collections.abc import Sequence

from wrangler_py.bindings.queues.batch import Acked, Retried, Verdict
from wrangler_py.bindings.queues.queues import RETENTION_MS
from wrangler_py.config.model import ConsumerConfig
from wrangler_py.storage.queues import HeldMessage, Move, Settlement


def deliver_at(due_times: Sequence[int], consumer: ConsumerConfig) -> int | None:
    """Return when the next batch goes out (ms), or None while there is nothing to deliver.

    ``due_times`` of the next ``max_batch_size`` messages, earliest first. A batch goes when it is full, or
    ``max_batch_timeout`` after its first message was due.
    """
    if not due_times:
        return None
    timed_out_at = due_times[0] + consumer.max_batch_timeout * 1000
    if len(due_times) < consumer.max_batch_size:
        return timed_out_at
    return min(timed_out_at, due_times[consumer.max_batch_size - 1])


def is_worn_out(message: HeldMessage, consumer: ConsumerConfig) -> bool:
    """Return True if a message has had all its deliveries before this one: each of them ended its process."""
    return message.attempts > consumer.max_retries + 1


def has_retries_left(message: HeldMessage, consumer: ConsumerConfig) -> bool:
    """Return True if a message is delivered again if this delivery fails."""
    return message.attempts <= consumer.max_retries


def settle(
    held: Sequence[HeldMessage],
    verdicts: Sequence[Verdict | None],
    consumer: ConsumerConfig,
    *,
    holder: int,
    now: int,
) -> Settlement:
    """Return what becomes of the messages of a batch.

    Those without a verdict go back as if they had not been delivered. Those to be retried that have had
    ``max_retries`` retries go to the dead letter queue, as new messages there, or, without one, away.
    """
    removed: list[int] = []
    retried: list[tuple[int, int]] = []
    moved: list[Move] = []
    returned: list[int] = []
    for message, verdict in zip(held, verdicts, strict=True):
        match verdict:
            case None:
                returned.append(message.number)
            case Acked():
                removed.append(message.number)
            case Retried() if has_retries_left(message, consumer):
                retried.append((now + _delay_ms(verdict, consumer), message.number))
            case _ if consumer.dead_letter_queue is not None:
                moved.append(Move(consumer.dead_letter_queue, now, now + RETENTION_MS, message.number))
            case _:
                removed.append(message.number)
    return Settlement(holder, removed, retried, moved, returned)


def _delay_ms(verdict: Retried, consumer: ConsumerConfig) -> int:
    return 1000 * (consumer.retry_delay if verdict.delay_s is None else verdict.delay_s)
