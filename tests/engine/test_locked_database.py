"""A real second process holds the lock of the database: the loop goes on, and afterwards all is as if it had not."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.test_refused import RETRIED, check_history
from tests.server.session import REST, FakeHost
from tests.support.locker import it_goes_on, it_is_stopped_and_killed, locked
from tests.support.world import workflow
from wrangler_py.clock import SystemClock
from wrangler_py.engine import Definition, Engine, EngineOptions, Status, lease
from wrangler_py.engine import engine as engine_module
from wrangler_py.sdk.workers import Response
from wrangler_py.server.app import create_app
from wrangler_py.storage import waiting
from wrangler_py.storage.sqlite import SqliteStore

#: How a lock ends: the process goes on, or it was stopped (SIGSTOP) and is killed.
Release = Callable[[subprocess.Popen[bytes]], None]


class Place:
    """Engines over one file, on the machine's own clock."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "workflows.sqlite"
        self.engines: list[Engine] = []
        self.effects: Counter[tuple[str, str]] = Counter()

    async def engine(self) -> Engine:
        store = await SqliteStore.open(self.path)
        engine = Engine(store, SystemClock(), options=EngineOptions(look_s=0.02))
        self.engines.append(engine)
        await engine.bind([Definition("w", "s", "W", "v", workflow(self._run))])
        await engine.start()
        return engine

    async def _run(self, event: Any, step: Any) -> int:
        async def work(ctx: Any) -> int:
            self.effects[event.instanceId, ctx.step.name] += 1
            await asyncio.sleep(0.03)
            return 1

        total = 0
        for number in range(6):
            total += await step.do(f"s{number}", RETRIED, work)
        return total

    async def close(self) -> None:
        for engine in self.engines:
            await engine.close()
            await engine.store.close()


def at(folder: Path, body: Callable[[Place], Awaitable[None]]) -> None:
    async def main() -> None:
        place = Place(folder)
        try:
            await asyncio.wait_for(body(place), 60)
        finally:
            await place.close()

    asyncio.run(main())


async def all_end_well(place: Place, names: list[str]) -> None:
    engine = place.engines[0]
    for name in names:
        while not (await engine.status("w", name)).status.is_final:
            await asyncio.sleep(0.01)
        assert (await engine.status("w", name)).status is Status.COMPLETE
        events = await engine.history("w", name)
        effects = Counter({step: n for (one, step), n in place.effects.items() if one == name})
        check_history([(one.type.value, one.step, one.attempt) for one in events], effects)


@pytest.mark.parametrize("release", [it_goes_on, it_is_stopped_and_killed])
@pytest.mark.parametrize(
    "total_s", [0.2, 60], ids=["longer than it is waited for", "as long as it is waited for"]
)
def test_instances_go_on_when_the_lock_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total_s: float, release: Release
) -> None:
    """No step runs after its checkpoint, no checkpoint is without its start, and attempts count up."""
    monkeypatch.setattr(waiting, "BUSY_S", total_s)
    monkeypatch.setattr(engine_module, "STORE_RETRY_S", 0.05)

    async def body(place: Place) -> None:
        engine = await place.engine()
        refused = asyncio.Event()
        engine.observe_store(lambda _: refused.set())
        names = [f"i{number}" for number in range(20)]
        for name in names:
            await engine.create("w", id=name)
        while not place.effects["i0", "s1"]:
            await asyncio.sleep(0.001)
        with locked(place.path) as process:
            if total_s < 1:
                await refused.wait()
            for _ in range(20):
                await asyncio.sleep(0.01)
            release(process)
            await all_end_well(place, names)

    at(tmp_path, body)


def test_a_lock_that_outlasts_the_lease_leaves_one_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither process can renew its lease; afterwards either may take the other for dead."""
    monkeypatch.setattr(waiting, "BUSY_S", 0.1)
    monkeypatch.setattr(engine_module, "STORE_RETRY_S", 0.05)
    monkeypatch.setattr(engine_module, "REAP_S", 0.1)
    for module in (lease, engine_module):
        monkeypatch.setattr(module, "LEASE_MS", 500)
    monkeypatch.setattr(lease, "BEAT_S", 0.05)

    async def body(place: Place) -> None:
        engines = [await place.engine(), await place.engine()]
        names = [f"i{number}" for number in range(20)]
        for number, name in enumerate(names):
            await engines[number % 2].create("w", id=name)
        while len(place.effects) < len(names):
            await asyncio.sleep(0.001)
        with locked(place.path) as process:
            await asyncio.sleep(1)
            it_goes_on(process)
            await all_end_well(place, names)

    at(tmp_path, body)


def test_requests_are_answered_while_the_database_is_locked(tmp_path: Path) -> None:
    """The Worker's own `fetch` and what only reads; what writes is answered when the lock is given up."""

    async def body(place: Place) -> None:
        engine = await place.engine()
        await engine.create("w", id="a")
        await all_end_well(place, ["a"])

        async def fetch(_: Any) -> Response:
            return Response("here")

        app = create_app(FakeHost(engine, fetch=fetch))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787") as client:
            with locked(place.path) as process:
                url = f"{REST}/workflows/w/instances"
                created = asyncio.create_task(client.post(url, json={"instance_id": "b"}))
                restarted = asyncio.create_task(client.patch(f"{url}/a/status", json={"status": "restart"}))
                for _ in range(5):
                    assert (await client.get("/anything")).text == "here"
                    assert (await client.get(f"{url}/a")).status_code == 200
                    assert (await client.get(url)).status_code == 200
                assert process.poll() is None
                assert not created.done()
                assert not restarted.done()
                it_goes_on(process)
                assert (await created).status_code == 200
                assert (await restarted).status_code == 200

    at(tmp_path, body)


def test_an_engine_closes_while_the_database_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat waits in a thread that closing joins: not on the loop."""
    monkeypatch.setattr(waiting, "BUSY_S", 0.1)
    monkeypatch.setattr(lease, "BEAT_S", 0.01)

    async def body(place: Place) -> None:
        engine = await place.engine()
        with locked(place.path) as process:
            await asyncio.sleep(0.2)
            closing = asyncio.create_task(engine.close())
            for _ in range(50):
                await asyncio.sleep(0.01)
            assert process.poll() is None
            it_goes_on(process)
            await closing

    at(tmp_path, body)
