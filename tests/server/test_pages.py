"""Query parameters of lists."""

from __future__ import annotations

import pytest

from wrangler_py.engine import Status
from wrangler_py.errors import RequestError
from wrangler_py.server.pages import cut, list_query, page_count, page_of


def problems(query):
    with pytest.raises(RequestError) as caught:
        list_query(query)
    return caught.value.problems


def test_defaults():
    query = list_query({})
    assert (query.page, query.per_page, query.descending, query.status, query.cursor) == (
        1,
        25,
        True,
        None,
        None,
    )


def test_everything_given():
    query = list_query({"page": "3", "per_page": "100.0", "status": "waitingForPause", "direction": "asc"})
    assert (query.page, query.per_page, query.status, query.descending) == (
        3,
        100,
        Status.WAITING_FOR_PAUSE,
        False,
    )


@pytest.mark.parametrize("given", ["0", "101", "-1", "1.5", "x", "nan", "inf", "1e99"])
def test_per_page_is_1_to_100(given):
    assert problems({"per_page": given}) == (
        f"per_page: must be a whole number from 1 to 100, not {given!r}",
    )


@pytest.mark.parametrize("given", ["0", "1e30", "-3", "two"])
def test_a_page_the_store_cannot_count_to_is_refused(given):
    with pytest.raises(RequestError):
        page_of({"page": given})


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ("1970-01-01T00:00:01.500Z", 1500),
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01", 0),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_dates_are_utc_unless_they_say_otherwise(given, at):
    query = list_query({"date_start": given, "date_end": given})
    assert (query.date_start_ms, query.date_end_ms) == (at, at)


def test_all_problems_are_told_together():
    found = problems({"page": "x", "status": "done", "date_end": "soon", "direction": "up", "cursor": "1"})
    assert [problem.partition(":")[0] for problem in found] == [
        "page",
        "status",
        "date_end",
        "direction",
        "cursor",
    ]


def test_an_invalid_status_names_the_valid_ones():
    (problem,) = problems({"status": "bogus"})
    assert all(status.value in problem for status in Status)


def test_pages_cover_the_list_once():
    items = list(range(7))
    pages = [cut(items, page, 3) for page in range(1, page_count(7, 3) + 1)]
    assert [item for page in pages for item in page] == items
    assert cut(items, 9, 3) == []
    assert page_count(0, 3) == 1
