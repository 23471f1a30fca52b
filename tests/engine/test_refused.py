"""A commit that fails poisons the lease: nothing rests on what is not stored, and what is stored is replayed."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import World, in_world
from wrangler_py.engine import Status
from wrangler_py.engine.model import HistoryType
from wrangler_py.engine.store import Batch
from wrangler_py.errors import StoreUnavailableError, WorkflowTimeoutError
from wrangler_py.serde import decode

RETRIED = {"retries": {"limit": 3, "delay": "1 second", "backoff": "constant"}}


class Faults:
    """Refuses the n-th driving batch of a world's store, before or after it was written."""

    def __init__(self, world: World, number: int, *, after_commit: bool = False, error: Any = None) -> None:
        self._apply, self._number, self._after_commit = world.store.apply, number, after_commit
        self._error = error or StoreUnavailableError("the database is locked")
        #: Epochs of the batches that came, and of those that came after the refused one.
        self.epochs: list[int | None] = []
        self.later: list[int | None] = []
        world.store.apply = self.apply  # type: ignore[method-assign]

    async def apply(self, batch: Batch, epoch: int | None) -> list[int | None]:
        if not batch.is_driving:
            return await self._apply(batch, epoch)
        self.epochs.append(epoch)
        if len(self.epochs) > self._number + 1:
            self.later.append(epoch)
        if len(self.epochs) != self._number + 1:
            return await self._apply(batch, epoch)
        if self._after_commit:
            await self._apply(batch, epoch)
        raise self._error


def check_history(types: list[tuple[str, int, int]], effects: Counter[str]) -> None:
    """Assert that no checkpoint lacks its start, none comes twice, and attempts count up from 1."""
    begun, attempts, done = set(), Counter[int](), set()
    for kind, step, attempt in types:
        if kind in ("STEP_START", "SLEEP_START"):
            assert step not in begun
            begun.add(step)
        elif kind == "ATTEMPT_START":
            assert step in begun - done
            attempts[step] += 1
            assert attempt == attempts[step]
        elif kind in ("ATTEMPT_SUCCESS", "STEP_SUCCESS", "SLEEP_COMPLETE"):
            assert step in begun - done
            if kind != "ATTEMPT_SUCCESS":
                done.add(step)
    assert begun == done
    assert max(effects.values()) <= 2


@pytest.mark.parametrize("after_commit", [False, True], ids=["refused", "answer lost"])
def test_whichever_batch_fails_the_instances_end_as_if_none_had(tmp_path: Path, after_commit: bool) -> None:
    async def body(world: World) -> int:
        effects = Counter[str]()

        async def run(event: Any, step: Any) -> list[int]:
            async def work(ctx: Any) -> int:
                effects[ctx.step.name] += 1
                await asyncio.sleep(0.01)
                return len(effects)

            values = [await step.do("one", RETRIED, work)]
            await step.sleep("nap", 20)
            values += await asyncio.gather(step.do("two", RETRIED, work), step.do("three", RETRIED, work))
            return values

        await world.define(run)
        for number in range(40):
            effects.clear()
            faults = Faults(world, number, after_commit=after_commit)
            row = await world.finish(await world.engine.create("w"))
            assert row.status is Status.COMPLETE
            events = await world.engine.history("w", row.id)
            check_history([(one.type.value, one.step, one.attempt) for one in events], effects)
            world.store.apply = faults._apply  # type: ignore[method-assign]
            if len(faults.epochs) <= number:
                return number
            assert faults.epochs[number] not in faults.later, "written under a poisoned lease"
        raise AssertionError("the run has no end of batches")

    assert in_world(tmp_path, body) >= 5


def test_what_waits_for_a_refused_batch_is_told_to_no_user_code(tmp_path: Path) -> None:
    """`except Exception` in `run()` must not take a failed commit for a failed step, and undo what is done."""
    seen: list[BaseException] = []

    async def run(event: Any, step: Any) -> str:
        for name in "abc":
            try:
                await step.do(name, lambda: 1)
            except Exception as error:
                seen.append(error)
                return "compensated"
        return "done"

    async def body(world: World) -> bytes | None:
        await world.define(run)
        for number in range(6):
            faults = Faults(world, number)
            row = await world.finish(await world.engine.create("w"))
            world.store.apply = faults._apply  # type: ignore[method-assign]
            assert row.output == b'"done"'
        return row.output

    in_world(tmp_path, body)
    assert seen == []


def test_a_refused_batch_of_nothing_ends_the_lease_where_a_runner_waits_for_it(tmp_path: Path) -> None:
    """Taken up to be undone, an instance waits for what was written before: by the command, so it writes nothing."""
    undone = []

    async def run(event: Any, step: Any) -> None:
        await step.do("a", lambda: 1, rollback=lambda: undone.append("a"))
        await step.sleep("rest", "1 day")

    async def body(world: World) -> tuple[Status, int]:
        await world.define(run)
        row = await world.engine.create("w")
        await world.settle()
        apply, refused = world.store.apply, []

        async def refuse(batch: Batch, epoch: int | None) -> list[int | None]:
            if not (refused or batch.is_driving or batch.creations):
                refused.append(batch)
                raise StoreUnavailableError("the database is locked")
            return await apply(batch, epoch)

        world.store.apply = refuse  # type: ignore[method-assign]
        await world.engine.terminate("w", row.id, rollback=True)
        return (await world.finish(row)).status, len(refused)

    assert in_world(tmp_path, body) == (Status.TERMINATED, 1)
    assert undone == ["a"]


def test_user_code_waits_where_the_store_cannot_be_read(tmp_path: Path) -> None:
    """The last look for an event before a wait times out, and the chunks of a stream, are asked for again."""
    refused = Counter[str]()

    async def run(event: Any, step: Any) -> list[Any]:
        async def pieces() -> Any:
            yield b"a stream"

        stream = await step.do("make", pieces)
        read = b"".join([chunk async for chunk in stream]).decode()
        try:
            return [read, (await step.wait_for_event("go", "go", timeout="1 second")).payload]
        except WorkflowTimeoutError:
            return [read, "timed out"]

    async def body(world: World) -> Any:
        def fails_twice(name: str) -> Any:
            ask = getattr(world.store, name)

            async def read(*args: Any, **options: Any) -> Any:
                refused[name] += 1
                if refused[name] <= 2:
                    raise StoreUnavailableError("the database cannot be read")
                return await ask(*args, **options)

            return read

        for name in ("events", "chunk"):
            setattr(world.store, name, fails_twice(name))
        return decode((await world.run(run)).output or b"")

    assert in_world(tmp_path, body) == ["a stream", "timed out"]
    assert refused == {"events": 3, "chunk": 3}


def test_a_creation_in_a_refused_batch_is_told_and_the_next_goes_on(tmp_path: Path) -> None:
    """Its caller cannot know whether it is stored; an id of its own makes trying again safe."""

    async def run(event: Any, step: Any) -> None:
        await step.do("s", lambda: 1)

    async def body(world: World) -> list[str]:
        await world.define(run)
        apply, refusing = world.store.apply, True

        async def refuse(batch: Batch, epoch: int | None) -> list[int | None]:
            if refusing:
                raise StoreUnavailableError("the database is locked")
            return await apply(batch, epoch)

        epoch = world.engine._commits.epoch
        world.store.apply = refuse  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailableError, match="not confirmed by the store: the database is locked"):
            await world.engine.create("w", id="a")
        refusing = False
        await world.finish(await world.engine.create("w", id="a"))
        # No instance did anything in that batch: none has to be replayed.
        assert world.engine._commits.epoch == epoch
        return await world.types(await world.engine.status("w", "a"))

    assert in_world(tmp_path, body).count("STEP_SUCCESS") == 1


@pytest.mark.parametrize("error", [MemoryError(), StoreUnavailableError("disk I/O error")], ids=repr)
def test_the_writer_survives_a_failed_commit_and_says_so_once(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(event: Any, step: Any) -> int:
        return await step.do("s", lambda: 1)

    async def body(world: World) -> int:
        told: list[Exception] = []
        world.engine.observe_store(told.append)
        await world.define(run)
        Faults(world, 1, error=error)
        assert (await world.finish(await world.engine.create("w"))).status is Status.COMPLETE
        assert type(error).__name__ in str(told[0]) or str(error) in str(told[0])
        return len(told)

    with caplog.at_level(logging.ERROR, "asyncio"):
        assert in_world(tmp_path, body) == 1
    assert caplog.records == []


def test_what_cannot_be_written_ends_its_own_instance_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a surrogate pair that slipped through every check: SQLite's driver raises UnicodeEncodeError."""

    async def run(event: Any, step: Any) -> int:
        await step.sleep("nap", "1 second")
        return await step.do("s", lambda: 1)

    async def body(world: World) -> tuple[Status, Status, str]:
        await world.define(run)
        bad, good = [await world.engine.create("w", id=name) for name in ("bad", "good")]
        await world.settle()
        line = (bad.row, HistoryType.STEP_START, world.clock.now(), 9, 0, "\ud800", None)
        world.engine._commits.log(line)
        world.engine._commits.log(
            (good.row, HistoryType.REPLAY_DIVERGED, world.clock.now(), 0, 0, None, None)
        )
        late = await world.engine.create("w", id="late")
        await world.finish(late)
        await world.finish(good)
        ended = await world.status(bad), await world.status(good)
        assert (await world.types(good)).count("REPLAY_DIVERGED") == 1
        assert world.engine.resident_count() == 0
        return *ended, (await world.engine.detail("w", "bad")).error.message  # type: ignore[union-attr]

    with caplog.at_level(logging.ERROR, "asyncio"):
        bad, good, message = in_world(tmp_path, body)
    assert (bad, good) == (Status.ERRORED, Status.COMPLETE)
    assert "What the instance did cannot be stored: UnicodeEncodeError" in message
    assert caplog.records == []


def test_a_store_error_of_a_binding_in_a_step_is_a_failed_attempt(tmp_path: Path) -> None:
    """The engine's own store is not meant by it: the instance goes on."""
    calls = []

    async def run(event: Any, step: Any) -> str:
        def work() -> None:
            calls.append(1)
            if len(calls) < 3:
                raise StoreUnavailableError("kv.sqlite is locked")

        await step.do("s", RETRIED, work)
        raise StoreUnavailableError("kv.sqlite is locked")

    async def body(world: World) -> tuple[Status, str]:
        row = await world.run(run)
        assert row.error is not None
        return row.status, row.error.message

    assert in_world(tmp_path, body) == (Status.ERRORED, "kv.sqlite is locked")
    assert len(calls) == 3
