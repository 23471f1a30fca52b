"""A run as plain data, drawn from a seed: the programs, how many engines, and a script of what happens to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from tests.simulation.programs import MINUTE, SECOND, Program, deadly_attempts, draw, edited, enriched, show
from tests.simulation.season import Situation, seasoned


@dataclass(frozen=True)
class Action:
    """One line of the script: so many callbacks or milliseconds after the line before, something happens."""

    turns: int
    ms: int
    kind: str
    #: The instance it concerns, an index modulo those that were made; or a process, or a workflow.
    target: int = 0
    args: tuple[object, ...] = ()

    def __str__(self) -> str:
        when = f"+{self.turns} callbacks" if self.turns else f"+{self.ms} ms"
        told = " ".join(map(str, self.args))
        return f"{when:>16}  {self.kind} {self.target} {told}".rstrip()


@dataclass(frozen=True)
class Plan:
    """All that decides a run."""

    seed: int
    engines: int
    hibernate_after_ms: int
    look_s: float
    max_wait: float
    #: Which part of the store's calls is not answered in the same turn.
    slow_rate: float
    #: The share of its reading calls that is refused.
    deaf_rate: float
    #: Workflows, and how many of their instances may execute at once.
    workflows: dict[str, int | None]
    #: Programs, each in all its versions.
    programs: tuple[tuple[Program, ...], ...]
    script: tuple[Action, ...]
    #: Calls of the store that always take long, and how many seconds.
    slow_calls: tuple[tuple[str, float], ...] = ()

    @property
    def with_faults(self) -> bool:
        """True if something else than users acts on instances."""
        return self.deaf_rate > 0 or any(action.kind in FAULTS for action in self.script)

    @cached_property
    def deadly_attempts(self) -> int:
        """The number of attempts that end their process, in all lives of all instances at most."""
        lives = 1 + sum(action.kind.startswith("restart") for action in self.script)
        created = [action for action in self.script if action.kind in ("create", "batch")]
        return lives * sum(
            (1 + (action.kind == "batch"))
            * max(map(deadly_attempts, self.programs[int(str(action.args[1]))]))
            for action in created
        )

    def show(self) -> str:
        """Return the plan as text to read."""
        lines = [
            (
                f"seed {self.seed}: {self.engines} engines, hibernate after {self.hibernate_after_ms} ms, "
                f"look every {self.look_s} s, slow rate {self.slow_rate}, deaf rate {self.deaf_rate}, "
                f"workflows {self.workflows}, slow calls {dict(self.slow_calls)}"
            )
        ]
        used = {action.args[1] for action in self.script if action.kind in ("create", "batch")}
        for number, versions in enumerate(self.programs):
            for version, program in enumerate(versions if number in used else ()):
                if version and program == versions[version - 1]:
                    continue
                flags = " pure" * program.pure + " shared-names" * program.shared_names
                lines.append(f"program {number} version {version}:{flags}")
                lines.extend(show(program.body, "    "))
        lines.append("script:")
        lines.extend(f"  {action}" for action in self.script)
        return "\n".join(lines)


FAULTS = frozenset({"kill", "refuse", "lose", "die-before", "die-after", "stop", "jump", "reload", "drain"})
_COMMANDS = (
    ("send", 10),
    ("pause", 4),
    ("resume", 4),
    ("terminate", 3),
    ("terminate-rollback", 2),
    ("restart", 3),
    ("restart-from", 2),
    ("delete", 1),
    ("create-again", 1),
    ("terminate-all", 0.4),
    ("follow", 1.5),
)
_FAULT_KINDS = (
    ("kill", 4),
    ("refuse", 2),
    ("lose", 2),
    ("die-before", 2),
    ("die-after", 2),
    ("stop", 2),
    ("jump", 2),
    ("reload", 1),
    ("drain", 1.5),
)


def make_plan(seed: int, wanted: Situation | None = None) -> Plan:
    """Return the plan of a seed, or the one it has in a ``wanted`` situation."""
    rng = random.Random(seed)
    engines = rng.choice((1, 1, 1, 2, 2, 3))
    faulty = rng.random() < 0.8
    kinds = [kind for kind, _ in _FAULT_KINDS if rng.random() < 0.5] if faulty else []
    workflows = {"w0": None, "w1": rng.choice((1, 2, 3))}
    programs = []
    more = random.Random(f"more of {seed}")  # Of its own: most seeds are as they were before there was more.
    is_enriched = more.random() < 0.4
    for _ in range(rng.choice((2, 3, 4))):
        program = draw(rng, deadly=faulty)
        program = enriched(program, more) if is_enriched else program
        versions = [program]
        for _ in range(3):
            versions.append(edited(versions[-1], rng))
        programs.append(tuple(versions))
    drawn = Plan(
        seed=seed,
        engines=engines,
        hibernate_after_ms=rng.choice((0, 50, 1000, 10_000, 10_000)),
        look_s=rng.choice((0.5, 2.0, 4.0)),
        max_wait=rng.choice((5.0, 30.0)),
        slow_rate=rng.choice((0.0, 0.0, 0.05, 0.3)),
        deaf_rate=more.choice((0.0, 0.0, 0.0, 0.02)) if faulty else 0.0,
        workflows=workflows,
        programs=tuple(programs),
        script=tuple(_script(rng, len(programs), kinds)),
    )
    return seasoned(drawn, wanted)


def _script(rng: random.Random, programs: int, kinds: list[str]) -> list[Action]:
    count = rng.choice((1, 4, 8, 10, 14, 16))
    commanding, faulting = rng.choice((0.0, 0.5, 1.0, 2.0)), rng.choice((0.3, 0.6, 1.0))
    hurry = rng.choice((0.3, 0.7, 0.9))
    script = [_create(rng, 0, programs, hurry)]
    created = 1
    while created < count:
        kind = rng.choices(("create", "command", "fault"), (1, commanding, faulting if kinds else 0))[0]
        if kind == "create":
            script.append(_create(rng, created, programs, hurry))
            created += 1
        else:
            script.append(_happening(rng, kind, created, kinds, hurry))
    for _ in range(rng.choice((0, 3, 8))):
        kind = rng.choices(("command", "fault"), (commanding + 0.1, faulting if kinds else 0))[0]
        script.append(_happening(rng, kind, created, kinds, hurry))
    return script


def _when(rng: random.Random, hurry: float) -> tuple[int, int]:
    if rng.random() < hurry:
        return rng.choice((1, 2, 3, 5, 9, 14, 22, 35, 60, 120, 250)), 0
    return 0, rng.choice((1, 10, 100, 300, SECOND, 3 * SECOND, 3 * SECOND, 12 * SECOND))


def _create(rng: random.Random, number: int, programs: int, hurry: float) -> Action:
    workflow = rng.choice(("w0", "w0", "w1"))
    batch = rng.random() < 0.1
    return Action(
        *_when(rng, hurry),
        "batch" if batch else "create",
        number,
        (workflow, rng.randrange(programs), rng.randrange(3)),
    )


def _pick(rng: random.Random, choices: tuple[tuple[str, float], ...]) -> str:
    return rng.choices([kind for kind, _ in choices], [weight for _, weight in choices])[0]


def _happening(rng: random.Random, kind: str, created: int, kinds: list[str], hurry: float) -> Action:
    when = _when(rng, hurry)
    if kind == "command":
        command = _pick(rng, _COMMANDS)
        return Action(*when, command, _recent(rng, created), _ARGS.get(command, _any_process)(rng))
    chosen = _pick(rng, tuple(pair for pair in _FAULT_KINDS if pair[0] in kinds))
    return Action(*when, chosen, rng.randrange(3), _ARGS.get(chosen, _none)(rng))


def _recent(rng: random.Random, created: int) -> int:
    """Return an instance: mostly one of the last, which are still under way."""
    return max(0, created - 1 - int(rng.expovariate(0.5)))


def _none(rng: random.Random) -> tuple[object, ...]:
    return ()


def _any_process(rng: random.Random) -> tuple[object, ...]:
    return (rng.randrange(3),)


def _stop(rng: random.Random) -> tuple[object, ...]:
    return rng.choice((0.5, 3.0, 9.0, 14.0, 40.0)), rng.random() < 0.7


def _jump(rng: random.Random) -> tuple[object, ...]:
    ms = rng.choice((5, 200, SECOND, 8 * SECOND, 15 * SECOND, 2 * MINUTE, 20 * MINUTE))
    return (ms * rng.choice((1, -1)),)


_ARGS: dict[str, Callable[[random.Random], tuple[object, ...]]] = {
    "send": lambda rng: (rng.randrange(3), rng.choice("ab")),
    "restart-from": lambda rng: (rng.randrange(3), rng.randrange(6)),
    "refuse": lambda rng: (rng.choice((0, 1, 2, 5)),),
    "lose": lambda rng: (rng.choice((0, 1, 2, 5)),),
    "die-before": lambda rng: (rng.choice((0, 1, 2, 5)),),
    "die-after": lambda rng: (rng.choice((0, 1, 2, 5)),),
    "stop": _stop,
    "jump": _jump,
    "drain": lambda rng: (rng.choice((0.0, 0.1, 2.0)),),
    "reload": lambda rng: (rng.choice((0.0, 0.1, 2.0)),),
}
