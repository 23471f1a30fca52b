"""What a Worker's ``env`` holds, as the banner lists it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings import declared
from wrangler_py.runtime.channel import BindingLine

if TYPE_CHECKING:
    from wrangler_py.config import Config

#: Characters of a variable's value that are shown.
VALUE_WIDTH = 60


def list_bindings(config: Config) -> list[BindingLine]:
    """Return the bindings in the order of their kinds, then variables with their values, then secrets without."""
    return [
        *(BindingLine(one.name, one.kind, one.detail) for one in declared(config)),
        *(BindingLine(name, "Environment Variable", _value(value)) for name, value in config.vars.items()),
        *(BindingLine(name, "Secret", "hidden") for name in config.secrets),
    ]


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_WIDTH else f"{text[:VALUE_WIDTH]}…"
