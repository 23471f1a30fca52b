"""Several engines over one store: each command does the same, whoever drives the instance, wherever it is given.

Two engines on one event loop stand for two processes: they share nothing but the file. Each law holds for an instance
in the driver's memory (`resident`, `busy`), which only its driver can change, and for one that sleeps in the store.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import DAY, workflow
from wrangler_py.clock import SystemClock
from wrangler_py.engine import Definition, Engine, EngineOptions, Status, control
from wrangler_py.engine.model import Request
from wrangler_py.errors import CannotTerminateError, InstanceNotFoundError
from wrangler_py.storage.sqlite import SqliteStore


async def waits(event: Any, step: Any) -> Any:
    return (await step.wait_for_event("go", "go"))["payload"]


class Busy:
    """A workflow in the middle of a step; it writes down what its code sees. ``lingers``: how long it unwinds."""

    def __init__(self, lingers: float = 0) -> None:
        self.lingers = lingers
        self.seen: list[str] = []
        self.release = asyncio.Event()

    async def run(self, event: Any, step: Any) -> str:
        async def work() -> None:
            self.seen.append("begins")
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                await asyncio.sleep(self.lingers)
                self.seen.append("unwinds")
                raise
            self.seen.append("ends")

        await step.do("work", work)
        return "done"


class Pair:
    """An engine that runs ``w``, and one that only steers.

    An instance that waits stays in memory as long as ``hibernate_after_ms`` is more than any wait here.
    """

    hibernate_after_ms = 2 * DAY

    def __init__(self, folder: Path) -> None:
        self.path = folder / "workflows.sqlite"
        self.engines: list[Engine] = []

    async def engine(self, run: Any = None, *, version: str = "v1", is_pinned: bool = False) -> Engine:
        store = await SqliteStore.open(self.path)
        engine = Engine(
            store,
            SystemClock(),
            options=EngineOptions(look_s=0.01, hibernate_after_ms=self.hibernate_after_ms),
        )
        self.engines.append(engine)
        if run is not None:
            make = workflow(run)
            await engine.bind([Definition("w", "script", "W", version, make, is_pinned=is_pinned)])
            await engine.start()
        return engine

    async def close(self) -> None:
        for engine in self.engines:
            await engine.close()
            await engine.store.close()


def in_pair(folder: Path, body: Any) -> Any:
    async def main() -> Any:
        pair = Pair(folder)
        try:
            return await asyncio.wait_for(body(pair), 30)
        finally:
            await pair.close()

    return asyncio.run(main())


async def becomes(engine: Engine, wanted: Status, name: str = "a") -> None:
    while (await engine.status("w", name)).status is not wanted:
        await asyncio.sleep(0.005)


async def resident(driver: Engine, name: str = "a") -> None:
    """Wait until an instance waits for an event in the driver's memory."""
    await becomes(driver, Status.WAITING, name)
    assert (await driver.status("w", name)).epoch is not None
    assert driver.resident_count() == 1


async def begins(busy: Busy, count: int = 1) -> None:
    while busy.seen.count("begins") < count:
        await asyncio.sleep(0.005)


async def at_rest(driver: Engine) -> None:
    """Wait until an instance sleeps in the store, and nobody drives it."""
    await becomes(driver, Status.WAITING)
    while driver.resident_count():
        await asyncio.sleep(0.005)
    assert (await driver.status("w", "a")).epoch is None


@pytest.mark.parametrize("hibernate_after_ms", [0, 2 * DAY])
def test_terminate_reaches_an_instance_that_waits_in_another_process(
    tmp_path, monkeypatch, hibernate_after_ms
):
    monkeypatch.setattr(Pair, "hibernate_after_ms", hibernate_after_ms)

    async def body(pair):
        driver, other = await pair.engine(waits), await pair.engine()
        await other.create("w", id="a")
        await (resident if hibernate_after_ms else at_rest)(driver)
        assert await other.terminate("w", "a") is Status.TERMINATED
        with pytest.raises(CannotTerminateError):
            await other.terminate("w", "a")
        return (await driver.status("w", "a")).status, driver.resident_count()

    assert in_pair(tmp_path, body) == (Status.TERMINATED, 0)


def test_terminate_from_another_process_stops_a_step_that_runs(tmp_path):
    """The answer comes when the step has unwound, and the step's end is written nowhere."""

    async def body(pair):
        busy = Busy(lingers=0.2)
        driver, other = await pair.engine(busy.run), await pair.engine()
        await other.create("w", id="a")
        await begins(busy)
        assert await other.terminate("w", "a") is Status.TERMINATED
        assert busy.seen == ["begins", "unwinds"]
        assert driver.resident_count() == 0
        return [event.type.value for event in await other.history("w", "a")][-2:]

    assert in_pair(tmp_path, body) == ["ATTEMPT_START", "WORKFLOW_TERMINATED"]


def test_restart_from_another_process_stops_the_life_that_runs(tmp_path):
    async def body(pair):
        busy = Busy()
        _, other = await pair.engine(busy.run), await pair.engine()
        await other.create("w", id="a")
        await begins(busy)
        await other.restart("w", "a")
        assert busy.seen[:2] == ["begins", "unwinds"]
        await begins(busy, 2)
        busy.release.set()
        await becomes(other, Status.COMPLETE)
        types = [event.type.value for event in await other.history("w", "a")]
        return busy.seen, types.count("ATTEMPT_START"), types.count("ATTEMPT_FAILURE")

    assert in_pair(tmp_path, body) == (["begins", "unwinds", "begins", "ends"], 1, 0)


def test_delete_from_another_process_stops_a_step_that_runs(tmp_path):
    async def body(pair):
        busy = Busy()
        driver, other = await pair.engine(busy.run), await pair.engine()
        await other.create("w", id="a")
        await begins(busy)
        await other.delete("w", "a")
        assert busy.seen == ["begins", "unwinds"]
        with pytest.raises(InstanceNotFoundError):
            await driver.status("w", "a")
        return driver.resident_count(), driver.store._value("SELECT count(*) FROM history")

    assert in_pair(tmp_path, body) == (0, 0)


def test_pause_and_resume_reach_an_instance_in_another_process(tmp_path):
    async def body(pair):
        driver, other = await pair.engine(waits), await pair.engine()
        await other.create("w", id="a")
        await resident(driver)
        assert await other.pause("w", "a") is Status.PAUSED
        assert driver.resident_count() == 0
        assert await other.resume("w", "a") is Status.QUEUED
        await resident(driver)
        await other.send_event("w", "a", "go", 7)
        await becomes(other, Status.COMPLETE)
        return (await other.status("w", "a")).output

    assert in_pair(tmp_path, body) == b"7"


@pytest.mark.parametrize("hibernate_after_ms", [0, 2 * DAY])
def test_events_from_another_process_reach_an_instance_in_the_order_sent(
    tmp_path, monkeypatch, hibernate_after_ms
):
    """One that is in memory is told by its driver, one that is not wakes up."""
    monkeypatch.setattr(Pair, "hibernate_after_ms", hibernate_after_ms)

    async def run(event, step):
        return [(await step.wait_for_event("go", "go"))["payload"] for _ in range(3)]

    async def body(pair):
        driver, other = await pair.engine(run), await pair.engine()
        await other.create("w", id="a")
        await (resident if hibernate_after_ms else at_rest)(driver)
        await other.send_event("w", "a", "go", 1)
        await other.send_event("w", "a", "no", 0)
        while len([one for one in await other.history("w", "a") if one.type.value == "WAIT_START"]) < 2:
            await asyncio.sleep(0.005)
        await other.send_event("w", "a", "go", 2)
        await driver.send_event("w", "a", "go", 3)
        await becomes(other, Status.COMPLETE)
        return (await other.status("w", "a")).output

    assert in_pair(tmp_path, body) == b"[1,2,3]"


def test_a_pause_from_another_process_lets_the_step_in_flight_finish(tmp_path):
    async def body(pair):
        release = asyncio.Event()

        async def run(event, step):
            await step.do("slow", release.wait)
            await step.do("next", lambda: None)

        driver, other = await pair.engine(run), await pair.engine()
        await other.create("w", id="a")
        while not (await other.detail("w", "a")).steps:
            await asyncio.sleep(0.005)
        assert await other.pause("w", "a") is Status.WAITING_FOR_PAUSE
        assert await other.resume("w", "a") is Status.RUNNING
        assert await other.pause("w", "a") is Status.WAITING_FOR_PAUSE
        release.set()
        await becomes(other, Status.PAUSED)
        return [step.name for step in (await driver.detail("w", "a")).steps]

    assert in_pair(tmp_path, body) == ["slow-1"]


@pytest.mark.parametrize("hibernate_after_ms", [0, 2 * DAY])
def test_restart_and_delete_reach_an_instance_that_waits_in_another_process(
    tmp_path, monkeypatch, hibernate_after_ms
):
    monkeypatch.setattr(Pair, "hibernate_after_ms", hibernate_after_ms)

    async def body(pair):
        driver, other = await pair.engine(waits), await pair.engine()
        await other.create("w", id="a")
        await (resident if hibernate_after_ms else at_rest)(driver)
        first = (await other.history("w", "a"))[0].seq
        await other.restart("w", "a")
        await (resident if hibernate_after_ms else at_rest)(driver)
        history = await other.history("w", "a")
        assert history[0].seq > first
        assert [event.type.value for event in history].count("WORKFLOW_START") == 1
        await other.delete("w", "a")
        with pytest.raises(InstanceNotFoundError):
            await driver.status("w", "a")
        return driver.resident_count()

    assert in_pair(tmp_path, body) == 0


def test_an_instance_that_was_let_go_goes_on_if_nothing_follows(tmp_path, monkeypatch):
    """Whoever asked for it died in between: the instance is due again, and loses nothing."""
    monkeypatch.setattr(control, "ORPHAN_MS", 0)

    async def body(pair):
        driver, other = await pair.engine(waits), await pair.engine()
        await other.create("w", id="a")
        await resident(driver)
        await other.store.ask(await other.status("w", "a"), Request.LET_GO)
        while (await other.status("w", "a")).request is not None:
            await asyncio.sleep(0.005)
        await other.send_event("w", "a", "go", 7)
        await becomes(other, Status.COMPLETE)
        return (await other.status("w", "a")).output

    assert in_pair(tmp_path, body) == b"7"


def test_what_a_process_drives_anew_is_not_let_go_for_an_older_request(tmp_path, monkeypatch):
    """Asked to let go, it stops the instance; before it does let go, its own user restarts that, and it runs again."""

    async def body(pair):
        driver, other = await pair.engine(waits), await pair.engine()
        await other.create("w", id="a")
        await resident(driver)
        flush, restarted = driver._commits.flush, []

        async def flush_and_restart() -> None:
            await flush()
            if not restarted and driver.resident_count() == 0:
                restarted.append("begun")
                await driver.restart("w", "a")
                await resident(driver)
                restarted.append("done")

        monkeypatch.setattr(driver._commits, "flush", flush_and_restart)
        await other.store.ask(await other.status("w", "a"), Request.LET_GO)
        while len(restarted) < 2:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        held = (await other.status("w", "a")).epoch is not None
        await other.send_event("w", "a", "go", 7)
        await becomes(other, Status.COMPLETE)
        return held, [event.type.value for event in await other.history("w", "a")].count("WAIT_START")

    assert in_pair(tmp_path, body) == (True, 1)


def test_each_version_runs_its_own_instances_and_new_ones_are_of_the_newest(tmp_path):
    """docs, "Guide", section 6: instances finish on the version they started with."""

    async def body(pair):
        async def old(event, step):
            await step.wait_for_event("go", "go")
            return "old"

        async def new(event, step):
            return "new"

        front = await pair.engine()
        announced = Definition("w", "script", "W", "v1")
        await front.bind([announced])
        await pair.engine(old, version="v1", is_pinned=True)
        await front.create("w", id="a")
        await becomes(front, Status.WAITING)
        await front.bind([Definition("w", "script", "W", "v2")])
        await pair.engine(new, version="v2", is_pinned=True)
        # Also when created by code of an older version.
        assert (await pair.engines[1].create("w", id="b")).version == "v2"
        live = await front.store.unfinished_versions("script")
        await front.send_event("w", "a", "go")
        await becomes(front, Status.COMPLETE)
        await becomes(front, Status.COMPLETE, "b")
        rows = [await front.status("w", name) for name in "ab"]
        return "v1" in live, [(row.version, row.output) for row in rows]

    assert in_pair(tmp_path, body) == (True, [("v1", b'"old"'), ("v2", b'"new"')])
