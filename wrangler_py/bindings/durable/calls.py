"""Calling a method of an object: which ones may be called, and what they are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wrangler_py.bindings.failures import ObjectError
from wrangler_py.sdk.workers import Response
from wrangler_py.serde import decode, encode

#: Cloudflare calls these itself (workerd, "reserved method").
_RESERVED = frozenset({"fetch", "connect", "alarm", "webSocketMessage", "webSocketClose", "webSocketError"})
_NOT_METHODS = frozenset({"ctx", "env"})
_AS_IT_IS = (type(None), bool, int, str)


def require_public(name: str) -> None:
    """Raise ObjectError if nobody may call a method of that name from outside."""
    if name in _RESERVED:
        raise ObjectError(f"'{name}' is a reserved method and cannot be called over RPC.", name="TypeError")
    if name.startswith("_") or name in _NOT_METHODS:
        raise missing(name)


def missing(name: str) -> ObjectError:
    """Return what is raised for a method that is not there (python-sdk, section 2)."""
    return ObjectError(f"Method {name} does not exist", name="TypeError")


def method_of(instance: Any, name: str) -> Callable[..., Any]:
    """Return a method; raise ObjectError if there is none."""
    found = getattr(instance, name, None)
    if not callable(found):
        raise missing(name)
    method: Callable[..., Any] = found
    return method


def takes_argument(function: Callable[..., Any]) -> bool:
    """Return True if a handler wants what it is offered: ``alarm(self)`` and ``fetch(self)`` are legal."""
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    return bool(
        kinds
        & {
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            inspect.Parameter.VAR_POSITIONAL,
        }
    )


def copied(value: Any) -> Any:
    """Return a copy of a value as it comes out at the other end of a call (python-sdk, section 4).

    Raises:
        TypeError: there is something in it that cannot be sent.
    """
    return value if type(value) in _AS_IT_IS or isinstance(value, Response) else decode(encode(value))


def copied_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return copies of the arguments of a call; raises as `copied` does."""
    return [copied(one) for one in args], {key: copied(one) for key, one in kwargs.items()}
