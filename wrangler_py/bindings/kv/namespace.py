"""``env.MY_NAMESPACE`` (KV docs, "Workers Binding API")."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.failures import KvError
from wrangler_py.bindings.kv import rules
from wrangler_py.bindings.started import starts
from wrangler_py.sdk.pyodide.ffi import JsBuffer
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.serde import Record
from wrangler_py.storage.kv import LARGE, KvStore

if TYPE_CHECKING:
    from wrangler_py.clock import Clock
    from wrangler_py.storage.kv import Entry, ListedKey


class KvNamespace:
    """``env.MY_NAMESPACE``. There is one place here, no caches: what was written is read.

    Raises KvError in Cloudflare's words for keys, values and options that KV does not take; StoreUnavailableError if
    the state cannot be read or written.
    """

    def __init__(self, id: str, store: KvStore, clock: Clock) -> None:
        self._id, self._store, self._clock = id, store, clock
        # SQLite has one writer. The event loop must not stand still until the one aside has finished.
        self._large = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<KV namespace {self._id}>"

    @starts
    async def get(
        self,
        key: Any,
        options: Any = None,
        /,
        *,
        type: str | None = None,
        cacheTtl: int | None = None,
    ) -> Any:
        """Return the value of a key, None if it has none; of a list of up to 100 keys, a dict of all of them.

        ``options`` is a type or ``{"type", "cacheTtl"}``: "text" gives str, "json" what the JSON says, "arrayBuffer"
        bytes, "stream" a ReadableStream. ``cacheTtl`` is checked and means nothing.
        """
        kind = rules.read_type(options, type, cacheTtl)
        if isinstance(key, list | tuple):
            found = await self._find_all(list(key), kind)
            return {name: one and one[0] for name, one in found.items()}
        entry = await self._find(rules.read_key(key, "GET"))
        return None if entry is None else _READERS[kind](entry.value)

    @starts
    async def getWithMetadata(
        self,
        key: Any,
        options: Any = None,
        /,
        *,
        type: str | None = None,
        cacheTtl: int | None = None,
    ) -> Any:
        """Return ``{"value", "metadata", "cacheStatus"}``; of a list, a dict of ``{"value", "metadata"}`` or None."""
        kind = rules.read_type(options, type, cacheTtl)
        if isinstance(key, list | tuple):
            found = await self._find_all(list(key), kind)
            return {name: one and Record(value=one[0], metadata=one[1]) for name, one in found.items()}
        entry = await self._find(rules.read_key(key, "GET"))
        if entry is None:
            return Record(value=None, metadata=None, cacheStatus=None)
        value = _READERS[kind](entry.value)
        return Record(value=value, metadata=_metadata(entry.metadata), cacheStatus=None)

    async def _find(self, key: bytes, *, aside: bool = False) -> Entry | None:
        entry = None if aside else await self._store.get(key, self._clock.now())
        if aside or (entry is not None and entry.value is None):
            return await self._store.aside(self._store.get_aside, key, self._clock.now())
        return entry

    async def _find_all(self, keys: list[Any], kind: str) -> dict[str, tuple[Any, Any] | None]:
        """Return value and metadata of each key in the order they were asked for."""
        rules.check_bulk(keys, kind)
        stored = [rules.read_key(key, "GET_BULK") for key in keys]
        entries, size = [], 0
        for key in stored:
            # Values that are large together are read on the thread, as one large value is.
            entries.append(entry := await self._find(key, aside=size > LARGE))
            size += len(entry.value or b"") if entry else 0
            if size > rules.MAX_VALUE:
                limit = f"{rules.MAX_VALUE >> 20}MB"
                raise rules.refused("GET_BULK", 413, f"Total size of request exceeds the limit of {limit}")
        return {key: _bulk_entry(entry, kind) for key, entry in zip(keys, entries, strict=True)}

    @starts
    async def put(
        self,
        key: str,
        value: Any,
        options: Any = None,
        /,
        *,
        expiration: int | None = None,
        expirationTtl: int | None = None,
        expiration_ttl: int | None = None,
        metadata: Any = None,
    ) -> None:
        """Store str, bytes or a stream under a key; when this returns, it outlives the process.

        It expires at ``expiration``, seconds since 1970, or ``expirationTtl`` seconds from now, at least 60.
        ``metadata`` is any JSON value of at most 1024 bytes. All three may come as an object too.
        """
        ttl = expirationTtl if expirationTtl is not None else expiration_ttl
        given = {"expiration": expiration, "expirationTtl": ttl, "metadata": metadata}
        name = rules.read_key(key, "PUT")
        wanted = rules.read_put(options, given, self._clock.now())
        data = await rules.read_value(value)
        async with self._large:  # In the order of the calls, also where one waits for a lock of the file.
            if len(data) > LARGE:
                await self._store.aside(self._store.put_aside, name, data, *wanted)
            else:
                await self._store.put(name, data, *wanted, self._clock.now())

    @starts
    async def delete(self, key: str, /) -> None:
        """Remove a key; one that is not there is no error."""
        name = rules.read_key(key, "DELETE")
        async with self._large:
            await self._store.delete(name)

    @starts
    async def list(
        self,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        prefix: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Record:
        """Return a page of up to 1000 keys in the order of their UTF-8 bytes.

        ``{"keys": [{"name", "expiration"?, "metadata"?}], "list_complete", "cursor"?, "cacheStatus"}``; the cursor,
        there if there are more, goes on behind this page, whatever was written since.
        """
        wanted = rules.read_list(options, {"prefix": prefix, "limit": limit, "cursor": cursor})
        found = await self._store.aside(
            self._store.list_aside, wanted.prefix, wanted.after, wanted.limit + 1, self._clock.now()
        )
        page = found[: wanted.limit]
        listed = Record(keys=[_listed(one) for one in page], list_complete=len(found) <= wanted.limit)
        if not listed.list_complete:
            listed.cursor = rules.make_cursor(page[-1].key)
        listed.cacheStatus = None
        return listed

    get_with_metadata = getWithMetadata


def _listed(one: ListedKey) -> Record:
    shown = Record(name=one.key.decode())
    if one.expires_at is not None:
        shown.expiration = one.expires_at // 1000
    if one.metadata is not None:
        shown.metadata = _metadata(one.metadata)
    return shown


def _bulk_entry(entry: Entry | None, kind: str) -> tuple[Any, Any] | None:
    if entry is None:
        return None
    try:
        return _READERS[kind](entry.value), _metadata(entry.metadata)
    except KvError:
        reason = f"At least one of the requested keys corresponds to a non-{kind} value"
        raise rules.refused("GET_BULK", 400, reason) from None


def _metadata(text: str | None) -> Any:
    return None if text is None else json.loads(text, object_hook=Record)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _json(value: bytes) -> Any:
    try:
        return json.loads(_text(value), object_hook=Record, parse_constant=_refuse_constant)
    except ValueError as error:
        raise KvError(f'"{_text(value[:40])}" is not valid JSON: {error}', name="SyntaxError") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


_READERS: dict[str, Any] = {"text": _text, "json": _json, "arrayBuffer": JsBuffer, "stream": ReadableStream}
