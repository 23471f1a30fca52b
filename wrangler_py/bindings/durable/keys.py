"""``ctx.storage.kv``: values under keys, at once; what the asynchronous methods of ``ctx.storage`` do as well."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from wrangler_py.bindings.failures import ObjectError
from wrangler_py.errors import StateError, StoreUnavailableError
from wrangler_py.serde import decode, encode
from wrangler_py.storage.durable import ObjectFile, Span

#: Docs, "Limits" of Durable Objects with SQLite storage: bytes of a key and of a value, keys of one call.
MAX_KEY = 2048
MAX_VALUE = 2 * 1024 * 1024
MAX_KEYS = 128
_LIST = frozenset(
    {"start", "startAfter", "start_after", "end", "prefix", "reverse", "limit", "allowConcurrency", "noCache"}
)


class KeyValues:
    """Values under keys, in the order of the keys' UTF-8 bytes; values as python-sdk, section 4 has them."""

    def __init__(self, file: ObjectFile) -> None:
        self._file = file

    def get(self, key: str, /) -> Any:
        """Return the value of a key, None if there is none."""
        require_key(key)
        with explained():
            found = self._file.get(key)
        return None if found is None else decode(found)

    def get_all(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those keys that are there, in order."""
        with explained():
            found = [(key, self._file.get(key)) for key in sorted(keys)]
        return {key: decode(value) for key, value in found if value is not None}

    def put(self, key: str, value: Any, /) -> None:
        """Set the value of a key.

        Raises:
            ObjectError: the key or the value is too large (Cloudflare's RangeError).
            TypeError: the value cannot be stored.
        """
        self.put_all({key: value})

    def put_all(self, entries: Mapping[str, Any]) -> None:
        """Set several values; none if one of them is refused."""
        ready = [(require_key(key), _stored(value)) for key, value in entries.items()]
        with explained():
            for key, value in ready:
                self._file.put(key, value)

    def delete(self, key: str, /) -> bool:
        """Remove a key; say whether it was there."""
        require_key(key)
        with explained():
            return self._file.delete(key)

    def list(self, options: Mapping[str, Any] | None = None, /, **named: Any) -> Iterator[tuple[str, Any]]:
        """Give keys and values; options: ``start``, ``startAfter``, ``end``, ``prefix``, ``reverse``, ``limit``."""
        span = _span({**(options or {}), **named})
        with explained():
            found = self._file.scan(span)
        return ((key, decode(value)) for key, value in found)


@contextmanager
def explained() -> Iterator[None]:
    """Raise what SQLite or the file system refuses as ObjectError, in the form of Cloudflare's messages."""
    try:
        yield
    except sqlite3.Error as error:
        raise storage_error(error) from error
    except (StateError, StoreUnavailableError) as error:
        raise ObjectError(str(error)) from error


def storage_error(error: sqlite3.Error) -> ObjectError:
    """Return SQLite's message with the name of its code behind it: ``no such table: t: SQLITE_ERROR``."""
    name = getattr(error, "sqlite_errorname", None)
    return ObjectError(str(error) if name is None else f"{error}: {'_'.join(name.split('_')[:2])}")


def require_key(key: object) -> str:
    """Return a key; raise ObjectError if it cannot be one."""
    if not isinstance(key, str):
        raise ObjectError(f"a key is a str, not {type(key).__name__}", name="TypeError")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ObjectError(
            "a key is text that UTF-8 can say, without lone surrogates", name="TypeError"
        ) from None
    if size > MAX_KEY:
        raise ObjectError(f"Keys cannot be larger than {MAX_KEY} bytes.", name="RangeError")
    return key


def require_keys(keys: Iterable[Any]) -> list[str]:
    """Return the keys of one call; raise ObjectError if they are too many or one cannot be a key."""
    found = [require_key(key) for key in keys]
    if len(found) > MAX_KEYS:
        raise ObjectError(f"Maximum number of keys is {MAX_KEYS}.", name="RangeError")
    return found


def _stored(value: Any) -> bytes:
    data = encode(value)
    # Bytes are base64 on disk, which is not the user's concern.
    size = len(value) if isinstance(value, bytes | memoryview) else len(data)
    if size > MAX_VALUE:
        raise ObjectError(f"Values cannot be larger than {MAX_VALUE} bytes.", name="RangeError")
    return data


def _span(options: Mapping[str, Any]) -> Span:
    if unknown := sorted(set(options) - _LIST):
        raise ObjectError(f"list() has no option {unknown[0]!r}", name="TypeError")
    start, end, prefix = options.get("start"), options.get("end"), options.get("prefix") or ""
    after = options.get("startAfter", options.get("start_after"))
    limit = options.get("limit")
    if start is not None and after is not None:
        raise ObjectError("list() cannot be called with both start and startAfter values.", name="TypeError")
    if limit is not None and limit <= 0:
        raise ObjectError("List limit must be positive.", name="TypeError")
    behind = _behind(prefix)
    return Span(
        first=max(start or "", prefix),
        start_after=after,
        end=behind if end is None else end if behind is None else min(end, behind),
        limit=-1 if limit is None else limit,
        back=bool(options.get("reverse")),
    )


def _behind(prefix: str) -> str | None:
    """Return the first text behind all that begin with ``prefix``, None if there is no such text.

    Code points, Python's order of texts, and UTF-8 bytes, SQLite's, are the same order; surrogates are not in it.
    """
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)
