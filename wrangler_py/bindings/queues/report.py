"""The lines that tell what became of messages, as wrangler writes them; fewer when there are too many to read."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from wrangler_py.config.model import ConsumerConfig
from wrangler_py.storage.queues import HeldMessage

_log = logging.getLogger(__name__)
#: Seconds between two lines about one queue; batches in between are told together.
PAUSE_S = 0.25


class _Sum(NamedTuple):
    batches: int = 0
    acked: int = 0
    total: int = 0
    took_ms: int = 0

    def __str__(self) -> str:
        several = f" in {self.batches} batches" if self.batches > 1 else ""
        return f"{self.acked}/{self.total}{several} ({self.took_ms}ms)"


class Report:
    """Writes the lines of all queues of a process; `flush` those that wait."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sum] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def delivered(self, queue: str, acked: int, total: int, took_ms: int) -> None:
        """Tell of a batch: at once, or with others if there was a line just now."""
        was = self._sums.get(queue, _Sum())
        self._sums[queue] = _Sum(was.batches + 1, was.acked + acked, was.total + total, was.took_ms + took_ms)
        if queue not in self._timers:
            self._tell(queue)

    def given_up(self, consumer: ConsumerConfig, message: HeldMessage) -> None:
        """Tell of a message that is not retried any more."""
        times = consumer.max_retries + 1
        failed = f"failed {times} times" if times > 1 else "failed"
        if consumer.dead_letter_queue is None:
            _log.warning("queue %s: message %s %s and was deleted", consumer.queue, message.id, failed)
        else:
            _log.warning(
                "queue %s: message %s %s and went to the dead letter queue %s",
                consumer.queue, message.id, failed, consumer.dead_letter_queue,
            )  # fmt: skip

    def flush(self) -> None:
        """Tell what has not been told."""
        for timer in self._timers.values():
            timer.cancel()
        for queue in list(self._sums):
            self._write(queue)

    def _tell(self, queue: str) -> None:
        self._timers.pop(queue, None)
        if self._write(queue):
            loop = asyncio.get_running_loop()
            self._timers[queue] = loop.call_later(PAUSE_S, self._tell, queue)

    def _write(self, queue: str) -> bool:
        found = self._sums.pop(queue, None)
        if found is not None:
            _log.info("QUEUE %s %s", queue, found)
        return found is not None
