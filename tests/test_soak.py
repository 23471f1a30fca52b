"""The soak benchmark, for a few seconds: that it runs, and that it finds nothing wrong."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.soak import live

SECONDS = 15.0


def test_nothing_is_lost_while_processes_are_killed(tmp_path: Path) -> None:
    found = live(tmp_path, SECONDS)
    assert found.wrong == []
    assert found.kills > 0
    assert found.instances > 50
