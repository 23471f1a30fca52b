"""The store of one simulated process: the real one, which sometimes refuses, is slow, or loses its answer."""

from __future__ import annotations

import asyncio
import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from wrangler_py.errors import StoreUnavailableError
from wrangler_py.storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from tests.simulation.world import Process

#: Calls that only read: they are slow at times, and never lost.
_READING = frozenset(
    {
        "analyse", "asked", "chunk", "count_created", "count_queued", "created_at", "events", "get", "history",
        "is_driven", "is_terminating", "latest", "list_instances", "look", "next_due", "next_expiry", "signalled",
        "status_counts", "suspects", "to_terminate", "unfinished_versions", "workflows",
    }
)  # fmt: skip
#: Calls whose answer takes its time too, where the store is slow: what they did is stored before anybody knows.
_ANSWERED_LATE = frozenset({"add_event", "apply", "ask", "change", "claim", "let_go"})
#: Where the epoch of a call is among its arguments, if it is not passed by name.
_EPOCH_PLACE = {"apply": 1, "claim": 1, "release_lease": 0, "take_terminations": 0}


class FaultyStore:
    """Passes every call on to a store on its own connection; writes are faulty as the process's plan says."""

    def __init__(self, store: SqliteStore, process: Process) -> None:
        self._store = store
        self._process = process
        self._connection = store._database.connection
        for name in _calls(type(store)):
            method = getattr(store, name)
            setattr(self, name, self._reading(method) if name in _READING else self._writing(name, method))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _reading(self, method: Any) -> Any:
        process = self._process

        name = method.__name__

        async def call(*args: Any, **kwargs: Any) -> Any:
            if (delay := process.delay(name)) is not None:
                await asyncio.sleep(delay)
            if process.is_deaf():
                raise StoreUnavailableError(f"the simulated database cannot be read ({name})")
            return await method(*args, **kwargs)

        return call

    def _writing(self, name: str, method: Any) -> Any:
        process, journal, place = self._process, self._process.world.journal, _EPOCH_PLACE.get(name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            epoch = kwargs.get("epoch")
            if epoch is None and place is not None:
                epoch = args[place] if place < len(args) else None
            if (delay := process.delay(name)) is not None:
                await asyncio.sleep(delay)
            fault = process.next_fault(name)
            if fault in ("refuse", "die-before"):
                await self._fail(fault, name, epoch)
            changes = self._connection.total_changes
            answer = await method(*args, **kwargs)
            if self._connection.total_changes != changes:
                journal.look(process, name, epoch)
                process.wrote(name, epoch, args)
            if name == "claim":
                process.claimed(answer, epoch)
            if name in _ANSWERED_LATE and (delay := process.delay()) is not None:
                await asyncio.sleep(delay)
            if fault in ("lose", "die-after"):
                await self._fail(fault, name, epoch)
            return answer

        return call

    async def _fail(self, fault: str, name: str, epoch: int | None) -> None:
        process = self._process
        if fault.startswith("die"):
            process.kill(f"{fault[4:]} {name}")
            await asyncio.get_running_loop().create_future()
        if name == "apply" and epoch is not None:
            process.poisoned.add(epoch)
        raise StoreUnavailableError(f"the simulated database is locked ({fault} {name})")

    def beat(self, epoch: int, expires_at: int) -> bool:
        """Renew a lease, as the thread of the heartbeat does."""
        return self._store.renew_lease(epoch, expires_at)


@cache
def _calls(kind: type) -> list[str]:
    """Return the names of the public calls of a store that are awaited."""
    return [
        name
        for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction)
        if not name.startswith("_") and name not in ("open", "close")
    ]
