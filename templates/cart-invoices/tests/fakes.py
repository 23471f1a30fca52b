"""Small stand-ins for what the runtime passes in. The database is a real one, in memory, made by the migrations."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Callback = Callable[[], Awaitable[Any]]
MIGRATIONS = Path(__file__).parent.parent / "migrations"


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


class FakeStatement:
    """A statement of `FakeDatabase`."""

    def __init__(self, connection: sqlite3.Connection, sql: str, values: tuple[Any, ...] = ()) -> None:
        self.connection, self.sql, self.values = connection, sql, values

    def bind(self, *values: Any) -> "FakeStatement":
        return FakeStatement(self.connection, self.sql, values)

    async def all(self) -> SimpleNamespace:
        cursor = self.connection.execute(self.sql, self.values)
        columns = [column[0] for column in cursor.description or ()]
        rows = [SimpleNamespace(**dict(zip(columns, row, strict=True))) for row in cursor]
        return SimpleNamespace(results=rows, meta=SimpleNamespace(changes=cursor.rowcount))

    async def run(self) -> SimpleNamespace:
        return await self.all()


class FakeDatabase:
    """The binding `env.DB`."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for path in sorted(MIGRATIONS.glob("*.sql")):
            self.connection.executescript(path.read_text())

    def prepare(self, sql: str) -> FakeStatement:
        return FakeStatement(self.connection, sql)


class FakeEmail:
    """The binding `env.SEND_EMAIL`."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.is_down = False

    async def send(self, message: dict[str, Any]) -> None:
        if self.is_down:
            raise OSError("no route to the mail server")
        self.sent.append(message)


class FakeInstance:
    """An instance that stays queued."""

    def __init__(self, instance_id: str) -> None:
        self.id = instance_id

    async def status(self) -> dict[str, Any]:
        return {"status": "queued", "error": None, "output": None}


class FakeWorkflow:
    """The binding `env.CART_WORKFLOW`."""

    def __init__(self) -> None:
        self.created: list[Any] = []

    async def create(self, *, params: Any) -> FakeInstance:
        self.created.append(params)
        return FakeInstance(f"instance-{len(self.created)}")

    async def get(self, instance_id: str) -> FakeInstance:
        return FakeInstance(instance_id)


class FakeEnv:
    """The variables and bindings of wrangler.toml."""

    PAYMENT_URL = "https://payment.example.com/"
    MERCHANT_EMAIL = "merchant@example.com"

    def __init__(self) -> None:
        self.CART_WORKFLOW = FakeWorkflow()
        self.DB = FakeDatabase()
        self.SEND_EMAIL = FakeEmail()

    def close(self) -> None:
        self.DB.connection.close()
