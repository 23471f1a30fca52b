"""Circumstances that chance alone brings together too seldom, put into some of the plans.

Each is a *situation* in which an engine may fail: two users steer one instance at once, a step comes back after its
timeout, the store refuses a batch while steps are undone. They are drawn from a source of their own, so that the plans
of all other seeds stay as they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.alone import SITUATIONS
from tests.simulation.changes import (
    brief,
    each,
    eager,
    exiting,
    expecting,
    late,
    leaving,
    lingering,
    steered,
    steering,
    stopping,
    stubborn,
    together,
    unstorable,
    with_peculiar_steps,
    with_undo,
)
from tests.simulation.scene import STEERING_COMMANDS, Scene

if TYPE_CHECKING:
    from tests.simulation.plan import Plan
#: Given a source of randomness, a plan, and a number for what it makes, it returns another plan.
Situation = Callable[[random.Random, "Plan", int], "Plan"]
#: The part of all seeds that have a situation.
SHARE = 0.45
#: The part that has a situation for which all programs are made anew, or the whole plan.
OWN_SHARE = 0.2
#: Instances that are made here have numbers from here on.
FIRST_INSTANCE = 100


def seasoned(plan: Plan, wanted: Situation | None = None) -> Plan:
    """Return a plan, or for some seeds one with a situation in it; for all of them one with a ``wanted`` situation."""
    rng = random.Random(f"situation {plan.seed}")
    if wanted is not None:
        return wanted(rng, plan, FIRST_INSTANCE)
    chance = rng.random()
    if chance >= SHARE:
        if chance < 1 - OWN_SHARE:
            return plan
        situation = rng.choice((_in_passing, _unwinding, *SITUATIONS))
        return situation(rng, plan, FIRST_INSTANCE)
    for number in range(rng.choice((1, 1, 2))):
        situation = _peculiar if rng.random() < 0.4 else rng.choice(_SITUATIONS)
        plan = situation(rng, plan, FIRST_INSTANCE + 10 * number)
    return plan


def _peculiar(rng: random.Random, plan: Plan, _: int) -> Plan:
    """Have some steps do one of the things that steps seldom do."""
    kind = rng.choice((late, stubborn, stopping, steering, exiting, eager, eager, together, unstorable))
    if kind in (eager, unstorable):
        return replace(plan, programs=each(plan.programs, partial(kind, rng)))
    if kind is steering and rng.random() < 0.5:
        return replace(plan, programs=each(plan.programs, partial(steered, rng)))
    if kind is together:
        return replace(plan, programs=each(plan.programs, partial(together, rng)), slow_rate=0.3)
    return replace(plan, programs=with_peculiar_steps(rng, plan.programs, kind))


def _duel(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Users steer one instance at once, through several processes."""
    scene = Scene(rng, plan, first)
    target = scene.make()
    for _ in range(rng.choice((2, 3, 4))):
        scene.act(rng.choice(STEERING_COMMANDS), target, scene.either)
    return scene.played()


def _replacement(rng: random.Random, plan: Plan, first: int) -> Plan:
    """While a command waits, its instance is deleted and another one made."""
    scene = Scene(rng, plan, first)
    target = scene.make()
    kind = rng.choice(("terminate", "terminate", "restart", "pause", "send"))
    scene.act(kind, target, scene.far, *(("a",) if kind == "send" else ()))
    scene.act("delete", target, scene.near)
    scene.make(turns=rng.choice((5, 9, 14, 22, 35)))
    return scene.played()


def _messages(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Events come one after the other, from several processes."""
    scene = Scene(rng, replace(plan, hibernate_after_ms=rng.choice((0, 10_000, 10_000))), first)
    target, kind = scene.make(), rng.choice("ab")
    for _ in range(rng.choice((2, 4, 6))):
        scene.act("send", target, rng.choice((scene.far, scene.either)), kind, late=rng.random() < 0.2)
    return scene.played(partial(expecting, rng, kind))


def _broken_undoing(rng: random.Random, plan: Plan, first: int) -> Plan:
    """While steps are undone, the store fails or the process ends."""
    scene = Scene(rng, plan, first)
    target = scene.make()
    scene.act("terminate-rollback", target, scene.near)
    fault = rng.choice(("refuse", "refuse", "lose", "die-before", "die-after"))
    scene.act(fault, scene.near, rng.choice((0, 1, 2, 3)))
    return scene.played(partial(with_undo, rng))


def _broken_command(rng: random.Random, plan: Plan, first: int) -> Plan:
    """The store fails, or the process ends, while a command is carried out."""
    scene = Scene(rng, plan, first)
    target, asker = scene.make(), scene.either
    scene.act(rng.choice(("refuse", "refuse", "die-before")), asker, rng.choice((0, 1, 1, 2, 3)))
    scene.act(rng.choice(STEERING_COMMANDS), target, asker)
    return scene.played()


def _in_passing(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Commands are decided on while an instance rests, and reach a slow store when it goes on and ends."""
    slow = replace(plan, slow_rate=0.6, hibernate_after_ms=rng.choice((0, 10_000)))
    scene = Scene(rng, slow, first)
    target = scene.make()
    scene.act(rng.choice(_BRIEFLY), target, scene.either, ms=rng.choice((300, 400, 450, 490, 501, 505, 550)))
    for _ in range(rng.choice((2, 3))):
        scene.act(rng.choice(_BRIEFLY), target, scene.either, ms=rng.choice((1, 5, 50, 100)))
    return scene.played(brief)


def _unwinding(rng: random.Random, plan: Plan, first: int) -> Plan:
    """The process ends while steps are undone, of a `run()` that leaves a task behind which takes time to end."""
    scene = Scene(rng, plan, first)
    scene.make()
    scene.act("kill", scene.near, ms=rng.choice((1500, 2500, 4000)))
    return scene.played(leaving)


_BRIEFLY = ("terminate", "terminate-rollback", "pause", "restart")


def _left_behind(rng: random.Random, plan: Plan, first: int) -> Plan:
    """The code of an instance goes on for long after it was stopped, while others steer the instance."""
    scene = Scene(rng, plan, first)
    target = scene.make()
    if rng.random() < 0.3:
        scene.act(rng.choice(("refuse", "lose")), scene.near, rng.choice((0, 1, 2)))
    for kind in ("restart", "restart", *rng.choices(STEERING_COMMANDS, k=rng.choice((0, 1, 2)))):
        scene.act(kind, target, scene.either, late=rng.random() < 0.5)
    return scene.played(lingering)


_SITUATIONS = (
    _duel, _replacement, _messages, _messages, _broken_undoing, _broken_undoing, _broken_command,
    _left_behind, _left_behind,
)  # fmt: skip
