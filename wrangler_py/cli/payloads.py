"""JSON that a user typed."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NoReturn

from wrangler_py.errors import UserError

HINT = """Quote it for your shell, for example '{"hello": "world"}'."""
TOO_LARGE = "Give a number of this size as text"


def parse_json(text: str, what: str) -> Any:
    """Return the value of ``text``, one that can be sent. Raises UserError, which quotes it; ``what`` names it."""
    hint: str | None = HINT
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_representable)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at position {error.pos} (line {error.lineno} column {error.colno})"
    except RecursionError:
        reason = "it is nested too deeply"
    except OverflowError as error:
        reason, hint = str(error), TOO_LARGE
    except UnicodeEncodeError as error:
        half = f"U+{ord(error.object[error.start]):04X}"
        reason, hint = f"{half}: half of a surrogate pair, which is not valid Unicode", None
    except ValueError as error:
        reason = str(error)
    else:
        return value
    raise UserError(f'Error while parsing {what}: "{_shortened(text)}" with {reason}', hint=hint)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise OverflowError(f"the number {_shortened(text, 20)}, which is out of range")
    return value


def _representable(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise OverflowError(f"a number of {len(text)} digits, which is out of range") from None


def _shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
