"""The settings of a workflow: by its configuration, or over the API (rest-and-cli, section 3, PUT ``workflows``).

What the configuration says wins: it stands beside the code and is what the next reader looks at. Where it is silent,
what was set over the API holds, in this session and in later ones.
"""

from __future__ import annotations

import msgspec

from wrangler_py.engine.durations import parse_duration
from wrangler_py.errors import InvalidArgumentError


class Retention(msgspec.Struct, frozen=True):
    """The time for which an ended instance is kept, in milliseconds; None: for ever.

    ``success_ms`` is for those that completed, ``error_ms`` for those that failed or were terminated.
    """

    success_ms: int | None = None
    error_ms: int | None = None

    def over(self, other: Retention) -> Retention:
        """Return this, with ``other`` where this says nothing."""
        return Retention(_first(self.success_ms, other.success_ms), _first(self.error_ms, other.error_ms))

    @property
    def longest_ms(self) -> int:
        """Return the longer of the two; one that is missing counts as nothing."""
        return max(self.success_ms or 0, self.error_ms or 0)


KEPT_FOR_EVER = Retention()


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """A workflow's settings; None: not set."""

    step_limit: int | None = None
    #: How many instances may execute at once.
    concurrency: int | None = None
    schedules: tuple[str, ...] = ()
    retention: Retention = KEPT_FOR_EVER

    def over(self, other: Settings) -> Settings:
        """Return these, with ``other`` where these say nothing."""
        return Settings(
            _first(self.step_limit, other.step_limit),
            _first(self.concurrency, other.concurrency),
            self.schedules or other.schedules,
            self.retention.over(other.retention),
        )


def read_retention(success: object = None, error: object = None) -> Retention:
    """Return a retention of durations: milliseconds, a timedelta, or text such as ``"3 days"``; None: not said.

    Raises:
        InvalidArgumentError: one of them is no duration, or is nothing (wrangler takes positive ones only).
    """
    return Retention(
        _duration("success_retention", success),
        _duration("error_retention", error),
    )


def _duration(name: str, value: object) -> int | None:
    if value is None:
        return None
    try:
        milliseconds = parse_duration(value)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{name}: {error}") from None
    if not 0 < milliseconds <= LONGEST_MS:
        raise InvalidArgumentError(f"{name}: must be more than nothing and at most 100 years, not {value!r}")
    return milliseconds


#: So that an end plus this fits the store's integers, and every calendar.
LONGEST_MS = 100 * 365 * 24 * 60 * 60 * 1000


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one
