"""What may be bound to a statement (D1 docs, "Type conversion")."""

from __future__ import annotations

import math
from typing import Any

from wrangler_py.bindings.failures import D1Error
from wrangler_py.sdk.pyodide.ffi import JsNull

#: JavaScript's largest safe integer: on Cloudflare an int beyond it arrives as a BigInt, which D1 refuses.
_MAX_INT = 2**53 - 1
_PLAIN = frozenset({str, bytes, type(None)})
_SHOWN = 100


def to_sqlite(value: Any) -> Any:
    """Return ``value`` as SQLite stores it: bool as 1 or 0, bytes-like and lists of bytes as BLOB, NaN as NULL.

    Raises:
        D1Error: anything else, in Cloudflare's words.
    """
    kind = type(value)
    if kind in _PLAIN or (kind is int and -_MAX_INT <= value <= _MAX_INT):
        return value
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return _rarer(value)


def _whole(value: int) -> int:
    if -_MAX_INT <= value <= _MAX_INT:
        return int(value)
    raise _unsupported("bigint", value)


def _rarer(value: Any) -> Any:
    if isinstance(value, JsNull):
        return None
    if isinstance(value, list) and all(type(item) is int and 0 <= item <= 255 for item in value):
        return bytes(value)
    raise _unsupported("function" if callable(value) else "object", value)


def _unsupported(kind: str, value: Any) -> D1Error:
    text = str(value)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return D1Error(f"D1_TYPE_ERROR: Type '{kind}' not supported for value '{shown}'")
