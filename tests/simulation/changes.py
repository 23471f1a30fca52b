"""Changes of drawn programs: each has some or all of them do one thing that drawn programs seldom do."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

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
    Race,
    Sleep,
    Steer,
    Try,
    Undo,
    Wait,
    Within,
    children,
    walk,
    with_children,
)

#: Sites that are made here have numbers from here on.
FIRST_SITE = 5000

Programs = tuple[tuple[Program, ...], ...]


def each(programs: Programs, change: Callable[[Program], Program]) -> Programs:
    return tuple(tuple(change(program) for program in versions) for versions in programs)


def with_peculiar_steps(
    rng: random.Random, programs: Programs, peculiar: Callable[[random.Random, Do], Do]
) -> Programs:
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


def late(rng: random.Random, one: Do) -> Do:
    timeout = rng.choice((50, 500, 2 * SECOND))
    return replace(one, tries=(Try(timeout * 2, "late"), *one.tries[1:]), timeout=timeout, threaded=False)


def stubborn(rng: random.Random, one: Do) -> Do:
    timeout = rng.choice((50, 500, 2 * SECOND))
    return replace(one, tries=(Try(timeout * 2, "stubborn"), *one.tries[1:]), timeout=timeout, threaded=False)


def stopping(rng: random.Random, one: Do) -> Do:
    return replace(one, tries=(*one.tries[:-1], Try(0, "stop")), threaded=True, undo=None)


def steering(rng: random.Random, one: Do) -> Do:
    return replace(one, tries=(Try(rng.choice((0, 100)), rng.choice(STEERING)),), threaded=False)


def exiting(rng: random.Random, one: Do) -> Do:
    return replace(one, tries=(Try(0, rng.choice(("exit", "cancel"))), *one.tries[1:]), threaded=False)


def eager(rng: random.Random, program: Program) -> Program:
    """Give a task the call of a step itself, and cancel it at the end: it may not have begun by then."""
    body = list(program.body)
    task = Background((Do(FIRST_SITE, "eager", (Try(rng.choice((0, 100))),)),), cancel=True, eager=True)
    body.insert(rng.choice((len(body), len(body), rng.randrange(len(body) + 1))), task)
    return replace(program, body=tuple(body), pure=False)


def steered(rng: random.Random, program: Program) -> Program:
    """Have `run()` give a command on its own instance."""
    body = list(program.body)
    body.insert(rng.randrange(len(body) + 1), Steer(rng.choice(("terminate", "terminate", "delete"))))
    return replace(program, body=tuple(body))


def unstorable(rng: random.Random, program: Program) -> Program:
    """Have `run()` end with what cannot be stored as it is."""
    return replace(program, body=(*program.body, Fail(rng.choice(("bad", "mute")))))


def together(rng: random.Random, program: Program) -> Program:
    """Have `run()` end in the moment in which two of its tasks end a step."""
    ms = rng.choice((20, 100))
    steps = tuple((Do(FIRST_SITE + 1 + one, f"together{one}", (Try(ms),)),) for one in range(2))
    branches = (*steps, (Local(ms), Fail()))
    body = list(program.body)
    body.insert(rng.randrange(len(body) + 1), Gather(branches))
    return replace(program, body=tuple(body), pure=False)


def with_undo(rng: random.Random, program: Program) -> Program:
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


def expecting(rng: random.Random, kind: str, program: Program) -> Program:
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


def brief(program: Program) -> Program:
    """Only sleep for half a second and do one step."""
    return replace(program, body=(Sleep(FIRST_SITE + 4, "rests", 500), Do(FIRST_SITE + 5, "ends")))


def leaving(program: Program) -> Program:
    """Fail with a step to undo, and a task that goes on for a second after its cancellation."""
    undo = Undo((Try(0, "fail"), Try(0, "fail"), Try()), 3, 2 * SECOND)
    task = Background((Finally((Local(MINUTE),), (Local(SECOND),)),))
    return replace(program, body=(Do(FIRST_SITE + 6, "undone", undo=undo), task, Fail()), pure=False)


def lingering(program: Program) -> Program:
    """Begin with a step that goes on for long after its cancellation."""
    step = Do(FIRST_SITE + 3, "lingers", (Try(20 * SECOND, "stubborn"), Try()))
    return replace(program, body=(step, *program.body))


def short(rng: random.Random, program: Program) -> Program:
    """Do a few things that are soon over."""
    body = [
        rng.choice(
            (
                Sleep(site, f"rests{site}", rng.choice((100, 500, 500, 2 * SECOND))),
                Do(site, f"does{site}", (Try(rng.choice((0, 0, 100, 700))),)),
                Do(site, f"does{site}", (Try(0, "fail"), Try(rng.choice((0, 300))))),
            )
        )
        for site in range(FIRST_SITE + 20, FIRST_SITE + 20 + rng.choice((1, 2, 2, 3)))
    ]
    return Program(tuple(body))


def beating(rng: random.Random, program: Program) -> Program:
    """Have a step go on for a while after its cancellation; beside it others begin now and then."""
    beats = tuple(
        Background((Local(rng.randrange(1, 16) * SECOND), Do(FIRST_SITE + 31 + one, f"beats{one}")))
        for one in range(rng.choice((3, 5)))
    )
    clings = Try(rng.choice((8, 20)) * SECOND, "stubborn", rng.choice((1, 6, 7, 9)) * SECOND)
    return Program((*beats, Do(FIRST_SITE + 30, "clings", (clings, Try())), Do(FIRST_SITE + 39, "ends")))


def giving_up(rng: random.Random, program: Program) -> Program:
    """Give steps up about when they end, and go on for a while."""
    body: list[Any] = []
    for site in range(FIRST_SITE + 40, FIRST_SITE + 40 + 4 * rng.choice((1, 2, 3)), 4):
        step = Do(site, f"given-up{site}", (Try(rng.choice((0, 20, 100, 400, 2 * SECOND))),))
        ms = rng.choice((20, 100, 300, 300, 700, 700))
        how = rng.choice(("timeout", "wait_for", "race", "race-of-steps"))
        if how == "race":
            body.append(Race(((step,), (Local(ms),))))
        elif how == "race-of-steps":
            body.append(Race(((step,), (Do(site + 1, f"wins{site}", (Try(ms),)),))))
        else:
            body.append(Within(ms, (step,), how))
        if rng.random() < 0.7:
            body.append(Do(site + 2, f"goes-on{site}"))
        body.append(Sleep(site + 3, f"rests{site}", rng.choice((100, SECOND, 3 * SECOND))))
    return Program((*body, Do(FIRST_SITE + 59, "ends")))


def breaking_off(rng: random.Random, program: Program) -> Program:
    """Fail while tasks end their steps."""
    tasks = tuple(
        Background((Do(FIRST_SITE + 60 + one, f"beside{one}", (Try(rng.choice((0, 20, 100))),)),))
        for one in range(rng.choice((2, 3)))
    )
    return Program((*tasks, Local(rng.choice((1, 20, 100, 200))), Fail()))


def resting(rng: random.Random, program: Program) -> Program:
    """Wait for this and that, in memory."""

    def waits(site: int) -> Any:
        ms = rng.choice((SECOND, 3 * SECOND, 7 * SECOND))
        if rng.random() < 0.6:
            return Sleep(site, f"rests{site}", ms)
        return Wait(site, f"expects{site}", "a", ms)

    sites = range(FIRST_SITE + 70, FIRST_SITE + 70 + rng.choice((2, 3, 4)))
    alone = tuple(waits(site) for site in sites)
    if rng.random() < 0.4:
        return Program((Gather(tuple((one,) for one in alone)), waits(FIRST_SITE + 79)))
    return Program(alone)


def undone_later(rng: random.Random, program: Program) -> Program:
    """Do things that can be undone, and then nothing for long."""
    steps = tuple(
        Do(
            FIRST_SITE + 80 + one,
            f"undone{one}",
            undo=Undo(
                (Try(rng.choice((0, 100)), rng.choice(("ok", "ok", "fail"))), Try()), rng.choice((0, 1, 3))
            ),
        )
        for one in range(rng.choice((1, 2, 3)))
    )
    return Program((*steps, Sleep(FIRST_SITE + 89, "rests", rng.choice((10 * SECOND, MINUTE)))))


def slow_to_end(rng: random.Random, program: Program) -> Program:
    """Fail, and leave tasks behind that take their time to end."""
    tasks = tuple(
        Background((Finally((Local(MINUTE),), (Local(rng.choice((SECOND, 3 * SECOND))),)),))
        for _ in range(rng.choice((1, 2)))
    )
    step = Do(FIRST_SITE + 90, "before", (Try(rng.choice((0, 100))),))
    if rng.random() < 0.4:
        step = replace(step, undo=Undo((Try(rng.choice((0, SECOND))),)))
    return Program((step, *tasks, Local(rng.choice((0, 20, 300))), Fail()))


def namesakes(rng: random.Random, program: Program) -> Program:
    """Have tasks side by side give their steps one name; what comes before them takes its time on each replay, or once.

    The order in which the tasks reach their steps is another one on a replay.
    """

    def branch(site: int) -> tuple[Any, ...]:
        ms = rng.choice((0, 20, 200, SECOND))
        before = Local(ms) if rng.random() < 0.5 else Do(site, f"before {site}", (Try(ms),))
        rest = (
            Do(site + 1, "x", (Try(rng.choice((0, 20, 100))),)),
            Sleep(site + 2, "y", rng.choice((100, SECOND))),
        )
        return (before, *rest[: rng.choice((1, 2, 2))])

    sites = range(FIRST_SITE + 100, FIRST_SITE + 100 + 3 * rng.choice((2, 3)), 3)
    end = Sleep(FIRST_SITE + 119, "rests", rng.choice((100, 3 * SECOND)))
    return Program((Gather(tuple(map(branch, sites)), "gather-all"), end), shared_names=True)
