"""Small stand-ins for what the runtime passes in: steps that run at once, waits that end as a test says."""

from collections.abc import Awaitable, Callable
from typing import Any

Callback = Callable[[], Awaitable[Any]]


class FakeStep:
    """Runs every step once, at once. ``replies``: what each wait gets, None for no reply in time."""

    def __init__(self, *replies: str | None) -> None:
        self.results: dict[str, Any] = {}
        self.configs: dict[str, Any] = {}
        self.timeouts: list[Any] = []
        self._replies = list(replies)

    def do(self, name: str, *, config: Any = None) -> Callable[[Callback], Callback]:
        def declare(callback: Callback) -> Callback:
            async def run() -> Any:
                self.configs[name] = config
                self.results[name] = await callback()
                return self.results[name]

            return run

        return declare

    async def wait_for_event(self, name: str, kind: str, /, timeout: Any) -> dict[str, Any]:
        assert (name, kind) == ("wait for the reply", "reply")
        self.timeouts.append(timeout)
        reply = self._replies.pop(0)
        if reply is None:
            raise TimeoutError("no event came")
        return {"type": kind, "payload": {"text": reply.format(code=self.results["make a code"])}}


class FakeNamespace:
    """The KV namespace `env.WAITING`."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    async def put(self, key: str, value: str, *, expirationTtl: int) -> None:
        self.entries[key] = value

    async def get(self, key: str) -> str | None:
        return self.entries.get(key)


class FakeInstance:
    """An instance that notes the events it gets, or has ended."""

    def __init__(self, instance_id: str) -> None:
        self.id = instance_id
        self.ended = False
        self.events: list[dict[str, Any]] = []

    async def status(self) -> dict[str, Any]:
        return {"status": "waiting", "error": None, "output": None}

    async def send_event(self, **event: Any) -> None:
        if self.ended:
            raise RuntimeError("the instance has ended")
        self.events.append(event)


class FakeWorkflow:
    """The binding `env.VERIFY_NUMBER`."""

    def __init__(self) -> None:
        self.created: list[Any] = []
        self.instance = FakeInstance("instance-1")

    async def create(self, *, params: Any) -> FakeInstance:
        self.created.append(params)
        return self.instance

    async def get(self, instance_id: str) -> FakeInstance:
        assert instance_id == self.instance.id
        return self.instance


class FakeEnv:
    """The variables, the secret and the bindings of wrangler.toml."""

    def __init__(self, api: str = "http://twilio.invalid") -> None:
        self.TWILIO_API = api
        self.TWILIO_ACCOUNT_SID = "AC00000000000000000000000000000000"
        self.TWILIO_AUTH_TOKEN = "token-of-the-stand-in"
        self.FROM_NUMBER = "+15550100"
        self.REPLY_TIMEOUT = "1 minute"
        self.WAITING = FakeNamespace()
        self.VERIFY_NUMBER = FakeWorkflow()
