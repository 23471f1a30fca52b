"""Why a message is not sent: Cloudflare's codes (Email Service docs, "Error codes")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wrangler_py.bindings.failures import EmailError

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]")


def invalid(reason: str) -> EmailError:
    """Return the error of something that is not as it has to be."""
    return EmailError(reason, code="E_VALIDATION_ERROR")


def missing(what: str) -> EmailError:
    """Return the error of a field that has to be there."""
    return EmailError(f"required field is missing: {what}", code="E_FIELD_MISSING")


def required(fields: Mapping[str, Any], name: str, where: str = "") -> Any:
    """Return a field; raise EmailError if it is not there."""
    value = fields.get(name)
    if value is None or value == "":
        raise missing(f"{where}{name}")
    return value


def one_line(value: object, what: str) -> str:
    """Return text that may stand in a header; raise EmailError for any other: a line break would begin a new one."""
    if not isinstance(value, str):
        raise invalid(f"{what} is a string, not {type(value).__name__}")
    if _CONTROL.search(value):
        raise invalid(f"{what} must not contain line breaks or other control characters")
    return value
