"""Exceptions on their way to another Worker: type and message arrive as they left.

The caller gets an exception of the same class where this process has that class: a builtin, one of pywrangler's, or
the user's own, imported under the same name. Else it is a `JsException`, or a `NonRetryableError` if it was one, that
bears the class's name.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from wrangler_py.sdk.failures import capture, find_class
from wrangler_py.sdk.pyodide.ffi import JsException
from wrangler_py.sdk.stacks import stack_of
from wrangler_py.sdk.workers.workflows import NonRetryableError
from wrangler_py.serde import ErrorRecord, NotSerialisableError, decode, encode

_OURS = __package__.partition(".")[0] + "."


class Raised(msgspec.Struct, frozen=True, tag="raised"):
    """An exception as it travels: ``args`` (null: they cannot) and its public attributes, as `serde` writes them."""

    error: ErrorRecord
    args: msgspec.Raw
    attributes: msgspec.Raw


def pack_error(error: Exception) -> Raised:
    """Return ``error`` as it travels."""
    state = {
        name: value
        for name, value in vars(error).items()
        if not name.startswith("_") and _encoded(value) is not None
    }
    args = _encoded(list(error.args)) or encode(None)
    return Raised(capture(error), msgspec.Raw(args), msgspec.Raw(encode(state)))


def _encoded(value: object) -> bytes | None:
    try:
        return encode(value, around=1)
    except NotSerialisableError:
        return None


def revive(raised: Raised, where: str) -> Exception:
    """Return the exception to raise here; a note tells that it comes from ``where``, with the user's frames there."""
    kind = _class_of(raised.error)
    error = (kind and _same(kind, raised)) or _stranger(raised)
    stack = stack_of(raised.error)
    if stack:
        error.add_note(f"Raised in {where}: {stack.rstrip()}")
    return error


def _class_of(record: ErrorRecord) -> type[Exception] | None:
    module = record.type.partition(":")[0]
    if module.startswith(_OURS):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    return find_class(record.type)


def _same(kind: type[Exception], raised: Raised) -> Exception | None:
    """Return an exception of the class that reads as the original did; None if there is no making one.

    The class's ``__init__`` is not called: it may want other arguments than those it passed on.
    """
    for wanted, args in _ways(kind, raised):
        with contextlib.suppress(Exception):
            error = wanted.__new__(wanted, *args)
            error.args = args
            vars(error).update(decode(bytes(raised.attributes)))
            if str(error) == raised.error.message:
                return error
    return None


def _ways(kind: type[Exception], raised: Raised) -> Iterator[tuple[type[Exception], tuple[Any, ...]]]:
    args = decode(bytes(raised.args))
    if args is not None:
        yield kind, tuple(args)
    message = (raised.error.message,)
    yield kind, message
    with contextlib.suppress(TypeError):
        yield _saying(cast("Any", kind), kind.__module__, kind.__qualname__), message


def _stranger(raised: Raised) -> Exception:
    record = raised.error
    base: Any = NonRetryableError if record.non_retryable else JsException
    module, _, qualname = record.type.partition(":")
    error: Exception = _saying(base, module, qualname)(record.message, name=record.name)
    vars(error).update({**decode(bytes(raised.attributes)), "name": record.name})
    return error


@functools.cache
def _saying(base: Any, module: str, qualname: str) -> Any:
    """Return a subclass of ``base`` by another's name whose text is its message and nothing else."""
    name = qualname.rpartition(".")[2]
    return type(
        name,
        (cast("type[Exception]", base),),
        {"__module__": module, "__qualname__": qualname, "__str__": _message},
    )


def _message(error: Exception) -> str:
    return str(error.args[0]) if error.args else ""
