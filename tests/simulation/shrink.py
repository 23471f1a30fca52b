"""Making a plan that breaks a law as small as it can be, and still break it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.simulation.plan import Plan
from tests.simulation.programs import Do, Program, Try, children, with_children

Check = Callable[[Plan], bool]


def shrink(plan: Plan, fails: Check, *, seconds: float = 20.0) -> Plan:
    """Return the smallest plan found for which ``fails`` holds, as it does for ``plan``."""
    deadline = time.monotonic() + seconds
    changed = True
    while changed and time.monotonic() < deadline:
        changed = False
        for smaller in _smaller(plan):
            if time.monotonic() > deadline:
                break
            if fails(smaller):
                plan, changed = smaller, True
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    yield from _fewer_actions(plan)
    for number, versions in enumerate(plan.programs):
        if len(set(versions)) > 1:
            yield _with_program(plan, number, (versions[0],))
    if plan.engines > 1:
        yield replace(plan, engines=plan.engines - 1)
    if plan.slow_rate:
        yield replace(plan, slow_rate=0.0)
    for call in plan.slow_calls:
        yield replace(plan, slow_calls=tuple(one for one in plan.slow_calls if one != call))
    used = {action.args[1] for action in plan.script if action.kind in ("create", "batch")}
    for number, versions in enumerate(plan.programs):
        if number not in used:
            if versions[0].body:
                yield _with_program(plan, number, (Program(()),))
        elif len(set(versions)) == 1:
            for body in _smaller_bodies(versions[0].body):
                if body:
                    yield _with_program(plan, number, (replace(versions[0], body=body),))
    for place, action in enumerate(plan.script):
        if action.ms > 1000 or action.turns > 20:
            smaller = replace(action, ms=action.ms // 2, turns=action.turns // 2)
            yield replace(plan, script=(*plan.script[:place], smaller, *plan.script[place + 1 :]))


def _fewer_actions(plan: Plan) -> Iterator[Plan]:
    script, size = plan.script, max(1, len(plan.script) // 2)
    while True:
        for start in range(len(script) - size, -1, -size):
            yield replace(plan, script=script[:start] + script[start + size :])
        if size == 1:
            return
        size //= 2


def _with_program(plan: Plan, number: int, versions: tuple[Program, ...]) -> Plan:
    return replace(plan, programs=(*plan.programs[:number], versions, *plan.programs[number + 1 :]))


def _smaller_bodies(body: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for place, one in enumerate(body):
        before, after = body[:place], body[place + 1 :]
        yield before + after
        inner = children(one)
        for each in inner:
            if each and not isinstance(one, Do):
                yield before + each + after
        for number, each in enumerate(inner):
            if len(inner) > 2:
                yield (*before, with_children(one, inner[:number] + inner[number + 1 :]), *after)
            for smaller in _smaller_bodies(each):
                if smaller or isinstance(one, Do):
                    yield (
                        *before,
                        with_children(one, (*inner[:number], smaller, *inner[number + 1 :])),
                        *after,
                    )
        if isinstance(one, Do):
            for simpler in _simpler(one):
                yield (*before, simpler, *after)


def _simpler(one: Do) -> Iterator[Do]:
    if one.tries != (Try(),):
        yield replace(one, tries=(Try(),))
    if len(one.tries) > 1:
        yield replace(one, tries=one.tries[1:])
        yield replace(one, tries=one.tries[:-1])
    for name, value in (
        ("threaded", False),
        ("undo", None),
        ("backoff", "constant"),
        ("delay", 100),
        ("limit", 1),
        ("timeout", 60_000),
    ):
        if getattr(one, name) != value:
            yield replace(one, **{name: value})
