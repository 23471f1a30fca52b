"""The API's records (rest-and-cli, section 3; types as the official SDK declares them)."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID, uuid5

import msgspec

from wrangler_py.clock import iso
from wrangler_py.config.schedule import Schedule
from wrangler_py.diagram.nodes import Graph
from wrangler_py.engine.limits import DEFAULT_STEPS
from wrangler_py.engine.model import (
    AttemptView,
    ErrorView,
    InstanceDetail,
    InstanceRow,
    StepView,
    WaitView,
    WorkflowRow,
)
from wrangler_py.engine.settings import KEPT_FOR_EVER, Settings
from wrangler_py.runtime.versions import CodeVersion

_NAMESPACE = UUID("7c9a3f52-5d1e-4b8a-9a61-2f0f6f7a4e11")


class ScheduleView(msgspec.Struct):
    """A schedule of a workflow, and when it creates the next instance (None: never)."""

    cron: str
    next_instance: str | None


class WorkflowView(msgspec.Struct):
    """A workflow with how many instances have each status."""

    id: str
    name: str
    script_name: str
    class_name: str
    created_on: str
    modified_on: str
    triggered_on: str | None
    version_id: str
    instances: dict[str, int]
    schedules: list[ScheduleView]


class LimitsView(msgspec.Struct):
    """How many steps an instance may have."""

    steps: int


class ConcurrencyView(msgspec.Struct):
    """How many instances execute at once."""

    limit: int


class RetentionView(msgspec.Struct):
    """How long an instance is kept once it has ended, in milliseconds; None: for ever."""

    success_retention: int | None
    error_retention: int | None


class VersionView(msgspec.Struct):
    """A version of a workflow's code."""

    id: str
    class_name: str
    created_on: str
    modified_on: str
    workflow_id: str
    has_dag: bool
    language: str
    limits: LimitsView
    concurrency: ConcurrencyView | None
    default_retention: RetentionView | None


class GraphView(msgspec.Struct):
    """What a version of a workflow's code does; ``graph`` None: there is no code to read it from."""

    id: str
    class_name: str
    created_on: str
    graph: Graph | None
    modified_on: str
    workflow_id: str


class CreatedView(msgspec.Struct):
    """A new instance."""

    id: str
    status: str
    version_id: str
    workflow_id: str
    trigger_source: str


class InstanceView(msgspec.Struct):
    """An instance in a list."""

    id: str
    status: str
    version_id: str
    workflow_id: str
    created_on: str
    modified_on: str
    started_on: str | None
    ended_on: str | None
    trigger_source: str


class StepOutputView(msgspec.Struct, omit_defaults=True):
    """What one step, or one attempt of it, came to."""

    status: str
    output: Any
    error: Any
    event_type: str | msgspec.UnsetType = msgspec.UNSET


@cache
def workflow_id(name: str) -> str:
    """Return a workflow's id: a UUID made from its name, the same in every state directory."""
    return str(uuid5(_NAMESPACE, name))


def view_workflow(row: WorkflowRow, counts: dict[str, int], settings: Settings, now: int) -> WorkflowView:
    """Return a workflow as REST v4 shows it."""
    return WorkflowView(
        id=workflow_id(row.name),
        name=row.name,
        script_name=row.script,
        class_name=row.class_name,
        created_on=iso(row.created_at),
        modified_on=iso(row.modified_at),
        triggered_on=_iso(row.triggered_at),
        version_id=row.version,
        instances=counts,
        schedules=[_schedule(one, now) for one in settings.schedules],
    )


def _schedule(expression: str, now: int) -> ScheduleView:
    return ScheduleView(expression, _iso(Schedule(expression).next_after(now)))


def view_version(row: WorkflowRow, code: CodeVersion, settings: Settings, graph: Graph | None) -> VersionView:
    """Return a version of a workflow, with the settings that hold for all of them now."""
    kept = settings.retention
    return VersionView(
        id=code.id,
        class_name=code.class_name,
        created_on=iso(code.created_at),
        modified_on=iso(code.created_at),
        workflow_id=workflow_id(row.name),
        has_dag=graph is not None,
        language="python",
        limits=LimitsView(settings.step_limit or DEFAULT_STEPS),
        concurrency=ConcurrencyView(settings.concurrency) if settings.concurrency else None,
        default_retention=RetentionView(kept.success_ms, kept.error_ms) if kept != KEPT_FOR_EVER else None,
    )


def view_graph(row: WorkflowRow, code: CodeVersion, graph: Graph | None) -> GraphView:
    """Return the diagram of a version."""
    at = iso(code.created_at)
    return GraphView(code.id, code.class_name, at, graph, at, workflow_id(row.name))


def view_created(row: InstanceRow) -> CreatedView:
    """Return a new instance as the answer to its creation."""
    return CreatedView(row.id, row.status.value, row.version, workflow_id(row.workflow), row.trigger.value)


def view_instance(row: InstanceRow) -> InstanceView:
    """Return an instance as lists show it."""
    return InstanceView(
        id=row.id,
        status=row.status.value,
        version_id=row.version,
        workflow_id=workflow_id(row.workflow),
        created_on=iso(row.created_at),
        modified_on=iso(row.modified_at),
        started_on=_iso(row.started_at),
        ended_on=_iso(row.ended_at),
        trigger_source=row.trigger.value,
    )


def view_step(detail: InstanceDetail, name: str, kind: str, attempt: int | None) -> StepOutputView | None:
    """Return what the step ``name`` (``<name>-<count>``) came to, or one attempt of it; None: no such."""
    for step in detail.steps:
        if isinstance(step, StepView | WaitView) and (step.name, step.type) == (name, kind):
            return _wait_output(step) if isinstance(step, WaitView) else _step_output(step, attempt)
    return None


def _step_output(step: StepView, attempt: int | None) -> StepOutputView | None:
    if attempt is None:
        status = _progress(step.success, "waiting" if step.retry_at else "running")
        return StepOutputView(status, step.output, _plain(step.error))
    if attempt > len(step.attempts):
        return None
    return _attempt_output(step, step.attempts[attempt - 1])


def _attempt_output(step: StepView, attempt: AttemptView) -> StepOutputView:
    output = step.output if attempt.success else None
    return StepOutputView(_progress(attempt.success, "running"), output, _plain(attempt.error))


def _wait_output(step: WaitView) -> StepOutputView:
    success = (step.error is None) if step.finished else None
    return StepOutputView(_progress(success, "waiting"), step.output, _plain(step.error), step.event_type)


def _plain(error: ErrorView | None) -> ErrorView | None:
    """Return an error without its stack, which a whole answer has once and this part of it by chance."""
    return error and ErrorView(error.name, error.message)


def _progress(success: bool | None, unfinished: str) -> str:
    if success is None:
        return unfinished
    return "complete" if success else "errored"


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)
