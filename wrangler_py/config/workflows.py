"""The ``[[workflows]]`` of a section, checked."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wrangler_py.config.cron import problem as cron_problem
from wrangler_py.config.keys import WORKFLOW, WORKFLOW_UNUSED
from wrangler_py.config.model import WorkflowConfig
from wrangler_py.config.names import Names, identifier_problem, script_name_problem
from wrangler_py.config.table import Table, shown

_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,63}")
#: How long instances are kept (wrangler's documentation, "Workflows").
_RETENTION = ("success_retention", "error_retention")
_DAY_MS = 24 * 60 * 60 * 1000
_UNITS_MS = {"second": 1000, "minute": 60_000, "hour": 3_600_000, "day": _DAY_MS, "week": 7 * _DAY_MS}
_UNITS_MS |= {"month": 30 * _DAY_MS, "year": 365 * _DAY_MS}
_DURATION = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(_UNITS_MS)})s?")
_LONGEST_MS = 100 * 365 * _DAY_MS
_KEYS = (*WORKFLOW, *WORKFLOW_UNUSED)
#: docs, "Limits": what a binding may raise the step limit to, and the most instances that run at a time.
_MAX_STEPS = 25_000
_MAX_CONCURRENCY = 4500


def read_workflows(section: Table, script: str, names: Names) -> Iterator[WorkflowConfig]:
    """Yield the workflows whose required keys are right.

    ``script`` is the Worker's own name; ``names`` on ``env`` are claimed for the bindings.
    """
    seen: set[str] = set()
    for table in section.tables("workflows"):
        workflow = _workflow(table)
        _warn_unknown(table)
        if workflow is not None:
            _check_code(section, table, workflow, script)
            _check_taken(table, workflow, seen)
            names.claim(table, "binding")
            yield workflow


def _workflow(table: Table) -> WorkflowConfig | None:
    name = table.required_text("name", _name_problem, _KEYS)
    binding = table.required_text("binding", identifier_problem, _KEYS)
    class_name = table.required_text("class_name", identifier_problem, _KEYS)
    script_name = table.text("script_name", script_name_problem)
    steps, concurrency = (
        _limit(table, "limits", "steps", _MAX_STEPS),
        _limit(table, "concurrency", "limit", _MAX_CONCURRENCY),
    )
    schedules = _schedules(table)
    kept = table.table("default_retention")
    kept.warn_unknown(_RETENTION)
    success, error = (_duration(kept, key) for key in _RETENTION)
    if name is None or binding is None or class_name is None:
        return None
    return WorkflowConfig(
        name, binding, class_name, script_name, steps, concurrency, schedules, success, error
    )


def _limit(table: Table, key: str, name: str, most: int) -> int | None:
    inner = table.table(key)
    inner.warn_unknown((name,))
    return inner.whole(name, 1, most)


def _duration(table: Table, key: str) -> int | str | None:
    value: int | str | None = table.data.get(key)
    if value is None or 0 < _milliseconds(value) <= _LONGEST_MS:
        return value
    rule = 'must be milliseconds above 0, or a duration of up to 100 years such as "3 days"'
    table.error(key, f"{key} {rule}, not {shown(value)}")
    return None


def _milliseconds(value: object) -> float:
    """Return a duration in milliseconds; what is none is of no length."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) * _UNITS_MS[match[2]] if match else 0


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


def _check_taken(table: Table, workflow: WorkflowConfig, seen: set[str]) -> None:
    if workflow.name in seen:
        table.error("name", f'name "{workflow.name}" is taken by another workflow', "each needs its own")
    seen.add(workflow.name)


def _name_problem(name: str) -> str | None:
    return (
        None
        if _NAME.fullmatch(name)
        else "must be letters, digits, - and _, not - first, up to 64 characters"
    )
