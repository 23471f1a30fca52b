"""KV: text and bytes under keys, some of which expire; a SQLite file for each namespace id (KV docs)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from wrangler_py.bindings.declared import Declared

if TYPE_CHECKING:
    from wrangler_py.bindings.kv.namespace import KvNamespace
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config
    from wrangler_py.config.model import KvConfig

#: Where a namespace is stored: ``<state>/kv/<id>.sqlite``.
KIND, SUFFIX = "kv", ".sqlite"


def declare(config: Config) -> Iterator[Declared]:
    """Yield the KV namespaces of a configuration."""
    for one in config.resources.kv_namespaces:
        yield Declared(one.binding, "KV Namespace", one.id, partial(_make, one))


def _make(config: KvConfig, on: Resources) -> KvNamespace:
    from wrangler_py.bindings.kv.namespace import KvNamespace
    from wrangler_py.storage.kv import KvStore

    store = KvStore(on.place(KIND, config.id, SUFFIX), synchronous=on.synchronous)
    on.on_close(store.close)
    return KvNamespace(config.id, store, on.clock)
