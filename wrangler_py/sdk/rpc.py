"""Values on their way to another Worker."""

from __future__ import annotations

import inspect
from typing import Any

from wrangler_py.sdk.pyodide.ffi import JsBuffer, JsException, jsnull, to_js
from wrangler_py.serde import Record, RpcTypeError


def python_to_rpc(value: Any) -> Any:
    """Return a copy of ``value`` as it can be sent to another Worker; None becomes ``jsnull``.

    Raises:
        TypeError: there is a tuple, a bytearray or an awaitable in it (python-sdk, section 4).
    """
    _refuse_unsendable(value, "")
    return jsnull if value is None else to_js(value)


def python_from_rpc(obj: Any) -> Any:
    """Return a copy of what came from another Worker: dicts with attribute access, None for null."""
    if obj is jsnull:
        return None
    if isinstance(obj, dict):
        return Record({key: python_from_rpc(item) for key, item in obj.items()})
    if isinstance(obj, list | set):
        return (set if isinstance(obj, set) else list)(map(python_from_rpc, obj))
    if isinstance(obj, JsBuffer):
        return memoryview(obj)
    return Exception(str(obj)) if isinstance(obj, JsException) else obj


def _refuse_unsendable(value: Any, path: str) -> None:
    if isinstance(value, tuple | bytearray):
        raise RpcTypeError(value, path)
    if inspect.isawaitable(value):
        raise TypeError(f"Awaitable {type(value)} cannot be sent over RPC.")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_unsendable(item, f"{path}[{key!r}]")
    elif isinstance(value, list | set):
        for index, item in enumerate(value):
            _refuse_unsendable(item, f"{path}[{index}]")
