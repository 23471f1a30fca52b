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
from typing import TYPE_CHECKING, Any

from tests.simulation.programs import (
    MINUTE,
    SECOND,
    STEERING,
    Background,
    Do,
    Fail,
    Finally,
    Gather,
    Local,
    Program,
    Sleep,
    Steer,
    Try,
    Undo,
    Wait,
    children,
    walk,
    with_children,
)

if TYPE_CHECKING:
    from tests.simulation.plan import Action, Plan

#: The part of all seeds that have a situation.
SHARE = 0.45
#: The part that has a situation for which all programs are made anew.
OWN_SHARE = 0.05
#: Sites and instances that are made here have numbers from here on.
FIRST_SITE, FIRST_INSTANCE = 5000, 100


def seasoned(plan: Plan) -> Plan:
    """Return a plan, or for some seeds one with a situation in it."""
    rng = random.Random(f"situation {plan.seed}")
    chance = rng.random()
    if chance >= SHARE:
        situation = rng.choice((_in_passing, _unwinding))
        return situation(rng, plan, FIRST_INSTANCE) if chance >= 1 - OWN_SHARE else plan
    for number in range(rng.choice((1, 1, 2))):
        situation = _peculiar if rng.random() < 0.4 else rng.choice(_SITUATIONS)
        plan = situation(rng, plan, FIRST_INSTANCE + 10 * number)
    return plan


# programs -------------------------------------------------------------------------------------------------------------

_Programs = tuple[tuple[Program, ...], ...]


def _peculiar(rng: random.Random, plan: Plan, _: int) -> Plan:
    """Have some steps do one of the things that steps seldom do."""
    kind = rng.choice(
        (_late, _stubborn, _stopping, _steering, _exiting, _eager, _eager, _together, _unstorable)
    )
    if kind in (_eager, _unstorable):
        return replace(plan, programs=_each(plan.programs, partial(kind, rng)))
    if kind is _steering and rng.random() < 0.5:
        return replace(plan, programs=_each(plan.programs, partial(_steered, rng)))
    if kind is _together:
        return replace(plan, programs=_each(plan.programs, partial(_together, rng)), slow_rate=0.3)
    return replace(plan, programs=_with_peculiar_steps(rng, plan.programs, kind))


def _each(programs: _Programs, change: Callable[[Program], Program]) -> _Programs:
    return tuple(tuple(change(program) for program in versions) for versions in programs)


def _with_peculiar_steps(
    rng: random.Random, programs: _Programs, peculiar: Callable[[random.Random, Do], Do]
) -> _Programs:
    chosen = {
        (number, one.site): rng.random()
        for number, versions in enumerate(programs)
        for one in walk(versions[0].body)
        if isinstance(one, Do) and not one.body and rng.random() < 0.3
    }

    def change(number: int) -> Callable[[Do], Do]:
        return lambda one: (
            peculiar(random.Random(chosen[number, one.site]), one) if (number, one.site) in chosen else one
        )

    return tuple(
        tuple(replace(program, body=_changed(program.body, change(number))) for program in versions)
        for number, versions in enumerate(programs)
    )


def _changed(body: tuple[Any, ...], change: Callable[[Do], Do]) -> tuple[Any, ...]:
    return tuple(
        with_children(
            change(one) if isinstance(one, Do) else one, tuple(_changed(b, change) for b in children(one))
        )
        for one in body
    )


def _late(rng: random.Random, one: Do) -> Do:
    timeout = rng.choice((50, 500, 2 * SECOND))
    return replace(one, tries=(Try(timeout * 2, "late"), *one.tries[1:]), timeout=timeout, threaded=False)


def _stubborn(rng: random.Random, one: Do) -> Do:
    timeout = rng.choice((50, 500, 2 * SECOND))
    return replace(one, tries=(Try(timeout * 2, "stubborn"), *one.tries[1:]), timeout=timeout, threaded=False)


def _stopping(rng: random.Random, one: Do) -> Do:
    return replace(one, tries=(*one.tries[:-1], Try(0, "stop")), threaded=True, undo=None)


def _steering(rng: random.Random, one: Do) -> Do:
    return replace(one, tries=(Try(rng.choice((0, 100)), rng.choice(STEERING)),), threaded=False)


def _exiting(rng: random.Random, one: Do) -> Do:
    return replace(one, tries=(Try(0, rng.choice(("exit", "cancel"))), *one.tries[1:]), threaded=False)


def _eager(rng: random.Random, program: Program) -> Program:
    """Give a task the call of a step itself, and cancel it at the end: it may not have begun by then."""
    body = list(program.body)
    task = Background((Do(FIRST_SITE, "eager", (Try(rng.choice((0, 100))),)),), cancel=True, eager=True)
    body.insert(rng.choice((len(body), len(body), rng.randrange(len(body) + 1))), task)
    return replace(program, body=tuple(body), pure=False)


def _steered(rng: random.Random, program: Program) -> Program:
    """Have `run()` give a command on its own instance."""
    body = list(program.body)
    body.insert(rng.randrange(len(body) + 1), Steer(rng.choice(("terminate", "terminate", "delete"))))
    return replace(program, body=tuple(body))


def _unstorable(rng: random.Random, program: Program) -> Program:
    """Have `run()` end with what cannot be stored as it is."""
    return replace(program, body=(*program.body, Fail(rng.choice(("bad", "mute")))))


def _together(rng: random.Random, program: Program) -> Program:
    """Have `run()` end in the moment in which two of its tasks end a step."""
    ms = rng.choice((20, 100))
    steps = tuple((Do(FIRST_SITE + 1 + one, f"together{one}", (Try(ms),)),) for one in range(2))
    branches = (*steps, (Local(ms), Fail()))
    body = list(program.body)
    body.insert(rng.randrange(len(body) + 1), Gather(branches))
    return replace(program, body=tuple(body), pure=False)


def _with_undo(rng: random.Random, program: Program) -> Program:
    def change(one: Do) -> Do:
        return one if one.body or one.undo else replace(one, undo=Undo((Try(rng.choice((0, 100))),)))

    return replace(program, body=_undoable(program.body, change))


def _undoable(body: tuple[Any, ...], change: Callable[[Do], Do]) -> tuple[Any, ...]:
    """Change the steps that are not inside another: only those can be undone."""
    return tuple(
        change(one)
        if isinstance(one, Do)
        else with_children(one, tuple(_undoable(b, change) for b in children(one)))
        for one in body
    )


def _expecting(rng: random.Random, kind: str, program: Program) -> Program:
    """Begin with waits for events, one after the other."""
    waits = [
        Wait(
            FIRST_SITE + 10 + one,
            f"expects{one}",
            kind,
            rng.choice((SECOND, SECOND, 3 * SECOND, MINUTE)),
        )
        for one in range(rng.choice((1, 2, 3)))
    ]
    return replace(program, body=(*waits, *program.body))


def _brief(program: Program) -> Program:
    """Only sleep for half a second and do one step."""
    return replace(program, body=(Sleep(FIRST_SITE + 4, "rests", 500), Do(FIRST_SITE + 5, "ends")))


def _leaving(program: Program) -> Program:
    """Fail with a step to undo, and a task that goes on for a second after its cancellation."""
    undo = Undo((Try(0, "fail"), Try(0, "fail"), Try()), 3, 2 * SECOND)
    task = Background((Finally((Local(MINUTE),), (Local(SECOND),)),))
    return replace(program, body=(Do(FIRST_SITE + 6, "undone", undo=undo), task, Fail()), pure=False)


def _lingering(program: Program) -> Program:
    """Begin with a step that goes on for long after its cancellation."""
    step = Do(FIRST_SITE + 3, "lingers", (Try(20 * SECOND, "stubborn"), Try()))
    return replace(program, body=(step, *program.body))


# situations -----------------------------------------------------------------------------------------------------------

_STEERING_COMMANDS = ("terminate", "terminate-rollback", "restart", "restart", "pause", "resume", "delete")


class _Scene:
    """Actions in a row, at some place in a script, on instances that are made there."""

    def __init__(self, rng: random.Random, plan: Plan, first: int) -> None:
        self.rng = rng
        self.plan = plan = replace(plan, engines=max(plan.engines, rng.choice((1, 2, 2))))
        self.actions: list[Action] = []
        self._first = first
        self._place = rng.randrange(1, len(plan.script) + 1)
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
            plan, script=script, programs=plan.programs if change is None else _each(plan.programs, change)
        )


def _soon(rng: random.Random) -> tuple[int, int]:
    """Return callbacks or milliseconds until something that happens at almost the same moment."""
    if rng.random() < 0.6:
        return rng.choice((1, 2, 3, 5, 9, 14, 22, 35, 60, 120)), 0
    return 0, rng.choice((1, 10, 100, 300, 600, 1500))


def _duel(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Users steer one instance at once, through several processes."""
    scene = _Scene(rng, plan, first)
    target = scene.make()
    for _ in range(rng.choice((2, 3, 4))):
        scene.act(rng.choice(_STEERING_COMMANDS), target, scene.either)
    return scene.played()


def _replacement(rng: random.Random, plan: Plan, first: int) -> Plan:
    """While a command waits, its instance is deleted and another one made."""
    scene = _Scene(rng, plan, first)
    target = scene.make()
    kind = rng.choice(("terminate", "terminate", "restart", "pause", "send"))
    scene.act(kind, target, scene.far, *(("a",) if kind == "send" else ()))
    scene.act("delete", target, scene.near)
    scene.make(turns=rng.choice((5, 9, 14, 22, 35)))
    return scene.played()


def _messages(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Events come one after the other, from several processes."""
    scene = _Scene(rng, replace(plan, hibernate_after_ms=rng.choice((0, 10_000, 10_000))), first)
    target, kind = scene.make(), rng.choice("ab")
    for _ in range(rng.choice((2, 4, 6))):
        scene.act("send", target, rng.choice((scene.far, scene.either)), kind, late=rng.random() < 0.2)
    return scene.played(partial(_expecting, rng, kind))


def _broken_undoing(rng: random.Random, plan: Plan, first: int) -> Plan:
    """While steps are undone, the store fails or the process ends."""
    scene = _Scene(rng, plan, first)
    target = scene.make()
    scene.act("terminate-rollback", target, scene.near)
    fault = rng.choice(("refuse", "refuse", "lose", "die-before", "die-after"))
    scene.act(fault, scene.near, rng.choice((0, 1, 2, 3)))
    return scene.played(partial(_with_undo, rng))


def _broken_command(rng: random.Random, plan: Plan, first: int) -> Plan:
    """The store fails, or the process ends, while a command is carried out."""
    scene = _Scene(rng, plan, first)
    target, asker = scene.make(), scene.either
    scene.act(rng.choice(("refuse", "refuse", "die-before")), asker, rng.choice((0, 1, 1, 2, 3)))
    scene.act(rng.choice(_STEERING_COMMANDS), target, asker)
    return scene.played()


def _in_passing(rng: random.Random, plan: Plan, first: int) -> Plan:
    """Commands are decided on while an instance rests, and reach a slow store when it goes on and ends."""
    slow = replace(plan, slow_rate=0.6, hibernate_after_ms=rng.choice((0, 10_000)))
    scene = _Scene(rng, slow, first)
    target = scene.make()
    scene.act(rng.choice(_BRIEFLY), target, scene.either, ms=rng.choice((300, 400, 450, 490, 501, 505, 550)))
    for _ in range(rng.choice((2, 3))):
        scene.act(rng.choice(_BRIEFLY), target, scene.either, ms=rng.choice((1, 5, 50, 100)))
    return scene.played(_brief)


def _unwinding(rng: random.Random, plan: Plan, first: int) -> Plan:
    """The process ends while steps are undone, of a `run()` that leaves a task behind which takes time to end."""
    scene = _Scene(rng, plan, first)
    scene.make()
    scene.act("kill", scene.near, ms=rng.choice((1500, 2500, 4000)))
    return scene.played(_leaving)


_BRIEFLY = ("terminate", "terminate-rollback", "pause", "restart")


def _left_behind(rng: random.Random, plan: Plan, first: int) -> Plan:
    """The code of an instance goes on for long after it was stopped, while others steer the instance."""
    scene = _Scene(rng, plan, first)
    target = scene.make()
    if rng.random() < 0.3:
        scene.act(rng.choice(("refuse", "lose")), scene.near, rng.choice((0, 1, 2)))
    for kind in ("restart", "restart", *rng.choices(_STEERING_COMMANDS, k=rng.choice((0, 1, 2)))):
        scene.act(kind, target, scene.either, late=rng.random() < 0.5)
    return scene.played(_lingering)


_SITUATIONS = (
    _duel, _replacement, _messages, _messages, _broken_undoing, _broken_undoing, _broken_command,
    _left_behind, _left_behind,
)  # fmt: skip
