"""Options as Cloudflare's API takes them: a trailing object, or keywords, in camelCase or snake_case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SNAKE = {"contentType": "content_type", "delaySeconds": "delay_seconds"}


def read_options(call: str, given: Any, named: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """Return the options of a call by their camelCase names, None where one is not given.

    ``given`` is the trailing object or None, ``named`` the keywords, which win.

    Raises:
        TypeError: there is another option among them, or ``given`` is no object.
    """
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"{call} takes its options as an object or keywords, not as {type(given).__name__}")
    if not given and not named:
        return dict.fromkeys(known)
    options = {**(given or {}), **named}
    found = {name: options.pop(name, options.pop(_SNAKE.get(name, name), None)) for name in known}
    if options:
        raise TypeError(f"{call} has no option {next(iter(options))!r}: there are {', '.join(known)}")
    return found
