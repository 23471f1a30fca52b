"""What KV takes: keys, values and options, checked and refused in Cloudflare's words (KV docs, "API" and "Limits")."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

from wrangler_py.bindings.failures import KvError
from wrangler_py.sdk.pyodide.ffi import JsNull, PyProxy
from wrangler_py.sdk.web.streams import ReadableStream, chunks_of

MAX_KEY, MAX_VALUE, MAX_METADATA = 512, 25 << 20, 1024
#: Keys on one page of a list, and in one bulk read.
MAX_LISTED, MAX_BULK = 1000, 100
#: Seconds.
MIN_CACHE_TTL, MIN_TTL = 30, 60
TYPES = ("text", "arrayBuffer", "json", "stream")
BULK_TYPES = ("text", "json")


class PutOptions(NamedTuple):
    """When an entry expires (ms since 1970), and its metadata as JSON."""

    expires_at: int | None = None
    metadata: str | None = None


class ListOptions(NamedTuple):
    """Which keys to list: those that begin with ``prefix`` and come after ``after``, up to ``limit`` of them."""

    prefix: bytes
    after: bytes | None
    limit: int


def refused(method: str, status: int, reason: str) -> KvError:
    """Return the error of a request that KV answers with ``status``."""
    return KvError(f"KV {method} failed: {status} {reason}")


def type_error(message: str) -> KvError:
    """Return JavaScript's TypeError."""
    return KvError(message, name="TypeError")


def read_key(key: object, method: str) -> bytes:
    """Return a key as it is stored; raise KvError if KV has no such keys."""
    if not isinstance(key, str):
        raise type_error(f"KV keys are strings, not {type(key).__name__}.")
    if not key:
        raise type_error("Key name cannot be empty.")
    if key in {".", ".."}:
        raise type_error(f'"{key}" is not allowed as a key name.')
    return _within_limit(key, method)


def _within_limit(key: str, method: str) -> bytes:
    try:
        data = key.encode()
    except UnicodeEncodeError:
        raise type_error(f"The key {key!r} is not valid Unicode.") from None
    if len(data) > MAX_KEY:
        size = f"UTF-8 encoded length of {len(data)} exceeds key length limit of {MAX_KEY}."
        raise refused(method, 414, size)
    return data


def read_type(options: object, kind: str | None, cache_ttl: object) -> str:
    """Return the type that is asked for: ``options`` is one, or ``{"type", "cacheTtl"}``; the others are keywords."""
    if isinstance(options, str):
        kind = options
    elif options is not None:
        wanted = merged(options, {"type": kind, "cacheTtl": cache_ttl})
        kind, cache_ttl = wanted.get("type"), wanted.get("cacheTtl")
    if cache_ttl is not None and (_whole(cache_ttl) or 0) < MIN_CACHE_TTL:
        reason = f"Invalid cache_ttl of {cache_ttl}. Cache TTL must be at least {MIN_CACHE_TTL}."
        raise refused("GET", 400, reason)
    if (kind or "text") not in TYPES:
        possible = '"text", "arrayBuffer", "json", and "stream"'
        raise type_error(f"Unknown response type. Possible types are {possible}.")
    return kind or "text"


def check_bulk(keys: list[Any], kind: str) -> None:
    """Raise KvError if so many keys cannot be read at once, or not as ``kind``."""
    if kind not in BULK_TYPES:
        raise refused("GET_BULK", 400, f'"{kind}" is not a valid type. Use "json" or "text"')
    if len(keys) > MAX_BULK:
        raise refused("GET_BULK", 400, f"You can request a maximum of {MAX_BULK} keys")
    if not keys:
        raise refused("GET_BULK", 400, "You must request a minimum of 1 key")


async def read_value(value: object) -> bytes:
    """Return a value as it is stored; a stream is used up."""
    if isinstance(value, PyProxy):
        value = value.unwrap()
    if isinstance(value, str):
        data = value.encode("utf-8", "replace")
    elif isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
    elif isinstance(value, ReadableStream):
        data = await _collect(value)
    else:
        accepted = (
            "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values."
        )
        raise type_error(f"{accepted} (This one is of type {type(value).__name__}.)")
    _check_size(len(data))
    return data


async def _collect(stream: ReadableStream) -> bytes:
    """Return a stream's bytes; no more of them are held than a value may have."""
    source, data = stream.take(), bytearray()
    # The user's code gives the chunks: it may belong to one task from its first step on (see `bindings.started`).
    await asyncio.sleep(0)
    async for chunk in chunks_of(source):
        data += chunk
        _check_size(len(data))
    return bytes(data)


def _check_size(size: int) -> None:
    if size > MAX_VALUE:
        raise refused("PUT", 413, f"Value length of {size} exceeds limit of {MAX_VALUE}.")


def read_put(options: object, given: Mapping[str, Any], now: int) -> PutOptions:
    """Return what ``put`` was asked for besides key and value; ``now`` in ms since 1970."""
    wanted = merged(options, given)
    return PutOptions(_expiry(wanted, now // 1000), _metadata(wanted.get("metadata")))


def _expiry(wanted: Mapping[str, Any], now: int) -> int | None:
    """Return when an entry expires, in ms since 1970; ``now`` in seconds. A TTL goes before an instant."""
    if (ttl := wanted.get("expirationTtl")) is not None:
        return 1000 * (now + _ttl(ttl))
    instant = wanted.get("expiration")
    return None if instant is None else 1000 * _instant(instant, now)


def _ttl(given: object) -> int:
    seconds, what = _whole(given), f"Invalid expiration_ttl of {given}."
    if seconds is None or seconds <= 0:
        raise refused("PUT", 400, f"{what} Please specify integer greater than 0.")
    if seconds < MIN_TTL:
        raise refused("PUT", 400, f"{what} Expiration TTL must be at least {MIN_TTL}.")
    return seconds


def _instant(given: object, now: int) -> int:
    seconds, what = _whole(given), f"Invalid expiration of {given}."
    if seconds is None or seconds <= now:
        least = "integer greater than the current number of seconds since the UNIX epoch"
        raise refused("PUT", 400, f"{what} Please specify {least}.")
    if seconds < now + MIN_TTL:
        raise refused(
            "PUT", 400, f"{what} Expiration times must be at least {MIN_TTL} seconds in the future."
        )
    return seconds


def _metadata(value: object) -> str | None:
    if value is None or isinstance(value, JsNull):
        return None
    from wrangler_py.sdk.js.values import JSON

    try:
        text = JSON.stringify(value)
    except (TypeError, ValueError) as error:
        raise type_error(f"Metadata must be JSON: {error}") from None
    if (size := len(text.encode("utf-8", "replace"))) > MAX_METADATA:
        raise refused("PUT", 413, f"Metadata length of {size} exceeds limit of {MAX_METADATA}.")
    return text


def read_list(options: object, given: Mapping[str, Any]) -> ListOptions:
    """Return which keys ``list`` was asked for."""
    wanted = merged(options, given)
    prefix, cursor = wanted.get("prefix") or "", wanted.get("cursor")
    if not isinstance(prefix, str):
        raise type_error(f"A prefix is a string, not {type(prefix).__name__}.")
    after = read_cursor(cursor) if cursor else None
    return ListOptions(_within_limit(prefix, "GET"), after, _limit(wanted.get("limit")))


def _limit(given: object) -> int:
    if given is None:
        return MAX_LISTED
    limit, what = _whole(given), f"Invalid key_count_limit of {given}."
    if limit is None or limit < 1:
        raise refused("GET", 400, f"{what} Please specify an integer greater than 0.")
    if limit > MAX_LISTED:
        raise refused("GET", 400, f"{what} Please specify an integer less than {MAX_LISTED}.")
    return limit


def make_cursor(last: bytes) -> str:
    """Return the cursor of the page behind the one that ends with the key ``last``."""
    return base64.urlsafe_b64encode(last).decode()


def read_cursor(cursor: object) -> bytes:
    """Return the key that a cursor stands for: it says where to go on, whatever is written meanwhile."""
    try:
        return base64.b64decode(str(cursor), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise refused("GET", 400, "Invalid cursor. Please pass on the cursor of the page before.") from None


def merged(options: object, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return trailing options, an object or keywords, as one mapping; raise KvError if they are something else."""
    if options is None or isinstance(options, JsNull):
        return given
    if not isinstance(options, Mapping):
        raise type_error(f"Options are an object such as {{...}}, not {type(options).__name__}.")
    return {**options, **{name: value for name, value in given.items() if value is not None}}


def _whole(value: object) -> int | None:
    """Return a number that is whole as int, None for any other thing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        return None
    return int(value)
