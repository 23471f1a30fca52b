"""Limits, each with its source (docs, table "Limits"; engine-semantics, section 5)."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from wrangler_py.errors import InvalidArgumentError, InvalidInstanceIdError
from wrangler_py.serde import show

Plan = Literal["paid", "free"]

#: docs: "Maximum persisted state per step", "Maximum event payload size".
MAX_VALUE_BYTES = 1 << 20
#: docs: "Maximum length of a Workflow ID".
MAX_ID_LENGTH = 64
ID_PATTERN = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9\-_]*")
#: docs: "Maximum step.sleep duration".
MAX_SLEEP_MS = 365 * 24 * 60 * 60 * 1000
#: docs: "Maximum steps per Workflow"; a binding may raise it to `MAX_STEPS`.
DEFAULT_STEPS = 1024
MAX_STEPS = 25_000
#: corrections, "step name"; in UTF-16 units, as JavaScript counts.
MAX_STEP_NAME = 256
_STEP_NAME = re.compile(r"[^\x00-\x1f\ud800-\udfff]+")
#: engine-semantics, section 1.
MAX_BATCH = 100
#: docs, "Maximum Workflow instance creation rate", when limits are enforced.
RATE_COUNT, RATE_MS = 100, 10_000
#: engine-semantics, section 2: a delay function may take this long.
DELAY_FUNCTION_S = 5.0


class PlanLimits(msgspec.Struct, frozen=True):
    """What a plan allows: bytes of state per instance, instances executing at once, instances queued, how long one that
    has ended is kept, and instances created in a day (None: as many as there are)."""

    state_bytes: int
    state_name: str
    concurrency: int
    queued: int
    retention_ms: int
    daily: int | None


DAY_MS = 24 * 60 * 60 * 1000
PLANS: dict[Plan, PlanLimits] = {
    "paid": PlanLimits(
        state_bytes=1 << 30,
        state_name="1GiB",
        concurrency=4500,
        queued=100_000,
        retention_ms=30 * DAY_MS,
        daily=None,
    ),
    "free": PlanLimits(
        state_bytes=100 * 1000 * 1000,
        state_name="100MB",
        concurrency=25,
        queued=10_000,
        retention_ms=3 * DAY_MS,
        daily=100_000,
    ),
}


def check_instance_id(instance_id: object) -> str:
    """Return ``instance_id``; raise InvalidInstanceIdError if it is not a str of the documented form."""
    if (
        not isinstance(instance_id, str)
        or len(instance_id) > MAX_ID_LENGTH
        or not ID_PATTERN.fullmatch(instance_id)
    ):
        raise InvalidInstanceIdError
    return str.__str__(instance_id)


def is_step_name(name: str) -> bool:
    """Return True if ``name`` may name a step: valid Unicode of 1 to 256 UTF-16 units, none of U+0000 to U+001F."""
    if name.isprintable() and 0 < len(name) <= MAX_STEP_NAME // 2:
        # As most names are: neither a control character nor half of a surrogate pair is printable.
        return True
    return bool(_STEP_NAME.fullmatch(name)) and _utf16_units(name) <= MAX_STEP_NAME


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def is_text(text: object) -> bool:
    """Return True for a str that is valid Unicode, which alone can be stored and looked for."""
    if not isinstance(text, str):
        return False
    try:
        str.encode(text)
    except UnicodeEncodeError:
        return False
    return True


def check_text(what: str, text: object) -> str:
    """Return ``text``; raise InvalidArgumentError, naming ``what`` it is, if it is empty or no valid Unicode text."""
    if not isinstance(text, str) or not text:
        raise InvalidArgumentError(f"{what} must be a text that is not empty, not {show(text)}")
    if not is_text(text):
        raise InvalidArgumentError(f"{what} is not valid Unicode: {show(text)}")
    return str.__str__(text)
