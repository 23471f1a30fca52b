"""Values to bytes."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from wrangler_py.serde.records import Record
from wrangler_py.serde.refusals import NotSerialisableError, RpcTypeError

_SCALARS = frozenset({type(None), bool, str})
_FLAT = frozenset({type(None), bool, str, int})
_TEXT = frozenset({str})
_INT64 = 1 << 63
_encoder = msgspec.json.Encoder()


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
