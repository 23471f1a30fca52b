"""New instances: checked, given an id, and stored with the next commit (engine-semantics, section 1)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from wrangler_py.clock import Clock
from wrangler_py.engine.commits import GroupCommit
from wrangler_py.engine.limits import DAY_MS, MAX_BATCH, MAX_VALUE_BYTES, PlanLimits, check_instance_id
from wrangler_py.engine.model import InstanceRow, Occurrence, Status, Trigger
from wrangler_py.engine.quota import Quota
from wrangler_py.engine.settings import KEPT_FOR_EVER, Retention
from wrangler_py.engine.store import Creation, Store
from wrangler_py.errors import (
    InstanceExistsError,
    InvalidArgumentError,
    PayloadTooLargeError,
    WorkflowError,
)
from wrangler_py.serde import NotSerialisableError, RpcTypeError, encode


class Named(NamedTuple):
    """A workflow that exists, the version its new instances start with, and how long they are kept by default."""

    name: str
    version: str
    retention: Retention = KEPT_FOR_EVER


class NewInstance(msgspec.Struct):
    """An instance to create; ``id`` None: a fresh UUID4."""

    id: str | None = None
    params: Any = msgspec.field(default_factory=dict)
    #: How long it is kept once it has ended; where this says nothing, as the workflow says.
    retention: Retention = KEPT_FOR_EVER


class BatchError(msgspec.Struct, frozen=True):
    """Why one entry of a batch was refused."""

    index: int
    id: str | None
    code: str
    message: str


class BatchResult(msgspec.Struct):
    """The outcome of a batch."""

    created: list[InstanceRow]
    errors: list[BatchError]


class DeleteResult(msgspec.Struct):
    """The outcome of a batch of deletions."""

    deleted: list[str]
    errors: list[BatchError]


class InstanceCreator:
    """Checks and stores new instances."""

    def __init__(
        self, store: Store, clock: Clock, commits: GroupCommit, limits: PlanLimits, *, enforce: bool
    ) -> None:
        self._clock = clock
        self._commits = commits
        self._limits = limits
        self._enforce = enforce
        self._quota = Quota(store, clock, limits, enforce=enforce)

    async def create(
        self, workflow: Named, instance: NewInstance, trigger: Trigger, schedule: Occurrence | None
    ) -> InstanceRow:
        """Store one; for the errors see `Engine.create`."""
        new = self._creation(workflow, instance, trigger, schedule)
        await self._quota.take(1)
        row = await self._commits.create(new)
        if row is None:
            raise InstanceExistsError(new.id)
        return _created(new, row)

    async def create_batch(
        self, workflow: Named, instances: Sequence[NewInstance], trigger: Trigger, *, skip_existing: bool
    ) -> BatchResult:
        """Store up to 100 in one transaction."""
        if not instances:
            raise InvalidArgumentError("a batch needs at least one instance")
        if len(instances) > MAX_BATCH:
            raise InvalidArgumentError(f"a batch takes up to {MAX_BATCH} instances, not {len(instances)}")
        await self._quota.take(len(instances))
        result = BatchResult([], [])
        pending: list[tuple[int, Creation, asyncio.Future[int | None]]] = []
        for index, instance in enumerate(instances):
            try:
                new = self._creation(workflow, instance, trigger, None)
            except WorkflowError as error:
                result.errors.append(BatchError(index, instance.id, error.code, str(error)))
            else:
                pending.append((index, new, self._commits.create(new)))
        for index, new, future in pending:
            row = await future
            if row is not None:
                result.created.append(_created(new, row))
            elif not skip_existing:
                exists = InstanceExistsError(new.id)
                result.errors.append(BatchError(index, new.id, exists.code, str(exists)))
        return result

    def _creation(
        self, workflow: Named, new: NewInstance, trigger: Trigger, schedule: Occurrence | None
    ) -> Creation:
        instance_id = schedule.instance_id if schedule else self._id(new)
        params = encode_payload("the parameters", new.params)
        at = self._clock.now()
        retention = self._retention(new.retention.over(workflow.retention))
        return Creation(
            workflow.name, instance_id, params, trigger, workflow.version, at, schedule, retention
        )

    def _retention(self, asked: Retention) -> Retention:
        """Return how long an instance is kept; only where limits are enforced is the plan's retention one."""
        if not self._enforce:
            return asked
        most = self._limits.retention_ms
        if asked.longest_ms > most:
            raise InvalidArgumentError(
                f"retention: this plan keeps instances for {most // DAY_MS} days at most"
            )
        return asked.over(Retention(most, most))

    def _id(self, new: NewInstance) -> str:
        return self._clock.new_id() if new.id is None else check_instance_id(new.id)


def _created(new: Creation, row: int) -> InstanceRow:
    return InstanceRow(
        row=row,
        workflow=new.workflow,
        id=new.id,
        status=Status.QUEUED,
        params=new.params,
        trigger=new.trigger,
        version=new.version,
        created_at=new.at,
        modified_at=new.at,
        due_at=new.at,
        schedule=new.schedule,
    )


def encode_payload(what: str, value: Any) -> bytes:
    """Return parameters or a payload as bytes; raise InvalidArgumentError or PayloadTooLargeError."""
    try:
        data = encode(value)
    except RpcTypeError as error:
        raise InvalidArgumentError(f"{what} cannot be stored: {error} {error.remedy}") from None
    except NotSerialisableError as error:
        raise InvalidArgumentError(f"{what} cannot be stored: {error}") from None
    if len(data) > MAX_VALUE_BYTES:
        raise PayloadTooLargeError(f"{what}: {len(data)} bytes are more than the 1 MiB allowed")
    return data
