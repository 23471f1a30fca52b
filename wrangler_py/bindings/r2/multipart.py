"""Multipart uploads (R2 docs, "Multipart upload"): parts in any order, made one object at the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.failures import R2Error
from wrangler_py.bindings.r2.digests import Digests, multipart_etag
from wrangler_py.bindings.r2.options import read_whole
from wrangler_py.bindings.r2.refusals import (
    NO_SUCH_PART,
    NO_SUCH_UPLOAD,
    TOO_SMALL,
    UNEVEN_PARTS,
    explained,
    wrong_type,
)
from wrangler_py.bindings.r2.values import source_of
from wrangler_py.bindings.started import starts
from wrangler_py.sdk.pyodide.ffi import JsObject
from wrangler_py.storage.r2 import Part, StoredObject, Upload
from wrangler_py.storage.waiting import waited

if TYPE_CHECKING:
    from wrangler_py.bindings.r2.objects import R2Object
    from wrangler_py.bindings.r2.opened import OpenBucket
    from wrangler_py.storage.r2 import NewBlob

#: R2 docs, "Limits".
_MOST_PARTS = 10_000
SMALLEST_PART = 5 << 20


class R2MultipartUpload:
    """One upload: ``key`` and ``uploadId`` say which, in whatever process it is resumed."""

    def __init__(self, opened: Callable[[], Awaitable[OpenBucket]], key: str, upload_id: str) -> None:
        self.key = key
        self.uploadId = upload_id
        self._opened = opened

    @starts
    async def uploadPart(self, partNumber: int, value: Any, options: Any = None, /) -> JsObject:
        """Store a part, in the place of one of the same number; return its ``{partNumber, etag}``.

        Raises:
            R2Error: there is no such upload, or none any more; the number is not from 1 to 10000.
        """
        _ = options
        number = _read_number(partNumber)
        source = source_of("uploadPart", value)
        bucket = await self._opened()
        await self._find(bucket, "uploadPart")
        digests = Digests()

        def commit(blob: NewBlob, _: int) -> Part:
            part = Part(self.uploadId, number, blob.name, blob.size, digests.md5 or bucket.new_version())
            if not bucket.store.put_part(part, blob):
                raise NO_SUCH_UPLOAD.of("uploadPart")
            return part

        part = await bucket.intake.take("uploadPart", source, digests, commit)
        return JsObject(partNumber=number, etag=part.etag)

    @starts
    async def complete(self, uploadedParts: Iterable[Any], /) -> R2Object:
        """Make one object of parts, given as `uploadPart` returned them; the others are dropped.

        Raises:
            R2Error: a part is not there or too small, parts differ in size, or the upload has ended.
        """
        wanted = [_read_part(part) for part in uploadedParts]
        bucket = await self._opened()
        upload = await self._find(bucket, "completeMultipartUpload")
        parts = choose_parts(await waited(bucket.store.parts, upload.id), wanted)
        return bucket.shown(await self._put_together(bucket, upload, parts))

    async def _put_together(self, bucket: OpenBucket, upload: Upload, parts: list[Part]) -> StoredObject:
        method = "completeMultipartUpload"
        async with bucket.intake.blob(method) as blob:
            for part in parts:
                await bucket.threads.run(_append, bucket, blob, part)
            new = StoredObject(
                key=upload.key,
                blob=blob.name,
                version=bucket.new_version(),
                size=blob.size,
                etag=multipart_etag(part.etag for part in parts),
                uploaded_at=bucket.clock.now(),
                checksums={},
                http_metadata=upload.http_metadata,
                custom_metadata=upload.custom_metadata,
                storage_class=upload.storage_class,
            )
            with explained(method):
                is_first = await bucket.threads.run(bucket.store.complete, upload, new, blob)
        if not is_first:
            raise NO_SUCH_UPLOAD.of(method)
        return new

    @starts
    async def abort(self) -> None:
        """End the upload and drop its parts; does nothing if it has ended already."""
        bucket = await self._opened()
        with explained("abortMultipartUpload"):
            upload = await waited(bucket.store.find_upload, self.uploadId, self.key)
        if upload is None:
            raise NO_SUCH_UPLOAD.of("abortMultipartUpload")
        with explained("abortMultipartUpload"):
            await bucket.threads.run(bucket.store.abort, upload)

    async def _find(self, bucket: OpenBucket, method: str) -> Upload:
        with explained(method):
            upload = await waited(bucket.store.find_upload, self.uploadId, self.key)
        if upload is None or not upload.is_open:
            raise NO_SUCH_UPLOAD.of(method)
        return upload

    def __repr__(self) -> str:
        return f"R2MultipartUpload({self.key!r}, {self.uploadId!r})"


def _append(bucket: OpenBucket, blob: NewBlob, part: Part) -> None:
    method = "completeMultipartUpload"
    try:
        source = bucket.store.open_blob(part.blob)
    except FileNotFoundError:
        # Another caller completed or aborted the upload, or put the part anew, a moment ago.
        raise NO_SUCH_UPLOAD.of(method) from None
    with explained(method):
        blob.append(source)


def choose_parts(uploaded: Iterable[Part], wanted: list[tuple[int, str]]) -> list[Part]:
    """Return the parts that were asked for by number and etag, in the order of their numbers.

    All but the last must have 5 MiB at least and one size, and the last must not be larger.

    Raises:
        R2Error.
    """
    method, there = "completeMultipartUpload", {(part.number, part.etag): part for part in uploaded}
    if not wanted or len({number for number, _ in wanted}) != len(wanted):
        raise NO_SUCH_PART.of(method)
    if any(one not in there for one in wanted):
        raise NO_SUCH_PART.of(method)
    *others, last = [there[one] for one in sorted(wanted)]
    if any(part.size < SMALLEST_PART for part in others):
        raise TOO_SMALL.of(method)
    if others and (len({part.size for part in others}) > 1 or last.size > others[0].size):
        raise UNEVEN_PARTS.of(method)
    return [*others, last]


def _read_number(given: Any) -> int:
    number = read_whole(given)
    if number is None or not 1 <= number <= _MOST_PARTS:
        raise wrong_type(
            f"Part number must be between 1 and {_MOST_PARTS} (inclusive). Actual value was: {given}"
        )
    return number


def _read_part(given: Any) -> tuple[int, str]:
    entries = given if isinstance(given, Mapping) else vars(given) if hasattr(given, "__dict__") else {}
    number = entries.get("partNumber", entries.get("part_number"))
    etag = entries.get("etag")
    if not isinstance(etag, str):
        raise R2Error("complete() is given what uploadPart() returned: {partNumber, etag}", name="TypeError")
    return _read_number(number), etag
