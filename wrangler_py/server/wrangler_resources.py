"""The resources npm `wrangler` looks for, or makes, when it deploys: all are there as soon as somebody names them.

Their ids are their names. A queue's consumers are those of the scripts' active versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from wrangler_py.server.envelope import Success, rest_refusal
from wrangler_py.server.requests import read
from wrangler_py.server.routing import Route, routes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrangler_py.server.call import Call
    from wrangler_py.server.releases import Releases

PREFIX = "client/v4/accounts/{account}"


class ConsumerSettings(msgspec.Struct):
    """How batches are made: counts, milliseconds, seconds."""

    batch_size: int | None = None
    max_retries: int | None = None
    max_wait_time_ms: int | None = None
    max_concurrency: int | None = None
    retry_delay: int | None = None


class ConsumerBody(msgspec.Struct):
    """POST or PUT of a consumer."""

    script_name: str
    type: str = "worker"
    dead_letter_queue: str | None = None
    settings: ConsumerSettings = msgspec.field(default_factory=ConsumerSettings)


class NamedBody(msgspec.Struct):
    """POST of a KV namespace (``title``), a database, a bucket or a queue."""

    title: str | None = None
    name: str | None = None
    queue_name: str | None = None


class WranglerResources:
    """The endpoints."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases

    def routes(self) -> list[Route]:
        """Return the routes under ``/client/v4/accounts/{account}``."""
        consumers = "queues/{queue}/consumers"
        table = {
            "GET queues": self.queues,
            "POST queues": self.named,
            f"POST {consumers}": self.put_consumer,
            f"PUT {consumers}/{{consumer}}": self.put_consumer,
            f"DELETE {consumers}/{{consumer}}": self.delete_consumer,
            "GET workers/durable_objects/namespaces": self.none,
            "GET storage/kv/namespaces": self.none,
            "POST storage/kv/namespaces": self.named,
            "GET d1/database": self.none,
            "POST d1/database": self.named,
            "GET d1/database/{name}": self.there,
            "POST r2/buckets": self.named,
            "GET r2/buckets/{name}": self.there,
        }
        return routes(PREFIX, rest_refusal, table)

    async def none(self, call: Call) -> Success:
        """Return none: what nobody has named needs no room."""
        _ = call
        return _page([])

    async def named(self, call: Call) -> Success:
        """Return the resource that is named."""
        body: NamedBody = read(await call.body(), NamedBody)
        return Success(_resource(body.title or body.name or body.queue_name or ""))

    async def there(self, call: Call) -> Success:
        """Return the resource of a name."""
        return Success(_resource(call.parts["name"]))

    # queues

    async def queues(self, call: Call) -> Success:
        """Return the queues that are asked for by name, with their consumers."""
        pairs = parse_qsl(call.scope["query_string"].decode("latin-1"))
        return _page([self._queue(value) for name, value in pairs if name == "name"])

    def _queue(self, name: str) -> dict[str, Any]:
        consumers = [
            {"type": "worker", "consumer_id": script, "script": script, "settings": {}}
            for script in self._releases.scripts()
            if any(one["queue"] == name for one in _consumers(self._releases.stored(script)))
        ]
        return _resource(name) | {"producers": [], "consumers": consumers}

    async def put_consumer(self, call: Call) -> Success:
        """Have a script consume a queue, from its active version on."""
        body: ConsumerBody = read(await call.body(), ConsumerBody)
        queue = call.parts["queue"]

        def change(config: dict[str, Any], _: set[str]) -> None:
            others = [one for one in _consumers(config) if one["queue"] != queue]
            config.setdefault("queues", {})["consumers"] = [*others, _consumer(queue, body)]

        await self._releases.amend(body.script_name, change)
        return Success({"consumer_id": body.script_name, "queue_name": queue, "script": body.script_name})

    async def delete_consumer(self, call: Call) -> Success:
        """Have a script consume a queue no more."""
        queue = call.parts["queue"]

        def change(config: dict[str, Any], _: set[str]) -> None:
            config.setdefault("queues", {})["consumers"] = [
                one for one in _consumers(config) if one["queue"] != queue
            ]

        await self._releases.amend(call.parts["consumer"], change)
        return Success(None)


def _consumers(config: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = config.get("queues", {}).get("consumers") or []
    return found


def _consumer(queue: str, body: ConsumerBody) -> dict[str, Any]:
    """Return the entry of a configuration."""
    given = body.settings
    wait = given.max_wait_time_ms
    found = {
        "queue": queue,
        "max_batch_size": given.batch_size,
        "max_batch_timeout": None if wait is None else round(wait / 1000),
        "max_retries": given.max_retries,
        "max_concurrency": given.max_concurrency,
        "retry_delay": given.retry_delay,
        "dead_letter_queue": body.dead_letter_queue,
    }
    return {key: value for key, value in found.items() if value is not None}


def _resource(name: str) -> dict[str, Any]:
    """Return a resource; each kind's name for name and id is there."""
    return {"id": name, "uuid": name, "name": name, "title": name, "queue_id": name, "queue_name": name}


def _page(found: Iterable[dict[str, Any]]) -> Success:
    shown = list(found)
    count = len(shown)
    page = {"page": 1, "per_page": count, "count": count, "total_count": count, "total_pages": 1}
    return Success(shown, page)
