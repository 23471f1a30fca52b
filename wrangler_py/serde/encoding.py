"""Values to bytes."""

from __future__ import annotations

import base64
import functools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from wrangler_py.serde.records import Record
from wrangler_py.serde.refusals import (
    MAX_DEPTH,
    TOO_DEEP,
    Refused,
    advice_for,
    refusal_of,
    show_key,
    type_name,
)

_SCALARS = frozenset({type(None), bool, str})
_FLAT = frozenset({type(None), bool, str, int})
_TEXT = frozenset({str})
_INT64 = 1 << 63
#: The longest int that Python turns into text unless told otherwise (`sys.get_int_max_str_digits`).
_MAX_DIGITS = 4300
_LARGEST_INT = 10**_MAX_DIGITS
_encoder = msgspec.json.Encoder()


def encode(value: object, *, around: int = 0) -> bytes:
    """Return ``value`` as JSON bytes. A subclass of a plain type is stored as what it holds, whatever it overrides.

    ``around``: levels that pywrangler has put around a user's value; they do not count towards `MAX_DEPTH`.

    Raises:
        RpcTypeError: a tuple or bytearray, at any depth.
        NotSerialisableError: any other value without a stored form; the message names its type, path and what to use.
            There is no other exception, whatever the value is made of.
    """
    try:
        return _encoder.encode(value if _is_flat(value) else _wrap(value, MAX_DEPTH + around))
    except Refused as refused:
        raise refused.told() from None
    except Exception as error:  # noqa: BLE001 - of the value's own methods, or of text that is not Unicode
        raise _diagnosis(value, MAX_DEPTH + around, error).told() from None


def pack(value: object) -> Any:
    """Return ``value`` as the JSON that `encode` would write, to be part of another record. Raises as `encode`."""
    return msgspec.json.decode(encode(value))


def _is_flat(value: object) -> bool:
    """Return True if JSON has a word for all of ``value``, as for most of what steps return."""
    kind = type(value)
    if kind is dict:
        assert isinstance(value, dict)
        return (
            _FLAT.issuperset(map(type, value.values()))
            and _TEXT.issuperset(map(type, value))
            and (len(value) != 1 or not next(iter(value)).startswith("$"))
        )
    return kind in _FLAT


def _wrap(value: Any, room: int) -> Any:
    """Return ``value`` in words of JSON; ``room``: levels of containers that may still follow."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    wrapper = _WRAPPERS.get(kind)
    if wrapper is None:
        wrapper = _wrapper_for_subclass(value)
    return wrapper(value, room)


def _wrap_list(value: list[Any], room: int) -> Any:
    if not room:
        raise Refused(value, TOO_DEEP)
    if _SCALARS.issuperset(map(type, value)):
        return value
    wrapped: list[Any] = []
    item: Any = value
    try:
        for item in value:
            wrapped.append(item if type(item) in _SCALARS else _wrap(item, room - 1))
    except Exception as error:  # noqa: BLE001 - of the value's own methods too
        raise refusal_of(error, item).inside(value, f"[{len(wrapped)}]") from None
    return wrapped


def _wrap_dict(value: dict[Any, Any], room: int) -> Any:
    if not room:
        raise Refused(value, TOO_DEEP)
    wrapped = {}
    key: Any = None
    item: Any = value
    try:
        for key, item in value.items():
            name = key if type(key) is str else _key_text(key)
            wrapped[name] = item if type(item) in _SCALARS else _wrap(item, room - 1)
    except Exception as error:  # noqa: BLE001 - of the value's own methods too
        raise refusal_of(error, item).inside(value, show_key(key)) from None
    if len(wrapped) == 1 and name.startswith("$"):
        return {"$dict": wrapped}
    return wrapped


def _key_text(key: object) -> str:
    """Return a key as JavaScript writes it where it becomes the name of a property (corrections: keys of a dict)."""
    if key is None:
        return "undefined"
    kind = type(key)
    if issubclass(kind, bool):
        return "true" if key else "false"
    if issubclass(kind, str):
        return str.__str__(key)
    if issubclass(kind, int):
        return str(_plain_int(key))  # type: ignore[arg-type]
    if issubclass(kind, float):
        return number_text(float.__float__(key))  # type: ignore[arg-type]
    raise Refused(key, _KEYS)


_KEYS = "a key of a dict is a str, number, bool or None: use str() of it, or a list of pairs"


def number_text(number: float) -> str:
    """Return a number as JavaScript's ``String(number)`` (ECMA-262, Number::toString)."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    digits, _, exponent = f"{Decimal(repr(abs(number))):e}".partition("e")
    digits = digits.replace(".", "").rstrip("0")
    point = int(exponent) + 1
    if len(digits) <= point <= 21:
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _plain_int(value: int) -> int:
    plain = int.__int__(value)
    if -_LARGEST_INT < plain < _LARGEST_INT:
        return plain
    raise Refused(value, f"a number of more than {_MAX_DIGITS} digits: use a str, as hex() makes one")


def _wrap_int(value: int, _: int) -> Any:
    if -_INT64 <= value < _INT64:
        return value
    return {"$int": str(_plain_int(value))}


def _wrap_float(value: float, _: int) -> Any:
    return value if math.isfinite(value) else {"$float": str(value)}


def _wrap_bytes(value: bytes | memoryview, _: int) -> Any:
    return {"$bytes": base64.b64encode(value).decode()}


def _wrap_set(value: Iterable[Any], room: int) -> Any:
    if not room:
        raise Refused(value, TOO_DEEP)
    items = [_wrap(item, room - 1) for item in value]
    return {"$set": sorted(items, key=lambda item: (type(item).__name__, str(item)))}


def _wrap_datetime(value: datetime, _: int) -> Any:
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    since = (moment - _EPOCH) // timedelta(milliseconds=1)
    if not _FIRST_MS <= since <= _LAST_MS:
        raise Refused(value, "in UTC it is not in the years 1 to 9999: use a number or a str")
    return {"$date": since}


def _refuse_rpc(value: object, _: int) -> Any:
    raise Refused(value)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_WRAPPERS: dict[type, Callable[[Any, int], Any]] = {
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
#: Conversions of a subclass to the plain value it holds, past any method it overrides.
_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (list, lambda value: list(list.__iter__(value))),
    (OrderedDict, lambda value: dict(OrderedDict.items(value))),
    (dict, lambda value: dict(dict.items(value))),
    (set, lambda value: set(set.__iter__(value))),
    (bytes, lambda value: bytes(memoryview(value))),
)


def _wrapper_for_subclass(value: object) -> Callable[[Any, int], Any]:
    kind = type(value)
    for base, plain in _PLAIN:
        if issubclass(kind, base):
            return functools.partial(_wrap_plain, plain)
    if issubclass(kind, datetime):
        return _wrap_datetime
    if issubclass(kind, tuple | bytearray):
        return _refuse_rpc
    if type_name(value) == "JsNull":
        return lambda *_: None
    raise Refused(value, advice_for(value))


def _wrap_plain(plain: Callable[[Any], Any], value: object, room: int) -> Any:
    held = plain(value)
    try:
        return _wrap(held, room)
    except Refused as refused:
        if refused.trail and refused.trail[-1][0] is held:
            refused.trail[-1] = (value, refused.trail[-1][1])
        elif refused.value is held:
            refused.value = value
        raise


def _diagnosis(value: object, room: int, error: Exception) -> Refused:
    """Return why the whole ``value`` could not be written, where no part of it was refused on the way."""
    try:
        _wrap(value, room)
        _find_text(value, room)
    except Refused as refused:
        return refused
    return refusal_of(error, value)


def _find_text(value: Any, room: int) -> None:
    """Raise Refused at the first text in ``value`` that is not valid Unicode."""
    kind = type(value)
    if issubclass(kind, str):
        _check_text(value)
    elif issubclass(kind, dict) and room:
        for key, item in dict.items(value):
            try:
                _find_text(key, room)
                _find_text(item, room - 1)
            except Refused as refused:
                raise refused.inside(value, show_key(key)) from None
    elif issubclass(kind, list) and room:
        for index, item in enumerate(list.__iter__(value)):
            try:
                _find_text(item, room - 1)
            except Refused as refused:
                raise refused.inside(value, f"[{index}]") from None
    elif issubclass(kind, set):
        for item in set.__iter__(value):
            _find_text(item, room)


def _check_text(text: str) -> None:
    try:
        str.encode(text)
    except UnicodeEncodeError as error:
        half = f"{text[error.start]!r} at index {error.start} is half of a surrogate pair, which is not valid Unicode"
        raise Refused(
            text, f"{half}: use os.fsencode() for a file name, or .encode('utf-8', 'replace')"
        ) from None
