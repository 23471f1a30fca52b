"""Laws of errors on their way to disk and back to `run()` (python-sdk, section 3)."""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.sdk.failures import LONGEST_TEXT, MOST_ERRORS, MOST_TEXT, capture, rebuild, restore
from wrangler_py.sdk.pyodide.ffi import JsException
from wrangler_py.sdk.stacks import stack_of
from wrangler_py.sdk.workers.workflows import NonRetryableError
from wrangler_py.serde import ErrorRecord


class Refused(Exception):
    """Has a ``__new__`` of its own."""

    def __new__(cls, code, reason):
        return super().__new__(cls, code, reason)


class Declined(Exception):
    """Wants other arguments than it passes on, and has slots."""

    __slots__ = ("card", "status_code")

    def __init__(self, card, *, status_code):
        super().__init__(f"{card} was declined")
        self.card, self.status_code = card, status_code


class Coded(OSError):
    @property
    def code(self):
        return self.errno


class Sized(Exception):
    def __len__(self):
        return 0


class Outside(BaseException):
    pass


class Grouped(ExceptionGroup):
    def __new__(cls, message, errors, extra):
        made = super().__new__(cls, message, errors)
        made.extra = extra
        return made

    def derive(self, errors):
        return Grouped(self.message, errors, self.extra)


class Hostile(Exception):
    """Raises whatever is asked of it."""

    def __str__(self):
        raise SystemExit

    __repr__ = __str__
    __dict__ = __cause__ = __context__ = __notes__ = __traceback__ = args = __class__ = property(__str__)

    def __getattr__(self, name):
        raise RuntimeError

    def __setattr__(self, name, value):
        raise RuntimeError


def raised(work, *args):
    try:
        work(*args)
    except BaseException as error:
        return error
    raise AssertionError


def throw(error, cause=None):
    if cause is not None:
        raise error from cause
    raise error


def stored(error):
    """Return the record of an error, as it comes back from disk."""
    record = capture(error)
    back = msgspec.json.decode(msgspec.json.encode(record), type=ErrorRecord)
    assert back == record
    return back


def seen(error):
    return rebuild(stored(error), strict=False)


def test_a_plain_error_is_stored_with_nothing_but_its_class_text_and_frames():
    fields = json.loads(msgspec.json.encode(capture(raised(throw, ValueError("bad")))))
    assert fields.keys() == {"name", "message", "type", "traceback"}


def test_a_record_of_an_older_version_is_read():
    old = b'{"name":"ValueError","message":"bad","type":"builtins:ValueError","traceback":"T"}'
    error = rebuild(msgspec.json.decode(old, type=ErrorRecord), strict=False)
    assert (type(error), str(error)) == (ValueError, "ValueError: bad")


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (Refused(7, "no"), {}),
        (Declined("visa", status_code=402), {"card": "visa", "status_code": 402}),
        (OSError(2, "No such file", "f"), {"errno": 2, "strerror": "No such file", "filename": "f"}),
        (Coded(5, "I/O"), {"errno": 5, "code": 5}),
        (KeyError("k"), {}),
        (Sized("empty"), {}),
        (
            raised(b"\xff".decode),
            {"encoding": "utf-8", "start": 0, "reason": "invalid start byte", "object": b"\xff"},
        ),
        (raised(json.loads, "{"), {"pos": 1, "doc": "{"}),
        (ImportError("no", name="n"), {"name": "n"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_run_sees_the_same_class_text_and_attributes(error, attributes):
    back = seen(error)
    assert isinstance(back, type(error))
    assert isinstance(back, JsException) or isinstance(error, ValueError | TypeError)
    assert str(back) == f"{type(error).__name__}: {error}"
    assert {name: getattr(back, name) for name in attributes} == attributes
    alike = restore(stored(error))
    assert (type(alike), str(alike), alike.args) == (type(error), str(error), error.args)


def test_an_error_whose_class_cannot_be_made_again_is_one_of_its_nearest_base_with_type_and_message():
    import pydantic

    error = raised(pydantic.TypeAdapter(int).validate_python, "abc")
    back = seen(error)
    assert isinstance(back, JsException)
    assert isinstance(back, ValueError)
    assert str(back) == f"ValidationError: {error}"
    assert isinstance(restore(stored(error)), ValueError)
    assert str(restore(stored(error))) == str(error)


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_what_a_coroutine_cannot_raise_is_a_jsexception(kind):
    assert type(seen(kind(3))) is JsException


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SystemExit(2), "SystemExit: 2"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (Outside("x"), "Outside: x"),
    ],
)
def test_what_is_no_exception_comes_back_as_one(error, text):
    back = seen(error)
    assert isinstance(back, Exception)
    assert str(back) == f"Error: {text}"


def test_a_group_comes_back_as_a_group_of_its_members():
    inner = ExceptionGroup("inner", [KeyError("k"), Declined("visa", status_code=402)])
    back = seen(ExceptionGroup("pages", [ValueError("page 2 is broken"), inner]))
    caught = []
    try:
        raise back
    except* ValueError as group:
        caught += group.exceptions
    except* Declined as group:
        caught += group.exceptions[0].exceptions
    except* KeyError:
        pass
    assert [str(error) for error in caught] == ["page 2 is broken", "visa was declined"]
    assert caught[1].status_code == 402
    assert str(back) == "ExceptionGroup: pages (2 sub-exceptions)"
    assert isinstance(back, JsException)


def test_a_group_of_a_users_own_class_keeps_it():
    back = seen(Grouped("g", [ValueError(1), TypeError(2)], "more"))
    assert isinstance(back, Grouped)
    assert back.extra == "more"
    assert len(back.subgroup(ValueError).exceptions) == 1


def test_a_group_of_what_is_no_exception_comes_back_as_a_group():
    back = seen(BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError("v")]))
    assert isinstance(back, ExceptionGroup)
    assert [type(member) for member in back.exceptions] == [JsException, ValueError]


def test_notes_causes_and_contexts_come_back():
    def fail():
        try:
            throw(OSError(2, "No such file"), KeyError("k"))
        except OSError as error:
            error.add_note("while reading")
            raise Refused(1, "two")  # noqa: B904 - the context is what is looked at

    back = seen(raised(fail))
    assert back.__cause__ is None
    context = back.__context__
    assert isinstance(context, FileNotFoundError)
    assert context.__notes__ == ["while reading"]
    assert repr(context.__cause__) == "KeyError('k')"


def test_strict_mode_gives_what_cloudflare_gives():
    error = ExceptionGroup("g", [ValueError(1)])
    error.status_code = 1
    back = rebuild(stored(error), strict=True)
    assert type(back) is JsException
    assert not hasattr(back, "status_code")


def test_an_error_caught_and_raised_again_keeps_its_record_and_gains_notes():
    record = stored(raised(throw, Declined("visa", status_code=402)))
    back = rebuild(record, strict=False)
    assert capture(back) is record
    back.add_note("order 7")
    assert capture(back) == msgspec.structs.replace(record, notes=("order 7",))
    final = rebuild(stored(NonRetryableError("no", name="Mine")), strict=False)
    assert (type(final), final.message, final.name) == (NonRetryableError, "no", "Mine")


def test_text_that_is_not_unicode_is_made_visible():
    error = ValueError("bad \ud800")
    error.add_note("n\udfff")
    record = stored(error)
    assert (record.message, record.notes) == ("bad \\ud800", ("n\\udfff",))


def test_an_error_whose_every_method_raises_is_captured_and_made_again():
    record = stored(raised(throw, Hostile("x")))
    assert (record.name, record.message) == ("Hostile", "<its __str__ raised SystemExit>")
    assert "throw" in record.traceback
    back = rebuild(record, strict=False)
    assert str(back) == "Hostile: <its __str__ raised SystemExit>"


def test_texts_are_cut_and_the_cut_is_said():
    record = stored(ValueError("x" * (LONGEST_TEXT + 7)))
    assert record.message == f"{'x' * LONGEST_TEXT}… (7 more characters)"


def test_what_is_kept_of_large_errors_is_bounded():
    big = ExceptionGroup("many", [ValueError(str(number) * 9000) for number in range(1000)])
    for number in range(1000):
        setattr(big, f"a{number}", "x" * 3000)
    record = stored(big)
    assert len(record.members) == MOST_ERRORS
    assert record.members[-1].message == f"{1001 - MOST_ERRORS} more sub-exceptions are not kept"
    assert len(msgspec.json.encode(record)) < 2 * MOST_TEXT


def test_causes_without_end_are_cut():
    one, other = ValueError(1), ValueError(2)
    one.__cause__, other.__cause__ = other, one
    assert stored(one).cause.cause is None
    chain = last = ValueError(0)
    for number in range(2000):
        last.__context__ = last = ValueError(number)
    stored(chain)


def test_a_recursion_without_end_keeps_the_first_and_the_last_frames():
    def odd(count):
        even(count)

    def even(count):
        odd(count)

    record = stored(raised(odd, 1))
    assert record.name == "RecursionError"
    assert "frames left out" in record.traceback


def test_a_stack_shows_causes_groups_and_notes_as_cpython_does():
    async def page(number):
        await asyncio.sleep(0)
        if number == 2:
            raise ValueError("page 2 is broken")

    async def pages():
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(page(number))

    def fail():
        try:
            asyncio.run(pages())
        except ExceptionGroup as error:
            error.add_note("a note")
            raise RuntimeError("no pages") from error

    stack = stack_of(stored(raised(fail)))
    marks = [
        "  + Exception Group Traceback (most recent call last):",
        "async with asyncio.TaskGroup() as group:",
        "  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)",
        "  | a note",
        "  +-+---------------- 1 ----------------",
        '    |     raise ValueError("page 2 is broken")',
        "    | ValueError: page 2 is broken",
        "    +------------------------------------",
        "The above exception was the direct cause of the following exception:",
        'raise RuntimeError("no pages") from error',
        "RuntimeError: no pages",
    ]
    places = [stack.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "asyncio/" not in stack


def test_an_error_without_frames_of_the_user_has_no_stack():
    assert stack_of(capture(ValueError("bad"))) == ""


LEAVES = st.sampled_from(
    [
        ValueError,
        lambda text: Refused(text, {"a": text}),
        lambda text: Declined(text, status_code=object()),
        lambda text: OSError(2, text, text),
        lambda text: UnicodeEncodeError("utf-8", text, 0, 1, text),
        Hostile,
        Outside,
        SystemExit,
        lambda text: NonRetryableError(text, name=text),
        lambda text: KeyError((text,), 10**5000),
        lambda text: type(text[:1].encode(errors="ignore").decode().strip("\0") or "X", (Exception,), {})(
            text
        ),
    ]
)
ERRORS = st.recursive(
    st.tuples(LEAVES, st.text(st.characters())).map(lambda drawn: lambda: drawn[0](drawn[1])),
    lambda inner: (
        st.tuples(inner, inner).map(lambda pair: lambda: raised(throw, pair[0](), pair[1]()))
        | st.lists(inner, min_size=1, max_size=3).map(
            lambda members: lambda: BaseExceptionGroup("g", [member() for member in members])
        )
        | st.tuples(inner, st.text(st.characters())).map(lambda drawn: lambda: noted(drawn[0](), drawn[1]))
    ),
    max_leaves=8,
)


def noted(error, text):
    if type(error) is not Hostile:
        error.add_note(text)
    return error


@given(ERRORS, st.booleans())
def test_any_error_is_captured_stored_shown_and_made_again(make, strict):
    record = stored(make())
    stack_of(record).encode()
    back = rebuild(record, strict=strict)
    assert isinstance(back, Exception)
    assert capture(back) == record
    assert capture(restore(record)) == record
    sys.stdout.write("")
