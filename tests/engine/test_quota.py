"""How many instances may be created, to the last one and to the millisecond (docs, table "Limits")."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.support.world import DAY
from wrangler_py.engine.limits import PLANS, RATE_COUNT, RATE_MS
from wrangler_py.engine.quota import Quota
from wrangler_py.errors import QueueFullError, RateLimitedError

MIDNIGHT = 20_000 * DAY
NOON = MIDNIGHT + DAY // 2


class Stored:
    """The counts of a store, and a record of the calls for them."""

    def __init__(self) -> None:
        self.queued = 0
        self.created: list[int] = []
        self.asked: list[str] = []

    async def count_queued(self) -> int:
        self.asked.append("queued")
        return self.queued

    async def count_created(self, since: int) -> int:
        self.asked.append("created")
        return sum(at >= since for at in self.created)

    async def created_at(self, leaver: int) -> int | None:
        """Return when the one was created that is the ``leaver``-th from the end."""
        self.asked.append("rate")
        return self.created[-leaver] if leaver <= len(self.created) else None


class Office:
    """A quota over a made-up store, at a moment that a test sets."""

    def __init__(self, *, enforce: bool = True, **limits: int | None) -> None:
        self.store, self.at = Stored(), NOON
        plan = msgspec.structs.replace(PLANS["paid"], **limits)
        self.quota = Quota(self.store, self, plan, enforce=enforce)

    def now(self) -> int:
        return self.at

    def take(self, count: int = 1, *, stored: bool = True) -> None:
        asyncio.run(self.quota.take(count))
        if stored:
            self.store.created += count * [self.at]

    def refused(self, count: int = 1) -> int:
        """Return after how many seconds to come back."""
        with pytest.raises(RateLimitedError) as caught:
            self.take(count)
        return caught.value.retry_after_s


@pytest.mark.parametrize("stored", [True, False])
def test_a_hundred_are_created_in_ten_seconds_and_not_one_more(stored):
    office = Office()
    office.take(60, stored=stored)
    office.at += 3000
    office.take(40, stored=stored)
    assert office.refused() == 7
    office.at += 6999
    assert office.refused() == 1
    office.at += 1
    office.take(60, stored=stored)
    assert office.refused() == 3


def test_the_rate_counts_what_other_processes_created():
    office = Office()
    office.store.created = RATE_COUNT * [NOON - 4001]
    assert office.refused() == 6
    office.store.created = (RATE_COUNT - 1) * [NOON - 1]
    office.take()
    assert office.refused() == 10


def test_more_at_once_than_the_rate_allows_never_pass_together():
    office = Office()
    office.take(RATE_COUNT)
    assert office.refused(2) == RATE_MS // 1000


def test_without_enforcement_only_the_queue_is_bounded():
    office = Office(enforce=False, queued=500, daily=10)
    office.store.queued = 300
    office.take(200)
    assert office.store.asked == ["queued"]
    office.store.queued = 500
    with pytest.raises(
        QueueFullError, match="500 instances are queued already: wait until some have started"
    ):
        office.take()


def test_a_count_of_the_queue_is_believed_for_a_second_and_asked_anew_before_a_refusal():
    office = Office(enforce=False, queued=10)
    office.take(5)
    office.at += 1000
    office.take(5)
    assert office.store.asked == ["queued"]
    office.store.queued = 4
    office.take(6)
    assert office.store.asked == ["queued", "queued"]
    office.at += 1001
    office.store.queued = 10
    with pytest.raises(QueueFullError):
        office.take()
    assert len(office.store.asked) == 3


def test_a_count_of_the_queue_is_too_old_after_a_second():
    office = Office(enforce=False, queued=100)
    office.take()
    office.at += 1000
    office.take()
    assert office.store.asked == ["queued"]
    office.at += 1
    office.take()
    assert office.store.asked == ["queued", "queued"]


def test_a_part_of_a_second_to_wait_is_a_whole_one():
    office = Office()
    office.take(RATE_COUNT)
    office.at += RATE_MS - 1001
    assert office.refused() == 2
    office = Office(daily=1)
    office.at = MIDNIGHT + DAY - 1001
    office.take()
    assert office.refused() == 2


def test_what_was_refused_is_not_counted():
    office = Office(enforce=False, queued=10)
    with pytest.raises(QueueFullError):
        office.take(11)
    office.take(10)


def test_a_days_instances_are_those_since_midnight_utc():
    office = Office(daily=5)
    office.store.created = [MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1]
    office.take(3)
    assert office.refused() == DAY // 2000
    office.at = MIDNIGHT + DAY - 1
    assert office.refused() == 1
    office.at = MIDNIGHT + DAY
    office.take(5)
    assert office.refused() == DAY // 1000


def test_a_days_count_is_believed_for_ten_seconds_of_the_same_day():
    office = Office(daily=50)
    office.take()
    office.at += 10_000
    office.take()
    assert office.store.asked.count("created") == 1
    office.at += 1
    office.take()
    assert office.store.asked.count("created") == 2
    office.at = MIDNIGHT + DAY - 1
    office.take()
    office.at += 2
    office.take(50)
    assert office.store.asked.count("created") == 4


def test_a_refusal_names_the_limit():
    office = Office(daily=1)
    office.take()
    with pytest.raises(
        RateLimitedError, match="this plan runs 1 instances a day: the next day begins at midnight UTC"
    ):
        office.take()
    office = Office()
    office.take(RATE_COUNT)
    with pytest.raises(
        RateLimitedError, match="more than 100 instances in 10 seconds: try again in a moment"
    ):
        office.take()


def test_a_plan_without_a_daily_cap_counts_no_days():
    office = Office(daily=None)
    office.take()
    assert "created" not in office.store.asked
