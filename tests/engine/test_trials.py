"""Trials of suspects: what is held and recorded meanwhile, and from when to when (`engine.trials`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.world import run_virtual
from wrangler_py.clock import LoopClock
from wrangler_py.engine import trials
from wrangler_py.engine.executing import Executing
from wrangler_py.engine.instance.place import StepPlace
from wrangler_py.engine.timers import Timers
from wrangler_py.engine.trials import Trials


class Instance:
    """An instance in memory; it executes a callback as long as it is ``in_flight``."""

    def __init__(self, name: str, deaths: int, trials: Trials) -> None:
        self.place, self._trials = StepPlace("w", name, "step-1"), trials
        self.suspicion = SimpleNamespace(deaths=deaths, is_on_trial=False)
        self.in_flight = 0
        self.gate = SimpleNamespace(release=lambda: None)

    def survived(self) -> None:
        self.suspicion.deaths = 0
        self._trials.passed(self)  # type: ignore[arg-type]


class Scene:
    """Trials, who is on trial by the process's record, and how often it was time to look again."""

    def __init__(self) -> None:
        clock = LoopClock()
        self.shared: Any = SimpleNamespace(clock=clock, timers=Timers(clock), is_quarantined=False)
        self.resident = dict[int, Any]()
        self.trials = Trials(self.shared, self.resident, self._kick)
        self.kicks, self.recorded = 0, list[Executing]()

    def _kick(self) -> None:
        self.kicks += 1

    def try_(self, suspects: list[Executing]) -> None:
        self.recorded = suspects

    def instance(self, name: str, deaths: int = 0) -> Any:
        found = self.resident[len(self.resident)] = Instance(name, deaths, self.trials)
        return found

    def suspect(self, name: str, deaths: int) -> Any:
        """Return an instance that is on trial."""
        found = self.instance(name, deaths)
        self.trials.begin(found)
        return found

    async def survivor(self, name: str) -> Any:
        """Return one that still executes after its trial."""
        found = self.suspect(name, 1)
        found.in_flight = 1
        await asyncio.sleep(3)
        self.trials.review()
        assert not found.suspicion.is_on_trial
        return found


def on_scene(monkeypatch: pytest.MonkeyPatch, body: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        scene = Scene()
        monkeypatch.setattr(trials, "RECORD", scene)
        await body(scene)

    run_virtual(main())


def test_the_record_names_those_on_trial_from_the_beginning_to_the_end(monkeypatch: Any) -> None:
    async def body(scene: Scene) -> None:
        one, other = scene.suspect("a", 1), scene.suspect("b", 1)
        assert scene.recorded == [Executing("w", "a"), Executing("w", "b")]
        scene.trials.end(one)
        assert scene.recorded == [Executing("w", "b")]
        scene.trials.passed(other)
        assert scene.recorded == []
        scene.suspect("c", 2)
        scene.trials.clear()
        assert scene.recorded == []

    on_scene(monkeypatch, body)


def test_from_the_beginning_of_a_trial_nobody_else_begins(monkeypatch: Any) -> None:
    """Not only from the end of the look that begins it, which may wait for the store."""

    async def body(scene: Scene) -> None:
        scene.suspect("a", 2)
        assert scene.shared.is_quarantined

    on_scene(monkeypatch, body)


def test_when_a_trial_is_over_it_is_time_to_look_for_the_next(monkeypatch: Any) -> None:
    async def body(scene: Scene) -> None:
        one = scene.suspect("a", 2)
        assert scene.kicks == 0
        scene.trials.end(one)
        assert scene.kicks == 1

    on_scene(monkeypatch, body)


def test_when_no_suspect_waits_any_more_nobody_looks_for_one(monkeypatch: Any) -> None:
    async def body(scene: Scene) -> None:
        scene.trials.settle(are_waiting=True)
        await asyncio.sleep(2)
        assert scene.kicks == 1
        scene.trials.settle(are_waiting=True)
        scene.trials.settle(are_waiting=False)
        await asyncio.sleep(60)
        assert scene.kicks == 1

    on_scene(monkeypatch, body)


def test_under_another_lease_nobody_is_held_for_what_was_before(monkeypatch: Any) -> None:
    async def body(scene: Scene) -> None:
        scene.suspect("a", 2)
        scene.trials.settle(are_waiting=True)
        scene.trials.clear()
        assert not scene.shared.is_quarantined
        assert scene.trials.admits([2]) == 1

    on_scene(monkeypatch, body)


def test_a_survivor_of_another_lease_that_still_executes_is_like_any_other(monkeypatch: Any) -> None:
    async def body(scene: Scene) -> None:
        await scene.survivor("a")
        assert scene.trials.admits([1]) == 1
        scene.trials.clear()
        assert scene.trials.admits([1]) == 0

    on_scene(monkeypatch, body)


def test_a_survivor_that_has_waited_and_executes_again_is_like_any_other(monkeypatch: Any) -> None:
    async def body(scene: Scene) -> None:
        survivor = await scene.survivor("a")
        survivor.in_flight = 0
        scene.trials.end(survivor)
        survivor.in_flight = 1
        assert scene.trials.admits([1]) == 0

    on_scene(monkeypatch, body)
