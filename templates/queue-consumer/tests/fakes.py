"""Small stand-ins for what the runtime passes in: steps that run at once, a queue that keeps what is sent."""

from collections.abc import Awaitable, Callable
from typing import Any

Callback = Callable[[], Awaitable[Any]]


class FakeStep:
    """Runs every step at once, as often as it may be tried, and notes what was asked for."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.attempts: dict[str, int] = {}
        self.sleeps: dict[str, Any] = {}

    def do(self, name: str, *, config: Any = None) -> Callable[[Callback], Callback]:
        limit = config["retries"]["limit"] if config else 5

        def declare(callback: Callback) -> Callback:
            async def run() -> Any:
                for attempt in range(1, limit + 2):
                    self.attempts[name] = attempt
                    try:
                        self.results[name] = await callback()
                    except RuntimeError:
                        if attempt > limit:
                            raise
                    else:
                        break
                return self.results[name]

            return run

        return declare

    async def sleep(self, name: str, duration: Any) -> None:
        self.sleeps[name] = duration


class FakeQueue:
    """The binding `env.ORDERS`."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def sendBatch(self, messages: Any) -> None:
        self.sent += [message["body"] for message in messages]


class FakeMessage:
    """A message as a `queue` handler gets it."""

    def __init__(self, id: str, body: Any, attempts: int = 1) -> None:  # noqa: A002
        self.id, self.body, self.attempts = id, body, attempts
        self.decided: Any = None

    def ack(self) -> None:
        self.decided = self.decided or "ack"

    def retry(self, **options: Any) -> None:
        self.decided = self.decided or options


class FakeBatch:
    """Messages of one queue."""

    def __init__(self, queue: str, *messages: FakeMessage) -> None:
        self.queue, self.messages = queue, messages


class FakeInstance:
    """An instance that stays queued."""

    async def status(self) -> dict[str, Any]:
        return {"status": "queued", "error": None, "output": None}


class FakeWorkflow:
    """The binding `env.FULFIL_ORDER`: ids that exist are skipped, as they really are."""

    def __init__(self) -> None:
        self.created: dict[str, Any] = {}

    async def create_batch(self, instances: list[dict[str, Any]]) -> list[str]:
        new = [one for one in instances if one["id"] not in self.created]
        self.created.update({one["id"]: one["params"] for one in new})
        return [one["id"] for one in new]

    async def get(self, id: str) -> FakeInstance:  # noqa: A002
        if id not in self.created:
            raise RuntimeError("instance.not_found")
        return FakeInstance()


class FakeEnv:
    """The bindings of wrangler.toml."""

    def __init__(self) -> None:
        self.ORDERS = FakeQueue()
        self.FULFIL_ORDER = FakeWorkflow()
