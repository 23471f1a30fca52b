"""Exceptions to records and back: `run()` sees the same error on the first run and on every replay (python-sdk,
section 3).

What a caught exception reads like after its retries are used up:

* ValueError and TypeError keep their type; ``str(e)`` is ``ValueError: bad v``.
* NonRetryableError keeps type and message.
* All else is a `pyodide.ffi.JsException` whose text is ``<type>: <message>``. Outside strict mode it is also an
  instance of the original class, with its attributes, notes and causes, where that can be made again.

Neither way raises, whatever the methods of a user's class do. No ``__new__`` or ``__init__`` of a user is called.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, TypeVar, cast

import msgspec

from wrangler_py.errors import ControlFlow, StepError
from wrangler_py.sdk.pyodide.ffi import JsException
from wrangler_py.sdk.stacks import user_traceback
from wrangler_py.sdk.workers.workflows import NonRetryableError
from wrangler_py.serde import ErrorRecord, NotSerialisableError, pack, type_name, unpack, valid

#: Characters kept of one text of an error, and of all texts of an error, its causes and its members together.
LONGEST_TEXT, MOST_TEXT = 16_384, 131_072
#: Errors kept of a group, or of a chain of causes, nested so deep; attributes of each, and characters of their JSON.
MOST_ERRORS, DEEPEST, MOST_ATTRIBUTES, LONGEST_ATTRIBUTE = 50, 12, 50, 4096
_RECORD = "__workflow_error__"
_PREFIXED: tuple[type[Exception], ...] = (ValueError, TypeError)
#: A coroutine cannot raise these: Python makes a RuntimeError of them.
_UNRAISABLE = (StopIteration, StopAsyncIteration)
_HEAP_TYPE = 1 << 9
T = TypeVar("T")
# Past whatever a user's class overrides.
_read_dict: Callable[[BaseException], dict[str, Any]] = BaseException.__dict__["__dict__"].__get__
_read_args: Callable[[BaseException], tuple[Any, ...]] = cast("Any", BaseException.args).__get__
_write_args: Callable[[BaseException, tuple[Any, ...]], None] = cast("Any", BaseException.args).__set__
_read_cause, _read_context, _is_suppressed, _read_trace = (
    BaseException.__dict__[name].__get__
    for name in ("__cause__", "__context__", "__suppress_context__", "__traceback__")
)
_read_members = cast("Any", BaseExceptionGroup).__dict__["exceptions"].__get__


# capture -------------------------------------------------------------------------------------------------------------


def capture(error: BaseException) -> ErrorRecord:
    """Return the record of an exception; one that `rebuild` made gives back the record it came from."""
    try:
        return _Capture().record(error)
    except Exception as failure:  # noqa: BLE001 - this is where errors end: nothing may take their place
        return ErrorRecord(type_name(error), f"<it cannot be read: {type_name(failure)}>")


def record_of(name: str, message: str) -> ErrorRecord:
    """Return the record of an error of the engine's own, whose text may hold texts of the user."""
    return ErrorRecord(name, _Capture().text(message))


def summary_of(error: BaseException) -> str:
    """Return ``<type>: <message>`` of an error for the message of another."""
    return valid(f"{_name(error)}: {_message(error)}")


def final(error: Exception) -> Exception:
    """Return ``error``, marked as one that trying again does not mend."""
    record = msgspec.structs.replace(capture(error), non_retryable=True)
    _read_dict(error)[_RECORD] = record
    return error


class _Capture:
    """One error with all that belongs to it, within bounds."""

    def __init__(self) -> None:
        self._text_left, self._errors_left, self._depth = MOST_TEXT, MOST_ERRORS, 0
        self._inside: set[int] = set()

    def record(self, error: BaseException) -> ErrorRecord:
        known: ErrorRecord | None = _read_dict(error).get(_RECORD)
        if type(known) is ErrorRecord:
            return self._amended(known, error)
        kind = type(error)
        self._errors_left -= 1
        self._inside.add(id(error))
        self._depth += 1
        try:
            message = self.text(_message(error))
            return ErrorRecord(
                name=self.text(_name(error)),
                message=message,
                type=self.text(_safely(lambda: f"{kind.__module__}:{kind.__qualname__}", "")),
                traceback=self.text(_safely(lambda: user_traceback(_read_trace(error)), "")),
                non_retryable=issubclass(kind, NonRetryableError),
                args=self._args(error, message),
                attributes=dict(self._attributes(error)),
                notes=tuple(self._notes(error)),
                members=tuple(self._members(error)),
                cause=self._related(_read_cause(error)),
                context=None if _is_suppressed(error) else self._related(_read_context(error)),
            )
        finally:
            self._depth -= 1
            self._inside.discard(id(error))

    def _amended(self, known: ErrorRecord, error: BaseException) -> ErrorRecord:
        """Return ``known`` with the notes and the cause that user code has given the error since."""
        notes = tuple(self._notes(error)) or known.notes
        cause = self._related(_read_cause(error)) or known.cause
        if notes == known.notes and cause == known.cause:
            return known
        return msgspec.structs.replace(known, notes=notes, cause=cause)

    def text(self, text: str) -> str:
        """Return ``text`` as it may be stored: valid, and cut where it is too long."""
        room = min(LONGEST_TEXT, self._text_left)
        if len(text) > room:
            text = f"{text[:room]}… ({len(text) - room} more characters)"
        self._text_left = max(0, self._text_left - len(text))
        return valid(text)

    def _args(self, error: BaseException, message: str) -> list[Any] | None:
        args = _read_args(error)
        is_message = len(args) == 1 and type(args[0]) is str and args[0] == message
        return None if is_message else self._packed(list(args))

    def _packed(self, value: object) -> Any:
        """Return ``value`` as it is stored, None if it cannot be, or is too large to be kept."""
        try:
            packed = pack(value)
        except NotSerialisableError:
            return None
        size = len(msgspec.json.encode(packed))
        if size > min(LONGEST_ATTRIBUTE, self._text_left):
            return None
        self._text_left -= size
        return packed

    def _attributes(self, error: BaseException) -> Iterator[tuple[str, Any]]:
        found = {**dict(_native_attributes(error)), **_read_dict(error)}
        for name, value in list(found.items())[:MOST_ATTRIBUTES]:
            if type(name) is str and not name.startswith("__") and self._packed(name) is not None:
                packed = self._packed(value)
                if packed is not None:
                    yield name, packed

    def _notes(self, error: BaseException) -> Iterator[str]:
        notes = _read_dict(error).get("__notes__")
        if type(notes) is list:
            for note in notes[:MOST_ATTRIBUTES]:
                yield self.text(_safely(functools.partial(_plain_text, note), "?"))

    def _related(self, error: BaseException | None) -> ErrorRecord | None:
        return self.record(error) if error is not None and self._may_record(error) else None

    def _members(self, error: BaseException) -> Iterator[ErrorRecord]:
        members = _members_of(error)
        for number, member in enumerate(members):
            if not self._may_record(member):
                yield ErrorRecord(
                    "ExceptionGroup", f"{len(members) - number} more sub-exceptions are not kept"
                )
                return
            yield self.record(member)

    def _may_record(self, error: BaseException) -> bool:
        return (
            self._errors_left > 0
            and self._depth < DEEPEST
            and id(error) not in self._inside
            and not issubclass(type(error), ControlFlow)
        )


def _safely(read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except BaseException:  # noqa: BLE001 - a method of the user's class, which may raise anything
        return otherwise


def _plain_text(value: object) -> str:
    """Return ``str(value)``, which may be a subclass, as the characters it holds."""
    return str.__str__(str(value))


def _message(error: BaseException) -> str:
    try:
        return _plain_text(error)
    except BaseException as failure:  # noqa: BLE001 - a method of the user's class, which may raise anything
        return f"<its __str__ raised {type_name(failure)}>"


def _name(error: BaseException) -> str:
    kind = type(error)
    if issubclass(kind, StepError | NonRetryableError):
        return _safely(lambda: _plain_text(cast("Any", error).name), "") or type_name(error)
    return type_name(error)


def _members_of(error: BaseException) -> tuple[BaseException, ...]:
    if not issubclass(type(error), BaseExceptionGroup):
        return ()
    members: tuple[BaseException, ...] = _read_members(error)
    return members


def _native_attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Give what an exception holds outside of its ``__dict__``: ``errno`` of an OSError, the slots of a class."""
    for kind in type.__dict__["__mro__"].__get__(type(error)):
        for name, slot in type.__dict__["__dict__"].__get__(kind).items():
            if isinstance(slot, GetSetDescriptorType | MemberDescriptorType) and not name.startswith("_"):
                value = None if name == "args" else _safely(functools.partial(slot.__get__, error), None)
                if value is not None:
                    yield name, value


# rebuild -------------------------------------------------------------------------------------------------------------


def rebuild(record: ErrorRecord, *, strict: bool) -> Exception:
    """Return the exception that `run()` sees for a step's final error."""
    error = _plain(record) if strict else _safely(lambda: _rebuilt(record), None)
    if error is None:
        error = _stranger(record)
    _read_dict(error)[_RECORD] = record
    return error


def _rebuilt(record: ErrorRecord) -> Exception | None:
    text = f"{record.name}: {record.message}"
    kind = find_class(record.type)
    if kind is NonRetryableError or (record.non_retryable and kind is None) or kind in _PREFIXED:
        error: Exception | None = _plain(record)
    else:
        error = _first_made(_merge, _class_for(kind, record), record, (text,), _restored_members(record))
    if error is not None:
        _set_attributes(error, record)
        _set_causes(error, record)
    return error


def _plain(record: ErrorRecord) -> Exception:
    """Return what Cloudflare's `run()` gets: one of four classes, and a text."""
    text = f"{record.name}: {record.message}"
    kind = find_class(record.type)
    if kind is NonRetryableError or (record.non_retryable and kind is None):
        return NonRetryableError(record.message)
    return kind(text) if kind in _PREFIXED else JsException(text)


def restore(record: ErrorRecord) -> Exception:
    """Return an exception that reads as the recorded one did: a cause, or a member of a group."""
    error = alike(record)
    if error is None:
        error = _stranger(record)
    _read_dict(error)[_RECORD] = record
    return error


def alike(record: ErrorRecord) -> Exception | None:
    """Return an exception of the recorded class that reads as the recorded one did; None if there is no making one."""
    return _safely(lambda: _restored(record), None)


def _stranger(record: ErrorRecord) -> Exception:
    """Return what stands for an error whose class cannot be made again."""
    error = JsException(f"{record.name}: {record.message}")
    _set_attributes(error, record)
    _set_causes(error, record)
    error.name = "Error"
    return error


def _restored(record: ErrorRecord) -> Exception | None:
    kind, members = _class_for(find_class(record.type), record), _restored_members(record)
    if kind is None:
        return None
    args = (record.message,) if record.args is None else tuple(unpack(record.args))
    error = _made(kind, record, args, members)
    if error is not None:
        _set_attributes(error, record)
    if error is None or _message(error) != record.message:
        error = _first_made(_speaking, kind, record, (record.message,), members)
        if error is not None:
            _set_attributes(error, record)
    if error is not None:
        _set_causes(error, record)
    return error


def _restored_members(record: ErrorRecord) -> list[Exception]:
    return [restore(member) for member in record.members]


def find_class(path: str) -> type[Exception] | None:
    """Return the exception class ``module:qualname``, if its module is imported already; else None."""
    module, _, qualname = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = _safely(functools.partial(getattr, found, part, None), None)
    return found if issubclass(type(found), type) and issubclass(found, Exception) else None


def _class_for(kind: type[Exception] | None, record: ErrorRecord) -> type[Exception] | None:
    """Return the class to make an error of: a group's, whatever else it was, if it has members."""
    if record.members:
        return kind if kind is not None and issubclass(kind, ExceptionGroup) else ExceptionGroup
    return None if kind is None or issubclass(kind, (*_UNRAISABLE, BaseExceptionGroup)) else kind


_merged_classes: dict[type[Exception], type[Exception]] = {}


def _merge(original: type[Exception]) -> type[Exception]:
    """Return a class that is the original and a JsException at once, and shows the text it is given."""
    if issubclass(original, JsException | NonRetryableError):
        return original
    merged = _merged_classes.get(original)
    if merged is None:
        merged = _merged_classes[original] = _subclass(original, JsException)
    return merged


def _speaking(original: type[Exception]) -> type[Exception]:
    """Return a subclass whose text is its first argument."""
    return _subclass(original)


def _subclass(*bases: type[Exception]) -> type[Exception]:
    names = {
        "__module__": bases[0].__module__,
        "__qualname__": bases[0].__qualname__,
        "__str__": _first_argument,
    }
    return type(bases[0].__name__, bases, names)


def _first_argument(error: Exception) -> str:
    args = _read_args(error)
    return str(args[0]) if args else ""


def _first_made(
    derive: Callable[[type[Exception]], type[Exception]],
    kind: type[Exception] | None,
    record: ErrorRecord,
    args: tuple[Any, ...],
    members: list[Exception],
) -> Exception | None:
    """Return an exception of the class that ``derive`` makes of ``kind``, or of its nearest base that can be made."""
    while kind is not None and kind is not Exception:
        error = _made(derive(kind), record, args, members)
        if error is not None:
            return error
        kind = next((base for base in kind.__bases__ if issubclass(base, Exception)), None)
    return None


def _made(
    kind: type[Exception], record: ErrorRecord, args: tuple[Any, ...], members: list[Exception]
) -> Exception | None:
    """Return an exception made by the builtin class beneath ``kind``; None if its layout is a library's own."""
    native: Any = kind
    while native.__flags__ & _HEAP_TYPE:
        native = native.__base__
    message = record.attributes.get("message")
    given = (message if type(message) is str else record.message, members) if members else ()
    error: Exception | None = _safely(lambda: native.__new__(kind, *given), None)
    if error is not None:
        _write_args(error, args)
    return error


def _set_attributes(error: Exception, record: ErrorRecord) -> None:
    """Set the attributes of the recorded error, as far as the class takes them, and its notes."""
    for name, plain in record.attributes.items():
        _safely(functools.partial(BaseException.__setattr__, error, name, unpack(plain)), None)
    if record.notes:
        _read_dict(error)["__notes__"] = list(record.notes)


def _set_causes(error: Exception, record: ErrorRecord) -> None:
    """Set what led to the recorded error; what is handled where it is raised again did not."""
    BaseException.__setattr__(error, "__suppress_context__", record.context is None)
    if record.cause is not None:
        BaseException.__setattr__(error, "__cause__", restore(record.cause))
    if record.context is not None:
        BaseException.__setattr__(error, "__context__", restore(record.context))
