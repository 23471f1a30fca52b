"""A scene of a script: actions in a row, on instances that are made for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.simulation.changes import each
from tests.simulation.programs import Program

if TYPE_CHECKING:
    from tests.simulation.plan import Action, Plan

STEERING_COMMANDS = ("terminate", "terminate-rollback", "restart", "restart", "pause", "resume", "delete")


class Scene:
    """Actions in a row, at some place in a script, on instances that are made there."""

    def __init__(self, rng: random.Random, plan: Plan, first: int) -> None:
        self.rng = rng
        self.plan = plan = replace(plan, engines=max(plan.engines, rng.choice((1, 2, 2))))
        self.actions: list[Action] = []
        self._first = first
        self._place = rng.randrange(1, len(plan.script) + 1) if plan.script else 0
        self._made = sum({"create": 1, "batch": 2}.get(one.kind, 0) for one in plan.script[: self._place])
        #: The process that makes the instance, and mostly drives it, and another one.
        self.near = rng.randrange(plan.engines)
        self.far = rng.choice([slot for slot in range(plan.engines) if slot != self.near] or [self.near])

    @property
    def either(self) -> int:
        """One of the two processes."""
        return self.rng.choice((self.near, self.far))

    def make(self, turns: int = 0) -> int:
        """Make an instance, after so many callbacks or soon, and return its place among all."""
        rng, number = self.rng, self._first + len(self.actions)
        program = rng.randrange(len(self.plan.programs))
        self.act("create", number, rng.choice(("w0", "w0", "w1")), program, self.near, turns=turns)
        self._made += 1
        return self._made - 1

    def act(
        self, kind: str, target: int, *args: object, turns: int = 0, ms: int = 0, late: bool = False
    ) -> None:
        """Have something happen at almost the same moment, after callbacks or milliseconds, or ``late``."""
        from tests.simulation.plan import Action

        when = (turns, ms) if turns or ms else _soon(self.rng)
        if late:
            when = 0, self.rng.choice((500, 2000, 4000, 7000, 16_000))
        self.actions.append(Action(*when, kind, target, args))

    def played(self, change: Callable[[Program], Program] | None = None) -> Plan:
        """Return the plan with this in it, and its programs changed."""
        plan, place = self.plan, self._place
        script = (*plan.script[:place], *self.actions, *plan.script[place:])
        return replace(
            plan, script=script, programs=plan.programs if change is None else each(plan.programs, change)
        )


def _soon(rng: random.Random) -> tuple[int, int]:
    """Return callbacks or milliseconds until something that happens at almost the same moment."""
    if rng.random() < 0.6:
        return rng.choice((1, 2, 3, 5, 9, 14, 22, 35, 60, 120)), 0
    return 0, rng.choice((1, 10, 100, 300, 600, 1500))
