"""``Date``: a naive UTC datetime with JavaScript's methods."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Self

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC, as all datetimes of user code (python-sdk, section 3)


class Date(datetime):
    """A moment, to the millisecond. It is a `datetime` as well, and can go wherever one can."""

    @classmethod
    def new(cls, *given: datetime | str | float) -> Self:
        """Return now, or what is given: ms since 1970, ISO text, datetime; or year, month (from 0), day, ...

        Raises:
            ValueError: a text that is no date.
        """
        if len(given) > 1:
            return cls._of_fields([int(field) for field in given])  # type: ignore[arg-type]
        return cls.at(_milliseconds(given[0]) if given else cls.now())

    @classmethod
    def at(cls, milliseconds: float) -> Self:
        """Return the moment so long after 1970."""
        moment = _EPOCH + timedelta(milliseconds=int(milliseconds))
        return cls(*moment.timetuple()[:6], moment.microsecond)

    @classmethod
    def _of_fields(cls, fields: list[int]) -> Self:
        year, month, day, hour, minute, second, ms = fields + [0, 0, 1, 0, 0, 0, 0][len(fields) :]
        first = datetime(year + month // 12, month % 12 + 1, 1)  # noqa: DTZ001 - naive UTC
        moment = first + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second, milliseconds=ms)
        return cls.at((moment - _EPOCH) / timedelta(milliseconds=1))

    @classmethod
    def now(cls) -> int:  # type: ignore[override]
        """Return milliseconds since 1970: JavaScript's ``Date.now``, not `datetime.now`."""
        return time.time_ns() // 1_000_000

    @staticmethod
    def parse(text: str) -> int:
        """Return the milliseconds since 1970 of an ISO text."""
        return int(_milliseconds(text))

    def getTime(self) -> int:
        """Return milliseconds since 1970."""
        return int(_milliseconds(self))

    def valueOf(self) -> int:
        """Return milliseconds since 1970."""
        return self.getTime()

    def toISOString(self) -> str:
        """Return it as ``2026-01-31T12:00:00.000Z``."""
        return self.isoformat(timespec="milliseconds") + "Z"

    def toJSON(self) -> str:
        """Return it as ``2026-01-31T12:00:00.000Z``."""
        return self.toISOString()

    def getFullYear(self) -> int:
        """Return the year."""
        return self.year

    def getMonth(self) -> int:
        """Return the month, from 0."""
        return self.month - 1

    def getDate(self) -> int:
        """Return the day of the month."""
        return self.day

    def getDay(self) -> int:
        """Return the day of the week, Sunday is 0."""
        return self.isoweekday() % 7

    def getHours(self) -> int:
        """Return the hour."""
        return self.hour

    def getMinutes(self) -> int:
        """Return the minute."""
        return self.minute

    def getSeconds(self) -> int:
        """Return the second."""
        return self.second

    def to_py(self) -> datetime:
        """Return the plain datetime."""
        return _EPOCH + timedelta(milliseconds=self.getTime())


def _milliseconds(value: datetime | str | float) -> float:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return (naive - _EPOCH) / timedelta(milliseconds=1)
    return value
