"""When a failed attempt is tried again: pure policy (engine-semantics, section 2, "Retries and timeouts")."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from wrangler_py.engine.durations import parse_duration
from wrangler_py.engine.model import Retries, StepConfig
from wrangler_py.errors import FatalStepError, InvalidArgumentError

DelayFunction = Callable[[dict[str, Any]], Any]

#: docs, "Sleeping and retrying": the default configuration.
DEFAULT_RETRIES = Retries(limit=5, delay_ms=10_000, backoff="exponential")
DEFAULT_TIMEOUT_MS = 600_000
DEFAULT_CONFIG = StepConfig(
    retries=DEFAULT_RETRIES,
    timeout_ms=DEFAULT_TIMEOUT_MS,
    shown={"retries": {"limit": 5, "delay": 10_000, "backoff": "exponential"}, "timeout": "10 minutes"},
)
_BACKOFFS = ("constant", "linear", "exponential")
_KEYS = {"retries", "timeout", "sensitive"}
_ROLLBACK_KEYS = {"retries", "timeout"}
_RETRY_KEYS = {"limit", "delay", "backoff"}
#: No delay is longer than a sleep may be.
_LONGEST_MS = 365 * 24 * 60 * 60 * 1000


class Policy(msgspec.Struct, frozen=True):
    """A step's configuration as it is stored, and the delay function, which is not."""

    config: StepConfig
    delay_function: DelayFunction | None = None


DEFAULT_POLICY = Policy(DEFAULT_CONFIG)


def read_policy(step_name: str, raw: object) -> Policy:
    """Return the policy of a user's step configuration (None: the default).

    Raises:
        FatalStepError: an unknown key, a missing ``limit`` or ``delay``, or a value of the wrong kind.
    """
    if raw is None:
        return DEFAULT_POLICY
    try:
        return _read(raw, _KEYS)
    except InvalidArgumentError as error:
        raise FatalStepError(f'Step config for "{step_name}" is in a invalid format: {error}') from None


def read_rollback_policy(step_name: str, raw: object) -> Policy:
    """Return the policy of a rollback's configuration: retries and timeout only, with the defaults of a step.

    Raises:
        FatalStepError: as `read_policy`.
    """
    if raw is None:
        return DEFAULT_POLICY
    try:
        return _read(raw, _ROLLBACK_KEYS)
    except InvalidArgumentError as error:
        raise FatalStepError(f'Rollback config for "{step_name}" is in a invalid format: {error}') from None


def _read(raw: object, keys: set[str]) -> Policy:
    config = _mapping(raw, "the config", keys)
    retries, delay_function = _read_retries(config.get("retries"))
    timeout_ms = _read_timeout(config.get("timeout"))
    sensitive = config.get("sensitive")
    if sensitive not in (None, "output"):
        raise InvalidArgumentError(f'sensitive must be "output", not {sensitive!r}')
    shown = {
        "retries": _shown_retries(config.get("retries"), retries),
        "timeout": _shown_duration(config.get("timeout", "10 minutes")),
    }
    return Policy(StepConfig(retries, timeout_ms, sensitive == "output", shown), delay_function)


def _mapping(raw: object, what: str, keys: set[str]) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise InvalidArgumentError(f"{what} must be a dict, not {raw!r}")
    if unknown := sorted(map(str, set(raw) - keys)):
        raise InvalidArgumentError(f"{what} has no key {unknown[0]!r} (there are: {', '.join(sorted(keys))})")
    return raw


def _read_retries(raw: object) -> tuple[Retries, DelayFunction | None]:
    if raw is None:
        return DEFAULT_RETRIES, None
    retries = _mapping(raw, "retries", _RETRY_KEYS)
    for key in ("limit", "delay"):
        if key not in retries:
            raise InvalidArgumentError(f"retries needs {key!r}")
    backoff = retries.get("backoff", "exponential")
    if backoff not in _BACKOFFS:
        raise InvalidArgumentError(f"backoff must be one of {', '.join(_BACKOFFS)}, not {backoff!r}")
    limit, delay = _read_limit(retries["limit"]), retries["delay"]
    if callable(delay):
        return Retries(limit, None, backoff), delay
    return Retries(limit, parse_duration(delay), backoff), None


def _read_limit(raw: object) -> int | None:
    if isinstance(raw, float) and raw == math.inf:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or raw < 0 or int(raw) != raw:
        raise InvalidArgumentError(f"limit must be a whole number from 0, or infinity, not {raw!r}")
    return int(raw)


def _read_timeout(raw: object) -> int:
    if raw is None:
        return DEFAULT_TIMEOUT_MS
    timeout = parse_duration(raw)
    if timeout == 0:
        raise InvalidArgumentError("timeout must be longer than 0")
    return timeout


def _shown_retries(raw: Any, retries: Retries) -> dict[str, Any]:
    delay = 10_000 if raw is None else raw["delay"]
    limit: Any = "Infinity" if retries.limit is None else retries.limit
    return {"limit": limit, "delay": _shown_duration(delay), "backoff": retries.backoff}


def _shown_duration(value: Any) -> Any:
    if callable(value):
        return "dynamic"
    return value if isinstance(value, int | float | str) else parse_duration(value)


def may_retry(retries: Retries, attempt: int) -> bool:
    """Return True if the failed attempt number ``attempt`` (from 1) may be followed by another.

    ``limit`` counts retries, so limit 0 is one attempt and limit 5 six (engine-semantics, section 2).
    """
    return retries.limit is None or attempt <= retries.limit


def delay_before(retries: Retries, retry: int) -> int:
    """Return the milliseconds to wait before retry number ``retry`` (from 1), when no function decides."""
    delay = retries.delay_ms or 0
    if retries.backoff == "linear":
        delay *= retry
    elif retries.backoff == "exponential":
        delay *= 1 << min(retry - 1, 60)
    return min(delay, _LONGEST_MS)
