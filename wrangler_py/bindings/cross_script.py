"""Workflows of another Worker (docs, "Cross-script calls"): what a binding asks of an engine, asked from afar.

Both ends of the conversation: `RemoteEngine` on the caller's side stands where the engine does, so that a binding
behaves the same on either; `ask_engine` on the other side puts the question to the engine that is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from wrangler_py.bindings.resources import Target
from wrangler_py.engine import InstanceRow, NewInstance, Status, StepRef, Trigger
from wrangler_py.engine.creation import BatchError, BatchResult, DeleteResult, encode_payload
from wrangler_py.engine.model import HistoryEvent, HistoryType
from wrangler_py.engine.settings import KEPT_FOR_EVER, Retention
from wrangler_py.errors import InvalidArgumentError, WorkflowError

if TYPE_CHECKING:
    from wrangler_py.bindings.resources import Peers
    from wrangler_py.engine import Engine


T = TypeVar("T")


class Workflows(Protocol):
    """What a workflow binding asks; see `Engine` for what each method does and raises."""

    async def create(
        self,
        workflow: str,
        *,
        id: str | None = None,
        params: Any = msgspec.UNSET,
        trigger: Trigger = ...,
        retention: Retention = ...,
    ) -> InstanceRow:
        """Store a new instance and return it."""
        ...

    async def create_batch(
        self,
        workflow: str,
        instances: Sequence[NewInstance],
        *,
        trigger: Trigger = ...,
        skip_existing: bool = True,
    ) -> BatchResult:
        """Store new instances in one go."""
        ...

    async def delete_batch(self, workflow: str, ids: Sequence[str]) -> DeleteResult:
        """Remove instances."""
        ...

    async def status(self, workflow: str, instance_id: str) -> InstanceRow:
        """Return an instance."""
        ...

    async def pause(self, workflow: str, instance_id: str) -> Status:
        """Pause an instance."""
        ...

    async def resume(self, workflow: str, instance_id: str) -> Status:
        """Resume a paused instance."""
        ...

    async def terminate(self, workflow: str, instance_id: str, *, rollback: bool = False) -> Status:
        """End an instance at once, or when its steps are undone."""
        ...

    async def restart(self, workflow: str, instance_id: str, *, from_: StepRef | None = None) -> Status:
        """Run an instance again."""
        ...

    async def delete(self, workflow: str, instance_id: str) -> None:
        """Remove an instance."""
        ...

    async def send_event(self, workflow: str, instance_id: str, event_type: str, payload: Any = None) -> int:
        """Send an event."""
        ...

    def subscribe(
        self, workflow: str, instance_id: str, *, after: int = 0, only: Collection[HistoryType] | None = None
    ) -> AsyncIterator[HistoryEvent]:
        """Give an instance's events as they come."""
        ...


#: What may be asked: the methods of `Workflows`, and of each the arguments that are not plain values.
_QUESTIONS: dict[str, dict[str, Any]] = {
    "create": {"trigger": Trigger, "retention": Retention},
    "create_batch": {"instances": list[NewInstance], "trigger": Trigger},
    "delete_batch": {},
    "status": {},
    "pause": {},
    "resume": {},
    "terminate": {},
    "restart": {"from_": StepRef | None},
    "delete": {},
    "send_event": {},
    "subscribe": {"only": set[HistoryType] | None},
}


async def ask_engine(engine: Engine, target: Target, method: str, arguments: Mapping[str, Any]) -> Any:
    """Put a question of a `RemoteEngine` to the engine; return the answer in plain values.

    Raises:
        InvalidArgumentError: there is no such question, or its arguments are not those of one.
        WorkflowError: what the engine raises.
    """
    typed = _QUESTIONS.get(method)
    if typed is None:
        raise InvalidArgumentError(f"Method {method} does not exist")
    given = {key: _typed(value, typed.get(key, Any)) for key, value in arguments.items()}
    place = (target.name,) if target.id is None else (target.name, target.id)
    if method == "subscribe":
        return _plain_each(engine.subscribe(*place, **given))
    return _plain(await getattr(engine, method)(*place, **given))


def _typed(value: Any, kind: Any) -> Any:
    try:
        return value if kind is Any else msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidArgumentError(str(error)) from None


def _plain(answer: Any) -> Any:
    return msgspec.to_builtins(answer, builtin_types=(bytes,))


async def _plain_each(answers: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for answer in answers:
        yield _plain(answer)


class RemoteEngine:
    """The engine of another Worker, as far as a workflow binding needs one."""

    def __init__(self, peers: Peers, script: str) -> None:
        self._peers, self._script = peers, script

    async def create(
        self,
        workflow: str,
        *,
        id: str | None = None,
        params: Any = msgspec.UNSET,
        trigger: Trigger = Trigger.BINDING,
        retention: Retention = KEPT_FOR_EVER,
    ) -> InstanceRow:
        """Store a new instance there."""
        given: dict[str, Any] = {} if params is msgspec.UNSET else {"params": _storable(params)}
        if retention != KEPT_FOR_EVER:
            given["retention"] = msgspec.structs.asdict(retention)
        return await self._ask(InstanceRow, "create", workflow, id=id, trigger=trigger, **given)

    async def create_batch(
        self,
        workflow: str,
        instances: Sequence[NewInstance],
        *,
        trigger: Trigger = Trigger.BINDING,
        skip_existing: bool = True,
    ) -> BatchResult:
        """Store new instances there; those whose parameters cannot be sent are reported as if they had been."""
        refused = list(_refused(instances))
        sent = [index for index in range(len(instances)) if index not in {error.index for error in refused}]
        if refused and not sent:
            return BatchResult([], refused)
        entries = [_plain_new(instances[index]) for index in sent]
        result = await self._ask(
            BatchResult,
            "create_batch",
            workflow,
            instances=entries,
            trigger=trigger,
            skip_existing=skip_existing,
        )
        theirs = [msgspec.structs.replace(error, index=sent[error.index]) for error in result.errors]
        return BatchResult(result.created, refused + theirs)

    async def delete_batch(self, workflow: str, ids: Sequence[str]) -> DeleteResult:
        """Remove instances there."""
        return await self._ask(DeleteResult, "delete_batch", workflow, ids=list(ids))

    async def status(self, workflow: str, instance_id: str) -> InstanceRow:
        """Return an instance."""
        return await self._ask(InstanceRow, "status", workflow, instance_id)

    async def pause(self, workflow: str, instance_id: str) -> Status:
        """Pause an instance."""
        return await self._ask(Status, "pause", workflow, instance_id)

    async def resume(self, workflow: str, instance_id: str) -> Status:
        """Resume a paused instance."""
        return await self._ask(Status, "resume", workflow, instance_id)

    async def terminate(self, workflow: str, instance_id: str, *, rollback: bool = False) -> Status:
        """End an instance at once, or when its steps are undone."""
        return await self._ask(Status, "terminate", workflow, instance_id, rollback=rollback)

    async def restart(self, workflow: str, instance_id: str, *, from_: StepRef | None = None) -> Status:
        """Run an instance again."""
        step = None if from_ is None else msgspec.structs.asdict(from_)
        return await self._ask(Status, "restart", workflow, instance_id, from_=step)

    async def delete(self, workflow: str, instance_id: str) -> None:
        """Remove an instance."""
        await self._ask(type(None), "delete", workflow, instance_id)

    async def send_event(self, workflow: str, instance_id: str, event_type: str, payload: Any = None) -> int:
        """Send an event."""
        encode_payload("the payload", payload)
        return await self._ask(
            int, "send_event", workflow, instance_id, event_type=event_type, payload=payload
        )

    async def subscribe(
        self, workflow: str, instance_id: str, *, after: int = 0, only: Collection[HistoryType] | None = None
    ) -> AsyncIterator[HistoryEvent]:
        """Give an instance's events as they come."""
        target = Target("workflow", workflow, instance_id)
        asked = {"after": after, "only": None if only is None else sorted(only)}
        async for event in await self._peers.call(self._script, target, "subscribe", (), asked):
            yield msgspec.convert(event, HistoryEvent)

    async def _ask(
        self, kind: type[T], method: str, workflow: str, instance_id: str | None = None, /, **asked: Any
    ) -> T:
        target = Target("workflow", workflow, instance_id)
        return msgspec.convert(await self._peers.call(self._script, target, method, (), asked), kind)


def _plain_new(new: NewInstance) -> dict[str, Any]:
    return {"id": new.id, "params": new.params, "retention": msgspec.structs.asdict(new.retention)}


def _storable(params: Any) -> Any:
    """Return ``params``, refused here in the words of the engine if no engine would take them."""
    encode_payload("the parameters", params)
    return params


def _refused(instances: Sequence[NewInstance]) -> list[BatchError]:
    found = []
    for index, instance in enumerate(instances):
        try:
            _storable(instance.params)
        except WorkflowError as error:
            found.append(BatchError(index, instance.id, error.code, str(error)))
    return found
