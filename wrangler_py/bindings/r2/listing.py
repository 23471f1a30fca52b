"""``list``: pages of keys in order, with those below a delimiter put together (R2 docs, "R2ListOptions")."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from wrangler_py.bindings.r2.objects import CUSTOM, HTTP
from wrangler_py.bindings.r2.options import read_options, read_whole
from wrangler_py.bindings.r2.refusals import INVALID_LIMIT, invalid, wrong_type
from wrangler_py.storage.r2 import StoredObject

if TYPE_CHECKING:
    from wrangler_py.storage.r2 import BucketStore

_OPTIONS = ("prefix", "limit", "cursor", "delimiter", "startAfter", "include")
_MOST = 1000
#: Greater than every key: no byte of UTF-8 is as great.
_BEHIND_ALL = b"\xff"


class Query(NamedTuple):
    """What is asked for. ``start`` is the first key that may be listed."""

    prefix: bytes
    start: bytes
    delimiter: bytes
    limit: int
    include: tuple[str, ...]


class Page(NamedTuple):
    """What is found. ``cursor`` is where the next page starts; None: this is the last one."""

    objects: list[StoredObject]
    prefixes: list[str]
    cursor: str | None


def read_query(given: Any, more: Mapping[str, Any]) -> Query:
    """Return the options of ``list``; raise R2Error for wrong ones."""
    options = read_options("list", given, more, _OPTIONS)
    prefix = _text(options, "prefix").encode()
    starts = [prefix, _read_cursor(_text(options, "cursor"))]
    if "startAfter" in options:
        starts.append(_after(_text(options, "startAfter").encode()))
    delimiter = _text(options, "delimiter").encode()
    return Query(
        prefix,
        max(starts),
        delimiter,
        _read_limit(options.get("limit")),
        _read_include(options.get("include")),
    )


def _text(options: Mapping[str, Any], name: str) -> str:
    value = options.get(name, "")
    if not isinstance(value, str):
        raise wrong_type(f"list: {name} is text, not {type(value).__name__}")
    return value


def _read_limit(given: Any) -> int:
    limit = _MOST if given is None else read_whole(given)
    if limit is None or not 1 <= limit <= _MOST:
        raise INVALID_LIMIT.of("list")
    return limit


def _read_include(given: Any) -> tuple[str, ...]:
    for name in given or ():
        if name not in (HTTP, CUSTOM):
            raise wrong_type(f"Unsupported include value {name}")
    return tuple(given or ())


def find_page(store: BucketStore, query: Query) -> Page:
    """Return the objects and prefixes of a page, together as many as the limit allows.

    A prefix takes one search in the index, however many keys it stands for; none of them is decoded.
    """
    objects, prefixes, behind = list[StoredObject](), list[str](), b""
    with store.walk(query.start, _behind(query.prefix)) as walk:
        while (key := walk.next_key()) is not None:
            if len(objects) + len(prefixes) == query.limit:
                # Entries put behind the last one until then are on the next page.
                return Page(objects, prefixes, _cursor(behind))
            common = _common_prefix(key, query)
            if common is None:
                objects.append(walk.found())
                behind = _after(key)
            else:
                prefixes.append(common.decode())
                behind = _behind(common)
                walk.jump(behind)
    return Page(objects, prefixes, None)


def _common_prefix(key: bytes, query: Query) -> bytes | None:
    at = key.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
    return None if at < 0 else key[: at + len(query.delimiter)]


def _after(key: bytes) -> bytes:
    """The least key greater than ``key``."""
    return key + b"\0"


def _behind(prefix: bytes) -> bytes:
    """The least text greater than all that begin with ``prefix``."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else _BEHIND_ALL


def _cursor(start: bytes) -> str:
    return base64.urlsafe_b64encode(start).decode()


def _read_cursor(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True)
    except ValueError:
        raise invalid("list", "The cursor is not one that list() returned.") from None
