"""Exceptions that cross from one Worker to another."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import msgspec
import pytest

from wrangler_py.bindings.failures import D1Error
from wrangler_py.errors import InstanceExistsError, InstanceNotFoundError, WorkerLoadError
from wrangler_py.sdk.failures import capture
from wrangler_py.sdk.pyodide.ffi import JsException
from wrangler_py.sdk.raised import Raised, pack_error, revive
from wrangler_py.sdk.workers.workflows import NonRetryableError


class Declined(Exception):
    """Wants other arguments than it passes on."""

    def __init__(self, card, amount):
        super().__init__(f"{card} has no {amount}")
        self.card, self._secret = card, "x"


class Mute(Exception):
    def __str__(self):
        return "always this"


class Final(NonRetryableError):
    pass


def travelled(error):
    """Return ``error`` as it arrives, after a journey in bytes."""
    data = msgspec.json.encode(pack_error(error))
    return revive(msgspec.json.decode(data, type=Raised), "the Worker there")


def raised(code, **names):
    try:
        exec(code, names)
    except Exception as error:
        return error
    raise AssertionError


ERRORS = [
    ValueError("bad"),
    ValueError(),
    KeyError("k"),
    OSError(2, "No such file"),
    ZeroDivisionError("division by zero"),
    raised("b'\\xff'.decode()"),
    raised("import json; json.loads('{')"),
    ValueError(("a", "tuple"), 1),
    ValueError(object),
    InstanceNotFoundError("i"),
    InstanceExistsError("i"),
    WorkerLoadError("broken", traceback="frames", hint="mend it"),
    D1Error("D1_ERROR: no such table", sql="SELECT 1"),
    JsException("text", name="TypeError"),
    NonRetryableError("stop"),
    NonRetryableError("stop", "Named"),
    Declined("visa", 5),
    Mute("ignored"),
    Final("end"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__}-{error}"[:40])
def test_type_and_message_arrive_unchanged(error):
    found = travelled(error)
    assert isinstance(found, type(error))
    assert type(found).__name__ == type(error).__name__
    assert str(found) == str(error)
    assert (capture(found).name, capture(found).message) == (capture(error).name, capture(error).message)


def test_public_attributes_come_along_and_others_do_not():
    found = travelled(Declined("visa", 5))
    assert found.card == "visa"
    assert not hasattr(found, "_secret")
    assert travelled(InstanceNotFoundError("i")).instance_id == "i"
    assert travelled(WorkerLoadError("broken", hint="mend it")).hint == "mend it"


@pytest.fixture
def elsewhere():
    """A module that only the other Worker has: gone when the exception arrives."""
    module = ModuleType("their_own_errors")
    module.Theirs = type("Theirs", (Exception,), {"__module__": "their_own_errors"})
    module.Last = type("Last", (NonRetryableError,), {"__module__": "their_own_errors"})
    yield module
    sys.modules.pop("their_own_errors", None)


def test_a_class_that_is_not_here_arrives_by_name_as_a_js_exception(elsewhere):
    found = travelled(elsewhere.Theirs("no money"))
    assert isinstance(found, JsException)
    assert (type(found).__name__, found.name, str(found), found.message) == (
        "Theirs",
        "Theirs",
        "no money",
        "no money",
    )


def test_a_second_journey_brings_it_home(elsewhere):
    """there -> here (which has no such class) -> a Worker that has it."""
    found = travelled(elsewhere.Theirs("no money"))
    sys.modules["their_own_errors"] = elsewhere
    assert type(travelled(found)) is elsewhere.Theirs


def test_what_must_not_be_retried_stays_so_whatever_it_is_called(elsewhere):
    found = travelled(elsewhere.Last("enough"))
    assert isinstance(found, NonRetryableError)
    assert (type(found).__name__, str(found)) == ("Last", "enough")


def test_an_exception_is_never_made_of_something_else():
    for path in ("os:system", "builtins:KeyboardInterrupt", "no.such.module:X", "json", ""):
        data = json.loads(msgspec.json.encode(pack_error(ValueError("x"))))
        data["error"]["type"] = path
        found = revive(msgspec.json.decode(json.dumps(data), type=Raised), "there")
        assert isinstance(found, JsException)


def test_a_note_tells_where_it_was_raised():
    def in_user_code():
        raise ValueError("x")

    with pytest.raises(ValueError) as caught:
        in_user_code()
    (note,) = travelled(caught.value).__notes__
    assert note.startswith("Raised in the Worker there: Traceback")
    assert "in_user_code" in note


class Hostile(Exception):
    def __str__(self):
        raise RuntimeError

    args = __dict__ = property(__str__)


def test_an_error_whose_every_method_raises_arrives():
    back = travelled(Hostile("x"))
    assert isinstance(back, Hostile)


def test_a_group_arrives_with_its_members_and_an_error_with_its_cause():
    cause = ValueError("page 2")
    cause.__cause__ = Declined("visa", 3)
    back = travelled(ExceptionGroup("pages", [cause]))
    assert (type(back), str(back)) == (ExceptionGroup, "pages (1 sub-exception)")
    (member,) = back.exceptions
    assert (str(member), str(member.__cause__), member.__cause__.card) == ("page 2", "visa has no 3", "visa")
    assert not hasattr(member.__cause__, "_secret")
