"""Laws of the simulator itself: it keeps to its seed, and it would see a fault."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.driver import Folder
from tests.simulation.hunt import search
from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import make_plan
from tests.simulation.run import quiet, simulate


@pytest.fixture
def folder():
    with quiet():
        folder = Folder()
        yield folder
        folder.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_gives_the_same_run_each_time(folder, seed):
    plan = make_plan(seed)
    assert make_plan(seed) == plan
    assert simulate(plan, folder).digest == simulate(plan, folder).digest


def test_a_seed_gives_the_same_run_in_another_process():
    command = [sys.executable, "-m", "tests.simulation", "--seed", "3", "--no-shrink"]
    told = [
        subprocess.run(
            command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    ]
    assert told[0].stdout == told[1].stdout
    assert "digest" in told[0].stdout, told[0].stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_fault_has_its_place_in_the_engine(mutant):
    with mutant.applied():
        pass


@pytest.mark.parametrize("name", ["result-before-commit", "one-attempt-too-many", "old-life-runs-on"])
def test_a_fault_that_is_put_into_the_engine_is_found(name):
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    assert search(mutant, 100).seeds is not None
