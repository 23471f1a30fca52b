"""Laws of `step.do` (engine-semantics, section 2)."""

from __future__ import annotations

import asyncio
import json
import warnings
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.world import in_world
from wrangler_py.engine import Status
from wrangler_py.sdk.pyodide.ffi import JsException
from wrangler_py.sdk.workers.workflows import NonRetryableError
from wrangler_py.serde import decode, to_json


def output_of(row):
    assert row.error is None, row.error
    return decode(row.output)


def test_decorated_steps_return_the_stored_value_and_records_read_by_attribute(tmp_path):
    async def run(event, step):
        @step.do("fetch")
        async def fetch(ctx):
            return {"name": event.payload["who"], "nested": {"attempt": ctx["attempt"]}}

        row = await fetch()
        return [row.name, row["nested"].attempt, ctx_free(row)]

    def ctx_free(row):
        return isinstance(row, dict)

    row = in_world(tmp_path, lambda world: world.run(run, params={"who": "ada"}))
    assert output_of(row) == ["ada", 1, True]


def test_call_form_takes_functions_lambdas_and_config(tmp_path):
    async def run(event, step):
        one = await step.do("one", lambda: 1)
        two = await step.do(
            "two", {"retries": {"limit": 1, "delay": 0}}, lambda ctx: ctx["config"]["retries"]["limit"]
        )

        async def third(ctx):
            return ctx["step"]

        return [one, two, dict(await step.do("three", third))]

    assert output_of(in_world(tmp_path, lambda world: world.run(run))) == [
        1,
        1,
        {"name": "three", "count": 1},
    ]


def test_two_steps_of_one_name_are_two_steps(tmp_path):
    calls = []

    async def run(event, step):
        return [await step.do("same", lambda n=n: calls.append(n) or n) for n in (1, 2)]

    async def body(world):
        row = await world.run(run)
        detail = await world.engine.detail("w", row.id)
        return output_of(row), [view.name for view in detail.steps]

    assert in_world(tmp_path, body) == ([1, 2], ["same-1", "same-2"])


def test_default_retries_are_five_with_exponential_delay_from_ten_seconds(tmp_path):
    async def run(event, step):
        await step.do("never", fail)

    def fail():
        raise RuntimeError("no")

    async def body(world):
        row = await world.run(run)
        detail = await world.engine.detail("w", row.id)
        starts = [datetime.fromisoformat(attempt.start) for attempt in detail.steps[0].attempts]
        return row, [round((b - a).total_seconds()) for a, b in pairwise(starts)]

    row, gaps = in_world(tmp_path, body)
    assert gaps == [10, 20, 40, 80, 160]
    assert (row.status, row.error.name, row.error.message) == (Status.ERRORED, "RuntimeError", "no")


def test_timeout_fails_the_attempt_and_cancels_the_callback(tmp_path):
    cancelled = []

    async def run(event, step):
        @step.do("slow", config={"retries": {"limit": 0, "delay": 0}, "timeout": "2 seconds"})
        async def slow():
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        await slow()

    row = in_world(tmp_path, lambda world: world.run(run))
    assert (row.error.name, row.error.message) == ("WorkflowTimeoutError", "Execution timed out after 2000ms")
    assert cancelled == [True]


def test_every_attempt_has_the_steps_timeout(tmp_path):
    """Also one after a fast failure, and one that another lifetime of the instance makes."""
    calls = []

    async def run(event, step):
        config = {"retries": {"limit": 3, "delay": "1 minute", "backoff": "constant"}, "timeout": "2 seconds"}

        @step.do("slow", config=config)
        async def slow(ctx):
            calls.append(ctx["attempt"])
            if ctx["attempt"] == 1:
                raise ValueError("fast")
            await asyncio.sleep(30)

        await slow()

    async def body(world):
        row = await world.run(run)
        return row, (await world.engine.detail("w", row.id)).steps[0].attempts

    row, attempts = in_world(tmp_path, body, hibernate_after_ms=0)
    assert calls == [1, 2, 3, 4]
    assert [attempt.error.name for attempt in attempts] == ["ValueError"] + 3 * ["WorkflowTimeoutError"]
    assert row.ended_at - row.created_at == pytest.approx(3 * 62_000, abs=100)


def test_non_retryable_error_stops_at_once_and_can_be_caught(tmp_path):
    calls = []

    async def run(event, step):
        @step.do("charge")
        async def charge():
            calls.append(1)
            raise NonRetryableError("card declined")

        try:
            await charge()
        except NonRetryableError as error:
            return str(error)

    assert output_of(in_world(tmp_path, lambda world: world.run(run))) == "card declined"
    assert calls == [1]


class OddError(Exception):
    """Has an ``__init__`` that a replay could not call."""

    def __init__(self, a, b):
        super().__init__(f"{a}-{b}")


@pytest.mark.parametrize("strict", [False, True])
def test_errors_keep_their_meaning_for_run(tmp_path, strict):
    async def run(event, step):
        seen = []
        errors = [ValueError("bad v"), OddError(1, 2)]
        for number in (0, 1):

            @step.do(f"s{number}", config={"retries": {"limit": 0, "delay": 0}})
            async def fail():
                raise errors[number]  # noqa: B023 - called before the loop goes on

            try:
                await fail()
            except Exception as caught:
                kinds = [isinstance(caught, kind) for kind in (ValueError, JsException, OddError)]
                seen.append([*kinds, str(caught).endswith(("ValueError: bad v", "OddError: 1-2"))])
        return seen

    async def body(world):
        await world.define(run, implicit_dependencies=False)
        return await world.finish(await world.engine.create("w"))

    assert output_of(in_world(tmp_path, body, strict=strict)) == [
        [True, False, False, True],
        [False, True, not strict, True],
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (timedelta(1), ["not serialisable", "timedelta", "milliseconds"]),
        ({"rows": [1, {"f": print}]}, ["not serialisable", "['rows'][1]['f']", "functions"]),
    ],
)
def test_a_result_that_cannot_be_stored_ends_the_instance_without_retries(tmp_path, value, words):
    calls = []

    async def run(event, step):
        try:
            await step.do("bad", lambda: calls.append(1) or value)
        except Exception:
            return "swallowed"

    row = in_world(tmp_path, lambda world: world.run(run))
    assert row.status is Status.ERRORED
    assert all(word in row.error.message for word in ['step "bad"', *words]), row.error.message
    assert calls == [1]


def test_tuples_are_refused_in_cloudflares_words(tmp_path):
    async def run(event, step):
        await step.do("t", {"retries": {"limit": 0, "delay": 0}}, lambda: (1, 2))

    row = in_world(tmp_path, lambda world: world.run(run))
    assert (row.error.name, row.error.message) == ("TypeError", "<class 'tuple'> cannot be sent over RPC.")


def test_a_result_over_one_mebibyte_fails_the_attempt(tmp_path):
    async def run(event, step):
        await step.do("big", {"retries": {"limit": 0, "delay": 0}}, lambda: "x" * (1 << 20))

    row = in_world(tmp_path, lambda world: world.run(run))
    assert row.error.message == "Step big-1 output is too large. Maximum allowed size is 1MiB."


def test_unawaited_steps_are_named(tmp_path):
    async def run(event, step):
        step.do("lost", lambda: 1)
        await step.do("kept", lambda: 2)
        step.sleep("nap", "1 hour")

    row = in_world(tmp_path, lambda world: world.run(run))
    assert row.status is Status.ERRORED
    assert "`lost`, `nap` were called but never awaited" in row.error.message


def test_run_that_is_not_async_says_so(tmp_path):
    class Plain:
        def run(self, event, step):
            return 1

    row = in_world(tmp_path, lambda world: world.run(Plain))
    assert "must be `async def run(self, event, step)`" in row.error.message


@pytest.mark.parametrize("name", ["x" * 257, "a\nb", 5])
def test_bad_step_names_are_fatal(tmp_path, name):
    async def run(event, step):
        try:
            await step.do(name, lambda: 1)
        except Exception:
            return "swallowed"

    row = in_world(tmp_path, lambda world: world.run(run))
    assert "exceeds max length (256 chars) or invalid characters found" in row.error.message


@pytest.mark.parametrize(
    "config",
    [
        {"retry": {}},
        {"retries": {"limit": 1}},
        {"retries": {"limit": -1, "delay": 0}},
        {"timeout": 0},
        {"timeout": "soon"},
        {"retries": {"limit": 1, "delay": 1, "backoff": "random"}},
    ],
)
def test_bad_config_is_fatal(tmp_path, config):
    async def run(event, step):
        await step.do("s", config, lambda: 1)

    row = in_world(tmp_path, lambda world: world.run(run))
    assert 'Step config for "s" is in a invalid format' in row.error.message


def test_step_limit_ends_the_instance_and_sleeps_do_not_count(tmp_path):
    async def run(event, step):
        for number in range(10):
            await step.sleep(f"nap {number}", 1)
            await step.do(f"s {number}", lambda: 1)

    async def body(world):
        await world.define(run, step_limit=4)
        return await world.finish(await world.engine.create("w"))

    row = in_world(tmp_path, body)
    assert "The limit of 4 steps has been reached." in row.error.message


def test_sensitive_output_is_used_and_never_shown(tmp_path):
    async def run(event, step):
        secret = await step.do("key", {"sensitive": "output"}, lambda: "s3cret")
        return len(secret)

    async def body(world):
        row = await world.run(run)
        return output_of(row), (await world.engine.detail("w", row.id)).steps[0].output

    assert in_world(tmp_path, body) == (6, "[REDACTED]")


def test_dynamic_delay_is_asked_once_per_failed_attempt(tmp_path):
    asked = []

    async def run(event, step):
        def delay(info):
            asked.append((info["ctx"]["attempt"], str(info["error"])))
            return f"{info['ctx']['attempt']} minutes"

        def fail(ctx):
            raise ValueError(ctx["attempt"])

        await step.do("s", {"retries": {"limit": 2, "delay": delay}}, fail)

    row = in_world(tmp_path, lambda world: world.run(run))
    assert asked == [(1, "1"), (2, "2")]
    assert row.ended_at - row.created_at == 180_000


def test_a_delay_function_that_fails_ends_the_step_without_retry(tmp_path):
    async def run(event, step):
        await step.do("s", {"retries": {"limit": 9, "delay": lambda _: "whenever"}}, lambda: 1 / 0)

    row = in_world(tmp_path, lambda world: world.run(run))
    assert row.error.name == "NonRetryableDelayError"
    assert row.error.message.startswith('The delay function for step "s-1" returned nonsense')


@pytest.mark.parametrize(("seconds", "message"), [(4.9, None), (3600, "took longer than 5 seconds")])
def test_a_delay_function_has_five_seconds(tmp_path, seconds, message):
    asked = []

    async def run(event, step):
        async def delay(info):
            asked.append(1)
            await asyncio.sleep(seconds)
            return 0

        def fail(ctx):
            if ctx["attempt"] == 1:
                raise ValueError("once")

        await step.do("s", {"retries": {"limit": 9, "delay": delay}}, fail)

    row = in_world(tmp_path, lambda world: world.run(run))
    assert asked == [1]
    assert row.ended_at - row.created_at == pytest.approx(min(seconds, 5) * 1000, abs=100)
    if message is None:
        assert row.error is None
    else:
        assert (row.error.name, row.error.message) == (
            "NonRetryableDelayError",
            f'The delay function for step "s-1" {message}',
        )


async def gives_up_by_wait_for(step, work):
    with suppress(TimeoutError):
        await asyncio.wait_for(step.do("s", ONCE, work), 5)


async def gives_up_by_cancel(step, work):
    task = asyncio.ensure_future(step.do("s", ONCE, work))
    await asyncio.sleep(5)
    task.cancel()
    await asyncio.wait([task])


async def gives_up_the_loser_of_a_race(step, work):
    racers = [asyncio.ensure_future(step.do(name, ONCE, work)) for name in ("s", "t")]
    racers.append(asyncio.ensure_future(step.do("fast", lambda: 1)))
    _, losers = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
    for loser in losers:
        loser.cancel()
    await asyncio.wait(losers)


async def gives_up_by_timeout(step, work):
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await step.do("s", ONCE, work)


ONCE = {"retries": {"limit": 0, "delay": 0}, "timeout": "1 hour"}


@pytest.mark.parametrize(
    "gives_up",
    [gives_up_by_wait_for, gives_up_by_cancel, gives_up_the_loser_of_a_race, gives_up_by_timeout],
)
def test_an_attempt_that_run_gives_up_has_an_end(tmp_path, gives_up):
    """corrections: the attempt has failed, it is not left open."""

    async def run(event, step):
        async def work():
            await asyncio.sleep(600)

        await gives_up(step, work)
        await step.do("next", lambda: 1)

    async def body(world):
        row = await world.run(run)
        history = await world.engine.history("w", row.id)
        begun = [(one.step, one.attempt) for one in history if one.type.value == "ATTEMPT_START"]
        over = [
            (one.step, one.attempt)
            for one in history
            if one.type.value in ("ATTEMPT_SUCCESS", "ATTEMPT_FAILURE")
        ]
        return row.status, sorted(begun) == sorted(over)

    assert in_world(tmp_path, body, hibernate_after_ms=10**9) == (Status.COMPLETE, True)


def test_concurrent_steps_run_together(tmp_path):
    async def run(event, step):
        async def slow():
            await asyncio.sleep(10)
            return 1

        return sum(await asyncio.gather(*(step.do(f"s{n}", slow) for n in range(20))))

    row = in_world(tmp_path, lambda world: world.run(run))
    assert output_of(row) == 20
    assert row.ended_at - row.started_at < 12_000


def test_implicit_dependencies_run_once_and_are_shared(tmp_path):
    calls = []

    async def run(event, step):
        @step.do("a")
        async def a():
            calls.append("a")
            return 1

        @step.do("b")
        async def b(a):
            return a + 1

        @step.do("c")
        async def c(a, ctx):
            return a + 10 * ctx["attempt"]

        @step.do("d", concurrent=True)
        async def d(b, c):
            return [b, c]

        return await d()

    assert output_of(in_world(tmp_path, lambda world: world.run(run))) == [2, 11]
    assert calls == ["a"]


def test_only_a_list_of_dependencies_warns_that_cloudflare_refuses_it_and_does_so_at_its_own_line(tmp_path):
    async def run(event, step):
        await step.do("call form, and a rollback", lambda: 1, rollback=lambda: None)

        @step.do("first")
        async def a():
            return 1

        with warnings.catch_warnings(record=True, action="always") as warned:
            decorate = step.do("second", depends=[a])

        @decorate
        async def b(x):
            return x + 1

        shown = [(one.category.__name__, Path(one.filename).name) for one in warned]
        return [await b(), *(list(one) for one in shown)]

    row = in_world(tmp_path, lambda world: world.run(run))
    assert output_of(row) == [2, ["PortabilityWarning", "test_steps.py"]]


@pytest.mark.parametrize(("concurrent", "seconds"), [(True, 10), (False, 20)])
def test_only_concurrent_dependencies_run_together(tmp_path, concurrent, seconds):
    async def run(event, step):
        @step.do("b")
        async def b():
            await asyncio.sleep(10)

        @step.do("c")
        async def c():
            await asyncio.sleep(10)

        @step.do("d", concurrent=concurrent)
        async def d(b, c):
            return 1

        return await d()

    row = in_world(tmp_path, lambda world: world.run(run))
    assert output_of(row) == 1
    assert row.ended_at - row.started_at == pytest.approx(seconds * 1000, abs=100)


def test_depends_lists_in_the_old_mode(tmp_path):
    async def run(event, step):
        @step.do("first")
        async def a():
            return 1

        @step.do("second", depends=[a])
        async def b(x, ctx):
            return x + ctx["attempt"]

        @step.do("third", depends=[a])
        async def wrong(x, y):
            return 0

        @step.do("fourth")
        async def none(x):
            return 0

        messages = []
        for step_function in (wrong, none):
            try:
                await step_function()
            except TypeError as error:
                messages.append(str(error))
        return [await b(), *messages]

    async def body(world):
        await world.define(run, implicit_dependencies=False)
        return await world.finish(await world.engine.create("w"))

    assert output_of(in_world(tmp_path, body)) == [
        2,
        "Step declares 2 non-ctx parameter(s) but 'depends' has 1 item(s)",
        "Step has 1 non-ctx parameter(s) but no 'depends' list provided",
    ]


def test_unknown_parameters_are_refused(tmp_path):
    async def run(event, step):
        @step.do("s")
        async def s(nobody):
            return 0

        await s()

    row = in_world(tmp_path, lambda world: world.run(run))
    assert (row.error.name, row.error.message) == ("TypeError", "Received unexpected parameter nobody")


def test_strict_mode_refuses_our_extensions(tmp_path):
    async def run(event, step):
        await step.do("s", lambda: 1)

    row = in_world(tmp_path, lambda world: world.run(run), strict=True)
    assert "positional arguments" in row.error.message


def test_values_of_all_kinds_come_back_equal(tmp_path):
    value = {"b": b"\x00\xff", "d": datetime(2026, 1, 2, 3, 4, 5, 678000), "s": {1, 2}, "f": 1.0, "n": None}

    async def run(event, step):
        got = await step.do("v", lambda: value)
        assert got == value
        assert type(got["f"]) is float
        return True

    assert output_of(in_world(tmp_path, lambda world: world.run(run))) is True


def test_mutating_the_event_is_not_persisted(tmp_path):
    async def run(event, step):
        seen = event.payload["n"]
        event.payload["n"] = 99
        await step.sleep("long", "1 hour")
        return seen

    async def body(world):
        row = await world.run(run, params={"n": 1})
        return json.dumps(to_json(row.params)), output_of(row)

    assert in_world(tmp_path, body) == ('{"n": 1}', 1)
