"""What a diagram is made of (PyPI ``cloudflare``, ``types/workflows/version_graph_response.py``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

#: Milliseconds, or a text such as "10 seconds".
Duration: TypeAlias = int | float | str
Backoff: TypeAlias = Literal["constant", "linear", "exponential"]
ParallelKind: TypeAlias = Literal["all", "any", "all_settled", "race"]


class Retries(msgspec.Struct, frozen=True):
    """How a step is tried again."""

    limit: int | float
    delay: Duration
    backoff: Backoff


class StepConfig(msgspec.Struct, frozen=True):
    """The settings of a step."""

    retries: Retries
    timeout: Duration


class EventOptions(msgspec.Struct, frozen=True):
    """What is waited for, and how long."""

    event_type: str
    timeout: Duration


class Named(msgspec.Struct):
    """What has a name; for a step the one it is given, f-strings as ``get cat: {cat}``."""

    name: str


class Timed(Named, kw_only=True):
    """What can run beside other things: when it is started and when it is waited for, counted within its function.

    Neither is given for what is awaited where it stands.
    """

    starts: int | UnsetType = UNSET
    resolves: int | UnsetType = UNSET


class StepDo(Timed, tag_field="type", tag="step_do"):
    """A step; ``nodes`` are those inside of its callback."""

    config: StepConfig
    nodes: list[Node]


class StepSleep(Timed, tag_field="type", tag="step_sleep"):
    """A sleep."""

    duration: Duration


class StepSleepUntil(Timed, tag_field="type", tag="step_sleep_until"):
    """A sleep until an instant, as the source writes it."""

    timestamp: str


class StepWaitForEvent(Timed, tag_field="type", tag="step_wait_for_event"):
    """A wait for an event."""

    options: EventOptions


class FunctionCall(Timed, tag_field="type", tag="function_call"):
    """A call of one of the functions of the diagram."""


class FunctionDef(msgspec.Struct, tag_field="type", tag="function_def"):
    """A function with steps in it."""

    name: str
    nodes: list[Node]


class Loop(msgspec.Struct, tag_field="type", tag="loop"):
    """What may run any number of times."""

    nodes: list[Node]


class Parallel(msgspec.Struct, tag_field="type", tag="parallel"):
    """What runs at the same time."""

    kind: ParallelKind
    nodes: list[Node]


class Block(msgspec.Struct, tag_field="type", tag="block"):
    """A sequence."""

    nodes: list[Node]


class Try(msgspec.Struct, tag_field="type", tag="try"):
    """``try``, ``except`` and ``finally``."""

    try_block: Block | None = None
    catch_block: Block | None = None
    finally_block: Block | None = None


class Branch(msgspec.Struct):
    """One way of several; ``condition`` None: what is left."""

    condition: str | None
    nodes: list[Node]


class If(msgspec.Struct, tag_field="type", tag="if"):
    """One of several ways, or none."""

    branches: list[Branch]


class Switch(msgspec.Struct, tag_field="type", tag="switch"):
    """One of several ways, by what a value looks like."""

    discriminant: str
    branches: list[Branch]


class Break(msgspec.Struct, tag_field="type", tag="break"):
    """The end of a loop, or of the function."""

    kind: Literal["break", "return"]


Step: TypeAlias = StepDo | StepSleep | StepSleepUntil | StepWaitForEvent | FunctionCall
Way: TypeAlias = Loop | Parallel | Block | Try | If | Switch | Break
Node: TypeAlias = Step | FunctionDef | Way


def leaves(nodes: Iterable[Node]) -> Iterator[Step | FunctionDef | Break]:
    """Give the steps, calls and ends among nodes, at any depth of loops, branches and blocks."""
    for node in nodes:
        match node:
            case Loop() | Parallel() | Block():
                yield from leaves(node.nodes)
            case If() | Switch():
                yield from leaves(one for way in node.branches for one in way.nodes)
            case Try():
                blocks = (node.try_block, node.catch_block, node.finally_block)
                yield from leaves(one for block in blocks if block for one in block.nodes)
            case _:
                yield node


class Workflow(msgspec.Struct):
    """A class: what `run()` does, and the functions with steps that it calls."""

    class_name: str
    functions: dict[str, FunctionDef]
    nodes: list[Node]


class Graph(msgspec.Struct):
    """A diagram; ``version`` is that of its form."""

    workflow: Workflow
    version: int = 1
