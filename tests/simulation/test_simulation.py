"""Laws of the simulator itself: it keeps to its seed, and it would see a fault."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pkgutil import resolve_name

import pytest

from tests.simulation.driver import Folder
from tests.simulation.hunt import PINNED, SITUATED
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


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_fault_is_called_as_the_part_it_stands_for(mutant):
    for target, make in mutant.patches:
        part = resolve_name(target)
        fault = make(part)
        if inspect.isfunction(part) and inspect.isfunction(fault):
            every = inspect.signature(part).parameters.values()
            by_name = {one.name: None for one in every if one.kind is one.KEYWORD_ONLY}
            inspect.signature(fault).bind(*[None] * (len(every) - len(by_name)), **by_name)


def test_faults_that_are_put_back_are_found_where_they_were_found_before():
    """Look for them anew (``--mutants NAME``) and pin other seeds if the engine takes other turns by now."""
    command = [sys.executable, "-m", "tests.simulation", "--mutants", "pinned"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout == f"all {len(PINNED) + len(SITUATED)} are found\n"


def test_every_pinned_fault_is_one_of_the_mutants():
    assert PINNED
    assert PINNED.keys() | SITUATED.keys() <= {mutant.name for mutant in MUTANTS}
    assert not PINNED.keys() & SITUATED.keys()
