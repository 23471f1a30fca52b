"""The rows of a bucket's index. Instants are milliseconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

#: Text, or milliseconds for ``cacheExpiry``.
HttpMetadata = Mapping[str, str | int]


class StoredObject(msgspec.Struct, frozen=True):
    """An object; ``blob`` names the file that has its bytes, ``checksums`` are hexadecimal."""

    key: str
    blob: str
    version: str
    size: int
    etag: str
    uploaded_at: int
    checksums: Mapping[str, str]
    http_metadata: HttpMetadata
    custom_metadata: Mapping[str, str]
    storage_class: str


class Upload(msgspec.Struct, frozen=True):
    """A multipart upload; it is open until it is completed or aborted."""

    id: str
    key: str
    created_at: int
    is_open: bool
    http_metadata: HttpMetadata
    custom_metadata: Mapping[str, str]
    storage_class: str


class Part(msgspec.Struct, frozen=True):
    """One part of an upload; ``etag`` is hexadecimal."""

    upload: str
    number: int
    blob: str
    size: int
    etag: str
