"""A turn of the event loop takes about three milliseconds, however many instances wait for a commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wrangler_py.engine import commits
from wrangler_py.engine.commits import Pacer

#: Seconds that a turn may take here: floating point numbers hold them without an error.
TURN_S = 0.25


class Turns:
    """An event loop whose turns take as long as a test says, and the waiters that went on in each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, turn_s: float) -> None:
        self._now, self._turn_s = 64.0, turn_s
        self._next: tuple[Callable[..., None], tuple[object, ...]] | None = None
        self.went_on: list[list[int]] = [[]]
        self.pacer = Pacer(self)  # type: ignore[arg-type]
        monkeypatch.setattr(commits, "_TURN_S", TURN_S)
        monkeypatch.setattr(commits.time, "perf_counter", lambda: self._now)

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> None:
        assert self._next is None
        self._next = callback, arguments

    def release(self, *numbers: int, gone: frozenset[int] = frozenset()) -> None:
        waiters: list[Any] = [_Waiter(number, number in gone, self) for number in numbers]
        self.pacer.release(waiters)

    def turn(self) -> None:
        self._now += self._turn_s
        self.went_on.append([])
        if self._next is not None:
            (callback, arguments), self._next = self._next, None
            callback(*arguments)

    def turns(self, count: int) -> list[int]:
        """Let many wait; return how many went on in each turn."""
        self.release(*range(10_000))
        for _ in range(count - 1):
            self.turn()
        return [len(group) for group in self.went_on]


class _Waiter:
    def __init__(self, number: int, is_gone: bool, turns: Turns) -> None:
        self._number, self._is_gone, self._turns = number, is_gone, turns

    def done(self) -> bool:
        return self._is_gone

    def set_result(self, _: None) -> None:
        assert not self._is_gone
        self._turns.went_on[-1].append(self._number)


@pytest.mark.parametrize(
    ("turn_s", "groups"),
    [
        (TURN_S * 2, [64, 32, 16, 16, 16]),
        (TURN_S * 17 / 16, [64, 32, 16, 16, 16]),
        (TURN_S, [64, 64, 64, 64, 64]),
        (TURN_S / 2, [64, 64, 64, 64, 64]),
        (TURN_S * 7 / 16, [64, 128, 256, 512, 512]),
        (0.0, [64, 128, 256, 512, 512]),
    ],
)
def test_groups_get_larger_while_turns_are_short_and_smaller_while_they_are_long(
    monkeypatch: pytest.MonkeyPatch, turn_s: float, groups: list[int]
) -> None:
    assert Turns(monkeypatch, turn_s).turns(5) == groups


def test_waiters_go_on_in_their_order_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, TURN_S)
    turns.release(*range(100))
    turns.release(*range(100, 150))  # Behind those that still wait, in no turn of their own.
    assert turns.went_on == [[*range(64)]]
    turns.turn()
    turns.turn()
    turns.turn()
    assert turns.went_on == [[*range(64)], [*range(64, 128)], [*range(128, 150)], []]


def test_a_few_waiters_go_on_at_once_however_often_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, TURN_S)
    turns.release(1, 2)
    turns.release(3)
    assert turns.went_on == [[1, 2, 3]]


def test_a_waiter_that_is_gone_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, TURN_S)
    turns.release(1, 2, 3, gone=frozenset({2}))
    assert turns.went_on == [[1, 3]]
