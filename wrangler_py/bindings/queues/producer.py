"""``env.MY_QUEUE``: what sends messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wrangler_py.bindings.failures import QueueError
from wrangler_py.bindings.queues.bodies import (
    MAX_BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    MAX_MESSAGE_BYTES,
    pack,
    read_content_type,
    read_delay,
)
from wrangler_py.bindings.queues.options import read_options
from wrangler_py.bindings.queues.queues import Queues
from wrangler_py.bindings.started import starts
from wrangler_py.clock import naive_utc
from wrangler_py.errors import StoreError
from wrangler_py.serde import Record
from wrangler_py.storage.queues import NewMessage

_SEND, _SEND_BATCH = "Queue send", "Queue sendBatch"


class QueueProducer:
    """Sends to one queue. A queue that nobody consumes keeps its messages for four days."""

    def __init__(self, queues: Queues, queue: str, delivery_delay: int = 0) -> None:
        self._queues, self._queue, self._delivery_delay = queues, queue, delivery_delay

    def __repr__(self) -> str:
        return f"<queue {self._queue}>"

    @starts
    async def send(self, body: Any, options: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Send one message; it is on disk when this returns.

        Options: ``contentType`` (``json``, ``text``, ``bytes`` or ``v8``) and ``delaySeconds`` (0 to 43200, before
        its delivery), as an object or as keywords, in snake_case too.

        Raises:
            TypeError: the body does not fit the content type, or an option is unknown.
            QueueError: the message is larger than 128 KB, the delay is out of range, or nothing can be written.
        """
        chosen = read_options("send()", options, named, "contentType", "delaySeconds")
        message = self._message(body, chosen, None, _SEND)
        if len(message.body) > MAX_MESSAGE_BYTES:
            raise QueueError(
                f"{_SEND} failed: message length of {len(message.body)} bytes exceeds limit of {MAX_MESSAGE_BYTES}"
            )
        await self._store([message], _SEND)

    @starts
    async def send_batch(
        self, messages: Iterable[Mapping[str, Any]], options: Mapping[str, Any] | None = None, /, **named: Any
    ) -> None:
        """Send up to 100 messages of 256 KB in all, in one transaction: all are on disk when this returns, or none.

        Each is ``{"body", "contentType"?, "delaySeconds"?}``; the option ``delaySeconds`` is for those without one.
        Raises as `send` does.
        """
        chosen = read_options("sendBatch()", options, named, "delaySeconds")
        delay = read_delay(chosen["delaySeconds"], _SEND_BATCH)
        batch = [self._item(one, delay) for one in messages]
        if not batch:
            raise TypeError("sendBatch() requires at least one message")
        _check_batch([len(message.body) for message in batch])
        await self._store(batch, _SEND_BATCH)

    @starts
    async def metrics(self) -> Record:
        """Return ``{"backlogCount", "backlogBytes", "oldestMessageTimestamp" (naive UTC) | None}`` of the queue."""
        backlog = await self._queues.count(self._queue)
        oldest = None if backlog.oldest_at is None else naive_utc(backlog.oldest_at)
        return Record(
            backlogCount=backlog.messages, backlogBytes=backlog.bytes, oldestMessageTimestamp=oldest
        )

    sendBatch = send_batch

    def _item(self, item: Mapping[str, Any], delay: int | None) -> NewMessage:
        if not isinstance(item, Mapping):
            raise TypeError(f"sendBatch() takes objects {{'body': ...}}, not {type(item).__name__}")
        if "body" not in item:
            raise TypeError("Message body cannot be undefined")
        rest = {name: value for name, value in item.items() if name != "body"}
        chosen = read_options("a message of sendBatch()", rest, {}, "contentType", "delaySeconds")
        return self._message(item["body"], chosen, delay, _SEND_BATCH)

    def _message(self, body: Any, chosen: Mapping[str, Any], delay: int | None, call: str) -> NewMessage:
        content_type = read_content_type(chosen["contentType"])
        own = read_delay(chosen["delaySeconds"], call)
        waits = next((one for one in (own, delay) if one is not None), self._delivery_delay)
        return self._queues.new_message(self._queue, content_type, pack(body, content_type), waits)

    async def _store(self, messages: Sequence[NewMessage], call: str) -> None:
        try:
            await self._queues.send(messages)
        except StoreError as error:
            raise QueueError(f"{call} failed: {error}") from error


def _check_batch(sizes: Sequence[int]) -> None:
    if len(sizes) > MAX_BATCH_MESSAGES:
        problem = f"batch message count of {len(sizes)} exceeds limit of {MAX_BATCH_MESSAGES}"
    elif max(sizes) > MAX_MESSAGE_BYTES:
        problem = (
            f"message in batch has length {max(sizes)} bytes which exceeds single message size limit of "
            f"{MAX_MESSAGE_BYTES}"
        )
    elif sum(sizes) > MAX_BATCH_BYTES:
        problem = f"batch size of {sum(sizes)} bytes exceeds limit of {MAX_BATCH_BYTES}"
    else:
        return
    raise QueueError(f"{_SEND_BATCH} failed: {problem}")
