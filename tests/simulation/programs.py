"""Workflows as plain data: what `run()` of a simulated instance does, statement by statement.

A program is a list of statements. Every call of a step has a `site`, a number of its own: what the site was given,
and what was executed for it, can be followed through replays. `draw` makes a program from randomness, `show` prints
one, `edited` makes another version of it, as a user does who changes code under instances that run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

SECOND = 1000
MINUTE = 60 * SECOND
#: Commands that a step gives on its own instance.
STEERING = ("terminate", "pause", "delete")


@dataclass(frozen=True)
class Try:
    """The behaviour of one attempt of a step: its duration, then its end.

    ``outcome``: "ok", "fail", "final" (NonRetryableError), "die" (the process ends), "stubborn" (swallows its
    cancellation and goes on for long), "exit" (raises SystemExit), "cancel" (raises a CancelledError of its own), "bad"
    (returns what cannot be stored), "stream" (returns a stream of bytes), "big" (a stream of two chunks), "late"
    (swallows its cancellation and returns), "stop" (raises StopIteration), or a command of `STEERING` that the step
    gives on its own instance.
    """

    ms: int = 0
    outcome: str = "ok"
    #: How long it goes on after its cancellation if it swallows that; 0: as the interpreter says.
    after: int = 0


@dataclass(frozen=True)
class Undo:
    """How a step is undone."""

    tries: tuple[Try, ...] = (Try(),)
    limit: int = 1
    delay: int = 100


@dataclass(frozen=True)
class Do:
    """``step.do``. ``tries``: by attempt, the last one for all that follow."""

    site: int
    name: str
    tries: tuple[Try, ...] = (Try(),)
    limit: int = 2
    delay: int | str = 100
    backoff: str = "constant"
    timeout: int = 60 * SECOND
    threaded: bool = False
    undo: Undo | None = None
    body: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Sleep:
    """``step.sleep``, or ``step.sleep_until`` so long after the instance was created."""

    site: int
    name: str
    ms: int
    until: bool = False


@dataclass(frozen=True)
class Wait:
    """``step.wait_for_event``."""

    site: int
    name: str
    type: str
    timeout: int


@dataclass(frozen=True)
class Gather:
    """Branches that run side by side.

    ``how``: "gather", "gather-all" (return_exceptions), "group" (TaskGroup), "limited" (a semaphore lets two of them
    run at once), "as-completed" (each is taken up when it is over), or "queue" (each puts its value in a queue that
    another task reads).
    """

    branches: tuple[tuple[Any, ...], ...]
    how: str = "gather"


@dataclass(frozen=True)
class Race:
    """``asyncio.wait(FIRST_COMPLETED)``; the others are then cancelled, or awaited."""

    branches: tuple[tuple[Any, ...], ...]
    losers: str = "cancel"


@dataclass(frozen=True)
class Background:
    """A task that goes on beside what follows, until ``Join`` or the end of the program."""

    body: tuple[Any, ...]
    #: Cancel it at the end instead of awaiting it.
    cancel: bool = False
    #: Its body is one step, and the task is given the call of that itself.
    eager: bool = False


@dataclass(frozen=True)
class Within:
    """``asyncio.timeout`` or ``asyncio.wait_for`` around statements; expiry is caught."""

    ms: int
    body: tuple[Any, ...]
    how: str = "timeout"


@dataclass(frozen=True)
class Local:
    """``asyncio.sleep``: a timer of the user's own."""

    ms: int


@dataclass(frozen=True)
class Catch:
    """``try``/``except Exception`` around statements."""

    body: tuple[Any, ...]


@dataclass(frozen=True)
class Finally:
    """``try``/``finally``: ``cleanup`` is executed however ``body`` ends, also when it is cancelled."""

    body: tuple[Any, ...]
    cleanup: tuple[Any, ...]


@dataclass(frozen=True)
class Shield:
    """``asyncio.shield`` around statements: they go on when what awaits them is cancelled."""

    body: tuple[Any, ...]


@dataclass(frozen=True)
class Fail:
    """``raise`` in `run()`.

    ``kind``: "error", "final", "mute" (its text cannot be made) or "bad": nothing is raised, and what `run()` returns
    cannot be stored.
    """

    kind: str = "error"


@dataclass(frozen=True)
class Steer:
    """A command, "terminate" or "delete", that `run()` gives on its own instance."""

    kind: str = "terminate"


@dataclass(frozen=True)
class Program:
    """The program of one kind of instance."""

    body: tuple[Any, ...]
    #: Only steps decide when something happens: no timer of the user's own, no cancellation.
    pure: bool = False
    #: Two calls of steps that go on side by side have one name.
    shared_names: bool = False

    @property
    def certain(self) -> bool:
        """True if its output does not depend on time, events or failures."""
        return all(_is_certain(one) for one in walk(self.body))


def _is_certain(one: Any) -> bool:
    if isinstance(one, Do):
        return all(each.outcome in ("ok", "stream") and each.ms < one.timeout for each in one.tries)
    return not isinstance(one, Race | Within | Wait | Fail | Background | Steer) and not (
        isinstance(one, Sleep) and one.until
    )


def walk(body: tuple[Any, ...]) -> list[Any]:
    """Return all statements of a body, outer ones first."""
    found = []
    for one in body:
        found.append(one)
        for inner in children(one):
            found.extend(walk(inner))
    return found


def deadly_attempts(program: Program) -> int:
    """Return how many attempts of a program end their process at most."""
    steps = [one for one in walk(program.body) if isinstance(one, Do)]
    return sum(one.limit + 1 for one in steps if any(each.outcome == "die" for each in one.tries))


def children(one: Any) -> tuple[tuple[Any, ...], ...]:
    """Return the bodies inside a statement."""
    if isinstance(one, Gather | Race):
        return one.branches
    if isinstance(one, Finally):
        return one.body, one.cleanup
    if isinstance(one, Background | Within | Catch | Shield | Do):
        return (one.body,)
    return ()


def with_children(one: Any, bodies: tuple[tuple[Any, ...], ...]) -> Any:
    """Return a statement with other bodies inside."""
    if isinstance(one, Gather | Race):
        return replace(one, branches=bodies)
    if isinstance(one, Finally):
        return replace(one, body=bodies[0], cleanup=bodies[1])
    return replace(one, body=bodies[0]) if bodies else one


# drawing --------------------------------------------------------------------------------------------------------------


@dataclass
class Drawing:
    """The source from which a program is drawn, and the number of statements left to it."""

    rng: random.Random
    pure: bool
    shared_names: bool
    left: int
    with_undo: bool
    deadly: bool
    sites: int = 0
    names: list[str] = field(default_factory=list)

    def site(self) -> int:
        """Return a fresh site."""
        self.sites += 1
        return self.sites

    def name(self, site: int) -> str:
        """Return the name of a step: of its own, or (also in parallel, if that is allowed) one of a few."""
        if self.shared_names and self.rng.random() < 0.5:
            return self.rng.choice("xy")
        return f"s{site}"


def draw(rng: random.Random, *, deadly: bool) -> Program:
    """Return a random program."""
    pure = rng.random() < 0.4
    shared = rng.random() < 0.4
    drawing = Drawing(
        rng, pure, shared, rng.choice((2, 4, 6, 9, 14)), rng.random() < 0.3, deadly and rng.random() < 0.1
    )
    return Program(_body(drawing, 0, least=1), pure, shared)


def _body(drawing: Drawing, depth: int, *, least: int = 0, nested: bool = False) -> tuple[Any, ...]:
    rng = drawing.rng
    most = max(least, rng.choice((1, 1, 2, 3) if depth else (1, 2, 3, 5, 7)))
    body = []
    for _ in range(most):
        if drawing.left <= 0 and len(body) >= least:
            break
        drawing.left -= 1
        body.append(_statement(drawing, depth, nested))
    return tuple(body)


_LEAVES = ("do",) * 10 + ("sleep",) * 4 + ("wait",) * 3
_PURE_BRANCHES = ("gather",) * 4 + ("catch",) * 2 + ("background",)
_BRANCHES = (
    *_PURE_BRANCHES, "race", "race", "race", "within", "within", "within", "local", "local", "cancelled", "fail"
)  # fmt: skip


def _statement(drawing: Drawing, depth: int, nested: bool) -> Any:
    rng = drawing.rng
    kinds = _LEAVES
    if depth < 3 and not nested and rng.random() < 0.4:
        kinds = _PURE_BRANCHES if drawing.pure else _BRANCHES
    return _DRAWN[rng.choice(kinds)](drawing, depth, nested)


def _do(drawing: Drawing, depth: int, nested: bool) -> Do:
    rng, site = drawing.rng, drawing.site()
    threaded = rng.random() < 0.12
    timeout = 60 * SECOND
    tries = [_try(rng, threaded, drawing.deadly) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if rng.random() < 0.15:
        timeout = rng.choice((50, 500, 5 * SECOND))
    limit: int = rng.choice((0, 1, 1, 2, 3, 5))
    body: tuple[Any, ...] = ()
    if depth < 2 and not nested and not threaded and rng.random() < 0.12:
        body = _body(drawing, depth + 1, nested=True)
    undo = None
    if drawing.with_undo and not nested and rng.random() < 0.6:
        undo = Undo(
            tuple(
                Try(rng.choice((0, 0, 100)), rng.choice(("ok", "ok", "ok", "fail")))
                for _ in range(rng.choice((1, 2)))
            ),
            rng.choice((0, 1, 3)),
        )
    if rng.random() < 0.08 and not body and not drawing.pure:  # A stream is read in its own time.
        tries[-1] = replace(tries[-1], outcome=rng.choice(("stream", "stream", "big")))
        threaded = False
    return Do(
        site,
        drawing.name(site),
        tuple(tries),
        limit,
        rng.choice((0, 0, 30, 100, SECOND, 20 * SECOND, "function")),
        rng.choice(("constant", "linear", "exponential")),
        timeout,
        threaded,
        undo,
        body,
    )


def _try(rng: random.Random, threaded: bool, deadly: bool) -> Try:
    ms = rng.choice((0, 0, 0, 0, 1, 20, 100, 400, 2 * SECOND))
    outcome = rng.choice(("ok",) * 12 + ("fail",) * 5 + ("final",))
    if deadly and rng.random() < 0.4:
        outcome = "die"
    elif rng.random() < 0.05 and not threaded:
        outcome = rng.choice(("stubborn", "stubborn", "cancel", "exit"))
    elif rng.random() < 0.01:
        outcome = rng.choice(("bad", "exit"))
    return Try(ms, outcome)


def _sleep(drawing: Drawing, depth: int, nested: bool) -> Sleep:
    rng, site = drawing.rng, drawing.site()
    ms = rng.choice((0, 1, 30, 100, 500, 500, 3 * SECOND, 3 * SECOND, 15 * SECOND, MINUTE))
    until = rng.random() < 0.15
    return Sleep(site, drawing.name(site), ms if not until else MINUTE + ms, until)


def _wait(drawing: Drawing, depth: int, nested: bool) -> Wait:
    rng, site = drawing.rng, drawing.site()
    timeout = rng.choice((100, SECOND, SECOND, 5 * SECOND, 30 * SECOND, MINUTE))
    return Wait(site, drawing.name(site), rng.choice("ab"), timeout)


def _branches(drawing: Drawing, depth: int) -> tuple[tuple[Any, ...], ...]:
    return tuple(_body(drawing, depth + 1, least=1) for _ in range(drawing.rng.choice((2, 2, 3))))


def _gather(drawing: Drawing, depth: int, nested: bool) -> Gather:
    how = "gather-all" if drawing.pure else drawing.rng.choice(("gather", "gather-all", "group"))
    return Gather(_branches(drawing, depth), how)


def _race(drawing: Drawing, depth: int, nested: bool) -> Race:
    return Race(_branches(drawing, depth), drawing.rng.choice(("cancel", "cancel", "await")))


def _background(drawing: Drawing, depth: int, nested: bool) -> Background:
    return Background(_body(drawing, depth + 1, least=1))


def _cancelled(drawing: Drawing, depth: int, nested: bool) -> Background:
    return Background(_body(drawing, depth + 1, least=1), cancel=True)


def _within(drawing: Drawing, depth: int, nested: bool) -> Within:
    rng = drawing.rng
    ms = rng.choice((0, 10, 100, 300, SECOND, 10 * SECOND, MINUTE))
    return Within(ms, _body(drawing, depth + 1, least=1), rng.choice(("timeout", "wait_for")))


def _local(drawing: Drawing, depth: int, nested: bool) -> Local:
    return Local(drawing.rng.choice((0, 1, 20, 200, SECOND, 20 * SECOND)))


def _catch(drawing: Drawing, depth: int, nested: bool) -> Catch:
    return Catch(_body(drawing, depth + 1, least=1))


def _fail(drawing: Drawing, depth: int, nested: bool) -> Fail:
    return Fail(drawing.rng.choice(("error", "error", "final", "mute", "bad")))


_DRAWN = {
    "do": _do,
    "sleep": _sleep,
    "wait": _wait,
    "gather": _gather,
    "race": _race,
    "background": _background,
    "cancelled": _cancelled,
    "within": _within,
    "local": _local,
    "catch": _catch,
    "fail": _fail,
}


def enriched(program: Program, rng: random.Random) -> Program:
    """Return a program in some of whose statements other means of asyncio are used: clean-up, shields, semaphores."""
    sites = max((one.site for one in walk(program.body) if hasattr(one, "site")), default=0)
    drawing = Drawing(rng, program.pure, program.shared_names, 0, False, False, sites)
    return replace(program, body=tuple(_enriched(one, drawing) for one in program.body))


def _inside(body: tuple[Any, ...], drawing: Drawing) -> tuple[Any, ...]:
    """Return the body of a callback that calls its steps side by side, or within a time of its own."""
    rng = drawing.rng
    if rng.random() < 0.3:
        return (Within(rng.choice((0, 10, 300, 10 * SECOND)), body, rng.choice(("timeout", "wait_for"))),)
    branches = [(each,) for each in body] + [(_do(drawing, 3, True),)]
    if rng.random() < 0.3:
        branches.append((Fail("error"),))
    inner = Gather(tuple(branches), rng.choice(("group", "group", "gather", "gather-all")))
    return (Catch((inner,)),) if rng.random() < 0.5 else (inner,)


def _enriched(one: Any, drawing: Drawing) -> Any:
    rng = drawing.rng
    if not isinstance(one, Do) and (bodies := children(one)):
        inner = tuple(tuple(_enriched(each, drawing) for each in body) for body in bodies)
        one = with_children(one, inner)
    chance = rng.random()
    if isinstance(one, Do) and one.body:
        return replace(one, body=_inside(one.body, drawing)) if chance < 0.7 else one
    if isinstance(one, Gather) and chance < 0.5:
        return replace(one, how=rng.choice(("limited", "as-completed", "queue")))
    if chance < 0.15:
        return Finally((one,), (rng.choice((_sleep, _do))(drawing, 2, False),))
    if chance < 0.25 and not drawing.pure:
        return Shield((one,))
    return one


# changing and showing -------------------------------------------------------------------------------------------------


def edited(program: Program, rng: random.Random) -> Program:
    """Return another version of a program: a statement is gone, there is a new one, or two have changed places."""
    body = list(program.body)
    place = rng.randrange(len(body))
    kind = rng.choice(("add", "remove", "swap", "same"))
    if kind == "add":
        body.insert(place, Do(1000 + rng.randrange(1000), "added"))
    elif kind == "remove" and len(body) > 1:
        del body[place]
    elif kind == "swap":
        other = rng.randrange(len(body))
        body[place], body[other] = body[other], body[place]
    return replace(program, body=tuple(body))


def show(body: tuple[Any, ...], indent: str = "") -> list[str]:
    """Return a body as lines to read."""
    lines = []
    for one in body:
        fields = {
            name: value
            for name, value in vars(one).items()
            if name not in ("body", "branches", "cleanup", "site") and value != getattr(type(one), name, None)
        }
        site = f" #{one.site}" if hasattr(one, "site") else ""
        told = " ".join(f"{name}={_short(value)}" for name, value in fields.items())
        lines.append(f"{indent}{type(one).__name__}{site} {told}".rstrip())
        for number, inner in enumerate(children(one)):
            if isinstance(one, Gather | Race):
                lines.append(f"{indent}  branch {number}:")
                lines.extend(show(inner, indent + "    "))
            elif inner:
                lines.extend(show(inner, indent + "    "))
    return lines


def _short(value: Any) -> str:
    if isinstance(value, Try):
        return f"{value.outcome}@{value.ms}ms"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_short, value)) + ")"
    if isinstance(value, Undo):
        return f"Undo({_short(value.tries)}, limit={value.limit})"
    return repr(value)
