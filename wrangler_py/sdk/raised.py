"""Exceptions on their way to another Worker: type and message arrive as they left.

The caller gets an exception of the same class where this process has that class: a builtin, one of pywrangler's, or
the user's own, imported under the same name. Else it is a `JsException`, or a `NonRetryableError` if it was one, that
bears the class's name.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from typing import Any, cast

import msgspec

from wrangler_py.sdk.failures import alike, capture, find_class
from wrangler_py.sdk.pyodide.ffi import JsException
from wrangler_py.sdk.stacks import stack_of
from wrangler_py.sdk.workers.workflows import NonRetryableError
from wrangler_py.serde import ErrorRecord, unpack

_OURS = __package__.partition(".")[0] + "."


class Raised(msgspec.Struct, frozen=True, tag="raised"):
    """An exception as it travels: its record, with its public attributes only."""

    error: ErrorRecord


def pack_error(error: Exception) -> Raised:
    """Return ``error`` as it travels."""
    return Raised(_public(capture(error)))


def _public(record: ErrorRecord) -> ErrorRecord:
    """Return a record without private attributes, its causes and members likewise."""
    return msgspec.structs.replace(
        record,
        attributes={name: value for name, value in record.attributes.items() if not name.startswith("_")},
        cause=record.cause and _public(record.cause),
        context=record.context and _public(record.context),
        members=tuple(map(_public, record.members)),
    )


def revive(raised: Raised, where: str) -> Exception:
    """Return the exception to raise here; a note tells that it comes from ``where``, with the user's frames there."""
    error = None if _class_of(raised.error) is None else alike(raised.error)
    if error is None:
        error = _stranger(raised.error)
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


def _stranger(record: ErrorRecord) -> Exception:
    base: Any = NonRetryableError if record.non_retryable else JsException
    module, _, qualname = record.type.partition(":")
    error: Exception = _saying(base, module, qualname)(record.message, name=record.name)
    vars(error).update({**unpack(record.attributes), "name": record.name})
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
