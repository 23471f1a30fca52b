"""Small stand-ins for what the runtime passes in: steps that run at once, sleeps that do not wait."""

from collections.abc import Awaitable, Callable
from typing import Any

Callback = Callable[[], Awaitable[Any]]


class FakeStep:
    """Runs every step once, at once, and notes what was asked for."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.configs: dict[str, Any] = {}
        self.sleeps: dict[str, Any] = {}

    def do(self, name: str, *, config: Any = None) -> Callable[[Callback], Callback]:
        def declare(callback: Callback) -> Callback:
            async def run() -> Any:
                self.configs[name] = config
                self.results[name] = await callback()
                return self.results[name]

            return run

        return declare

    async def sleep(self, name: str, duration: Any) -> None:
        self.sleeps[name] = duration


class FakeInstance:
    """An instance that stays queued."""

    def __init__(self, instance_id: str) -> None:
        self.id = instance_id

    async def status(self) -> dict[str, Any]:
        return {"status": "queued", "error": None, "output": None}


class FakeWorkflow:
    """The binding `env.MY_WORKFLOW`."""

    def __init__(self) -> None:
        self.created: list[str] = []

    async def create(self) -> FakeInstance:
        self.created.append(f"instance-{len(self.created) + 1}")
        return FakeInstance(self.created[-1])

    async def get(self, instance_id: str) -> FakeInstance:
        return FakeInstance(instance_id)


class FakeEnv:
    """The bindings of wrangler.toml."""

    def __init__(self) -> None:
        self.MY_WORKFLOW = FakeWorkflow()
