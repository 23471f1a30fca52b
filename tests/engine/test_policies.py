"""The pure parts: durations, retry policy, transitions (engine-semantics, sections 1 and 2)."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.engine.durations import parse_duration
from wrangler_py.engine.model import Retries, Status
from wrangler_py.engine.retry import (
    DEFAULT_POLICY,
    delay_before,
    may_retry,
    read_policy,
    read_rollback_policy,
)
from wrangler_py.engine.transitions import Command, next_status
from wrangler_py.errors import CannotTerminateError, FatalStepError, InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        (0, 0),
        (1500, 1500),
        (1.4, 1),
        (1.6, 2),
        ("5 milliseconds", 5),
        ("1 millisecond", 1),
        ("0.4 seconds", 400),
        ("1 second", 1000),
        ("10 seconds", 10_000),
        ("5second", 5000),
        ("1.5 hours", 5_400_000),
        ("2 days", 172_800_000),
        ("1 week", 604_800_000),
        ("1 month", 2_592_000_000),
        ("1 year", 31_536_000_000),
        (timedelta(minutes=3), 180_000),
    ],
)
def test_durations(text, milliseconds):
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("plural", ["", "s"])
@pytest.mark.parametrize(
    ("unit", "milliseconds"),
    [
        ("second", 1000),
        ("minute", 60_000),
        ("hour", 3_600_000),
        ("day", 86_400_000),
        ("week", 604_800_000),
        ("month", 2_592_000_000),
        ("year", 31_536_000_000),
    ],
)
def test_a_unit_is_singular_or_plural_whatever_its_number(unit, milliseconds, plural):
    assert parse_duration(f"2 {unit}{plural}") == parse_duration(f"2{unit}{plural}") == 2 * milliseconds
    assert parse_duration(f"0.5 {unit}{plural}") == milliseconds // 2


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "soon",
        "1  second",
        "-1 second",
        "1 fortnight",
        -5,
        -0.6,
        timedelta(milliseconds=-1),
        pytest.param(10**400, id="10**400"),
        pytest.param(-(10**400), id="-10**400"),
        math.inf,
        math.nan,
        True,
        None,
        [],
        "1 second 2 hours",
    ],
)
def test_other_durations_are_errors_that_show_what_was_given(bad):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_duration(bad)
    assert repr(bad)[:200] in str(caught.value)


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        ("constant", [100, 100, 100, 100]),
        ("linear", [100, 200, 300, 400]),
        ("exponential", [100, 200, 400, 800]),
    ],
)
def test_backoffs(backoff, delays):
    retries = Retries(limit=9, delay_ms=100, backoff=backoff)
    assert [delay_before(retries, n) for n in (1, 2, 3, 4)] == delays


@given(st.integers(1, 10**6), st.sampled_from(["constant", "linear", "exponential"]), st.integers(0, 10**12))
def test_no_delay_is_longer_than_a_year_or_negative(retry, backoff, delay):
    assert 0 <= delay_before(Retries(None, delay, backoff), retry) <= 365 * 86_400_000


@given(st.integers(0, 50))
def test_a_limit_of_n_allows_n_retries(limit):
    retries = Retries(limit=limit, delay_ms=0)
    assert sum(may_retry(retries, attempt) for attempt in range(1, 100)) == limit


def test_infinity_never_gives_up():
    policy = read_policy("s", {"retries": {"limit": math.inf, "delay": 0}})
    assert may_retry(policy.config.retries, 10**9)
    assert policy.config.shown["retries"]["limit"] == "Infinity"


def test_the_default_is_that_of_the_documents():
    assert read_policy("s", None) is DEFAULT_POLICY
    retries = DEFAULT_POLICY.config.retries
    assert (retries.limit, retries.delay_ms, retries.backoff) == (5, 10_000, "exponential")
    assert DEFAULT_POLICY.config.timeout_ms == 600_000


@pytest.mark.parametrize(
    "raw", [5, {"x": 1}, {"retries": {"limit": True, "delay": 1}}, {"sensitive": "input"}]
)
def test_other_configs_are_fatal_and_say_what_is_wrong(raw):
    with pytest.raises(FatalStepError, match='Step config for "s" is in a invalid format: .+'):
        read_policy("s", raw)


def _delay(_):
    return 1


@pytest.mark.parametrize(
    ("raw", "stored", "shown"),
    [
        (
            {},
            (5, 10_000, "exponential", 600_000, False),
            {"retries": (5, 10_000, "exponential"), "timeout": "10 minutes"},
        ),
        (
            {"retries": {"limit": 1, "delay": "2 seconds"}},
            (1, 2000, "exponential", 600_000, False),
            {"retries": (1, "2 seconds", "exponential"), "timeout": "10 minutes"},
        ),
        (
            {"retries": {"limit": 0, "delay": 0, "backoff": "constant"}, "timeout": 1, "sensitive": None},
            (0, 0, "constant", 1, False),
            {"retries": (0, 0, "constant"), "timeout": 1},
        ),
        (
            {"retries": {"limit": 2.0, "delay": 1.5, "backoff": "linear"}, "sensitive": "output"},
            (2, 2, "linear", 600_000, True),
            {"retries": (2, 1.5, "linear"), "timeout": "10 minutes"},
        ),
        (
            {"retries": {"limit": math.inf, "delay": timedelta(seconds=3)}, "timeout": timedelta(minutes=1)},
            (None, 3000, "exponential", 60_000, False),
            {"retries": ("Infinity", 3000, "exponential"), "timeout": 60_000},
        ),
        (
            {"retries": {"limit": 3, "delay": _delay}, "timeout": "1 day"},
            (3, None, "exponential", 86_400_000, False),
            {"retries": (3, "dynamic", "exponential"), "timeout": "1 day"},
        ),
    ],
)
def test_a_config_is_stored_as_numbers_and_shown_as_it_was_written(raw, stored, shown):
    policy = read_policy("s", raw)
    config, retries = policy.config, policy.config.retries
    assert (retries.limit, retries.delay_ms, retries.backoff, config.timeout_ms, config.sensitive) == stored
    limit, delay, backoff = shown["retries"]
    assert config.shown == {
        "retries": {"limit": limit, "delay": delay, "backoff": backoff},
        "timeout": shown["timeout"],
    }
    assert policy.delay_function is (_delay if shown["retries"][1] == "dynamic" else None)


def test_the_default_is_shown_as_a_config_without_keys_is():
    assert DEFAULT_POLICY.config == read_policy("s", {}).config
    assert read_rollback_policy("s", None) is DEFAULT_POLICY
    assert read_rollback_policy("s", {}) == DEFAULT_POLICY


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (5, "the config must be a dict, not 5"),
        ({"b": 1, "a": 1}, "the config has no key 'a' (there are: retries, sensitive, timeout)"),
        ({"retries": []}, "retries must be a dict, not []"),
        (
            {"retries": {"limit": 1, "delay": 1, "wait": 1}},
            "retries has no key 'wait' (there are: backoff, delay, limit)",
        ),
        ({"retries": {"delay": 1}}, "retries needs 'limit'"),
        ({"retries": {"limit": 1}}, "retries needs 'delay'"),
        (
            {"retries": {"limit": 1, "delay": 1, "backoff": "x"}},
            "backoff must be one of constant, linear, exponential, not 'x'",
        ),
        *(
            (
                {"retries": {"limit": limit, "delay": 1}},
                f"limit must be a whole number from 0, or infinity, not {limit!r}",
            )
            for limit in (True, -1, 1.5, "1", None, -math.inf)
        ),
        ({"timeout": 0}, "timeout must be longer than 0"),
        ({"timeout": 0.4}, "timeout must be longer than 0"),
        ({"sensitive": "input"}, "sensitive must be \"output\", not 'input'"),
        ({"sensitive": False}, 'sensitive must be "output", not False'),
    ],
)  # fmt: skip
def test_a_config_that_is_wrong_is_fatal_in_these_words(raw, problem):
    with pytest.raises(FatalStepError) as caught:
        read_policy("s", raw)
    assert str(caught.value) == f'Step config for "s" is in a invalid format: {problem}'


def test_a_rollback_has_no_sensitive_output():
    assert read_rollback_policy("s", {"retries": {"limit": 1, "delay": 2}}).config.retries.limit == 1
    with pytest.raises(FatalStepError) as caught:
        read_rollback_policy("s", {"sensitive": "output"})
    assert str(caught.value) == (
        'Rollback config for "s" is in a invalid format: '
        "the config has no key 'sensitive' (there are: retries, timeout)"
    )


@pytest.mark.parametrize(
    ("retries", "retry", "delay"),
    [
        (Retries(None, None, "constant"), 3, 0),
        (Retries(None, 0, "exponential"), 10**6, 0),
        (Retries(None, 1, "exponential"), 35, 2**34),
        (Retries(None, 1, "exponential"), 36, 365 * 86_400_000),
        (Retries(None, 1, "linear"), 10**12, 365 * 86_400_000),
        (Retries(None, 365 * 86_400_000, "constant"), 1, 365 * 86_400_000),
        (Retries(None, 365 * 86_400_000 + 1, "constant"), 1, 365 * 86_400_000),
    ],
)
def test_a_delay_is_a_year_at_most(retries, retry, delay):
    assert delay_before(retries, retry) == delay


#: What each command makes of each status (engine-semantics, section 1); None: it is refused.
TABLE = {
    # status:                  pause                        resume            terminate          restart
    Status.QUEUED:             (Status.QUEUED,              Status.QUEUED,    Status.TERMINATED, Status.QUEUED),
    Status.RUNNING:            (Status.PAUSED,              Status.RUNNING,   Status.TERMINATED, Status.QUEUED),
    Status.WAITING:            (Status.PAUSED,              Status.WAITING,   Status.TERMINATED, Status.QUEUED),
    Status.WAITING_FOR_PAUSE:  (Status.WAITING_FOR_PAUSE,   Status.RUNNING,   Status.TERMINATED, Status.QUEUED),
    Status.PAUSED:             (Status.PAUSED,              Status.QUEUED,    Status.TERMINATED, Status.QUEUED),
    Status.ERRORED:            (Status.ERRORED,             Status.ERRORED,   None,              Status.QUEUED),
    Status.TERMINATED:         (Status.TERMINATED,          Status.TERMINATED, None,             Status.QUEUED),
    Status.COMPLETE:           (Status.COMPLETE,            Status.COMPLETE,  None,              Status.QUEUED),
}  # fmt: skip
CELLS = [
    (status, command, after)
    for status, row in TABLE.items()
    for command, after in zip(
        (Command.PAUSE, Command.RESUME, Command.TERMINATE, Command.RESTART), row, strict=True
    )
]


def test_the_table_has_every_status_and_command():
    assert set(TABLE) == set(Status)
    assert len(CELLS) == len(Status) * len(Command)


@pytest.mark.parametrize(("status", "command", "after"), CELLS)
def test_each_command_makes_one_thing_of_each_status(status, command, after):
    if after is None:
        with pytest.raises(CannotTerminateError, match="finite state"):
            next_status(status, command)
    else:
        assert next_status(status, command) is after


@pytest.mark.parametrize("status", Status)
def test_a_pause_of_what_runs_waits_for_steps_in_flight(status):
    after = next_status(status, Command.PAUSE, in_flight=True)
    assert after is (Status.WAITING_FOR_PAUSE if status in (Status.RUNNING, Status.WAITING) else status)
