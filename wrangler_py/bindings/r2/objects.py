"""What a bucket hands out: `R2Object`, and with its bytes `R2ObjectBody`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, MutableMapping
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.r2.digests import CHECKSUMS
from wrangler_py.bindings.r2.metadata import write_headers
from wrangler_py.bindings.r2.refusals import explained, wrong_type
from wrangler_py.sdk.js.dates import Date
from wrangler_py.sdk.js.streams import ReadableStream
from wrangler_py.sdk.js.web import Blob
from wrangler_py.sdk.pyodide.ffi import JsBuffer, JsObject, to_js

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable

    from wrangler_py.bindings.r2.ranges import Span
    from wrangler_py.bindings.r2.threads import Threads
    from wrangler_py.storage.r2 import OpenBlob, StoredObject

#: Bytes that a stream reads at a time.
_CHUNK = 1 << 20
HTTP, CUSTOM = "httpMetadata", "customMetadata"


class R2Checksums:
    """Checksums as bytes, None where there is none; ``toJSON()`` has those there are, hexadecimal.

    The MD5 of an object over 8 MiB is computed when it is first asked for, which reads the object.
    """

    def __init__(self, stored: StoredObject, open_blob: Callable[[str], OpenBlob]) -> None:
        self._stored, self._open = stored, open_blob
        self._known = dict(stored.checksums)

    def __getattr__(self, name: str) -> JsBuffer | None:
        if name not in CHECKSUMS:
            raise AttributeError(f"there is no checksum {name!r}; there are: {', '.join(CHECKSUMS)}")
        known = self._all() if name == "md5" else self._known
        return JsBuffer(bytes.fromhex(known[name])) if name in known else None

    def toJSON(self) -> JsObject:
        """Return the checksums there are, hexadecimal."""
        known = self._all()
        return JsObject((name, known[name]) for name in CHECKSUMS if name in known)

    def _all(self) -> dict[str, str]:
        # An object of parts has no MD5 on Cloudflare either.
        if "md5" not in self._known and "-" not in self._stored.etag:
            try:
                self._known["md5"] = _md5(self._open(self._stored.blob), self._stored.size)
            except FileNotFoundError:
                # Replaced or deleted since.
                return self._known
        return self._known

    def __repr__(self) -> str:
        return f"R2Checksums({self._known})"


def _md5(blob: OpenBlob, size: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for offset in range(0, size, _CHUNK):
        digest.update(blob.read(offset, min(_CHUNK, size - offset)))
    return digest.hexdigest()


class R2Object:
    """An object without its bytes. ``uploaded`` is naive UTC; ``range`` is what a get was for."""

    def __init__(
        self,
        stored: StoredObject,
        open_blob: Callable[[str], OpenBlob],
        *,
        span: Span | None = None,
        include: Collection[str] = (HTTP, CUSTOM),
    ) -> None:
        self.key, self.version, self.size, self.etag = stored.key, stored.version, stored.size, stored.etag
        self.httpEtag = f'"{stored.etag}"'
        self.uploaded = Date.at(stored.uploaded_at)
        self.checksums = R2Checksums(stored, open_blob)
        self.storageClass = stored.storage_class
        self.range = None if span is None else JsObject(offset=span.offset, length=span.length)
        self.httpMetadata = _shown_http(stored) if HTTP in include else None
        self.customMetadata = JsObject(stored.custom_metadata) if CUSTOM in include else None
        self._stored = stored

    def writeHttpMetadata(self, headers: MutableMapping[str, str]) -> None:
        """Set the headers that the HTTP metadata stands for: ``content-type`` and so on."""
        if self.httpMetadata is None:
            raise wrong_type(
                f"HTTP metadata unknown for key `{self.key}`. "
                "Did you forget to add 'httpMetadata' to `include` when listing?"
            )
        write_headers(self._stored.http_metadata, headers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r}, {self.size} bytes, etag {self.etag})"


def _shown_http(stored: StoredObject) -> JsObject:
    return JsObject(
        (name, Date.at(value) if isinstance(value, int) else value)
        for name, value in stored.http_metadata.items()
    )


class R2ObjectBody(R2Object):
    """An object and its bytes, or the part of them that ``range`` names. They are read once."""

    def __init__(
        self,
        stored: StoredObject,
        open_blob: Callable[[str], OpenBlob],
        *,
        span: Span,
        content: Content,
    ) -> None:
        super().__init__(stored, open_blob, span=span)
        self.body = ReadableStream(content)
        self._content = content

    @property
    def bodyUsed(self) -> bool:
        """True if the bytes were read."""
        return self.body.used

    async def text(self) -> str:
        """Return the bytes as UTF-8 text."""
        return (await self.bytes()).decode("utf-8-sig", errors="replace")

    async def json(self) -> Any:
        """Return the JSON value that the bytes are; objects have attribute access."""
        return to_js(json.loads(await self.text()))

    async def bytes(self) -> JsBuffer:
        """Return the bytes."""
        return JsBuffer(await self._read())

    async def arrayBuffer(self) -> JsBuffer:
        """Return the bytes."""
        return JsBuffer(await self._read())

    async def blob(self) -> Blob:
        """Return the bytes as a blob of the object's content type."""
        content_type = self._stored.http_metadata.get("contentType")
        return Blob(await self._read(), str(content_type) if content_type else None)

    async def _read(self) -> builtins.bytes:
        try:
            self.body.take()
        except OSError:
            raise wrong_type(
                "Body has already been used. It can only be used once. "
                "Use tee() first if you need to read it twice."
            ) from None
        return await self._content.read_all()


class Content:
    """Bytes of an open blob, read as they are asked for. They stay what they are when the key gets others."""

    def __init__(self, blob: OpenBlob, span: Span, threads: Threads) -> None:
        self._blob: OpenBlob | None = blob
        self._offset, self._left = span.offset, span.length
        self._threads = threads

    def __aiter__(self) -> Content:
        return self

    async def __anext__(self) -> bytes:
        if not self._left or self._blob is None:
            raise StopAsyncIteration
        return await self._read(self._blob, min(_CHUNK, self._left))

    async def read_all(self) -> bytes:
        """Return all bytes that are left, at once."""
        return b"" if self._blob is None or not self._left else await self._read(self._blob, self._left)

    async def _read(self, blob: OpenBlob, length: int) -> bytes:
        with explained("get"):
            data = await self._threads.run(blob.read, self._offset, length)
        self._offset += length
        self._left -= length
        return data

    async def aclose(self) -> None:
        """Let go of the file."""
        self._blob = None
