"""A registry whose clock stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wrangler_py.storage.deployments import Deployments, Tokens


class Clock:
    """Time that a test sets, in ms; ids that count."""

    max_wait = 1.0

    def __init__(self) -> None:
        self.time, self.ids = 1_000_000, 0

    def now(self) -> int:
        return self.time

    def new_id(self) -> str:
        self.ids += 1
        return f"id-{self.ids}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deployments(tmp_path: Path, clock: Clock) -> Iterator[Deployments]:
    opened = Deployments.open(tmp_path, clock)
    yield opened
    opened.close()


@pytest.fixture
def tokens(tmp_path: Path, clock: Clock) -> Iterator[Tokens]:
    opened = Tokens.open(tmp_path, clock)
    yield opened
    opened.close()
