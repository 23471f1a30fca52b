"""A real second process holds the lock of a file of the bindings: the event loop goes on, and so does what waits."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import wrangler_py
from tests.bindings.durable.room import Room
from tests.support.locker import it_goes_on, it_is_stopped_and_killed, locked
from wrangler_py.bindings.cron import CronTriggers
from wrangler_py.bindings.d1.execution import Execution
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.bindings.kv.namespace import KvNamespace
from wrangler_py.bindings.queues import Consumers, QueueProducer, Queues
from wrangler_py.bindings.r2.bucket import R2Bucket
from wrangler_py.clock import SystemClock
from wrangler_py.config.model import Config, ConsumerConfig
from wrangler_py.engine import Engine, EngineOptions
from wrangler_py.sdk.workers import DurableObject
from wrangler_py.storage import waiting
from wrangler_py.storage.deployments import Deployments, Tokens, Version
from wrangler_py.storage.deployments.file import registry_file
from wrangler_py.storage.kv import KvStore
from wrangler_py.storage.sqlite import SqliteStore
from wrangler_py.storage.waiting import waited

#: Gives the file to lock, what is done while it is, and a check of what became of it.
Work = tuple[Path, Callable[[], Awaitable[Any]], Callable[[], Awaitable[None]]]
MINUTE_MS = 60_000


async def nothing() -> None:
    pass


@asynccontextmanager
async def a_queue(folder: Path) -> AsyncIterator[Work]:
    queues = Queues.open(folder / "queues.sqlite", SystemClock())

    async def check() -> None:
        assert queues.backlog("q").messages == 1

    yield folder / "queues.sqlite", lambda: QueueProducer(queues, "q", 0).send("hello"), check
    queues.close()


@asynccontextmanager
async def a_consumer(folder: Path) -> AsyncIterator[Work]:
    """It takes, calls the handler and settles."""
    path, got = folder / "queues.sqlite", asyncio.Event()
    queues = Queues.open(path, SystemClock())

    class Code:
        def handles(self, _: str) -> bool:
            return True

        async def call(self, _: str, batch: Any) -> None:
            assert [message.body for message in batch.messages] == ["hello"]
            got.set()

    await QueueProducer(queues, "q", 0).send("hello")
    consumers = Consumers(
        SimpleNamespace(  # type: ignore[arg-type]
            config=SimpleNamespace(
                resources=SimpleNamespace(consumers=(ConsumerConfig("q", max_batch_size=1),))
            ),
            shared=lambda _, __: queues,
            code=Code(),
            engine=SimpleNamespace(options=EngineOptions()),
        )
    )

    async def work() -> None:
        await consumers.start()
        await got.wait()

    async def check() -> None:
        while queues.backlog("q").messages:
            await asyncio.sleep(0.01)
        await consumers.drain(5)

    yield path, work, check
    queues.close()


@asynccontextmanager
async def a_schedule(folder: Path) -> AsyncIterator[Work]:
    fired = asyncio.Event()

    class Code:
        async def call(self, _: str, __: Any) -> None:
            fired.set()

    class Clock(SystemClock):
        """It begins shortly before a minute, when it is asked first."""

        @cached_property
        def _ahead(self) -> int:
            return MINUTE_MS - super().now() % MINUTE_MS - 50

        def now(self) -> int:
            return super().now() + self._ahead

    path = folder / "cron.sqlite"
    resources = SimpleNamespace(
        clock=Clock(),
        config=Config(path=folder / "wrangler.toml", root=folder, name="app", crons=("* * * * *",)),
        engine=SimpleNamespace(maintenance=SimpleNamespace(observe_settings=lambda _: None)),
        place=lambda *_: path,
        synchronous="NORMAL",
        on_close=lambda _: None,
        code=Code(),
    )
    triggers = CronTriggers(resources)  # type: ignore[arg-type]
    assert triggers._marks.read("app") is None

    async def work() -> None:
        await triggers.start()
        await fired.wait()

    yield path, work, nothing
    await triggers.drain(1)
    triggers._marks.close()


class Counter(DurableObject):
    async def add(self) -> int:
        count = (await self.ctx.storage.get("count") or 0) + 1
        await self.ctx.storage.put("count", count)
        return int(count)

    async def remind(self) -> None:
        await self.ctx.storage.set_alarm(SystemClock().now() + 60 * MINUTE_MS)

    async def alarm(self) -> None:
        pass


@asynccontextmanager
async def a_room(folder: Path) -> AsyncIterator[Room]:
    store = await SqliteStore.open(folder / "workflows.sqlite")
    engine = Engine(store, SystemClock())
    room = await Room(SimpleNamespace(engine=engine), folder, Counter).start()  # type: ignore[arg-type]
    yield room
    room.resources.close()
    await engine.close()
    await store.close()


def file_of(room: Room) -> Path:
    [resident] = room.objects._residents.values()
    path: Path = resident.file.path
    return path


@asynccontextmanager
async def an_object_that_left_memory(folder: Path) -> AsyncIterator[Work]:
    async with a_room(folder) as room:
        await room.only().add()
        path = file_of(room)
        room.objects._hibernate(next(iter(room.objects._residents)))

        async def check() -> None:
            assert await room.only().add() == 3

        yield path, room.only().add, check


@asynccontextmanager
async def an_object_that_was_refused(folder: Path) -> AsyncIterator[Work]:
    """A call that is under way when the lock is taken gets SQLite's error; the next one waits."""
    async with a_room(folder) as room:
        await room.only().add()
        path = file_of(room)

        async def work() -> Any:
            with pytest.raises(ObjectError, match="locked"):
                await room.only().add()
            return await room.only().add()

        async def check() -> None:
            assert await room.only().add() == 3

        yield path, work, check


@asynccontextmanager
async def an_alarm(folder: Path) -> AsyncIterator[Work]:
    async with a_room(folder) as room:
        await room.only().remind()
        index = room.objects._alarms.index

        async def check() -> None:
            assert [hint.name for hint in index.upcoming("Counter", 5)] == ["a", "another"]
            assert await room.only("another").add() == 1

        yield index.path, room.only("another").remind, check


@asynccontextmanager
async def a_deploy(folder: Path) -> AsyncIterator[Work]:
    deployments = Deployments.open(folder, SystemClock())

    async def check() -> None:
        assert deployments.active() == {"shop": "a"}

    yield registry_file(folder), lambda: waited(deployments.release, Version("shop", "a")), check
    deployments.close()


@asynccontextmanager
async def a_namespace(folder: Path) -> AsyncIterator[Work]:
    store = KvStore(folder / "kv.sqlite")
    kv = KvNamespace("id", store, SystemClock())
    await kv.get("key")

    async def check() -> None:
        assert await kv.get("key") == "value"

    yield folder / "kv.sqlite", lambda: kv.put("key", "value"), check
    store.close()


@asynccontextmanager
async def a_bucket(folder: Path) -> AsyncIterator[Work]:
    bucket = R2Bucket("bucket", folder / "bucket", SystemClock())
    assert await bucket.get("key") is None

    async def check() -> None:
        assert (await bucket.head("key")) is not None

    yield folder / "bucket" / "index.sqlite", lambda: bucket.put("key", "value"), check
    bucket.close()


@asynccontextmanager
async def a_database(folder: Path) -> AsyncIterator[Work]:
    execution = Execution(folder / "d1.sqlite")

    async def run(sql: str) -> Any:
        return await execution.run(lambda on: on.query(sql).rows, sql)

    await run("CREATE TABLE t (v)")

    async def check() -> None:
        assert await run("SELECT v FROM t") == [(1,)]

    yield folder / "d1.sqlite", lambda: run("INSERT INTO t VALUES (1)"), check
    execution.close()


KINDS = [
    a_queue,
    a_consumer,
    a_schedule,
    an_object_that_left_memory,
    an_object_that_was_refused,
    an_alarm,
    a_deploy,
    a_namespace,
    a_bucket,
    a_database,
]


@pytest.mark.parametrize("release", [it_goes_on, it_is_stopped_and_killed])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_goes_on_while_a_write_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, release: Any
) -> None:
    """The write is done once the lock is given up, and not before; meanwhile the event loop turns."""
    monkeypatch.setattr(waiting, "BUSY_S", 60)

    async def body() -> None:
        async with kind(tmp_path) as (path, work, check):
            with locked(path) as process:
                doing = asyncio.ensure_future(work())
                for _ in range(30):
                    await asyncio.sleep(0.005)
                assert process.poll() is None
                assert not doing.done(), doing
                release(process)
                await doing
                await check()

    asyncio.run(asyncio.wait_for(body(), 60))


def test_a_token_is_known_while_the_registry_is_locked(tmp_path: Path) -> None:
    """When it was used is noted the next time."""
    tokens = Tokens.open(tmp_path, SystemClock())
    _, secret = tokens.create("mine")

    async def body() -> None:
        with locked(registry_file(tmp_path)) as process:
            assert tokens.verify(secret)
            assert not tokens.verify("another")
            assert process.poll() is None
        assert tokens.list()[0].last_used_at is None
        assert tokens.verify(secret)

    asyncio.run(body())
    assert tokens.list()[0].last_used_at is not None
    tokens.close()


def test_no_other_place_connects_to_a_file() -> None:
    """Where SQLite is told how long to wait: none of these waits on an event loop."""
    root = Path(wrangler_py.__file__).parent
    places = {
        path.relative_to(root).as_posix(): ast.unparse(call)
        for path in root.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "sqlite3.connect"
    }
    in_memory_or_to_read = {"storage/reading.py", "storage/copies.py"}
    assert places.keys() - in_memory_or_to_read == {"storage/schema.py", "bindings/d1/connection.py"}
    assert "timeout=0" in places["storage/schema.py"]
