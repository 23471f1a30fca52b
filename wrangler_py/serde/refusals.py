"""Values that cannot be stored: what is said of them, where they stand, and what to use instead."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from enum import Enum

#: Levels of lists, dicts and sets inside one another that a value may have, at every door: parameters, events, results,
#: output. Every reader manages twice as many from within a call stack of ordinary depth (`decode`, msgspec, the json
#: module, Rich, graphql-core).
MAX_DEPTH = 100
#: The phrases from which `Refused.told` makes a sentence.
TOO_DEEP = "too deep"
_LONGEST_KEY_SHOWN = 60
# Past a metaclass, whose own methods may raise.
_class_name = type.__dict__["__name__"].__get__
_class_repr = type.__repr__
_class_mro = type.__dict__["__mro__"].__get__


class NotSerialisableError(TypeError):
    """A value that cannot be stored. ``path`` says where it stands inside the whole, as ``["rows"][3]``."""

    def __init__(self, value: object, path: str, advice: str) -> None:
        where = f" at {path}" if path else ""
        self.path, self._value, self._advice = path, f"a value of type {type_name(value)}{where}", advice
        super().__init__(self.saying("cannot be stored"))

    def saying(self, what: str) -> str:
        """Return the message for another use than storing it: ``what`` as "cannot be sent"."""
        return f"{self._value} {what}; {self._advice}"


class RpcTypeError(NotSerialisableError):
    """A tuple or bytearray, refused in Cloudflare's own words (python-sdk, section 4).

    ``remedy`` is a sentence with what those words leave out: the path, and what to use.
    """

    def __init__(self, value: object, path: str) -> None:
        TypeError.__init__(self, f"{_class_repr(type(value))} cannot be sent over RPC.")
        self.path = path
        remedy = "use a list" if issubclass(type(value), tuple) else "use bytes"
        self.remedy = f"It stands at {path}; {remedy}." if path else f"{remedy.capitalize()}."

    def saying(self, what: str) -> str:
        """Return Cloudflare's own words, which know of no other use."""
        _ = what
        return str(self)


class Refused(Exception):  # noqa: N818 - never leaves this module
    """A value that has no stored form, and on the way up the containers it stands in, innermost first."""

    def __init__(self, value: object, advice: str = "") -> None:
        super().__init__()
        self.value, self.advice = value, advice
        self.trail: list[tuple[object, str]] = []

    def inside(self, container: object, key: str) -> Refused:
        """Note that what was refused stands at ``key`` of ``container``."""
        self.trail.append((container, key))
        return self

    def told(self) -> NotSerialisableError:
        """Return what the caller gets."""
        outwards = self.trail[::-1]
        path = "".join(key for _, key in outwards)
        if self.advice == TOO_DEEP:
            return _too_deep(self.value, outwards)
        if issubclass(type(self.value), tuple | bytearray) and not self.advice:
            return RpcTypeError(self.value, path)
        return NotSerialisableError(self.value, path, self.advice)


def _too_deep(value: object, outwards: list[tuple[object, str]]) -> NotSerialisableError:
    """Return the error of a value nested too deeply: that it contains itself, if it does, and where."""
    path, seen = "", set()
    for container, key in outwards:
        if id(container) in seen:
            return NotSerialisableError(container, path, "it contains itself: store an id instead")
        seen.add(id(container))
        path += key
    start = "".join(key for _, key in outwards[:3])
    return NotSerialisableError(
        value, f"{start}...", f"values may be nested {MAX_DEPTH} levels deep: store a flatter one"
    )


def type_name(value: object) -> str:
    """Return the name of a value's class, whatever its metaclass does."""
    name: str = _class_name(type(value))
    return name


def show_key(key: object) -> str:
    """Return a key as a path shows it; never the user's own ``__repr__``."""
    kind = type(key)
    if issubclass(kind, str):
        text = str.__str__(key)
        return f"[{text[:_LONGEST_KEY_SHOWN]!r}{'...' if len(text) > _LONGEST_KEY_SHOWN else ''}]"
    if kind in _SHORT_KEYS or (type(key) is int and key.bit_length() < 64):
        return f"[{key!r}]"
    return f"[<{type_name(key)}>]"


_SHORT_KEYS = frozenset({float, bool, type(None)})


def refusal_of(error: Exception, value: object) -> Refused:
    """Return ``error`` if it is a refusal, else that of ``value``, one of whose methods raised it."""
    if isinstance(error, Refused):
        return error
    return Refused(value, f"reading it raised {type_name(error)}: use a dict, list, str, number or bytes")


_ADVICE: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (date, "use an ISO string or a datetime"),
    (timedelta, "use a number of milliseconds"),
    (Decimal, "use a str or a float"),
    (frozenset, "use a set or a list"),
    (Enum, "use its .value or its .name"),
    (complex, "use a list of two numbers"),
    (BaseException, "use str() of it, or raise it"),
    (type, "use its name"),
)
#: Classes of libraries, told by a method that they have: what turns a value of theirs into a plain one.
_ADVICE_BY_METHOD = (
    ("model_dump", "use .model_dump(mode='json')"),
    ("tolist", "use .tolist()"),
    ("to_dict", "use .to_dict()"),
    ("_asdict", "use ._asdict()"),
    ("isoformat", "use .isoformat()"),
    ("__dataclass_fields__", "use dataclasses.asdict()"),
    ("__attrs_attrs__", "use attrs.asdict()"),
    ("__fspath__", "use str() of it"),
    ("__int__", "use int() or str() of it"),
)


def advice_for(value: object) -> str:
    """Return what to use instead of ``value``."""
    for kinds, advice in _ADVICE:
        if issubclass(type(value), kinds):
            return advice
    names = {name for kind in _class_mro(type(value)) for name in vars(kind)}
    for method, advice in _ADVICE_BY_METHOD:
        if method in names:
            return advice
    if callable(value):
        return "functions do not survive a restart: return data"
    return "use a dict, list, str, number, bool, None, bytes or datetime"
