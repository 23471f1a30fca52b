"""The options object of R2's methods: a mapping as the last argument, keyword arguments, or both."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from wrangler_py.bindings.r2.refusals import wrong_type
from wrangler_py.sdk.pyodide.ffi import JsNull

_SNAKE = re.compile(r"_([a-z0-9])")


def read_options(method: str, given: Any, more: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return the options that were given, by Cloudflare's names; ``snake_case`` is understood, None is left out.

    Raises:
        R2Error: one is not ``known``.
    """
    if given is not None and not isinstance(given, Mapping | JsNull):
        raise wrong_type(f"{method}: options are an object, not {type(given).__name__}")
    given = given if isinstance(given, Mapping) else {}
    found = {}
    for name, value in {**given, **more}.items():
        option = _SNAKE.sub(lambda match: match[1].upper(), str(name))
        if option not in known:
            raise wrong_type(f"{method}: there is no option {name!r}; there are: {', '.join(sorted(known))}")
        if not absent(value):
            found[option] = value
    return found


def absent(value: Any) -> bool:
    """Return True if a value stands for JavaScript's ``undefined`` or ``null``."""
    return value is None or isinstance(value, JsNull)


def read_instant(what: str, value: Any) -> int:
    """Return the milliseconds since 1970 of a datetime (naive: UTC) or of a number that is them already."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    raise wrong_type(f"{what} is a datetime, not {type(value).__name__}")


def read_whole(value: Any) -> int | None:
    """Return a whole number, which JavaScript may have made a float; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == int(value) else None
