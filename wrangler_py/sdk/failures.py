"""Exceptions to records and back: `run()` sees the same error on the first run and on every replay (python-sdk,
section 3).

What a caught exception reads like after its retries are used up:

* ValueError and TypeError keep their type; ``str(e)`` is ``ValueError: bad v``.
* NonRetryableError keeps type and message.
* All else is a `pyodide.ffi.JsException` whose text is ``<type>: <message>``. Outside strict mode it is also an
  instance of the original class, where that can be found again.
"""

from __future__ import annotations

import functools
import sys
import traceback
from types import TracebackType
from typing import Any

from wrangler_py.errors import StepError
from wrangler_py.sdk.pyodide.ffi import JsException
from wrangler_py.sdk.workers.workflows import NonRetryableError
from wrangler_py.serde import ErrorRecord

_RECORD = "__workflow_error__"
_PREFIXED: tuple[type[Exception], ...] = (ValueError, TypeError)
_OURS = __package__.partition(".")[0]


def capture(error: BaseException) -> ErrorRecord:
    """Return the record of an exception; one that `rebuild` made gives back the record it came from."""
    known: ErrorRecord | None = getattr(error, _RECORD, None)
    if known is not None:
        return known
    kind = type(error)
    return ErrorRecord(
        name=_name(error),
        message=str(error),
        type=f"{kind.__module__}:{kind.__qualname__}",
        traceback=user_traceback(error),
        non_retryable=isinstance(error, NonRetryableError),
    )


def _name(error: BaseException) -> str:
    if isinstance(error, StepError | NonRetryableError):
        return str(getattr(error, "name", None) or type(error).__name__)
    return type(error).__name__


def user_traceback(error: BaseException) -> str:
    """Return the traceback of ``error`` without the frames of pywrangler and asyncio."""
    frames = [
        frame
        for frame in traceback.extract_tb(_first_user_frame(error.__traceback__))
        if _is_user(frame.filename)
    ]
    if not frames:
        return ""
    return "".join(["Traceback (most recent call last):\n", *traceback.format_list(frames)])


def _first_user_frame(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and not _is_user(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


@functools.cache
def _is_user(filename: str) -> bool:
    parts = filename.replace("\\", "/").split("/")
    return _OURS not in parts[-4:-1] and "asyncio" not in parts[-2:-1] and not filename.startswith("<frozen")


def rebuild(record: ErrorRecord, *, strict: bool) -> Exception:
    """Return the exception that `run()` sees for a step's final error."""
    text = f"{record.name}: {record.message}"
    original = find_class(record.type)
    error: Exception
    if original is NonRetryableError or (record.non_retryable and original is None):
        error = NonRetryableError(record.message)
    elif original in _PREFIXED:
        error = original(text)
    elif strict or original is None:
        error = JsException(text)
    else:
        error = _bare(_merge(original), text)
    setattr(error, _RECORD, record)
    return error


def find_class(path: str) -> type[Exception] | None:
    """Return the exception class ``module:qualname``, if its module is imported already; else None."""
    module, _, qualname = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


_merged_classes: dict[type[Exception], type[Exception]] = {}


def _merge(original: type[Exception]) -> type[Exception]:
    merged = _merged_classes.get(original)
    if merged is None:
        merged = _merged_classes[original] = _merged(original)
    return merged


def _merged(original: type[Exception]) -> type[Exception]:
    """Return a class that is the original and a JsException at once, and shows the text it is given."""
    if issubclass(original, JsException | NonRetryableError):
        return original
    try:
        return type(
            original.__name__, (original, JsException), {"__module__": original.__module__, "__str__": _text}
        )
    except TypeError:
        return JsException


def _text(error: Exception) -> str:
    return str(error.args[0]) if error.args else ""


def _bare(kind: type[Exception], text: str) -> Exception:
    """Make an exception without calling the user's ``__init__``, which may want other arguments."""
    error = kind.__new__(kind, text)
    error.args = (text,)
    return error
