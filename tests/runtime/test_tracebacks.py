"""Tracebacks as a user reads them."""

from __future__ import annotations

from pathlib import Path

from wrangler_py.runtime.tracebacks import MAX_MEMBERS, readable


def fail(number):
    raise ValueError(f"page {number} is broken")


def failure(number):
    try:
        fail(number)
    except ValueError as error:
        return error


def test_the_exceptions_of_a_group_are_shown_with_their_frames():
    text = readable(ExceptionGroup("pages", [failure(1), failure(2)]), (Path(__file__).parent,))
    assert text.splitlines()[:2] == ["ExceptionGroup: pages (2 sub-exceptions)", "  exception 1 of 2:"]
    assert "    ValueError: page 2 is broken" in text.splitlines()
    assert text.count('File "test_tracebacks.py"') == 4


def test_of_a_large_group_the_first_exceptions_are_shown():
    text = readable(ExceptionGroup("pages", [ValueError(number) for number in range(100)]), ())
    assert text.count("ValueError: ") == MAX_MEMBERS
