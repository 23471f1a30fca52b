"""The queues there are, and what each holds; what all `queues` commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from wrangler_py.cli.stored import access
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.bindings.queues import Queues
    from wrangler_py.cli.local import Local

QueueName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the queue.", show_default=False)]
Entry = dict[str, Any]


@contextmanager
def opened(local: Local, *, reads: bool = False) -> Iterator[Queues]:
    """Give the messages of a project, beside a session or without one. With ``reads`` nothing is written."""
    from wrangler_py.bindings.queues import Queues
    from wrangler_py.clock import SystemClock

    with access(reads=reads):
        queues = Queues.open(local.place("queues", "queues", ".sqlite"), SystemClock())
        try:
            yield queues
        finally:
            queues.close()


def names(local: Local, queues: Queues) -> list[str]:
    """Return the queues that the configuration names, dead letter queues too, and others that hold messages."""
    found = local.config.resources
    produced = [one.queue for one in found.producers]
    consumed = [one.queue for one in found.consumers]
    dead = [one.dead_letter_queue for one in found.consumers if one.dead_letter_queue is not None]
    return list(dict.fromkeys([*produced, *consumed, *dead, *queues.names()]))


def check(local: Local, queues: Queues, name: str) -> None:
    """Raise UserError, which lists the queues there are, if ``name`` is none of them."""
    known = names(local, queues)
    if name in known:
        return
    if not known:
        hint = "The configuration names none: add [[queues.producers]] or [[queues.consumers]]."
    else:
        near = get_close_matches(name, known, n=1)
        guess = f"Did you mean '{near[0]}'? " if near else ""
        hint = f"{guess}There are: {', '.join(known)}"
    raise UserError(f"There is no queue '{name}'.", hint=hint)


def entry(local: Local, queues: Queues, name: str) -> Entry:
    """Return ``{"queue", "producers", "consumer", "messages", "waiting", "delayed", "in_flight", "bytes"}``.

    ``producers`` are names on ``env``; ``consumer`` is ``{"script", ...settings}`` or None; numbers count messages.
    """
    found, held = local.config.resources, queues.backlog(name)
    consumer = next((one for one in found.consumers if one.queue == name), None)
    return {
        "queue": name,
        "producers": [one.binding for one in found.producers if one.queue == name],
        "consumer": None if consumer is None else _settings(local.config.name, msgspec.to_builtins(consumer)),
        "messages": held.messages,
        "waiting": held.messages - held.delayed - held.held,
        "delayed": held.delayed,
        "in_flight": held.held,
        "bytes": held.bytes,
    }


def _settings(script: str, consumer: dict[str, Any]) -> dict[str, Any]:
    return {"script": script, **{key: value for key, value in consumer.items() if key != "queue"}}
