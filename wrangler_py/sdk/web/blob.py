"""`Blob` and `File`: bytes with a content type, and with a name."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import builtins


class BlobEnding(StrEnum):
    """What becomes of line ends in text parts: kept, or made ``\\n``."""

    TRANSPARENT = "transparent"
    NATIVE = "native"


class Blob:
    """Bytes that do not change, put together from text, bytes and other blobs."""

    def __init__(
        self,
        blob_parts: Iterable[BlobValue] | BlobValue,
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
    ) -> None:
        native = BlobEnding(endings or BlobEnding.TRANSPARENT) is BlobEnding.NATIVE
        self._data = b"".join(_part(part, native=native) for part in _parts(blob_parts))
        inherited = blob_parts.content_type if isinstance(blob_parts, Blob) else ""
        self._content_type = content_type or inherited

    @property
    def size(self) -> int:
        """How many bytes."""
        return len(self._data)

    @property
    def content_type(self) -> str:
        """The media type, or an empty text."""
        return self._content_type

    @property
    def js_object(self) -> Any:
        """The blob itself."""
        return self

    async def text(self) -> str:
        """Return the bytes as UTF-8 text."""
        return self._data.decode(errors="replace")

    async def bytes(self) -> builtins.bytes:
        """Return the bytes."""
        return self._data

    def slice(
        self, start: int | None = None, end: int | None = None, content_type: str | None = None
    ) -> Blob:
        """Return a part of it, from ``start`` to before ``end``; negative numbers count from the end."""
        return Blob([self._data[start:end]], content_type)

    def content(self) -> builtins.bytes:
        """Return the bytes at once."""
        return self._data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size} bytes, {self._content_type!r})"


class File(Blob):
    """A blob with a name and a time of last change (milliseconds since 1970)."""

    def __init__(
        self,
        blob_parts: Iterable[BlobValue] | BlobValue,
        filename: str,
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
        last_modified: int | None = None,
    ) -> None:
        super().__init__(blob_parts, content_type, endings)
        self._name = filename
        inherited = blob_parts.last_modified if isinstance(blob_parts, File) else None
        given = inherited if last_modified is None else last_modified
        self._last_modified = time.time_ns() // 1_000_000 if given is None else given

    @property
    def name(self) -> str:
        """The file's name."""
        return self._name

    @property
    def last_modified(self) -> int:
        """Milliseconds since 1970."""
        return self._last_modified


BlobValue = str | bytes | bytearray | memoryview | Blob


def _parts(given: Any) -> Iterable[Any]:
    return [given] if isinstance(given, BlobValue) or not isinstance(given, Iterable) else given


def _part(part: Any, *, native: bool) -> bytes:
    if isinstance(part, str):
        return (re.sub(r"\r\n?", "\n", part) if native else part).encode()
    if isinstance(part, Blob):
        return part.content()
    if isinstance(part, bytes | bytearray | memoryview):
        return bytes(part)
    raise TypeError(f"a Blob is made of str, bytes and Blobs, not {type(part).__name__}")
