"""What a ``queue`` handler is given, and what it decided (Queues docs, "Explicit acknowledgement and retries")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from wrangler_py.bindings.queues.bodies import read_delay, unpack
from wrangler_py.bindings.queues.options import read_options
from wrangler_py.clock import naive_utc
from wrangler_py.storage.queues import HeldMessage


class Acked(NamedTuple):
    """Done with."""


class Retried(NamedTuple):
    """To be delivered again, after ``delay_s`` (None: the consumer's own)."""

    delay_s: int | None = None


Verdict = Acked | Retried


class Message:
    """One message: ``id``, ``timestamp`` (when it was sent, naive UTC), ``body``, and ``attempts``, from 1.

    Of several calls of `ack` and `retry` the first counts, those through the batch included.
    """

    def __init__(self, held: HeldMessage, on_ack: Callable[[int], None]) -> None:
        self.id = held.id
        self.timestamp = naive_utc(held.sent_at)
        self.body = unpack(held.body, held.content_type)
        self.attempts = held.attempts
        self._number, self._on_ack = held.number, on_ack
        self._verdict: Verdict | None = None

    def __repr__(self) -> str:
        return f"<message {self.id}, attempt {self.attempts}>"

    def ack(self) -> None:
        """Take the message as delivered, whatever the handler does from here on."""
        if self._verdict is None:
            self._verdict = Acked()
            self._on_ack(self._number)

    def retry(self, options: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Have the message delivered again; ``delaySeconds`` (0 to 43200) wins over the consumer's ``retry_delay``.

        Raises:
            QueueError: the delay is out of range.
        """
        chosen = read_options("retry()", options, named, "delaySeconds")
        self._retry(read_delay(chosen["delaySeconds"], "Queue retry"))

    def _retry(self, delay_s: int | None) -> None:
        if self._verdict is None:
            self._verdict = Retried(delay_s)


class MessageBatch:
    """Messages of one ``queue`` that are delivered together."""

    def __init__(self, queue: str, held: Sequence[HeldMessage], on_ack: Callable[[int], None]) -> None:
        self.queue = queue
        self.messages = [Message(one, on_ack) for one in held]

    def __repr__(self) -> str:
        return f"<batch of {len(self.messages)} messages of {self.queue}>"

    def ack_all(self) -> None:
        """Take all messages as delivered that nothing was decided of."""
        for message in self.messages:
            message.ack()

    def retry_all(self, options: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Have all messages delivered again that nothing was decided of; see `Message.retry`."""
        chosen = read_options("retryAll()", options, named, "delaySeconds")
        delay_s = read_delay(chosen["delaySeconds"], "Queue retryAll")
        for message in self.messages:
            message._retry(delay_s)

    ackAll = ack_all
    retryAll = retry_all

    def verdicts(self, *, otherwise: Verdict | None) -> list[Verdict | None]:
        """Return what was decided of each message, or ``otherwise`` where nothing was."""
        return [otherwise if message._verdict is None else message._verdict for message in self.messages]
