"""The entries of KV namespaces, one SQLite database each."""

from __future__ import annotations

from wrangler_py.storage.kv.store import LARGE, Entry, KvStore, ListedKey

__all__ = ["LARGE", "Entry", "KvStore", "ListedKey"]
