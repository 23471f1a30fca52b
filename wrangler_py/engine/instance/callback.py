"""A user's function as the engine calls it: what it takes, and whether it is a coroutine function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

import msgspec

#: The parameter that a step's function may have beside the steps it depends on.
CTX = "ctx"


class Callback(msgspec.Struct, frozen=True):
    """A step's callback, ready to be called with the step context.

    ``is_async``: its result is a coroutine. ``wants_context``: False where it does not look at what it is given.
    """

    invoke: Callable[[dict[str, Any]], Any]
    is_async: bool
    wants_context: bool


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a callable's parameters, without ``self``; fast for plain functions, which steps mostly
    are."""
    code = getattr(function, "__code__", None)
    if code is None or isinstance(function, MethodType):
        return tuple(inspect.signature(function).parameters)
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Return True if calling ``function`` gives a coroutine; fast for plain functions."""
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_COROUTINE:
        return True
    return inspect.iscoroutinefunction(function)


def positional_callback(function: Callable[..., Any]) -> Callback:
    """Return the callback of the call form: ``function`` takes the step context, or nothing; defaults stay as they
    are."""
    names = parameters_of(function)
    defaults = getattr(function, "__defaults__", None) or ()
    is_async = is_coroutine_function(function)
    if len(names) > len(defaults) or names[:1] == (CTX,):
        return Callback(function, is_async, wants_context=True)
    return Callback(lambda _: function(), is_async, wants_context=False)
