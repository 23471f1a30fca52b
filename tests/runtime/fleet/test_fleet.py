"""The fleet by itself, with real workers and a front that only listens: what a deploy asks, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.runtime.conftest import DEADLINE
from wrangler_py.runtime.channel import Answered, Asked, Bury, Routes, ToWorker
from wrangler_py.runtime.fleet.fleet import Fleet
from wrangler_py.runtime.fleet.journal import Journal
from wrangler_py.runtime.options import LogLevel, ServeOptions

GOOD = """
from workers import WorkerEntrypoint, WorkflowEntrypoint, Response
class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        return 1
class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("ok")
"""
FLOW = {"workflows": [{"name": "flow", "binding": "FLOW", "class_name": "Flow"}]}


class Front:
    """Stands for the supervisor and the front around a `Fleet`."""

    def __init__(self, root: Path, workers: int) -> None:
        self.root, self.is_ending, self.lease_prefix = root, False, "test-"
        (root / "state").mkdir()
        (root / "s").mkdir()
        options = ServeOptions(root / "state", workers=workers, grace=0, log_level=LogLevel.NONE)
        self.journal = Journal(options)
        self.told: list[ToWorker] = []
        self._changed = asyncio.Event()
        self.fleet = Fleet(
            self, options, folder=self.folder, sockets=root / "s", tell=self._tell, publish=lambda: None
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._look)
        self._numbers = 0

    def folder(self, script: str, version: str) -> Path:
        return self.root / script / version

    def has(self, version: str, entry: str = GOOD, **config: object) -> None:
        folder = self.folder("shop", version)
        folder.mkdir(parents=True)
        (folder / "entry.py").write_text(entry)
        base = {"name": "shop", "main": "entry.py", "compatibility_date": "2026-03-01"}
        (folder / "wrangler.json").write_text(json.dumps(base | (config or FLOW)))

    def _tell(self, message: ToWorker) -> bool:
        self.told.append(message)
        self._changed.set()
        if isinstance(message, Routes):
            asyncio.get_running_loop().call_soon(self.fleet.routed, message.number)
        return True

    def _look(self) -> None:
        self.fleet.bury_dead()
        self._changed.set()

    async def until(self, is_so: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    async def ask(self, what: str, version: str = "") -> str | None:
        """Ask as a deploy does; return what the problem is."""
        self._numbers += 1
        number = self._numbers
        self.fleet.asked(Asked(number, what, "shop", version))
        await self.until(lambda: any(isinstance(one, Answered) and one.number == number for one in self.told))
        answer = next(one for one in self.told if isinstance(one, Answered) and one.number == number)
        return None if answer.problem is None else answer.problem.message

    @property
    def routes(self) -> Routes:
        return next(one for one in reversed(self.told) if isinstance(one, Routes))

    async def end(self) -> None:
        self.is_ending = True
        self.fleet.kill_all()
        await self.until(lambda: self.fleet.is_gone)
        self.fleet.close()


def with_fleet(root: Path, body: Callable[[Front], Awaitable[None]], workers: int = 1) -> None:
    async def run() -> None:
        front = Front(root, workers)
        try:
            await body(front)
        finally:
            await front.end()

    asyncio.run(run())


def test_a_prepared_version_serves_nobody_until_it_is_activated(tmp_path):
    async def body(front):
        front.has("v1")
        assert await front.ask("prepare", "v1") is None
        assert not any(isinstance(one, Routes) and one.scripts for one in front.told)
        assert await front.ask("activate", "v1") is None
        assert front.routes.scripts["shop"].version == "v1"
        await front.until(lambda: front.routes.is_ready)

    with_fleet(tmp_path, body)


@pytest.mark.parametrize(
    ("entry", "config", "said"),
    [
        ("raise ValueError('no')", FLOW, "ValueError: no"),
        ("class Other: pass", FLOW, "There is no 'Flow' class"),
        ("import os; os._exit(3)", FLOW, "exit code 3"),
        (GOOD, {"workflows": 3}, "workflows"),
    ],
)
def test_what_cannot_be_loaded_changes_nothing(tmp_path, entry, config, said):
    """The version that served goes on; nobody is left of the one that could not."""

    async def body(front):
        front.has("v1")
        assert await front.ask("prepare", "v1") is None
        await front.ask("activate", "v1")
        await front.until(lambda: front.routes.is_ready)
        front.has("v2", entry, **config)
        assert said in await front.ask("prepare", "v2")
        assert front.routes.scripts["shop"].version == "v1"
        assert "does not run" in await front.ask("activate", "v2")
        assert front.fleet.pids.keys() == {"shop"}

    with_fleet(tmp_path, body)


def test_a_version_without_files_is_refused(tmp_path):
    async def body(front):
        assert "not there" in await front.ask("prepare", "v1")

    with_fleet(tmp_path, body)


def test_a_version_that_is_needed_by_nobody_goes_and_comes_back_when_it_is(tmp_path):
    """Going back to an older version is a deploy like any other."""

    async def body(front):
        for version in ("v1", "v2"):
            front.has(version)
            assert await front.ask("prepare", version) is None
            assert await front.ask("activate", version) is None
        old = len(front.told)
        front.fleet.follow({"shop": "v2"}, {"shop": []})
        await front.until(lambda: len(list((tmp_path / "s").iterdir())) == 1)
        assert await front.ask("prepare", "v1") is None
        assert await front.ask("activate", "v1") is None
        assert front.routes.scripts["shop"].version == "v1"
        assert any(isinstance(one, Bury) for one in front.told[old:])

    with_fleet(tmp_path, body)


def test_a_new_front_takes_what_the_registry_says(tmp_path):
    """A front that dies while it deploys leaves nothing half done: prepared is not deployed."""

    async def body(front):
        front.has("v1")
        front.has("v2")
        assert await front.ask("prepare", "v1") is None
        await front.ask("activate", "v1")
        assert await front.ask("prepare", "v2") is None
        front.told.clear()
        front.fleet.meet_front({"shop": "v1"})
        await front.until(lambda: len(list((tmp_path / "s").iterdir())) == 1)
        assert front.routes.scripts["shop"].version == "v1"
        front.fleet.meet_front({"shop": "v2"})
        await front.until(lambda: front.routes.scripts["shop"].version == "v2" and front.routes.is_ready)

    with_fleet(tmp_path, body)


def test_a_removed_script_leaves_nobody(tmp_path):
    async def body(front):
        front.has("v1")
        assert await front.ask("prepare", "v1") is None
        await front.ask("activate", "v1")
        assert await front.ask("remove") is None
        await front.until(lambda: front.fleet.is_gone)
        assert front.routes.scripts == {}
        assert front.fleet.scripts == {}

    with_fleet(tmp_path, body, workers=2)
