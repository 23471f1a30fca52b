"""``Object``, ``Array``, ``JSON``, ``Math``, ``Uint8Array`` and ``crypto``."""

from __future__ import annotations

import json
import math
import random
import uuid
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from wrangler_py.sdk.js.dates import Date
from wrangler_py.sdk.pyodide.ffi import JsArray, JsBuffer, JsNull, JsObject, to_js


class Object:
    """Functions on objects."""

    @staticmethod
    def new() -> JsObject:
        """Return an empty object."""
        return JsObject()

    @staticmethod
    def fromEntries(entries: Iterable[Iterable[Any]]) -> JsObject:
        """Return an object of [name, value] pairs."""
        return JsObject((str(name), value) for name, value in entries)

    @staticmethod
    def keys(value: Mapping[str, Any]) -> JsArray:
        """Return the names of the entries."""
        return JsArray(value)

    @staticmethod
    def values(value: Mapping[str, Any]) -> JsArray:
        """Return the values of the entries."""
        return JsArray(value[name] for name in value)

    @staticmethod
    def entries(value: Mapping[str, Any]) -> JsArray:
        """Return the entries as [name, value] arrays."""
        return JsArray(JsArray((name, value[name])) for name in value)

    @staticmethod
    def assign(
        target: MutableMapping[str, Any], *sources: Mapping[str, Any] | None
    ) -> MutableMapping[str, Any]:
        """Copy the entries of ``sources`` into ``target``, and return that."""
        for source in sources:
            target.update(source or {})
        return target


class Array:
    """Functions on arrays."""

    @staticmethod
    def new(*items: Any) -> JsArray:
        """Return an array of ``items``."""
        return JsArray(items)

    @staticmethod
    def of(*items: Any) -> JsArray:
        """Return an array of ``items``."""
        return JsArray(items)

    @staticmethod
    def from_(items: Iterable[Any]) -> JsArray:
        """Return an array of what ``items`` yields (``from`` is a keyword in Python)."""
        return JsArray(items)

    @staticmethod
    def isArray(value: Any) -> bool:
        """True if it is an array."""
        return isinstance(value, list)


class JSON:
    """JSON text, as JavaScript writes it."""

    @staticmethod
    def stringify(value: Any, replacer: None = None, space: int | str | None = None) -> str:
        """Return ``value`` as JSON; ``space`` indents it. Numbers that JSON has no word for become null."""
        _ = replacer
        separators = (",", ":") if space is None else (",", ": ")
        return json.dumps(
            _without_nan(value), default=_json_value, ensure_ascii=False, separators=separators, indent=space
        )

    @staticmethod
    def parse(text: str) -> Any:
        """Return the value of JSON text; objects have attribute access.

        Raises:
            ValueError: it is not JSON.
        """
        return to_js(json.loads(text))


class Math:
    """The numbers that Python has too."""

    PI = math.pi
    abs = staticmethod(abs)
    ceil = staticmethod(math.ceil)
    floor = staticmethod(math.floor)
    max = staticmethod(max)
    min = staticmethod(min)

    @staticmethod
    def random() -> float:
        """Return a number from 0 to below 1."""
        return random.random()  # noqa: S311 - JavaScript's is not for secrets either

    @staticmethod
    def round(value: float) -> int:
        """Return the nearest whole number; halves go up."""
        return math.floor(value + 0.5)


class Uint8Array:
    """Bytes."""

    @staticmethod
    def new(source: int | bytes | Iterable[int] = 0) -> JsBuffer:
        """Return so many zero bytes, or the bytes of ``source``."""
        return JsBuffer(source)


class Crypto:
    """Random identifiers."""

    @staticmethod
    def randomUUID() -> str:
        """Return a random UUID."""
        return str(uuid.uuid4())


crypto = Crypto()


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list | tuple) else value


def _json_value(value: Any) -> Any:
    if isinstance(value, JsNull):
        return None
    if isinstance(value, Date):
        return value.toJSON()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
