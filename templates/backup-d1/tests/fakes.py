"""Small stand-ins for what the runtime passes in: steps that are tried again at once, a bucket that is a dict."""

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

Callback = Callable[[], Awaitable[Any]]


class FakeStep:
    """Runs every step at once, and, when it fails, as often as its ``config`` allows; nothing waits."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.errors: dict[str, list[str]] = {}

    def do(self, name: str, *, config: Any) -> Callable[[Callback], Callback]:
        def declare(callback: Callback) -> Callback:
            async def run() -> Any:
                self.errors[name] = []
                for _ in range(config["retries"]["limit"]):
                    try:
                        self.results[name] = await callback()
                    except Exception as error:
                        self.errors[name].append(str(error))
                    else:
                        return self.results[name]
                raise RuntimeError(self.errors[name][-1])

            return run

        return declare


class FakeBucket:
    """The R2 bucket `env.BACKUP_BUCKET`."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}

    async def put(self, key: str, value: AsyncIterable[bytes]) -> None:
        self.objects[key] = b"".join([chunk async for chunk in value]).decode()


class FakeInstance:
    """An instance."""

    id = "instance-1"


class FakeWorkflow:
    """The binding `env.BACKUP_WORKFLOW`."""

    def __init__(self) -> None:
        self.created: list[Any] = []

    async def create(self, *, params: Any) -> FakeInstance:
        self.created.append(params)
        return FakeInstance()


class FakeEnv:
    """The variables, the secret and the bindings of wrangler.toml."""

    def __init__(self, api: str = "http://d1.invalid") -> None:
        self.D1_REST_API = api
        self.D1_REST_API_TOKEN = "token-of-the-stand-in"
        self.ACCOUNT_ID = "my-account"
        self.DATABASE_ID = "my-database"
        self.BACKUP_BUCKET = FakeBucket()
        self.BACKUP_WORKFLOW = FakeWorkflow()
