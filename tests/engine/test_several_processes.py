"""Several engines over one store: each command does the same, whoever drives the instance, wherever it is given.

Two engines on one event loop stand for two processes: they share nothing but the file.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import workflow
from wrangler_py.clock import SystemClock
from wrangler_py.engine import Definition, Engine, EngineOptions, Status, control
from wrangler_py.engine.model import Request
from wrangler_py.errors import CannotTerminateError, InstanceNotFoundError
from wrangler_py.storage.sqlite import SqliteStore


async def waits(event: Any, step: Any) -> Any:
    return (await step.wait_for_event("go", "go"))["payload"]


class Pair:
    """An engine that runs ``w``, and one that only steers."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "workflows.sqlite"
        self.engines: list[Engine] = []

    async def engine(self, run: Any = None, *, version: str = "v1", is_pinned: bool = False) -> Engine:
        store = await SqliteStore.open(self.path)
        engine = Engine(store, SystemClock(), options=EngineOptions(look_s=0.01, hibernate_after_ms=60_000))
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


def test_terminate_reaches_an_instance_in_another_process(tmp_path):
    async def body(pair):
        driver, other = await pair.engine(waits), await pair.engine()
        await other.create("w", id="a")
        await becomes(driver, Status.WAITING)
        assert await other.terminate("w", "a") is Status.TERMINATED
        with pytest.raises(CannotTerminateError):
            await other.terminate("w", "a")
        return (await other.status("w", "a")).status, driver.resident_count()

    assert in_pair(tmp_path, body) == (Status.TERMINATED, 0)


def test_pause_and_resume_reach_an_instance_in_another_process(tmp_path):
    async def body(pair):
        driver, other = await pair.engine(waits), await pair.engine()
        await other.create("w", id="a")
        await becomes(driver, Status.WAITING)
        assert await other.pause("w", "a") is Status.PAUSED
        assert await other.resume("w", "a") is Status.QUEUED
        await other.send_event("w", "a", "go", 7)
        await becomes(other, Status.COMPLETE)
        return (await other.status("w", "a")).output

    assert in_pair(tmp_path, body) == b"7"


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


def test_restart_and_delete_reach_an_instance_in_another_process(tmp_path):
    async def body(pair):
        driver, other = await pair.engine(waits), await pair.engine()
        await other.create("w", id="a")
        await becomes(driver, Status.WAITING)
        await other.restart("w", "a")
        await becomes(driver, Status.WAITING)
        await other.delete("w", "a")
        with pytest.raises(InstanceNotFoundError):
            await driver.status("w", "a")

    in_pair(tmp_path, body)


def test_an_instance_that_was_let_go_goes_on_if_nothing_follows(tmp_path, monkeypatch):
    """Whoever asked for it died in between: the instance is due again, and loses nothing."""
    monkeypatch.setattr(control, "ORPHAN_MS", 0)

    async def body(pair):
        driver, other = await pair.engine(waits), await pair.engine()
        row = (await other.create("w", id="a")).row
        await becomes(driver, Status.WAITING)
        await other.store.ask(row, Request.LET_GO)
        while (await other.status("w", "a")).request is not None:
            await asyncio.sleep(0.005)
        await other.send_event("w", "a", "go", 7)
        await becomes(other, Status.COMPLETE)
        return (await other.status("w", "a")).output

    assert in_pair(tmp_path, body) == b"7"


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
