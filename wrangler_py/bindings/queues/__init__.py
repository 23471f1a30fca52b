"""Queues: producers on ``env``, consumers that call the Worker's ``queue`` handler, and the messages between them.

Read `producer`, `queues`, `consumers`, `consumer`, `delivery` in this order. The rules are those of the Queues docs:
"Batching, Retries and Delays", "Dead Letter Queues", "JavaScript APIs" and "Limits".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.declared import Declared

if TYPE_CHECKING:
    from wrangler_py.bindings.queues.consumers import Consumers
    from wrangler_py.bindings.queues.producer import QueueProducer
    from wrangler_py.bindings.queues.queues import Queues
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config
    from wrangler_py.config.model import ProducerConfig

__all__ = ["Consumers", "QueueProducer", "Queues", "declare"]
_HOMES = {"Consumers": "consumers", "QueueProducer": "producer", "Queues": "queues"}


def declare(config: Config) -> Iterator[Declared]:
    """Yield the producers of a configuration."""
    for one in config.resources.producers:
        yield Declared(one.binding, "Queue", one.queue, partial(_make, one))


def _make(producer: ProducerConfig, on: Resources) -> QueueProducer:
    from wrangler_py.bindings.queues.producer import QueueProducer
    from wrangler_py.bindings.queues.queues import Queues

    return QueueProducer(Queues.of(on), producer.queue, producer.delivery_delay)


def __getattr__(name: str) -> Any:
    """Import what a banner does without: asking what is declared opens no database."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
