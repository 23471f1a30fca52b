"""Commands that come while an instance ends, starts or changes hands: what is answered is what is stored."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.races import COMMANDS, check, give, short_work
from tests.support.world import World, in_world
from wrangler_py.clock import SystemClock
from wrangler_py.engine import Definition, Engine, EngineOptions, ListQuery, NewInstance, Status
from wrangler_py.storage.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
#: Milliseconds that the two steps of `short_work` take, and how long a driver takes to look at requests.
STEP_MS, LOOK_MS = 20, 3
PAUSES = ("paused", "waitingForPause")


@contextlib.asynccontextmanager
async def another_engine(world: World) -> AsyncIterator[Engine]:
    """Give an engine that drives nothing, as in another process, and let the world's answer what it asks."""

    async def answer() -> None:
        while True:
            await asyncio.sleep(LOOK_MS / 1000)
            epoch = world.engine._commits.epoch
            if epoch is not None:
                await world.engine._control.answer_requests(epoch)
                await world.engine._control.collect_events(epoch)
                world.engine._scheduler.kick()

    other = await World(world.path.parent).open()
    other.engine._known.add("w")
    answering = asyncio.create_task(answer())
    try:
        yield other.engine
    finally:
        answering.cancel()
        await asyncio.wait([answering])
        await other.close()


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_at_any_moment_answers_what_is_stored(tmp_path: Path, command: str, where: str) -> None:
    """One instance for each millisecond from before it is claimed until after it has ended."""
    undone: set[str] = set()

    async def body(world: World) -> Counter[str]:
        await world.define(short_work(lambda _, name: undone.add(name), lambda: STEP_MS / 1000))
        moments = range(3 * STEP_MS)
        names = [f"i{moment}" for moment in moments]
        async with another_engine(world) as other:
            engine = world.engine if where == "here" else other

            async def one(moment: int, name: str) -> str:
                await world.engine.create("w", id=name)
                await asyncio.sleep(moment / 1000)
                return await give(engine, command, name)

            answers = await asyncio.gather(*map(one, moments, names))
            await asyncio.sleep(2)
            for name, answer in zip(names, answers, strict=True):
                if answer in PAUSES:
                    assert await give(engine, "resume", name) is Status.QUEUED
            await asyncio.sleep(2)
            for name, answer in zip(names, answers, strict=True):
                await check(engine, command, name, answer, undone)
        return Counter(str(answer) for answer in answers)

    answers = in_world(tmp_path, body)
    if command in ("terminate", "rollback"):
        assert answers["instance.cannot_terminate"] >= 5, answers
        assert sum(answers.values()) - answers["instance.cannot_terminate"] >= STEP_MS, answers


@pytest.mark.parametrize("command", ["terminate", "rollback", "pause", "delete"])
def test_a_command_at_any_turn_of_the_end_answers_what_is_stored(tmp_path: Path, command: str) -> None:
    """`run()` has returned, its end is on its way to the disk, and the command comes in between."""
    undone: set[str] = set()

    async def body(world: World) -> None:
        work = short_work(lambda _, name: undone.add(name), lambda: STEP_MS / 1000)
        returned = asyncio.Event()

        class Work:
            async def run(self, event: Any, step: Any) -> Any:
                result = await work().run(event, step)
                returned.set()
                return result

        await world.define(Work)
        for turns in range(12):
            returned.clear()
            name = f"i{turns}"
            await world.engine.create("w", id=name)
            await returned.wait()
            await _give_and_check(world, command, name, turns, undone)

    in_world(tmp_path, body)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_at_any_turn_of_the_start_answers_what_is_stored(tmp_path: Path, command: str) -> None:
    undone: set[str] = set()

    async def body(world: World) -> None:
        await world.define(short_work(lambda _, name: undone.add(name), lambda: STEP_MS / 1000))
        for turns in range(8):
            await world.engine.create("w", id=f"i{turns}")
            await _give_and_check(world, command, f"i{turns}", turns, undone)

    in_world(tmp_path, body)


async def _give_and_check(world: World, command: str, name: str, turns: int, undone: set[str]) -> None:
    await world.turns(turns)
    answer = await give(world.engine, command, name)
    await asyncio.sleep(2)
    if answer in PAUSES:
        assert await give(world.engine, "resume", name) is Status.QUEUED
        await asyncio.sleep(2)
    assert world.engine.resident_count() == 0
    await check(world.engine, command, name, answer, undone)


def test_a_command_given_up_in_the_middle_leaves_nothing_stuck(tmp_path: Path) -> None:
    """A client that hangs up cancels its request: the instance whose runner was stopped for it goes on."""
    undone: set[str] = set()

    async def body(world: World) -> list[Status]:
        await world.define(short_work(lambda _, name: undone.add(name), lambda: 1))
        ends = []
        for turns in range(12):
            row = await world.engine.create("w")
            await world.settle()
            given = asyncio.create_task(world.engine.terminate("w", row.id))
            await world.turns(turns)
            given.cancel()
            await asyncio.wait([given])
            await asyncio.sleep(60)
            ends.append(await world.status(row))
        return ends

    assert set(in_world(tmp_path, body)) == {Status.COMPLETE, Status.TERMINATED}


def test_a_pause_that_was_answered_outlives_the_process(tmp_path: Path) -> None:
    """Killed while a step in flight keeps the pause waiting: no new step starts afterwards."""

    async def body(world: World) -> tuple[Status, Status, int]:
        await world.define(short_work(lambda *_: None, lambda: 1))
        row = await world.engine.create("w")
        await asyncio.sleep(0.5)
        answer = await world.engine.pause("w", row.id)
        await world.crash()
        await asyncio.sleep(60)
        steps = len((await world.engine.detail("w", row.id)).steps)
        stored = await world.status(row)
        await world.engine.resume("w", row.id)
        assert (await world.finish(row)).status is Status.COMPLETE
        return answer, stored, steps

    assert in_world(tmp_path, body) == (Status.WAITING_FOR_PAUSE, Status.PAUSED, 1)


def test_a_pause_on_its_way_to_the_disk_does_not_stop_what_a_resume_began(tmp_path: Path) -> None:
    """The instance pauses while a resume looks at it, and a slow store takes the pause last."""

    async def body(world: World) -> tuple[Status, int, list[str]]:
        work, began = asyncio.Event(), []

        async def run(event: Any, step: Any) -> None:
            async def attempt(ctx: Any) -> None:
                began.append(ctx.step.name)
                await work.wait()

            await step.do("one", attempt)
            await step.do("two", attempt)

        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        assert await world.engine.pause("w", row.id) is Status.WAITING_FOR_PAUSE
        store, slow = world.store, asyncio.Event()
        look, apply = store.look, store.apply

        async def look_while_it_pauses(*args: Any) -> Any:
            work.set()
            while "STEP_SUCCESS" not in await world.types(row):
                await asyncio.sleep(0)
            seen = await look(*args)
            while not slow.is_set():
                await asyncio.sleep(0)
            return seen

        async def apply_late(batch: Any, epoch: Any) -> Any:
            if batch.parkings and not slow.is_set():
                slow.set()
                await world.turns(40)
            return await apply(batch, epoch)

        store.look, store.apply = look_while_it_pauses, apply_late  # type: ignore[method-assign]
        await world.engine.resume("w", row.id)
        assert slow.is_set()
        await asyncio.sleep(60)
        return await world.status(row), world.engine.resident_count(), began

    assert in_world(tmp_path, body) == (Status.COMPLETE, 0, ["one", "two"])


@pytest.mark.parametrize("command", ["terminate", "restart", "delete"])
def test_a_command_waits_for_a_runner_that_is_about_to_start(tmp_path: Path, command: str) -> None:
    """The instance is claimed, and the store is slow to say so: a command must not pass its first run over."""
    undone: set[str] = set()
    lives: list[str] = []

    async def body(world: World) -> None:
        async def run(event: Any, step: Any) -> str:
            lives.append("begins")
            await step.do("work", lambda: 1)
            await step.sleep("rest", "1 second")
            lives.append("ends")
            return "done"

        await world.define(run)
        claim, asked = world.store.claim, asyncio.Event()

        async def claim_slowly(*args: Any, **options: Any) -> Any:
            claimed = await claim(*args, **options)
            if claimed and not asked.is_set():
                asked.set()
                await world.turns(40)
            return claimed

        world.store.claim = claim_slowly  # type: ignore[method-assign]
        await world.engine.create("w", id="a")
        await asked.wait()
        answer = await give(world.engine, command, "a")
        lives.append("answered")
        await asyncio.sleep(60)
        await check(world.engine, command, "a", answer, undone)

    in_world(tmp_path, body)
    after = lives[lives.index("answered") + 1 :]
    assert after[-1:] == (["ends"] if command == "restart" else [])
    assert after.count("ends") <= 1


def test_events_of_two_processes_at_once_are_all_delivered(tmp_path: Path) -> None:
    """One that another process stored just before one of this process is not passed over."""

    async def run(event: Any, step: Any) -> list[Any]:
        return [(await step.wait_for_event(f"w{n}", "go", timeout="5 seconds"))["payload"] for n in range(4)]

    async def body(world: World) -> Any:
        await world.define(run)
        await world.engine.create("w", id="a")
        await world.settle()
        async with another_engine(world) as other:
            for number, engine in enumerate((other, world.engine, other, world.engine)):
                await engine.send_event("w", "a", "go", number)
            await asyncio.sleep(1)
            return (await other.status("w", "a")).output

    assert in_world(tmp_path, body) == b"[0,1,2,3]"


def test_terminating_all_that_are_paused_spares_one_that_was_resumed(tmp_path: Path) -> None:
    async def body(world: World) -> set[Status]:
        await world.define(short_work(lambda *_: None, lambda: 1))
        for name in "ab":
            await world.engine.create("w", id=name)
            await world.settle()
            await give(world.engine, "pause", name)
        await asyncio.sleep(5)
        assert await world.engine.maintenance.terminate_all("w", Status.PAUSED)
        await world.engine.resume("w", "b")
        await asyncio.sleep(60)
        return {(await world.engine.status("w", name)).status for name in "ab"}

    assert in_world(tmp_path, body) == {Status.TERMINATED, Status.COMPLETE}


# two real processes

INSTANCES = 200


def test_two_real_processes_race_for_the_end_of_hundreds_of_instances(tmp_path: Path) -> None:
    """One completes them while the other gives each a command: every answer is what is stored."""
    asyncio.run(_race(tmp_path, random.Random(7)))


async def _race(folder: Path, chance: random.Random) -> None:
    store = await SqliteStore.open(folder / "workflows.sqlite")
    engine = Engine(store, SystemClock(), options=EngineOptions(heartbeat=False))
    await engine.bind([Definition("w", "s", "Work", "v1")])
    names = [f"i{number}" for number in range(INSTANCES)]
    command = [sys.executable, "-m", "tests.support.race_worker", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, env=dict(os.environ)) as driver:
        assert driver.stdout is not None
        assert await asyncio.to_thread(driver.stdout.readline) == b"ready\n"

        async def one(number: int, name: str) -> str:
            await asyncio.sleep(number * 0.004)
            await engine.create_batch("w", [NewInstance(name)])
            await asyncio.sleep(chance.uniform(0, 0.15))
            return await give(engine, COMMANDS[number % len(COMMANDS)], name)

        answers = await asyncio.gather(*map(one, range(INSTANCES), names))
        await _until_all_rest(engine)
        driver.communicate()
    undone = set((folder / "undone").read_text().split())
    for number, (name, answer) in enumerate(zip(names, answers, strict=True)):
        await check(engine, COMMANDS[number % len(COMMANDS)], name, answer, undone)
    late = Counter(map(str, answers))["instance.cannot_terminate"]
    await engine.close()
    await store.close()
    assert 0 < late < INSTANCES * 2 / len(COMMANDS), "no race: all commands came too early, or too late"


async def _until_all_rest(engine: Engine) -> None:
    while True:
        counts = await engine.status_counts("w")
        if not sum(
            counts[status] for status in ("queued", "running", "waiting", "waitingForPause", "paused")
        ):
            return
        for row in (await engine.instances("w", ListQuery(status=Status.PAUSED, per_page=100))).items:
            await engine.resume("w", row.id)
        await asyncio.sleep(0.05)
