"""The ``[[workflows]]`` of a section, checked."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator

from wrangler_py.config.cron import problem as cron_problem
from wrangler_py.config.keys import WORKFLOW, WORKFLOW_UNUSED
from wrangler_py.config.model import WorkflowConfig
from wrangler_py.config.table import Table

_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,63}")
_SCRIPT_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]*")
_KEYS = (*WORKFLOW, *WORKFLOW_UNUSED)
#: docs, "Limits": what a binding may raise the step limit to, and the most instances that run at a time.
_MAX_STEPS = 25_000
_MAX_CONCURRENCY = 4500


def script_name_problem(name: str) -> str | None:
    """Return what is wrong with a Worker's name."""
    return None if _SCRIPT_NAME.fullmatch(name) else "must be letters, digits, - and _"


def read_workflows(section: Table, script: str, variables: Collection[str]) -> Iterator[WorkflowConfig]:
    """Yield the workflows whose required keys are right.

    ``script`` is the Worker's own name; ``variables`` are the names on ``env`` that are taken already.
    """
    seen: dict[str, set[str]] = {"name": set(), "binding": set()}
    for table in section.tables("workflows"):
        workflow = _workflow(table)
        _warn_unknown(table)
        if workflow is not None:
            _check_code(section, table, workflow, script)
            _check_taken(table, workflow, seen, variables)
            yield workflow


def _workflow(table: Table) -> WorkflowConfig | None:
    name = table.required_text("name", _name_problem, _KEYS)
    binding = table.required_text("binding", _identifier_problem, _KEYS)
    class_name = table.required_text("class_name", _identifier_problem, _KEYS)
    script_name = table.text("script_name", script_name_problem)
    steps, concurrency = (
        _limit(table, "limits", "steps", _MAX_STEPS),
        _limit(table, "concurrency", "limit", _MAX_CONCURRENCY),
    )
    schedules = _schedules(table)
    if name is None or binding is None or class_name is None:
        return None
    return WorkflowConfig(name, binding, class_name, script_name, steps, concurrency, schedules)


def _limit(table: Table, key: str, name: str, most: int) -> int | None:
    inner = table.table(key)
    inner.warn_unknown((name,))
    return inner.whole(name, 1, most)


def _schedules(table: Table) -> tuple[str, ...]:
    if table.data.get("schedules") == []:
        table.error("schedules", "schedules is empty", "name a cron expression, or leave it out")
    return table.texts("schedules", cron_problem, or_one=True)


def _warn_unknown(table: Table) -> None:
    """Warn about unknown keys, but those that were reported in the place of a missing one."""
    missing = [key for key in ("name", "binding", "class_name") if not table.has(key)]
    told = [table.misspelling(key, _KEYS) for key in missing]
    table.warn_unknown(WORKFLOW, (*WORKFLOW_UNUSED, *filter(None, told)))


def _check_code(section: Table, table: Table, workflow: WorkflowConfig, script: str) -> None:
    if workflow.script_name in (None, script) and not section.has("main"):
        message = f'workflow "{workflow.name}" has no code'
        table.source.error(
            table.at, message, 'add main = "src/entry.py", or the script_name of another Worker'
        )


def _check_taken(
    table: Table, workflow: WorkflowConfig, seen: dict[str, set[str]], variables: Collection[str]
) -> None:
    for key, values in seen.items():
        value = getattr(workflow, key)
        if value in values:
            table.error(key, f'{key} "{value}" is taken by another workflow', "each needs its own")
        values.add(value)
    if workflow.binding in variables:
        table.error(
            "binding", f'binding "{workflow.binding}" is also the name of a variable', "each needs its own"
        )


def _name_problem(name: str) -> str | None:
    return (
        None
        if _NAME.fullmatch(name)
        else "must be letters, digits, - and _, not - first, up to 64 characters"
    )


def _identifier_problem(name: str) -> str | None:
    if keyword.iskeyword(name):
        return "is a word of Python's own"
    return None if name.isidentifier() else "must be a Python name: letters, digits and _"
