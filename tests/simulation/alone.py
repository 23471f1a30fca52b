"""Situations that have a plan to themselves: the paths of an engine that are open for a few turns only.

Nothing else happens in such a plan, so that it is played in a moment, and each meets in many ways what it is about.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.changes import (
    beating,
    breaking_off,
    giving_up,
    namesakes,
    resting,
    short,
    slow_to_end,
    undone_later,
)
from tests.simulation.programs import MINUTE, SECOND
from tests.simulation.scene import STEERING_COMMANDS, Scene

if TYPE_CHECKING:
    from tests.simulation.plan import Plan

#: Calls of the store that may take long, beside the commit of a batch: those of commands, and others.
_OF_COMMANDS = ("look", "change", "history")
_OTHERS = ("claim", "let_go", "ask", "events", "add_event")


def _scene(rng: random.Random, plan: Plan, first: int, **changes: object) -> Scene:
    """Return a scene in a plan in which nothing else happens."""
    alone = replace(plan, script=(), slow_rate=0.0, deaf_rate=0.0, look_s=rng.choice((0.5, 0.5, 2.0)))
    return Scene(rng, replace(alone, **changes), first)


def _slowly(
    rng: random.Random, of_commands: float = 0.4, others: float = 0.1
) -> tuple[tuple[str, float], ...]:
    """Return calls of the store that always take long: the commit of a batch, and some with these chances."""
    calls = [call for call in _OF_COMMANDS if rng.random() < of_commands]
    calls += [call for call in _OTHERS if rng.random() < others]
    slow = [(call, rng.choice((0.003, 0.05, 0.3, 0.6))) for call in calls]
    return (("apply", rng.choice((0.05, 0.2, 0.6, 0.6))), *slow)


def overtaken(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Commands are decided on, and carried out, while what the instance wrote is on its way to a slow store."""
    scene = _scene(rng, plan, first, slow_calls=_slowly(rng), hibernate_after_ms=rng.choice((0, 0, 10_000)))
    target = scene.make()
    for _ in range(rng.choice((2, 4, 7))):
        kind = rng.choice((*STEERING_COMMANDS, "restart", "send"))
        more = ("a",) if kind == "send" else ()
        scene.act(kind, target, scene.either, *more, ms=rng.choice((100, 200, 300, 500, 700)))
    return scene.played(partial(short, rng))


def outlived(rng: random.Random, plan: Plan, first: int) -> Plan:
    """The code of one life of an instance goes on into the next one, while others steer the instance."""
    scene = _scene(rng, plan, first)
    target = scene.make()
    scene.act("restart", target, scene.near, ms=rng.choice((300, 1500, 3000)))
    scene.act(rng.choice(STEERING_COMMANDS), target, scene.far, ms=rng.choice((500, 1500, 3000, 5000)))
    for _ in range(rng.choice((0, 1, 2))):
        scene.act(rng.choice(STEERING_COMMANDS), target, scene.either, ms=rng.choice((1500, 5000, 7000)))
    return scene.played(partial(beating, rng))


def given_up(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Steps are given up while their results are on the way, and the instance is taken up again later."""
    scene = _scene(
        rng, plan, first, slow_calls=_slowly(rng, 0.1), hibernate_after_ms=rng.choice((0, 0, 50, 10_000))
    )
    for _ in range(rng.choice((1, 2))):
        scene.make()
    if rng.random() < 0.5:
        scene.act("kill", scene.near, ms=rng.choice((1000, 2000, 3000, 5000)))
    return scene.played(partial(giving_up, rng))


def broken_off(rng: random.Random, plan: Plan, first: int) -> Plan:
    """An instance ends while results of its steps are on the way."""
    scene = _scene(rng, plan, first, slow_calls=_slowly(rng, 0.1))
    for _ in range(rng.choice((1, 2))):
        scene.make()
    return scene.played(partial(breaking_off, rng))


def set_back(rng: random.Random, plan: Plan, first: int) -> Plan:
    """The clock is set while instances wait in memory."""
    scene = _scene(rng, plan, first, hibernate_after_ms=10_000)
    for _ in range(rng.choice((1, 2))):
        scene.make()
    for _ in range(rng.choice((1, 1, 2))):
        ms = rng.choice((8 * SECOND, 15 * SECOND, 2 * MINUTE, 20 * MINUTE))
        scene.act("jump", 0, ms * rng.choice((1, -1, -1)), ms=rng.choice((100, 500, 2000)))
    return scene.played(partial(resting, rng))


def refused_undoing(rng: random.Random, plan: Plan, first: int) -> Plan:
    """The store refuses a commit while an instance is taken up to be undone."""
    scene = _scene(rng, plan, first, hibernate_after_ms=rng.choice((0, 10_000)))
    target = scene.make()
    scene.act("terminate-rollback", target, scene.either, ms=rng.choice((100, 300, 1000, 3000)))
    for _ in range(rng.choice((1, 1, 2))):
        fault, turns = rng.choice(("refuse", "refuse", "lose", "die-before")), rng.choice((1, 1, 2, 5, 14))
        scene.act(fault, rng.choice((scene.near, scene.either)), rng.choice((0, 0, 1)), "apply", turns=turns)
    return scene.played(partial(undone_later, rng))


def held_up(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Commands come while an instance waits, at its end, for what `run()` left behind."""
    scene = _scene(rng, plan, first)
    target = scene.make()
    for _ in range(rng.choice((1, 2, 3))):
        kind, ms = rng.choice(("pause", "pause", *STEERING_COMMANDS, "drain")), rng.choice((50, 300, 700))
        if kind == "drain":
            scene.act(kind, scene.near, rng.choice((0.0, 0.1, 2.0)), ms=ms)
        else:
            scene.act(kind, target, rng.choice((scene.far, scene.either)), ms=ms)
    return scene.played(partial(slow_to_end, rng))


def confused(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Tasks whose steps have one name are replayed, and reach them in another order."""
    scene = _scene(rng, plan, first, hibernate_after_ms=rng.choice((0, 0, 50, 10_000)))
    for _ in range(rng.choice((1, 2))):
        scene.make()
    if rng.random() < 0.6:
        scene.act("kill", scene.near, ms=rng.choice((100, 300, 1000, 2000)))
    return scene.played(partial(namesakes, rng))


SITUATIONS = (
    overtaken, overtaken, overtaken, outlived, given_up, given_up,
    broken_off, set_back, refused_undoing, held_up, confused,
)  # fmt: skip
