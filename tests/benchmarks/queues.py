"""Queues: messages from ``send`` through the handler to their ack, on a real file; beside bare SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvloop

from tests.benchmarks.table import Result
from wrangler_py.bindings.queues import Consumers, QueueProducer, Queues
from wrangler_py.clock import SystemClock
from wrangler_py.config.model import ConsumerConfig

MESSAGES, SENDERS = 20_000, 100
BODY = {"order": 12_345, "customer": "someone@example.com", "total": 99.5}


class _Code:
    """A handler that acks one by one, and says when all have come."""

    def __init__(self) -> None:
        self.handled, self.done = 0, asyncio.Event()

    def handles(self, event: str) -> bool:
        return True

    async def call(self, event: str, batch: Any) -> None:
        for message in batch.messages:
            assert message.body.order == 12_345
            message.ack()
        self.handled += len(batch.messages)
        if self.handled == MESSAGES:
            self.done.set()


def _consumers(queues: Queues, code: _Code, size: int) -> Consumers:
    consumer = ConsumerConfig("q", max_batch_size=size, max_batch_timeout=0)
    return Consumers(
        SimpleNamespace(
            config=SimpleNamespace(resources=SimpleNamespace(consumers=(consumer,))),
            queues=queues,
            code=code,
            engine=SimpleNamespace(options=SimpleNamespace(heartbeat=True)),
        )
    )


async def _end_to_end(path: Path, size: int) -> float:
    queues, code = Queues.open(path, SystemClock()), _Code()
    consumers = _consumers(queues, code, size)
    await consumers.start()
    producer = QueueProducer(queues, "q")

    async def sender() -> None:
        for _ in range(MESSAGES // SENDERS):
            await producer.send(BODY)

    began = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    await code.done.wait()
    await consumers.drain(1)
    took = time.perf_counter() - began
    assert queues.backlog("q").messages == 0
    queues.close()
    return MESSAGES / took


def _bare(path: Path, size: int) -> float:
    """Insert in transactions of as many rows as there are senders; read and delete in those of a batch."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE m (number INTEGER PRIMARY KEY, body BLOB)")
    began = time.perf_counter()
    for _ in range(MESSAGES // SENDERS):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO m (body) VALUES (?)", [(b"x" * 80,)] * SENDERS)
        connection.execute("COMMIT")
    while rows := connection.execute(
        "SELECT number, body FROM m ORDER BY number LIMIT ?", (size,)
    ).fetchall():
        connection.execute("BEGIN")
        connection.executemany("DELETE FROM m WHERE number = ?", [(number,) for number, _ in rows])
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return MESSAGES / took


def _measure(size: int) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        measured = uvloop.run(_end_to_end(Path(folder) / "queues.sqlite", size))
        ceiling = _bare(Path(folder) / "bare.sqlite", size)
    return Result(
        f"queue: send, handle, ack, batches of {size}",
        f"{measured:,.0f} messages/s",
        f"{ceiling:,.0f} messages/s",
        f"{measured / ceiling:.0%}",
        ">= 5 000 messages/s",
    )


def queues() -> list[Result]:
    """Measure with the default batch size and the largest."""
    return [_measure(10), _measure(100)]
