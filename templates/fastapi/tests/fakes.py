"""Small stand-ins for what the runtime passes in: steps that run at once, instances that note what they are sent."""

from collections.abc import Awaitable, Callable
from typing import Any

Callback = Callable[[], Awaitable[Any]]


class FakeStep:
    """Runs every step at once; an event has been sent before it is waited for."""

    def __init__(self, approved: bool = True) -> None:
        self.ran: list[str] = []
        self.waits: dict[str, Any] = {}
        self._approved = approved

    def do(self, name: str) -> Callable[[Callback], Callback]:
        def declare(callback: Callback) -> Callback:
            async def run() -> Any:
                self.ran.append(name)
                return await callback()

            return run

        return declare

    async def wait_for_event(self, name: str, event_type: str, *, timeout: str) -> dict[str, Any]:
        self.waits[name] = (event_type, timeout)
        return {"type": event_type, "payload": {"approved": self._approved}}


class FakeInstance:
    """An instance that runs."""

    def __init__(self, instance_id: str) -> None:
        self.id = instance_id
        self.events: list[Any] = []

    async def status(self) -> dict[str, Any]:
        return {"status": "running", "error": None, "output": None}

    async def send_event(self, **event: Any) -> None:
        self.events.append(event)


class FakeWorkflow:
    """The binding `env.ORDERS`."""

    def __init__(self) -> None:
        self.created: list[Any] = []
        self.instances: dict[str, FakeInstance] = {}

    async def create(self, *, params: Any) -> FakeInstance:
        self.created.append(params)
        instance = FakeInstance(f"order-{len(self.created)}")
        self.instances[instance.id] = instance
        return instance

    async def get(self, instance_id: str) -> FakeInstance:
        if instance_id not in self.instances:
            raise RuntimeError("(instance.not_found) Instance does not exist")
        return self.instances[instance_id]


class FakeEnv:
    """The bindings of wrangler.toml."""

    FREE_LIMIT = 1

    def __init__(self) -> None:
        self.ORDERS = FakeWorkflow()
