"""Commands that race with the end of an instance: what each may answer, and what must be stored then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from wrangler_py.engine import Engine, Status
from wrangler_py.errors import CannotTerminateError, InstanceNotFoundError, WorkflowError

COMMANDS = ("terminate", "rollback", "pause", "restart", "delete")
ONCE = {"retries": {"limit": 0, "delay": 0}}


def short_work(effect: Callable[[str, str], Any], seconds: Callable[[], float]) -> type:
    """Return an entrypoint of two short steps, the first of which can be undone; ``effect(what, instance)``."""

    class Work:
        async def run(self, event: Any, step: Any) -> str:
            async def undo() -> None:
                effect("undone", event.instanceId)

            async def work() -> None:
                await asyncio.sleep(seconds())

            await step.do("a", work, rollback=undo, rollback_config=ONCE)
            await step.do("b", work)
            return "done"

    return Work


async def give(engine: Engine, command: str, name: str) -> Status | str:
    """Give a command; return what it answered: a status, or the code of the refusal."""
    try:
        if command == "rollback":
            return await engine.terminate("w", name, rollback=True)
        method: Callable[[str, str], Awaitable[Status | None]] = getattr(engine, command)
        return await method("w", name) or "deleted"
    except WorkflowError as error:
        return error.code


async def check(engine: Engine, command: str, name: str, answer: str, undone: Collection[str]) -> None:
    """Assert that what is stored, now that the instance is at rest, is what was answered."""
    what = (command, name, str(answer))
    if answer == "deleted":
        try:
            await engine.status("w", name)
        except InstanceNotFoundError:
            return
        raise AssertionError(what)
    status = (await engine.status("w", name)).status
    types = [event.type.value for event in await engine.history("w", name)]
    ends = [kind for kind in types if kind in ("WORKFLOW_SUCCESS", "WORKFLOW_TERMINATED", "WORKFLOW_FAILURE")]
    assert len(ends) == 1, (what, types)
    assert types[-1] == ends[0], (what, types)
    assert (name in undone) == ("ROLLBACK_STEP_SUCCESS" in types), (what, types)
    if command in ("terminate", "rollback"):
        late = answer == CannotTerminateError.code
        assert status is (Status.COMPLETE if late else Status.TERMINATED), (what, status, types)
        assert (name in undone) <= (command == "rollback" and not late), what
    else:
        assert status is Status.COMPLETE, (what, status, types)
    if command == "pause":
        assert (answer in ("complete", "queued")) == ("WORKFLOW_PAUSED" not in types), (what, types)
