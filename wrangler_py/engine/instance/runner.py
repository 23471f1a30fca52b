"""One instance under one lease: from its start, or a replay, to a rest.

A runner calls the user's ``run(event, step)`` once, and writes how that ended. All that a step may ask in between
stands in `instance.context`, how it is executed in `instance.attempts`, how one waits in `instance.waits`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from wrangler_py.clock import naive_utc
from wrangler_py.engine.entries import FailureData, MessageData, encode_data
from wrangler_py.engine.executing import RECORD, Executing
from wrangler_py.engine.instance.context import EngineContext, InstanceContext, Phase, Slots, Stop
from wrangler_py.engine.instance.executor import raised_by_code, recorded
from wrangler_py.engine.instance.place import current_instance
from wrangler_py.engine.instance.rollback import Rollbacks
from wrangler_py.engine.instance.rollback_log import RollbackLog
from wrangler_py.engine.instance.step import WorkflowStep
from wrangler_py.engine.instance.tasks import current_tasks
from wrangler_py.engine.limits import MAX_VALUE_BYTES
from wrangler_py.engine.model import ErrorRecord, HistoryType, Status
from wrangler_py.engine.quarantine import is_hopeless
from wrangler_py.engine.store import Claimed, Ending, Parking
from wrangler_py.errors import ControlFlow, control_flow_in
from wrangler_py.sdk.failures import capture, record_of
from wrangler_py.serde import NotSerialisableError, Record, RpcTypeError, decode, encode

if TYPE_CHECKING:
    from wrangler_py.engine.definition import Definition

logger = logging.getLogger(__name__)


class Runner:
    """Drives one instance."""

    def __init__(self, claimed: Claimed, definition: Definition, shared: EngineContext, slots: Slots) -> None:
        #: Why the stored history cannot be read: the instance ends with that.
        self._unreadable: ErrorRecord | None = None
        try:
            log = RollbackLog.read(claimed.history)
            phase = Phase.FORWARD if log is None else Phase.COLLECTING
            self.context = InstanceContext(claimed, definition, shared, slots, phase)
        except Exception as error:
            logger.exception(
                "the history of instance %s of %s cannot be read",
                claimed.instance.id,
                claimed.instance.workflow,
            )
            self._unreadable, log = capture(error), None
            claimed = msgspec.structs.replace(claimed, history=[], events=[])
            self.context = InstanceContext(claimed, definition, shared, slots, Phase.FORWARD)
        self._rollbacks = Rollbacks(self.context, log)
        self._log = log
        self._warned: set[str] = set()
        self._has_run = False
        #: A process that died before its first commit has begun nothing.
        self._is_first_life = self._unreadable is None and not any(
            event.type is HistoryType.WORKFLOW_START for event in claimed.history
        )

    # life

    def start(self) -> asyncio.Task[None]:
        """Begin to run, in a task of its own; return it."""
        name = f"instance {self.context.instance.id}"
        self.context.code.main = asyncio.get_running_loop().create_task(self._live(), name=name)
        return self.context.code.main

    async def _live(self) -> None:
        """Run to the end; whatever goes wrong, what follows is stored and nothing is raised.

        This is the last net. What user code raises has become an ending before; here falls what that cannot be made
        of, and each failure of pywrangler's own code. An error that were to leave this task would leave the instance
        ``running`` for ever, also after a restart: the replay would fail in the same way.
        """
        context = self.context
        try:
            await self._live_to_end()
        except asyncio.CancelledError:
            if context.stop_reason is None:
                self._end(self._errored(record_of("CancelledError", "run() was cancelled by its own code")))
        except GeneratorExit:
            raise
        except BaseException as error:
            logger.exception(
                "instance %s of %s failed outside of its run()",
                context.instance.id,
                context.instance.workflow,
            )
            if context.stop_reason not in (Stop.ABORT, Stop.LOST):
                self._end(self._errored(capture(error)))
        finally:
            context.is_over = True
            for task in context.code.beside_run():  # Left behind: what they do can no longer be stored.
                task.cancel()
            context.calls.close()
            context.waits.close()

    async def _live_to_end(self) -> None:
        context = self.context
        current_instance.set(context.place)
        current_tasks.set(context.code.own)
        if self._is_first_life:
            context.log(HistoryType.WORKFLOW_START)
        self._rollbacks.watch()
        if context.instance.status is Status.WAITING_FOR_PAUSE:
            # Its driver died before the steps in flight were through: nothing is in flight, so it pauses now.
            context.stop_reason = Stop.PAUSE
        ending = None if context.stop_reason else await self._outcome(self._run())
        if context.stop_reason is None:
            await context.quiet()
        else:
            await context.code.unwind_beside_run()
        if context.stop_reason is None and ending is not None and self._rollbacks.is_due(ending):
            ending = await self._outcome(self._rollbacks.run(ending))
        context.calls.close()
        if context.stop_reason is None and ending is not None:
            self._warn_of_divergence()
            self._end(ending)
        elif context.stop_reason in (Stop.HIBERNATE, Stop.PAUSE, Stop.DRAIN):
            self._park(context.stop_reason)

    async def _outcome(self, work: Coroutine[Any, Any, Ending | None]) -> Ending | None:
        """Return how the instance ends after ``work``, None if it does not end by that."""
        ending = await self._awaited(work)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Asked for while ``work`` executed for the last time, it is still to come, and must not hit the runner.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        return ending

    async def _awaited(self, work: Coroutine[Any, Any, Ending | None]) -> Ending | None:
        """Await ``work``, which may be cancelled meanwhile."""
        self.context.code.is_awaited = True
        try:
            return await work
        except ControlFlow:
            context = self.context
            # While steps are undone, what is fatal is the reason for that: it is no end of the rollbacks.
            if context.stop_reason is None and (context.fatal is None or context.phase is Phase.UNDOING):
                context.stop_reason = Stop.LOST
            return self._fatal_ending()
        except asyncio.CancelledError:
            ending = self._fatal_ending()
            if ending is None and self.context.stop_reason is None:
                ending = self._errored(record_of("CancelledError", "run() was cancelled by its own code"))
            return ending
        finally:
            self.context.code.is_awaited = False

    async def _run(self) -> Ending | None:
        if self._unreadable is not None:
            return self._errored(self._unreadable)
        if (ending := self._hopeless()) is not None:
            return ending
        self._has_run = True
        try:
            entrypoint = self.context.definition.instantiate()
            result = entrypoint.run(self._event(), WorkflowStep(self.context, self._rollbacks))
            if not inspect.isawaitable(result):
                return self._errored(record_of("TypeError", _not_async(self.context.definition.class_name)))
            if self.context.suspicion.is_suspect and RECORD.is_kept and inspect.iscoroutine(result):
                place = self.context.place
                result = recorded(result, Executing(place.workflow, place.instance_id).encode())
            output = await result
            # A task made last may hold the call of a step and not have begun.
            if self.context.code.own.alive:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            raise
        except GeneratorExit as error:
            # Else nobody drives it: the interpreter closes a coroutine that it removes.
            if not self.context.code.is_executing:
                raise
            return self._fatal_ending() or self._errored(capture(raised_by_code(error)))
        except BaseException as error:  # noqa: BLE001 - sys.exit() in run() ends the instance, not the process
            return self._raised(error)
        return self._fatal_ending() or self._missing_awaits() or self._completed(output)

    def _raised(self, error: BaseException) -> Ending:
        if (control_flow := control_flow_in(error)) is not None:
            raise control_flow from None
        return self._fatal_ending() or self._errored(capture(error))

    def _event(self) -> Record:
        instance = self.context.instance
        event = Record(
            payload=decode(instance.params),
            timestamp=naive_utc(instance.created_at),
            instanceId=instance.id,
            workflowName=instance.workflow,
        )
        if instance.schedule is not None:
            event["schedule"] = Record(msgspec.structs.asdict(instance.schedule))
        return event

    # endings

    def _completed(self, output: Any) -> Ending:
        try:
            data = encode(output)
        except RpcTypeError as error:
            text = f"run() returned a value that cannot be stored: {error} {error.remedy}"
            return self._errored(record_of("TypeError", text))
        except NotSerialisableError as error:
            text = f"run() returned a value that cannot be stored: {error}"
            return self._errored(record_of("TypeError", text))
        if len(data) > MAX_VALUE_BYTES:
            return self._errored(
                record_of(
                    "WorkflowInternalError", "The output of run() is too large. Maximum allowed size is 1MiB."
                )
            )
        return Ending(self.context.row, Status.COMPLETE, self.context.now(), output=data)

    def _errored(self, error: ErrorRecord) -> Ending:
        return Ending(self.context.row, Status.ERRORED, self.context.now(), error=error)

    def _fatal_ending(self) -> Ending | None:
        return None if self.context.fatal is None else self._errored(self.context.fatal)

    def _hopeless(self) -> Ending | None:
        """Return the end of an instance whose process died too often outside of its attempts."""
        if not self.context.suspicion.is_suspect:
            return None
        recorded = [
            *self.context.replay.recorded.values(),
            *(self._log.recorded.values() if self._log else ()),
        ]
        deaths = self.context.suspicion.deaths
        if not is_hopeless(deaths, has_open_attempt=any(one.attempt_open for one in recorded)):
            return None
        text = (
            f"The process died {deaths} times in a row while this instance was executing, outside of its steps' "
            "attempts. Look for what ends a process in run() itself: os._exit, a crash in an extension, memory."
        )
        return self._errored(record_of("WorkflowInternalError", text))

    def _missing_awaits(self) -> Ending | None:
        names = self.context.calls.names
        if not names:
            return None
        listed = ", ".join(f"`{name}`" for name in names)
        plural, verb = ("steps", "were") if len(names) > 1 else ("step", "was")
        text = f"{plural} {listed} {verb} called but never awaited: put `await` in front of the call"
        return self._errored(record_of("StepNotAwaitedError", text))

    def _end(self, ending: Ending) -> None:
        if ending.status is Status.TERMINATED:
            self.context.log(HistoryType.WORKFLOW_TERMINATED)
        elif ending.error is not None:
            self.context.log(HistoryType.WORKFLOW_FAILURE, data=encode_data(FailureData(ending.error)))
        else:
            self.context.log(HistoryType.WORKFLOW_SUCCESS)
        self.context.shared.commits.end(ending)

    def _park(self, reason: Stop) -> None:
        context, now = self.context, self.context.now()
        signal = context.mailbox.signal
        if reason is Stop.PAUSE or (reason is Stop.DRAIN and context.pausing):
            context.log(HistoryType.WORKFLOW_PAUSED)
            parking = Parking(context.row, Status.PAUSED, None, signal, now, paused_at=now)
        elif reason is Stop.HIBERNATE:
            self._warn_of_divergence()
            parking = Parking(context.row, Status.WAITING, context.waits.due_at(), signal, now)
        else:
            due = context.waits.due_at() if context.idle else now
            status = Status.WAITING if context.idle else Status.RUNNING
            parking = Parking(context.row, status, due, signal, now)
        context.shared.commits.park(parking)

    def _warn_of_divergence(self) -> None:
        for message in self.context.replay.divergence() if self._has_run else ():
            if message not in self._warned:
                self._warned.add(message)
                self.context.log(HistoryType.REPLAY_DIVERGED, data=encode_data(MessageData(message)))


def _not_async(class_name: str) -> str:
    return f"{class_name}.run must be `async def run(self, event, step)`: a plain def cannot await its steps"
