"""Bytes to values, and to what APIs and screens show."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from wrangler_py.serde.records import Record

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_decoder = msgspec.json.Decoder()
_Decoders = dict[str, Callable[[Any, Any], Any]]


def decode(data: bytes) -> Any:
    """Return the value that `encode` made ``data`` from; dicts come back as `Record`."""
    return _unwrap(_decoder.decode(data), _NATIVE)


def unpack(plain: Any) -> Any:
    """Return the value that ``plain`` stands for: JSON as `encode` writes it, already read."""
    return _unwrap(plain, _NATIVE)


def to_json(data: bytes | None) -> Any:
    """Return stored bytes as the plain JSON value that APIs and screens show (None for None).

    Bytes show as base64, datetimes as ISO 8601, sets as lists. A value stored before there was `MAX_DEPTH` may be too
    deep for that: a sentence says so.
    """
    try:
        return None if data is None else _unwrap(_decoder.decode(data), _SHOWN)
    except RecursionError:
        return "[a value nested too deeply to be shown]"


def _unwrap(value: Any, tags: _Decoders) -> Any:
    kind = type(value)
    if kind is dict:
        if len(value) == 1:
            ((tag, inner),) = value.items()
            if tag[:1] == "$" and tag in tags:
                return tags[tag](inner, tags)
        return _plain_dict(value, tags)
    if kind is list and not _SCALARS_READ.issuperset(map(type, value)):
        return [item if type(item) in _SCALARS_READ else _unwrap(item, tags) for item in value]
    return value


def _plain_dict(value: dict[str, Any], tags: _Decoders) -> Any:
    make = Record if tags is _NATIVE else dict
    if _SCALARS_READ.issuperset(map(type, value.values())):
        return make(value)
    # A loop: a generator would double the frames that each level of nesting takes of the call stack.
    made: dict[str, Any] = make()
    for key, item in value.items():
        made[key] = item if type(item) in _SCALARS_READ else _unwrap(item, tags)
    return made


_SCALARS_READ = frozenset({type(None), bool, str, int, float})
_NATIVE: _Decoders = {
    "$bytes": lambda inner, _: base64.b64decode(inner),
    "$date": lambda inner, _: (_EPOCH + timedelta(milliseconds=inner)).replace(tzinfo=None),
    "$set": lambda inner, tags: {_unwrap(item, tags) for item in inner},
    "$float": lambda inner, _: float(inner),
    "$int": lambda inner, _: int(inner),
    "$dict": _plain_dict,
}
_SHOWN: _Decoders = {
    **_NATIVE,
    "$bytes": lambda inner, _: inner,
    "$date": lambda inner, _: (
        (_EPOCH + timedelta(milliseconds=inner)).isoformat(timespec="milliseconds")[:-6] + "Z"
    ),
    "$set": lambda inner, tags: [_unwrap(item, tags) for item in inner],
    "$float": lambda inner, _: inner,
    "$stream": lambda inner, _: f"[ReadableStream {inner['size']} bytes]",
}
