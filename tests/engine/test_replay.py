"""Laws of replay: checkpoints, code that changed, and crashes at any moment (engine-semantics, sections 2 and 3)."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.world import World, in_world, run_virtual
from wrangler_py.engine import Status
from wrangler_py.serde import decode


async def through_a_change(world, first, second):
    """Run ``first`` until it waits for an event, change the code, send the event; return the detail."""
    await world.define(first)
    row = await world.engine.create("w")
    await asyncio.sleep(60)
    await world.define(second)
    await world.engine.send_event("w", row.id, "go")
    await world.finish(row)
    return await world.engine.detail("w", row.id)


def test_unchanged_code_gives_no_warning(tmp_path):
    async def run(event, step):
        await asyncio.gather(*(step.do(name, lambda: 1) for name in "abc"))

        async def outer():
            return await step.do("inner", lambda: 2)

        await step.do("outer", outer)
        await step.do("inner", lambda: 3)
        await step.sleep("nap", "1 second")
        await step.wait_for_event("w", "go")
        return await step.do("last", lambda: 4)

    detail = in_world(tmp_path, lambda world: through_a_change(world, run, run))
    assert (detail.status, detail.output, detail.warnings) == ("complete", 4, [])


def test_a_step_inserted_at_the_top_runs_and_is_seen(tmp_path):
    async def first(event, step):
        await step.do("a", lambda: 1)
        await step.wait_for_event("w", "go")
        return await step.do("b", lambda: 2)

    async def second(event, step):
        await step.do("new", lambda: 0)
        await step.do("a", lambda: pytest.fail("a ran again"))
        await step.wait_for_event("w", "go")
        return await step.do("b", lambda: 3)

    detail = in_world(tmp_path, lambda world: through_a_change(world, first, second))
    assert (detail.status, detail.output) == ("complete", 3)
    assert detail.warnings == ['step "new-1" is new: it now runs before the stored step "a-1"']


def test_a_step_that_does_not_come_up_again_is_seen(tmp_path):
    async def first(event, step):
        await step.do("gone", lambda: 1)
        await step.wait_for_event("w", "go")

    async def second(event, step):
        await step.wait_for_event("w", "go")

    detail = in_world(tmp_path, lambda world: through_a_change(world, first, second))
    assert len(detail.warnings) == 1
    assert 'stored step "gone-1" did not come up again' in detail.warnings[0]


def test_an_order_that_changed_is_seen(tmp_path):
    async def first(event, step):
        await step.do("a", lambda: 1)
        await step.do("b", lambda: 2)
        await step.wait_for_event("w", "go")

    async def second(event, step):
        await step.do("b", lambda: 2)
        await step.do("a", lambda: 1)
        await step.wait_for_event("w", "go")

    detail = in_world(tmp_path, lambda world: through_a_change(world, first, second))
    assert detail.warnings == ['the order changed: step "b-1" now comes before "a-1"']


def test_steps_inside_a_finished_callback_keep_the_counts_of_those_after_it(tmp_path):
    """Otherwise the second ``same`` would get the checkpoint of the first, which ran inside ``outer``."""

    async def run(event, step):
        async def outer():
            return await step.do("same", lambda: "inner")

        await step.do("outer", outer)
        after = await step.do("same", lambda: "after")
        await step.wait_for_event("w", "go")
        return [after, await step.do("same", lambda: "last")]

    detail = in_world(tmp_path, lambda world: through_a_change(world, run, run), hibernate_after_ms=0)
    assert detail.output == ["after", "last"]


def test_a_final_error_is_replayed_with_type_name_and_message(tmp_path):
    async def run(event, step):
        def fail():
            raise ValueError("bad")

        try:
            await step.do("f", {"retries": {"limit": 0, "delay": 0}}, fail)
        except ValueError as error:
            seen = [type(error).__name__, str(error)]
        await step.wait_for_event("w", "go")
        return seen

    detail = in_world(tmp_path, lambda world: through_a_change(world, run, run))
    assert detail.output == ["ValueError", "ValueError: bad"]


def test_an_attempt_cut_off_by_a_crash_counts_and_its_delay_applies(tmp_path):
    calls = []

    async def run(event, step):
        @step.do("s", config={"retries": {"limit": 1, "delay": "1 hour"}})
        async def s(ctx):
            calls.append(ctx["attempt"])
            await asyncio.sleep(10)
            return ctx["attempt"]

        return await s()

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(5)
        await world.crash()
        await asyncio.sleep(1800)
        assert calls == [1]
        await world.finish(row)
        return await world.engine.detail("w", row.id)

    detail = in_world(tmp_path, body)
    assert (detail.output, calls) == (2, [1, 2])
    first = detail.steps[0].attempts[0]
    assert (first.success, first.error.name) == (False, "WorkflowInternalError")
    assert first.error.message == (
        "Attempt failed due to internal workflows error: the process died while this step was executing"
    )


def test_a_retry_delay_survives_a_restart_and_does_not_start_again(tmp_path):
    async def run(event, step):
        def fail(ctx):
            if ctx["attempt"] == 1:
                raise RuntimeError("once")
            return ctx["attempt"]

        return await step.do("s", {"retries": {"limit": 1, "delay": "1 hour"}}, fail)

    async def body(world):
        await world.define(run)
        row = await world.engine.create("w")
        await asyncio.sleep(1800)
        await world.crash()
        ended = await world.finish(row)
        return ended.ended_at - row.created_at

    assert in_world(tmp_path, body) == pytest.approx(3_600_000, abs=60_000)


# random workflows, random crashes ------------------------------------------------------------------------------------

LEAF = st.one_of(
    st.fixed_dictionaries({"do": st.sampled_from(["ok", "retry", "fail", "slow"])}),
    st.fixed_dictionaries({"sleep": st.integers(0, 50_000)}),
)
PROGRAM = st.lists(st.one_of(LEAF, st.lists(LEAF, min_size=1, max_size=3)), min_size=1, max_size=5)
CRASHES = st.lists(st.floats(0, 60), max_size=5)
CONFIGS = {
    "fail": {"retries": {"limit": 2, "delay": "2 seconds", "backoff": "constant"}},
    "other": {"retries": {"limit": 30, "delay": "2 seconds", "backoff": "constant"}},
}


class Effects:
    """The effects of a program's callbacks: the number of calls of each, and the number that came to an end."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.after_checkpoint: list[str] = []


def program_to_run(program, effects: Effects, is_stored):
    """Return a ``run`` that executes a program; ``is_stored(step)`` says whether a step is over in the store."""

    async def execute(step, leaf, name):
        if "sleep" in leaf:
            await step.sleep(name, leaf["sleep"])
            return "slept"
        kind = leaf["do"]
        try:
            return await step.do(name, CONFIGS.get(kind, CONFIGS["other"]), callback(kind, name))
        except Exception as error:
            assert kind == "fail"
            return f"caught {type(error).__name__}"

    def callback(kind, name):
        async def call(ctx):
            effects.calls[name] += 1
            if is_stored(f"{name}-1"):
                effects.after_checkpoint.append(name)
            if kind == "slow":
                await asyncio.sleep(3)
            if kind == "retry" and ctx["attempt"] == 1:
                raise RuntimeError("once")
            if kind == "fail":
                raise ValueError("always")
            effects.ends[name] += 1
            return f"{kind} {name}"

        return call

    async def run(event, step):
        results = []
        for number, part in enumerate(program):
            if isinstance(part, list):
                together = [execute(step, leaf, f"{number}.{index}") for index, leaf in enumerate(part)]
                results.append(await asyncio.gather(*together))
            else:
                results.append(await execute(step, part, str(number)))
        return results

    return run


OVER = "SELECT 1 FROM history WHERE name = ? AND type IN ('STEP_SUCCESS', 'STEP_FAILURE')"


def outcome(folder, program, crashes, hibernate_after_ms):
    effects = Effects()

    async def main():
        world = await (await World(folder, hibernate_after_ms=hibernate_after_ms).open()).start()
        await world.define(program_to_run(program, effects, lambda name: world.store._read(OVER, (name,))))
        row = await world.engine.create("w")
        for delay in crashes:
            await asyncio.sleep(delay)
            await world.crash()
        ended = await world.finish(row)
        types = await world.types(row)
        detail = await world.engine.detail("w", row.id)
        await world.close()
        return ended, types, detail

    return *run_virtual(main()), effects


def caught(output):
    """Return the output with every final error alike: an attempt that a crash cut off may have been the last."""
    if isinstance(output, list):
        return [caught(one) for one in output]
    return "caught" if output in ("caught ValueError", "caught WorkflowInternalError") else output


@given(program=PROGRAM, crashes=CRASHES, hibernate_after_ms=st.sampled_from([0, 5000, 10**9]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_crashes_at_any_moment_change_nothing_but_the_number_of_attempts(
    tmp_path_factory, program, crashes, hibernate_after_ms
):
    plain, _, _, _ = outcome(tmp_path_factory.mktemp("plain"), program, [], 10**9)
    ended, types, detail, effects = outcome(
        tmp_path_factory.mktemp("crashed"), program, crashes, hibernate_after_ms
    )
    assert ended.status is Status.COMPLETE
    assert caught(decode(ended.output)) == caught(decode(plain.output))
    assert types.count("STEP_SUCCESS") + types.count("STEP_FAILURE") == types.count("STEP_START")
    assert detail.warnings == []
    assert effects.after_checkpoint == []
    steps = {view.name[:-2]: view for view in detail.steps if view.type == "step"}
    for name, kind in leaves(program):
        view, calls, ends = steps[name], effects.calls[name], effects.ends[name]
        assert view.success is (kind != "fail")
        # The start of an attempt is written in the turn in which it runs, and nobody waits for it: a crash in that very
        # turn leaves no trace of the attempt. Everything else is in the history.
        assert len(view.attempts) <= calls <= len(view.attempts) + len(crashes)
        assert len(view.attempts) <= CONFIGS.get(kind, CONFIGS["other"])["retries"]["limit"] + 1
        assert [attempt.success for attempt in view.attempts[:-1]] == [False] * (len(view.attempts) - 1)
        # A callback that ended and was not stored by then ends once more for each crash.
        assert (ends == 0) if kind == "fail" else (1 <= ends <= 1 + len(crashes))
    assert types.count("ATTEMPT_START") == types.count("ATTEMPT_SUCCESS") + types.count("ATTEMPT_FAILURE")


def leaves(program):
    """Yield name and kind of each step of a program."""
    for number, part in enumerate(program):
        named = (
            [(f"{number}.{index}", leaf) for index, leaf in enumerate(part)] if isinstance(part, list) else []
        )
        for name, leaf in named or [(str(number), part)]:
            if "do" in leaf:
                yield name, leaf["do"]
