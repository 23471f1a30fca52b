"""The maintenance of whole workflows: their settings, and the work beside their instances."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wrangler_py.clock import Clock
from wrangler_py.engine.definition import Definition
from wrangler_py.engine.model import Status
from wrangler_py.engine.retention import Sweeper
from wrangler_py.engine.settings import Settings
from wrangler_py.engine.store import Store
from wrangler_py.engine.terminations import Terminate, Terminations
from wrangler_py.engine.timers import Timers
from wrangler_py.errors import WorkflowNotFoundError


class Maintenance:
    """Settings, retention and orders to terminate all; ``engine.maintenance``."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        timers: Timers,
        definitions: Mapping[str, Definition],
        terminate: Terminate,
    ) -> None:
        self._store, self._clock, self._definitions = store, clock, definitions
        self._sweeper = Sweeper(store, clock, timers)
        self._terminations = Terminations(store, clock, terminate)
        self._observers: list[Callable[[], None]] = []

    # life

    def start(self, epoch: int) -> None:
        """Begin to sweep and to carry out orders: this process drives instances now."""
        self._sweeper.start()
        self._terminations.start(epoch)

    async def stop(self) -> None:
        """Leave both to the next process."""
        await self._sweeper.stop()
        await self._terminations.stop()

    def instances_ended(self) -> None:
        """Take note that some instance has ended."""
        self._sweeper.look_soon()

    async def look(self) -> None:
        """Take note of what another process may have written."""
        await self.take_settings()
        self._sweeper.look_soon()
        self._terminations.look()

    # terminating all

    async def terminate_all(self, workflow: str, status: Status | None = None) -> bool:
        """Order to terminate all instances there are, or those in a status; see `Terminations.order`."""
        return await self._terminations.order(workflow, status)

    async def is_terminating(self, workflow: str) -> bool:
        """Return True if such an order is being carried out."""
        return await self._store.is_terminating(workflow)

    # settings

    def observe_settings(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when settings have changed."""
        self._observers.append(callback)

    async def settings(self, workflow: str) -> Settings:
        """Return what holds for a workflow; raise WorkflowNotFoundError."""
        if workflow in self._definitions:
            return self._definitions[workflow].settings
        for row in await self._store.workflows():
            if row.name == workflow:
                return row.settings
        raise WorkflowNotFoundError(workflow)

    def schedules(self, workflow: str) -> tuple[str, ...]:
        """Return the schedules that hold for a workflow bound here; none if it is not."""
        return self._definitions[workflow].settings.schedules if workflow in self._definitions else ()

    async def change_settings(self, workflow: str, settings: Settings) -> None:
        """Set what holds for a workflow where its configuration is silent, in this and later sessions."""
        await self._store.change_settings(workflow, settings, now=self._clock.now())
        await self.take_settings()

    async def take_settings(self) -> None:
        """Bring the definitions up to what is stored."""
        before = {name: one.settings for name, one in self._definitions.items()}
        for row in await self._store.workflows():
            if row.name in self._definitions:
                self._definitions[row.name].take(row.settings)
        if before != {name: one.settings for name, one in self._definitions.items()}:
            for callback in self._observers:
                callback()
