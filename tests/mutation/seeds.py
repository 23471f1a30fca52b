"""Simulated runs as tests, for faults of the engine: a part of the seeds that the whole check runs."""

from __future__ import annotations

import pytest

from tests.simulation.driver import Folder
from tests.simulation.run import quiet, seeds


@pytest.mark.parametrize("seed", range(24))
def test_a_simulated_run_breaks_no_law(seed: int) -> None:
    with quiet():
        folder = Folder()
        try:
            for outcome in seeds(range(seed, seed + 1), folder):
                assert not outcome.violations
        finally:
            folder.close()
