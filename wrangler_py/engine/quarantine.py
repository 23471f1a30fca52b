"""Suspects: instances that were executing when their process died, and how they are tried again.

The start of an attempt is written and not waited for, so a step that kills its process in the very turn in which it
begins leaves no trace in the history. Two things do:

* The record of what executes (`engine.executing`), if there is one, names the attempt. Whoever buries the process
  stores that, and a replay counts the attempt when it comes to the step.
* The death itself: the process that takes its instances over counts it for those that were executing (`Store.reap`).

Such an instance is a *suspect* until it makes progress. Two rules follow:

* The start of each of its attempts is on disk before the callback is called. So every further death is an attempt.
* It is tried while nothing else of this process executes, so that a killer does not burn its neighbours' attempts.

Where it is certain which step killed the process, the attempts of all others that were under way do not count: they
begin again under the same number.

What is decided here is pure; the scheduler carries it out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import TypedDict

import msgspec

#: Deaths from which on an instance is tried alone. A known culprit counts as one at once.
ALONE = 2
#: Deaths in a row, none of them in an attempt, after which an instance is given up; and whatever they were in.
LIMIT, LAST_LIMIT = 5, 10
#: Instances with one death that are tried together at first; more, as more of them come through.
GROUP = 8
#: Milliseconds after which a suspect that still executes is taken to have survived, by its deaths; the last for more.
SURVIVAL_MS = (3_000, 30_000, 120_000, 600_000)
#: Delay before an instance is tried again, in milliseconds: at the second death, doubled with each, and the longest.
FIRST_DELAY_MS, LONGEST_DELAY_MS = 500, 10_000
#: While callbacks of others execute: how long new ones are held for a suspect, how long the others then go on, and
#: after how much waiting in all they are held until it has been tried. In milliseconds.
HOLD_MS, PAUSE_MS, PATIENCE_MS = 2_000, 20_000, 600_000


class Accused(msgspec.Struct, frozen=True):
    """An attempt that was executing when its process died; ``step`` is the display name."""

    workflow: str
    instance_id: str
    step: str
    attempt: int
    is_rollback: bool


class Evidence(msgspec.Struct, frozen=True):
    """The report on the death of the process ``owner``.

    The death counts for the ``instances`` (workflow, id), whose code was executing, and the ``attempts`` of their
    steps have been made. Where there are none, something else may have ended the process: whatever was under way is
    tried again as after a first death, and no more.
    """

    owner: str
    instances: list[tuple[str, str]] = []
    attempts: list[Accused] = []
    #: There is one, and nothing else was executing.
    is_certain: bool = False

    @property
    def least_deaths(self) -> int:
        """Deaths that each of the instances has at least: a culprit is tried alone at once."""
        return ALONE if self.is_certain else 1


class Ends(TypedDict, total=False):
    """The ends of lease owners: those that were stopped on purpose, and reports on the deaths of others."""

    stopped: Collection[str]
    evidence: Collection[Evidence]


def is_hopeless(deaths: int, *, has_open_attempt: bool) -> bool:
    """Return True if an instance is to be given up: it died too often where no attempt counts it."""
    return deaths >= (LAST_LIMIT if has_open_attempt else LIMIT)


def after_counted(deaths: int) -> int:
    """Return the deaths of an instance after one was recorded as a failed attempt: that one counts elsewhere."""
    return min(deaths, ALONE)


def survival_ms(deaths: int) -> int:
    """Return after how many milliseconds a suspect has survived its trial."""
    return SURVIVAL_MS[min(max(deaths, 1), len(SURVIVAL_MS)) - 1]


def group_size(passed: int) -> int:
    """Return how many with one death are tried together after ``passed`` of them came through."""
    return max(GROUP, passed)


def admitted(waiting: Sequence[int], trying: Sequence[int], *, passed: int, are_others_busy: bool) -> int:
    """Return how many of the ``waiting`` suspects may start now. Both lists hold deaths, ``waiting`` ascending.

    ``are_others_busy``: a callback of an instance that is no suspect executes.
    """
    if not waiting or are_others_busy or any(deaths >= ALONE for deaths in trying):
        return 0
    if waiting[0] >= ALONE:
        return 0 if trying else 1
    together = len(list(takewhile(lambda deaths: deaths < ALONE, waiting)))
    return max(0, min(together, group_size(passed) - len(trying)))


def holds_others(waited_ms: int) -> bool:
    """Return True if others start no callbacks now, because a suspect has waited for ``waited_ms`` to be tried."""
    return waited_ms >= PATIENCE_MS or waited_ms % (HOLD_MS + PAUSE_MS) < HOLD_MS


def next_change_ms(waited_ms: int) -> int:
    """Return in how many milliseconds `holds_others` may answer otherwise."""
    passed = waited_ms % (HOLD_MS + PAUSE_MS)
    return HOLD_MS - passed if passed < HOLD_MS else HOLD_MS + PAUSE_MS - passed
