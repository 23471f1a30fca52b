"""Rollback of steps: what was done is undone, last first (engine-semantics, section 2, "Rollback")."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.world import MINUTE, World, in_world
from wrangler_py.engine import Status
from wrangler_py.engine.control import StepRef
from wrangler_py.sdk.workers.workflows import NonRetryableError

ONCE = {"retries": {"limit": 0, "delay": 0}}
SLOWLY = {"retries": {"limit": 3, "delay": "1 hour", "backoff": "constant"}}


class Shop:
    """Three steps with rollbacks, then a failure; ``undone`` is the outside world."""

    def __init__(
        self, *, fail: bool = True, broken: dict[str, int] | None = None, config: Any = ONCE
    ) -> None:
        self.undone: list[str] = []
        self.told: list[Any] = []
        self.broken = broken or {}
        self.fail = fail
        self.config = config

    def undo(self, name: str) -> Any:
        async def undo(ctx: Any, error: Exception, output: Any) -> None:
            self.undone.append(name)
            self.told.append((ctx.step.name, str(error), output))
            if self.broken.get(name, 0):
                self.broken[name] -= 1
                raise ValueError(f"{name} cannot be undone")

        return undo

    async def run(self, event: Any, step: Any) -> Any:
        for name in ("a", "b", "c"):
            undo = self.undo(name)
            await step.do(name, lambda name=name: name.upper(), rollback=undo, rollback_config=self.config)
        if self.fail:
            raise NonRetryableError("no luck")
        await step.sleep("rest", "1 day")


def test_a_failed_instance_is_undone_last_step_first(tmp_path: Any) -> None:
    """Each function is told of its step, the error and the step's result; the instance ends with its own error."""
    shop = Shop()

    async def body(world: World) -> None:
        row = await world.run(shop.run)
        assert row.status is Status.ERRORED
        assert row.error is not None
        assert row.error.message == "no luck"
        detail = await world.engine.detail("w", row.id)
        assert [(one.type, one.name) for one in detail.steps] == [  # type: ignore[union-attr]
            ("step", "a-1"),
            ("step", "b-1"),
            ("step", "c-1"),
            ("rollback", "c-1"),
            ("rollback", "b-1"),
            ("rollback", "a-1"),
        ]
        assert detail.rollback is not None
        assert detail.rollback.outcome == "complete"
        types = await world.types(row)
        assert types[-2:] == ["ROLLBACK_COMPLETE", "WORKFLOW_FAILURE"]

    in_world(tmp_path, body)
    assert shop.undone == ["c", "b", "a"]
    assert [(name, output) for name, _, output in shop.told] == [("c", "C"), ("b", "B"), ("a", "A")]
    assert all("no luck" in error for _, error, _ in shop.told)


def test_success_undoes_nothing(tmp_path: Any) -> None:
    shop = Shop(fail=False)

    async def body(world: World) -> None:
        assert (await world.run(shop.run)).status is Status.COMPLETE

    in_world(tmp_path, body)
    assert shop.undone == []


def test_the_first_rollback_that_fails_for_good_stops_the_chain(tmp_path: Any) -> None:
    shop = Shop(broken={"b": 1})

    async def body(world: World) -> None:
        row = await world.run(shop.run)
        assert row.error is not None
        assert row.error.message == "no luck"
        detail = await world.engine.detail("w", row.id)
        assert detail.rollback is not None
        assert detail.rollback.outcome == "failed"
        assert detail.rollback.error is not None
        assert "b cannot be undone" in detail.rollback.error.message

    in_world(tmp_path, body)
    assert shop.undone == ["c", "b"]


def test_a_step_that_failed_is_undone_too_with_no_output(tmp_path: Any) -> None:
    seen: list[Any] = []

    async def run(event: Any, step: Any) -> None:
        def boom() -> None:
            raise NonRetryableError("half done")

        await step.do("half", boom, rollback=lambda output, error: seen.append((output, str(error))))

    async def body(world: World) -> None:
        assert (await world.run(run)).status is Status.ERRORED

    in_world(tmp_path, body)
    assert seen == [(None, "half done")]


def test_a_fatal_end_is_undone_too(tmp_path: Any) -> None:
    """What user code cannot catch, the step limit here, leaves no less behind."""
    shop = Shop(fail=False)

    async def body(world: World) -> None:
        await world.define(shop.run, step_limit=2)
        row = await world.finish(await world.engine.create("w"))
        assert row.error is not None
        assert "limit of 2 steps" in row.error.message

    in_world(tmp_path, body)
    assert shop.undone == ["b", "a"]


@pytest.mark.parametrize("spelling", ["keyword", "method", "method with config"])
def test_the_decorators(tmp_path: Any, spelling: str) -> None:
    undone: list[Any] = []

    async def run(event: Any, step: Any) -> None:
        def refund(output: Any) -> None:
            undone.append(output)

        rollback = {"rollback": refund} if spelling == "keyword" else {}

        @step.do("charge", **rollback)
        async def charge() -> int:
            return 5

        if spelling == "method":
            charge.rollback(refund)
        elif spelling == "method with config":
            charge.rollback(config=ONCE)(refund)
        await charge()
        raise NonRetryableError("no")

    async def body(world: World) -> None:
        await world.run(run)

    in_world(tmp_path, body)
    assert undone == [5]


def test_strict_mode_knows_no_rollback(tmp_path: Any) -> None:
    async def body(world: World) -> None:
        row = await world.run(Shop().run)
        assert row.error is not None
        assert "do() got an unexpected keyword argument 'rollback'" in row.error.message

    in_world(tmp_path, body, strict=True)


@pytest.mark.parametrize("config", [{"sensitive": "output"}, {"retries": {"limit": 1}}, {"timeout": 0}])
def test_a_wrong_rollback_config_is_fatal(tmp_path: Any, config: Any) -> None:
    async def body(world: World) -> None:
        row = await world.run(Shop(config=config).run)
        assert row.error is not None
        assert row.error.message.startswith('Rollback config for "a" is in a invalid format')

    in_world(tmp_path, body)


def test_terminate_with_rollback_undoes_a_sleeping_instance_out_of_memory(tmp_path: Any) -> None:
    """`run()` is replayed for its functions, its sleep held back, and no step is run again."""
    shop = Shop(fail=False)

    async def body(world: World) -> None:
        await world.define(shop.run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        assert world.engine.resident_count() == 0
        assert await world.engine.terminate("w", row.id, rollback=True) is Status.RUNNING
        ended = await world.finish(row)
        assert (ended.status, ended.error) == (Status.TERMINATED, None)
        types = await world.types(row)
        assert types[-2:] == ["ROLLBACK_COMPLETE", "WORKFLOW_TERMINATED"]
        assert not {"SLEEP_COMPLETE", "REPLAY_DIVERGED"} & set(types)

    in_world(tmp_path, body)
    assert shop.undone == ["c", "b", "a"]


def test_terminate_with_rollback_stops_a_step_in_flight_and_undoes_it(tmp_path: Any) -> None:
    undone: list[Any] = []

    async def run(event: Any, step: Any) -> None:
        await step.do("a", lambda: 1, rollback=lambda output: undone.append(("a", output)))
        await step.do(
            "b",
            lambda: asyncio.sleep(9),
            rollback=lambda output, error: undone.append(("b", output, str(error))),
        )

    async def body(world: World) -> None:
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        await world.engine.terminate("w", row.id, rollback=True)
        assert (await world.finish(row)).status is Status.TERMINATED

    in_world(tmp_path, body)
    assert [one[:2] for one in undone] == [("b", None), ("a", 1)]
    assert "terminated" in undone[0][2]


def test_terminate_with_rollback_ends_at_once_what_has_none(tmp_path: Any) -> None:
    async def run(event: Any, step: Any) -> None:
        await step.sleep("rest", "1 day")

    async def body(world: World) -> None:
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1)
        assert await world.engine.terminate("w", row.id, rollback=True) is Status.TERMINATED

    in_world(tmp_path, body)


def test_a_retry_delay_of_a_rollback_survives_a_crash(tmp_path: Any) -> None:
    """It is neither begun again nor skipped."""
    shop = Shop(broken={"c": 1}, config=SLOWLY)

    async def body(world: World) -> None:
        await world.define(shop.run)
        row = await world.engine.create("w")
        await asyncio.sleep(30 * 60)
        assert shop.undone == ["c"]
        await world.crash()
        await asyncio.sleep(29 * 60)
        assert shop.undone == ["c"]
        await asyncio.sleep(2 * 60)
        await world.settle()
        assert shop.undone == ["c", "c", "b", "a"]
        assert (await world.finish(row)).status is Status.ERRORED

    in_world(tmp_path, body)


def test_a_pause_holds_the_chain_and_a_terminate_stops_it(tmp_path: Any) -> None:
    shop = Shop(broken={"c": 1}, config=SLOWLY)

    async def body(world: World) -> None:
        await world.define(shop.run)
        row = await world.engine.create("w")
        await asyncio.sleep(MINUTE / 1000)
        assert await world.engine.pause("w", row.id) is Status.PAUSED
        await asyncio.sleep(3 * 3600)
        assert shop.undone == ["c"]
        await world.engine.resume("w", row.id)
        await asyncio.sleep(58 * 60)
        assert shop.undone == ["c"]
        assert await world.engine.terminate("w", row.id) is Status.TERMINATED
        await asyncio.sleep(3 * 3600)
        assert shop.undone == ["c"]

    in_world(tmp_path, body)


def test_restart_forgets_that_it_rolled_back(tmp_path: Any) -> None:
    """From the start or from a step."""
    shop = Shop()

    async def body(world: World) -> None:
        row = await world.run(shop.run)
        shop.fail = False
        await world.engine.restart("w", row.id, from_=StepRef("c"))
        assert (await world.finish(row)).status is Status.COMPLETE
        assert not [one for one in await world.types(row) if one.startswith("ROLLBACK")]

    in_world(tmp_path, body)


def test_a_rollback_knows_its_step_and_its_own_attempt(tmp_path: Any) -> None:
    seen: list[Any] = []

    async def run(event: Any, step: Any) -> Any:
        def undo(ctx: Any) -> None:
            seen.append((ctx.step.name, ctx.step.count, ctx.attempt))
            if ctx.attempt == 1:
                raise ValueError("once more")

        await step.do("a", lambda: 1, rollback=undo, rollback_config={"retries": {"limit": 2, "delay": 0}})
        raise NonRetryableError("no luck")

    in_world(tmp_path, lambda world: world.run(run))
    assert seen == [("a", 1, 1), ("a", 1, 2)]


def test_a_step_inside_another_has_no_rollback(tmp_path: Any) -> None:
    """The outer one would replay without it."""

    async def run(event: Any, step: Any) -> Any:
        async def outer() -> None:
            await step.do("inner", lambda: 1, rollback=lambda: None)

        await step.do("outer", outer)

    row = in_world(tmp_path, lambda world: world.run(run))
    assert row.error.message == 'Step "inner" runs inside another step: give its rollback to the outer one'


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    crashes=st.lists(st.integers(0, 80), max_size=5),
    broken=st.sampled_from([{}, {"b": 1}, {"c": 2}, {"a": 99}, {"b": 99}]),
    terminated=st.booleans(),
    hibernate_after_ms=st.sampled_from([0, 10**9]),
)
def test_crashes_at_any_moment_forget_nothing_and_change_no_order(
    tmp_path_factory: pytest.TempPathFactory,
    crashes: list[int],
    broken: dict[str, int],
    terminated: bool,
    hibernate_after_ms: int,
) -> None:
    """Every rollback of a started step acts at least once, none before one ahead of it, unless the chain failed."""
    config = {"retries": {"limit": 7, "delay": "1 second", "backoff": "constant"}}
    shop = Shop(fail=not terminated, broken=dict(broken), config=config)

    async def body(world: World) -> Any:
        await world.define(shop.run)
        row = await world.engine.create("w")
        if terminated:
            await asyncio.sleep(60)
            await world.engine.terminate("w", row.id, rollback=True)
        for turns in crashes:
            await world.turns(turns)
            await world.crash()
        return await world.finish(row), await world.engine.detail("w", row.id)

    folder = tmp_path_factory.mktemp("world")
    row, detail = in_world(folder, body, hibernate_after_ms=hibernate_after_ms)
    assert row.status is (Status.TERMINATED if terminated else Status.ERRORED)
    started = [step.name[0] for step in detail.steps if step.type == "step"]
    whole = list(reversed(started))
    assert shop.undone == sorted(shop.undone, reverse=True)
    once = list(dict.fromkeys(shop.undone))
    assert once == whole[: len(once)]
    assert (detail.rollback is None) is (not started)
    if detail.rollback is not None:
        hopeless = [name for name, times in broken.items() if times == 99]
        assert detail.rollback.outcome == ("failed" if hopeless else "complete")
        assert once == (whole[: whole.index(hopeless[0]) + 1] if hopeless else whole)


async def lingers(seconds: float) -> None:
    """Go on for some time, whatever is cancelled."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(end - loop.time())


def test_a_rollback_goes_on_where_its_replay_of_run_ends_before_all_of_its_tasks(tmp_path: Any) -> None:
    """The functions have come up and `run()` has failed again, while a task beside it still unwinds."""
    shop = Shop(broken={"a": 1}, config=SLOWLY)

    async def run(event: Any, step: Any) -> None:
        await step.do("a", lambda: "A", rollback=shop.undo("a"), rollback_config=SLOWLY)
        try:
            await step.do("fails", ONCE, raises)
        except NonRetryableError:
            task = asyncio.create_task(lingers(1))
            await asyncio.sleep(0)
            raise
        await task

    async def body(world: World) -> None:
        row = await world.run(run)
        assert row.status is Status.ERRORED
        assert (await world.types(row))[-2:] == ["ROLLBACK_COMPLETE", "WORKFLOW_FAILURE"]

    in_world(tmp_path, body)
    assert shop.undone == ["a", "a"]


def test_code_that_run_left_behind_does_not_cut_a_rollback_off(tmp_path: Any) -> None:
    """Its step returns a value that cannot be stored, which ends an instance that still executes `run()`.

    The task is stopped by that, and asyncio does not show it as an error of the user's.
    """
    undone: list[str] = []
    shown: list[Any] = []

    async def run(event: Any, step: Any) -> None:
        async def undo() -> None:
            await asyncio.sleep(MINUTE / 1000)
            undone.append("a")

        async def work() -> object:
            await lingers(30)
            return object()

        await step.do("a", lambda: "A", rollback=undo)
        task = asyncio.create_task(step.do("lingers", work))
        await step.do("fails", ONCE, raises)
        await task

    async def body(world: World) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: shown.append(context))
        row = await world.run(run)
        assert row.status is Status.ERRORED
        assert row.error is not None
        assert row.error.message == "no luck"
        types = await world.types(row)
        assert types[-2:] == ["ROLLBACK_COMPLETE", "WORKFLOW_FAILURE"]
        assert types.count("ROLLBACK_ATTEMPT_START") == 1

    in_world(tmp_path, body)
    gc.collect()
    assert (undone, shown) == (["a"], [])


def raises() -> None:
    raise NonRetryableError("no luck")
