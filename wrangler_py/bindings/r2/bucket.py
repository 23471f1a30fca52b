"""`R2Bucket`: ``env.MY_BUCKET``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.r2.conditions import read_condition
from wrangler_py.bindings.r2.digests import CHECKSUMS, Digests, read_checksum
from wrangler_py.bindings.r2.intake import LARGEST
from wrangler_py.bindings.r2.listing import Query, find_page, read_query
from wrangler_py.bindings.r2.metadata import read_custom, read_http, read_storage_class
from wrangler_py.bindings.r2.multipart import R2MultipartUpload
from wrangler_py.bindings.r2.objects import Content, R2Object, R2ObjectBody
from wrangler_py.bindings.r2.opened import OpenBucket
from wrangler_py.bindings.r2.options import read_options
from wrangler_py.bindings.r2.ranges import read_span
from wrangler_py.bindings.r2.refusals import INVALID_NAME, TOO_LARGE, explained, invalid, wrong_type
from wrangler_py.bindings.r2.threads import Threads
from wrangler_py.bindings.r2.turns import Turns
from wrangler_py.bindings.r2.values import source_of
from wrangler_py.bindings.started import starts
from wrangler_py.sdk.pyodide.ffi import JsObject
from wrangler_py.storage.r2 import BucketStore, StoredObject, Upload
from wrangler_py.storage.waiting import waited

if TYPE_CHECKING:
    from wrangler_py.clock import Clock
    from wrangler_py.storage.r2 import NewBlob

_METADATA = ("httpMetadata", "customMetadata", "storageClass")
_PUT = (*_METADATA, *CHECKSUMS, "onlyIf")
_GET = ("onlyIf", "range")
#: R2 docs, "Limits": bytes of a key; keys of one delete.
_LONGEST_KEY, _MOST_DELETED = 1024, 1000
#: R2 docs, "Object lifecycles": an upload that nobody completes is aborted after seven days.
_UPLOADS_LIVE_MS = 7 * 24 * 3600 * 1000


class R2Bucket:
    """A bucket in ``folder``. Any number of processes may use it at once.

    Options are given as an object, as the last argument, or as keyword arguments; ``snake_case`` is understood.
    Everything raises R2Error, whose text is Cloudflare's.
    """

    def __init__(self, name: str, folder: Path, clock: Clock) -> None:
        self._name, self._folder, self._clock = name, folder, clock
        self._open_bucket: OpenBucket | None = None
        self._opening = asyncio.Lock()
        self._turns = Turns()

    def __repr__(self) -> str:
        return f"<R2 bucket {self._name}>"

    @starts
    async def head(self, key: str, /) -> R2Object | None:
        """Return an object without its bytes; None: there is none."""
        _check_key("head", key)
        bucket = await self.opened()
        with explained("head"):
            stored = await waited(bucket.store.find, key)
        return None if stored is None else bucket.shown(stored)

    @starts
    async def get(self, key: str, options: Any = None, /, **more: Any) -> R2Object | R2ObjectBody | None:
        """Return an object with its bytes; None: there is none.

        ``onlyIf``: without the bytes, as an `R2Object`, if the condition does not hold. ``range``: some bytes only,
        ``{offset, length}``, ``{suffix}`` or `Headers` with ``Range``.

        Raises:
            R2Error: the range has no bytes (10039).
        """
        _check_key("get", key)
        wanted = read_options("get", options, more, _GET)
        condition = read_condition("get", wanted.get("onlyIf"))
        bucket = await self.opened()
        with explained("get"):
            found = await waited(bucket.store.open_object, key)
        if found is None:
            return None
        stored, blob = found
        if not condition.allows(stored):
            return bucket.shown(stored)
        span = read_span("get", wanted.get("range"), stored.size)
        content = Content(blob, span, bucket.threads)
        return R2ObjectBody(stored, bucket.store.open_blob, span=span, content=content)

    @starts
    async def put(self, key: str, value: Any, options: Any = None, /, **more: Any) -> R2Object | None:
        """Store an object, whole or not at all; return it, or None if ``onlyIf`` does not hold.

        ``value``: str, bytes, Blob, ReadableStream, any asynchronous iterator of bytes, or None for no bytes.
        Options: ``httpMetadata``, ``customMetadata``, ``storageClass``, ``onlyIf``, and one of ``md5``, ``sha1``,
        ``sha256``, ``sha384``, ``sha512``, which must be that of the bytes.

        Raises:
            R2Error: a key over 1024 bytes (10020), metadata over 8192 bytes (10012), a wrong checksum (10037),
                over 5 GiB (100100). The errors of a stream pass.
        """
        _check_key("put", key)
        wanted = read_options("put", options, more, _PUT)
        condition = read_condition("put", wanted.get("onlyIf"))
        digests = Digests(read_checksum(wanted))
        metadata = _read_metadata("put", wanted)
        source = source_of("put", value)
        if isinstance(source, memoryview) and len(source) > LARGEST:
            raise TOO_LARGE.of("put")

        def commit(blob: NewBlob, now: int) -> StoredObject | None:
            version = bucket.new_version()
            new = StoredObject(
                key=key,
                blob=blob.name,
                version=version,
                size=blob.size,
                etag=digests.md5 or version,
                uploaded_at=now,
                checksums=digests.checksums("put"),
                **metadata,
            )
            return new if bucket.store.put(new, blob, condition.allows) else None

        # The bytes of a stream come when they come: others do not wait for them.
        keys = [key] if isinstance(source, memoryview) else []
        async with self._turns.of(keys):
            bucket = await self.opened()
            stored = await bucket.intake.take("put", source, digests, commit)
        return None if stored is None else bucket.shown(stored)

    @starts
    async def delete(self, keys: str | Iterable[str], /) -> None:
        """Remove an object, or up to 1000 at once; keys that do not exist are no error."""
        wanted = [keys] if isinstance(keys, str) else list(keys)
        for key in wanted:
            _check_key("delete", key)
        if len(wanted) > _MOST_DELETED:
            raise invalid(
                "delete", f"At most {_MOST_DELETED} keys can be deleted at once, not {len(wanted)}."
            )
        async with self._turns.of(wanted):
            bucket = await self.opened()
            with explained("delete"):
                await bucket.threads.run(bucket.store.delete, wanted)

    @starts
    async def list(self, options: Any = None, /, **more: Any) -> JsObject:
        """Return ``{objects, truncated, cursor, delimitedPrefixes}``, in the order of the bytes of the keys.

        ``prefix``, ``startAfter``, ``delimiter``; ``limit`` up to 1000 counts objects and prefixes; ``cursor``, from
        a page before, goes on behind it; ``include``: which of ``httpMetadata`` and ``customMetadata`` objects have.
        """
        query = read_query(options, more)
        bucket = await self.opened()
        with explained("list"):
            return await bucket.threads.run(_list, bucket.store, query)

    @starts
    async def createMultipartUpload(self, key: str, options: Any = None, /, **more: Any) -> R2MultipartUpload:
        """Begin an object that is uploaded in parts; metadata as for `put`."""
        method = "createMultipartUpload"
        _check_key(method, key)
        metadata = _read_metadata(method, read_options(method, options, more, _METADATA))
        bucket = await self.opened()
        new = Upload(
            id=bucket.new_upload_id(), key=key, created_at=bucket.clock.now(), is_open=True, **metadata
        )
        with explained(method):
            await bucket.threads.run(bucket.store.create_upload, new)
        return R2MultipartUpload(self.opened, key, new.id)

    def resumeMultipartUpload(self, key: str, uploadId: str, /) -> R2MultipartUpload:
        """Return an upload that was begun elsewhere; whether there is one shows when it is used."""
        return R2MultipartUpload(self.opened, key, uploadId)

    async def opened(self) -> OpenBucket:
        """Return the bucket's store, opened when it is first needed."""
        if self._open_bucket is None:
            async with self._opening:
                if self._open_bucket is None:
                    self._open_bucket = await self._open()
        return self._open_bucket

    async def _open(self) -> OpenBucket:
        threads = Threads(self._name)
        forgotten = self._clock.now() - _UPLOADS_LIVE_MS
        with explained("open"):
            store = await threads.run(
                BucketStore.open, self._folder, self._clock.new_id, forget_uploads_before=forgotten
            )
        return OpenBucket(store, threads, self._clock)

    def close(self) -> None:
        """Let go of the bucket's files."""
        if self._open_bucket is not None:
            self._open_bucket.threads.close()
            self._open_bucket.store.close()
            self._open_bucket = None


def _list(store: BucketStore, query: Query) -> JsObject:
    page = find_page(store, query)
    return JsObject(
        objects=[R2Object(one, store.open_blob, include=query.include) for one in page.objects],
        truncated=page.cursor is not None,
        cursor=page.cursor,
        delimitedPrefixes=page.prefixes,
    )


def _check_key(method: str, key: Any) -> None:
    if not isinstance(key, str):
        raise wrong_type(f"{method}: a key is text, not {type(key).__name__}")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise INVALID_NAME.of(method) from None
    if not 1 <= size <= _LONGEST_KEY:
        raise INVALID_NAME.of(method)


def _read_metadata(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "http_metadata": read_http(method, options.get("httpMetadata")),
        "custom_metadata": read_custom(method, options.get("customMetadata")),
        "storage_class": read_storage_class(method, options.get("storageClass")),
    }
