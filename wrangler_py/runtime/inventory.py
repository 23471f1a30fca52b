"""What a Worker's ``env`` holds, as the banner lists it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wrangler_py.runtime.channel import BindingLine

if TYPE_CHECKING:
    from wrangler_py.config import Config
    from wrangler_py.config.model import WorkflowConfig

#: Characters of a variable's value that are shown.
VALUE_WIDTH = 60


def list_bindings(config: Config) -> list[BindingLine]:
    """Return workflows, then variables with their values, then secrets without."""
    return [
        *(BindingLine(one.binding, "Workflow", _workflow(one, config.name)) for one in config.workflows),
        *(BindingLine(name, "Environment Variable", _value(value)) for name, value in config.vars.items()),
        *(BindingLine(name, "Secret", "(hidden)") for name in config.secrets),
    ]


def _workflow(workflow: WorkflowConfig, script: str) -> str:
    if workflow.script_name in (None, script):
        return workflow.class_name
    return f"{workflow.class_name} of {workflow.script_name}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_WIDTH else f"{text[:VALUE_WIDTH]}…"
