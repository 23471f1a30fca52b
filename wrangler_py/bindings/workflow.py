"""The workflow binding (python-sdk, section 5): create instances, find them, steer them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from wrangler_py.bindings.declared import Declared
from wrangler_py.bindings.started import starts
from wrangler_py.engine import Kind, NewInstance, StepRef, Trigger
from wrangler_py.engine.describe import show_event
from wrangler_py.engine.model import HistoryType
from wrangler_py.engine.settings import KEPT_FOR_EVER, Retention, read_retention
from wrangler_py.errors import InvalidArgumentError
from wrangler_py.serde import Record, to_json

if TYPE_CHECKING:
    from wrangler_py.bindings.cross_script import Workflows
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config
    from wrangler_py.config.model import WorkflowConfig
    from wrangler_py.engine import BatchError, BatchResult, InstanceRow

_CREATE_KEYS = frozenset({"id", "params", "retention"})
#: Cloudflare's spelling, and Python's.
_RETENTION_KEYS = {"successRetention": "success", "errorRetention": "error"}
_RETENTION_KEYS |= {"success_retention": "success", "error_retention": "error"}
#: What an instance is recorded to have come from: ``event`` while a message of a queue or an email is handled.
source: ContextVar[Trigger] = ContextVar("source", default=Trigger.BINDING)


def declare(config: Config) -> Iterator[Declared]:
    """Yield the workflow bindings of a configuration."""
    for one in config.workflows:
        yield Declared(one.binding, "Workflow", _detail(one, config.name), partial(_make, one))


def _detail(workflow: WorkflowConfig, script: str) -> str:
    if workflow.script_name in (None, script):
        return workflow.class_name
    return f"{workflow.class_name} of {workflow.script_name}"


def _make(workflow: WorkflowConfig, on: Resources) -> WorkflowBinding:
    if workflow.script_name in (None, on.config.name):
        return WorkflowBinding(on.engine, workflow.name)
    from wrangler_py.bindings.cross_script import RemoteEngine

    return WorkflowBinding(RemoteEngine(on.peers, workflow.script_name), workflow.name)


class WorkflowInstance:
    """One instance: ``id``, and what may be done with it."""

    def __init__(self, engine: Workflows, workflow: str, instance_id: str) -> None:
        self.id = instance_id
        self._engine = engine
        self._workflow = workflow

    @starts
    async def status(self) -> Record:
        """Return ``{"status", "error": {name, message} | None, "output": value | None}``."""
        instance = await self._engine.status(self._workflow, self.id)
        error = instance.error and Record(name=instance.error.name, message=instance.error.message)
        return Record(status=instance.status.value, error=error, output=to_json(instance.output))

    @starts
    async def pause(self) -> None:
        """Let steps in flight finish, then start no more."""
        await self._engine.pause(self._workflow, self.id)

    @starts
    async def resume(self) -> None:
        """Go on after a pause."""
        await self._engine.resume(self._workflow, self.id)

    @starts
    async def terminate(
        self, options: Mapping[str, Any] | None = None, /, *, rollback: bool | None = None
    ) -> None:
        """End it at once, or, with ``rollback=True`` (or ``{"rollback": True}``), when its steps are undone.

        Raises:
            CannotTerminateError: it has ended.
            InvalidArgumentError: another option.
        """
        given = dict(options or {})
        wanted = given.pop("rollback", rollback)
        if given or wanted not in (None, False, True):
            raise InvalidArgumentError("terminate has one option: rollback, True or False")
        await self._engine.terminate(self._workflow, self.id, rollback=bool(wanted))

    @starts
    async def restart(self, from_: Mapping[str, Any] | None = None, /, **options: Any) -> None:
        """Run it again, from the start or ``from={"name", "count", "type"}``; raise CannotRestartError."""
        raw = from_ if from_ is not None else options.pop("from", options.pop("from_", None))
        if isinstance(raw, Mapping) and isinstance(raw.get("from"), Mapping):
            raw = raw["from"]
        if options:
            raise InvalidArgumentError(f"restart has no option {next(iter(options))!r}: there is only `from`")
        await self._engine.restart(self._workflow, self.id, from_=None if raw is None else read_step_ref(raw))

    @starts
    async def send_event(
        self, event: Mapping[str, Any] | None = None, /, *, type: str | None = None, payload: Any = None
    ) -> None:
        """Send ``type`` and ``payload``, kept until the instance waits for that type."""
        if event is not None:
            type, payload = event.get("type"), event.get("payload")
        if not isinstance(type, str):
            raise InvalidArgumentError("send_event needs type=, a text")
        await self._engine.send_event(self._workflow, self.id, type, payload)

    async def subscribe(
        self, filter: str | Iterable[str] | None = None, cursor: int | None = None
    ) -> AsyncIterator[Record]:
        """Give its history, first what has happened, then live, up to its end.

        Each is ``{"cursor", "type", "timestamp", "name", "attempt", "error"}``; ``filter`` names types as
        ``"STEP_SUCCESS"``; ``cursor``, from an event before, goes on behind that one.
        """
        only = None if filter is None else _read_types([filter] if isinstance(filter, str) else filter)
        async for event in self._engine.subscribe(self._workflow, self.id, after=cursor or 0, only=only):
            yield Record(show_event(event))

    @starts
    async def delete(self) -> None:
        """Remove it and all it stored."""
        await self._engine.delete(self._workflow, self.id)

    sendEvent = send_event


def _read_types(names: Iterable[str]) -> set[HistoryType]:
    try:
        return {HistoryType(name) for name in names}
    except ValueError as error:
        raise InvalidArgumentError(f"{error}; the types are: {', '.join(HistoryType)}") from None


def read_step_ref(raw: Mapping[str, Any]) -> StepRef:
    """Return the step that ``{"name", "count"=1, "type"="do"}`` names; raise InvalidArgumentError."""
    try:
        ref = msgspec.convert(
            {"name": raw["name"], "count": raw.get("count") or 1, "kind": raw.get("type") or Kind.DO}, StepRef
        )
    except (msgspec.ValidationError, KeyError, AttributeError) as error:
        raise InvalidArgumentError(f'restart from needs {{"name", "count", "type"}}: {error}') from None
    return ref


class WorkflowBinding:
    """``env.MY_WORKFLOW``."""

    def __init__(self, engine: Workflows, name: str) -> None:
        self._engine = engine
        self._name = name

    def __repr__(self) -> str:
        return f"<workflow {self._name}>"

    def _instance(self, row: InstanceRow) -> WorkflowInstance:
        return WorkflowInstance(self._engine, self._name, row.id)

    @starts
    async def create(
        self,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        id: str | None = None,
        params: Any = msgspec.UNSET,
        retention: Mapping[str, Any] | None = None,
    ) -> WorkflowInstance:
        """Store a new instance and return it; it runs by itself.

        ``retention``: how long to keep it once it has ended, ``{"successRetention", "errorRetention"}``, each a
        duration as `step.sleep` takes it.

        Raises:
            InvalidInstanceIdError, InstanceExistsError, InvalidArgumentError, PayloadTooLargeError, QueueFullError.
        """
        if options is not None:
            new = _read_new(options)
            id, params, kept = new.id, new.params, new.retention
        else:
            kept = _read_retention(retention)
        row = await self._engine.create(
            self._name, id=id, params=params, trigger=source.get(), retention=kept
        )
        return self._instance(row)

    @starts
    async def get(self, id: str, /) -> WorkflowInstance:
        """Return an instance; raise InstanceNotFoundError."""
        return self._instance(await self._engine.status(self._name, id))

    @starts
    async def create_batch(self, batch: Any = None, /, **options: Any) -> Any:
        """Create up to 100 instances.

        A list gives the list of those created; ids that exist are skipped. ``{"count", "params"}`` or
        ``{"instances": [...]}`` gives ``{"created", "errors": [{"index", "id", "code", "message"}]}``.
        """
        batch = options if batch is None else batch
        if isinstance(batch, Mapping):
            result = await self._create(_read_batch(batch), skip_existing=False)
            errors = [_show_error(error) for error in result.errors]
            return Record(created=[self._instance(row) for row in result.created], errors=errors)
        if not isinstance(batch, Iterable):
            raise InvalidArgumentError("create_batch needs a list of instances")
        result = await self._create([_read_new(one) for one in batch], skip_existing=True)
        if result.errors:
            raise InvalidArgumentError(f"instance {result.errors[0].index}: {result.errors[0].message}")
        return [self._instance(row) for row in result.created]

    async def _create(self, instances: list[NewInstance], *, skip_existing: bool) -> BatchResult:
        return await self._engine.create_batch(
            self._name, instances, trigger=source.get(), skip_existing=skip_existing
        )

    @starts
    async def delete_batch(self, ids: Iterable[Any], /) -> Record:
        """Remove instances, given by id; return ``{"deleted", "errors"}``."""
        wanted = [getattr(one, "id", one) for one in ids]
        result = await self._engine.delete_batch(self._name, wanted)
        deleted = [Record(id=one) for one in result.deleted]
        return Record(deleted=deleted, errors=[_show_error(error) for error in result.errors])

    createBatch = create_batch
    deleteBatch = delete_batch


def _show_error(error: BatchError) -> Record:
    return Record(index=error.index, id=error.id, code=error.code, message=error.message)


def _read_new(options: object) -> NewInstance:
    if not isinstance(options, Mapping):
        raise InvalidArgumentError(f"an instance is created from {{'id', 'params'}}, not from {options!r}")
    if unknown := sorted(set(options) - _CREATE_KEYS):
        raise InvalidArgumentError(f"create has no option {unknown[0]!r}: there are id, params and retention")
    params = options.get("params")
    kept = _read_retention(options.get("retention"))
    return NewInstance(options.get("id"), {} if params is None else params, kept)


def _read_retention(given: object) -> Retention:
    if given is None:
        return KEPT_FOR_EVER
    if not isinstance(given, Mapping) or not set(given) <= set(_RETENTION_KEYS):
        raise InvalidArgumentError(f"retention is {{'successRetention', 'errorRetention'}}, not {given!r}")
    return read_retention(**{_RETENTION_KEYS[key]: value for key, value in given.items()})


def _read_batch(batch: Mapping[str, Any]) -> list[NewInstance]:
    if "instances" in batch:
        return [_read_new(one) for one in batch["instances"]]
    count = batch.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise InvalidArgumentError("create_batch needs a list, {'instances': [...]} or {'count', 'params'}")
    return [NewInstance(None, batch.get("params", {})) for _ in range(count)]
