"""Small stand-ins for what the runtime passes in: steps that run their dependencies first, each once."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

Callback = Callable[..., Awaitable[Any]]
Call = Callable[[], Awaitable[Any]]


class FakeStep:
    """Runs a step when it is called, after the steps its parameters name, and notes what happened in which order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.results: dict[str, Any] = {}
        self._declared: dict[str, Call] = {}
        self._shared: dict[str, asyncio.Future[Any]] = {}

    def do(self, name: str | None = None, *, concurrent: bool = False) -> Callable[[Callback], Call]:
        def declare(callback: Callback) -> Call:
            title = name or callback.__name__
            needed = list(inspect.signature(callback).parameters)

            async def run() -> Any:
                given = await self._gather(needed, concurrent=concurrent)
                self.events.append(f"{title} starts")
                self.results[title] = await callback(*given)
                self.events.append(f"{title} ends")
                return self.results[title]

            self._declared[title] = run
            return run

        return declare

    async def _gather(self, names: list[str], *, concurrent: bool) -> list[Any]:
        if concurrent:
            return await asyncio.gather(*map(self._once, names))
        return [await self._once(name) for name in names]

    async def _once(self, name: str) -> Any:
        if name not in self._shared:
            self._shared[name] = asyncio.ensure_future(self._declared[name]())
        return await self._shared[name]


class FakeInstance:
    """An instance that has completed."""

    def __init__(self, instance_id: str) -> None:
        self.id = instance_id

    async def status(self) -> dict[str, Any]:
        return {"status": "complete", "error": None, "output": {"report": {}, "letters": []}}


class FakeWorkflow:
    """The binding `env.DAILY_REPORT`."""

    def __init__(self) -> None:
        self.created: list[Any] = []

    async def create(self, *, params: Any) -> FakeInstance:
        self.created.append(params)
        return FakeInstance(f"instance-{len(self.created)}")

    async def get(self, instance_id: str) -> FakeInstance:
        return FakeInstance(instance_id)


class FakeEnv:
    """The bindings of wrangler.toml."""

    def __init__(self) -> None:
        self.DAILY_REPORT = FakeWorkflow()
