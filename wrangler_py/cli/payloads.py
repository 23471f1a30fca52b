"""JSON that a user typed."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from wrangler_py.errors import UserError

HINT = """Quote it for your shell, for example '{"hello": "world"}'."""


def parse_json(text: str, what: str) -> Any:
    """Return the value of ``text``. Raises UserError, which quotes the text; ``what`` names it."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at position {error.pos} (line {error.lineno} column {error.colno})"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    raise UserError(f'Error while parsing {what}: "{_shortened(text)}" with {reason}', hint=HINT)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
