"""Values to bytes and back.

Stored values are JSON. What JSON has no word for is an object with one key that starts with ``$``::

    {"$bytes": "<base64>"}   {"$date": <ms since 1970>}   {"$set": [...]}   {"$float": "nan"}   {"$int": "<digits>"}
    {"$dict": {...}}         a user's own dict of one key that starts with "$"
    {"$stream": {...}}       a step's stream (`engine.instance.streams`), only on its own

`encode` accepts exactly the values of python-sdk.md, section 4, and names the path of the first one it cannot take.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

_SCALARS = frozenset({type(None), bool, str})
_FLAT = frozenset({type(None), bool, str, int})
_TEXT = frozenset({str})
_INT64 = 1 << 63
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class NotSerialisableError(TypeError):
    """A value that cannot be stored. ``path`` says where it stands inside the whole, as ``["rows"][3]``."""

    def __init__(self, value: object, path: str, advice: str) -> None:
        where = f" at {path}" if path else ""
        self.path, self._value, self._advice = path, f"a value of type {type(value).__name__}{where}", advice
        super().__init__(self.saying("cannot be stored"))

    def saying(self, what: str) -> str:
        """Return the message for another use than storing it: ``what`` as "cannot be sent"."""
        return f"{self._value} {what}; {self._advice}"


class RpcTypeError(NotSerialisableError):
    """A tuple or bytearray, refused in Cloudflare's own words (python-sdk, section 4)."""

    def __init__(self, value: object, path: str) -> None:
        TypeError.__init__(self, f"{type(value)} cannot be sent over RPC.")
        self.path = path

    def saying(self, what: str) -> str:
        """Return Cloudflare's own words, which know of no other use."""
        _ = what
        return str(self)


class Record(dict[str, Any]):
    """A dict whose entries are attributes too: ``row["v"]`` or ``row.v``; dict's own methods win."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"no entry {name!r}; there are: {', '.join(map(str, self)) or 'none'}"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None


class ErrorRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it is stored: ``name`` and ``message`` are shown; the rest lets `run()` get the same one back."""

    name: str
    message: str
    #: ``module:qualname`` of the exception's class, to find the class again on replay.
    type: str = ""
    #: The user's own frames, for the terminal; not part of any API.
    traceback: str = ""
    non_retryable: bool = False


def encode(value: object) -> bytes:
    """Return ``value`` as JSON bytes.

    Raises:
        RpcTypeError: a tuple or bytearray, at any depth.
        NotSerialisableError: any other value without a stored form; the message names its type, path and what to use.
    """
    try:
        return _encoder.encode(value if _is_flat(value) else _wrap(value, ""))
    except OverflowError:
        return _encoder.encode(_wrap(value, ""))


def _is_flat(value: object) -> bool:
    """Say whether JSON has a word for all of ``value``, as for most of what steps return (ints may be too large)."""
    kind = type(value)
    if kind is dict:
        assert isinstance(value, dict)
        return (
            len(value) > 1
            and _FLAT.issuperset(map(type, value.values()))
            and _TEXT.issuperset(map(type, value))
        )
    return kind in _FLAT


def decode(data: bytes) -> Any:
    """Return the value that `encode` made ``data`` from; dicts come back as `Record`."""
    return _unwrap(_decoder.decode(data))


def to_json(data: bytes | None) -> Any:
    """Return stored bytes as the plain JSON value that APIs and screens show (None for None).

    Bytes show as base64, datetimes as ISO 8601, sets as lists.
    """
    return None if data is None else _unwrap(_decoder.decode(data), _SHOWN)


# encoding ------------------------------------------------------------------------------------------------------------


def _wrap(value: Any, path: str) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    wrapper = _WRAPPERS.get(kind)
    if wrapper is None:
        wrapper = _wrapper_for_subclass(value, path)
    return wrapper(value, path)


def _wrap_list(value: list[Any], path: str) -> Any:
    if _SCALARS.issuperset(map(type, value)):
        return value
    return [_wrap(item, f"{path}[{index}]") for index, item in enumerate(value)]


def _wrap_dict(value: dict[Any, Any], path: str) -> Any:
    wrapped = {}
    for key, item in value.items():
        if type(key) is not str:
            raise NotSerialisableError(
                key, f"key {key!r} of {path or 'the value'}", "keys of a dict must be str"
            )
        wrapped[key] = item if type(item) in _SCALARS else _wrap(item, f"{path}[{key!r}]")
    if len(wrapped) == 1 and key.startswith("$"):
        return {"$dict": wrapped}
    return wrapped


def _wrap_int(value: int, _: str) -> Any:
    return value if -_INT64 <= value < _INT64 else {"$int": str(value)}


def _wrap_float(value: float, _: str) -> Any:
    return value if math.isfinite(value) else {"$float": str(value)}


def _wrap_bytes(value: bytes | memoryview, _: str) -> Any:
    return {"$bytes": base64.b64encode(value).decode()}


def _wrap_set(value: Iterable[Any], path: str) -> Any:
    items = [_wrap(item, path) for item in value]
    return {"$set": sorted(items, key=lambda item: (type(item).__name__, str(item)))}


def _wrap_datetime(value: datetime, _: str) -> Any:
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    return {"$date": (moment - _EPOCH) // timedelta(milliseconds=1)}


def _refuse_rpc(value: object, path: str) -> Any:
    raise RpcTypeError(value, path)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRAPPERS: dict[type, Callable[[Any, str], Any]] = {
    int: _wrap_int,
    float: _wrap_float,
    list: _wrap_list,
    dict: _wrap_dict,
    Record: _wrap_dict,
    bytes: _wrap_bytes,
    memoryview: _wrap_bytes,
    set: _wrap_set,
    datetime: _wrap_datetime,
    tuple: _refuse_rpc,
    bytearray: _refuse_rpc,
}
_ADVICE: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (date, "use an ISO string or a datetime"),
    (timedelta, "use a number of milliseconds"),
    (Decimal, "use a str or a float"),
    (frozenset, "use a set or a list"),
)


def _wrapper_for_subclass(value: object, path: str) -> Callable[[Any, str], Any]:
    for kind in (str, bool, int, float, list, dict, bytes, datetime):
        if isinstance(value, kind):
            return _WRAPPERS.get(kind, lambda item, _: str(item))
    if isinstance(value, tuple):
        return _refuse_rpc
    if getattr(type(value), "__name__", "") == "JsNull":
        return lambda *_: None
    raise NotSerialisableError(value, path, _advice(value))


def _advice(value: object) -> str:
    for kinds, advice in _ADVICE:
        if isinstance(value, kinds):
            return advice
    if callable(value):
        return "functions do not survive a restart: return data"
    if hasattr(type(value), "__dataclass_fields__"):
        return "use dataclasses.asdict()"
    return "use a dict, list, str, number, bool, None, bytes or datetime"


# decoding ------------------------------------------------------------------------------------------------------------


_Decoders = dict[str, Callable[[Any, Any], Any]]


def _unwrap(value: Any, tags: _Decoders | None = None) -> Any:
    kind = type(value)
    if kind is dict:
        return _unwrap_dict(value, _NATIVE if tags is None else tags)
    if kind is list:
        if not _SCALARS_READ.issuperset(map(type, value)):
            return [_unwrap(item, tags) for item in value]
        return value
    return value


def _unwrap_dict(value: dict[str, Any], tags: _Decoders) -> Any:
    if len(value) == 1:
        ((tag, inner),) = value.items()
        if tag[:1] == "$" and tag in tags:
            return tags[tag](inner, tags)
    return _plain_dict(value, tags)


def _plain_dict(value: dict[str, Any], tags: _Decoders) -> Any:
    make = Record if tags is _NATIVE else dict
    if _SCALARS_READ.issuperset(map(type, value.values())):
        return make(value)
    return make((k, v if type(v) in _SCALARS_READ else _unwrap(v, tags)) for k, v in value.items())


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
