"""What an expression may stand for, as far as a diagram is concerned; everything else is None."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from wrangler_py.diagram.modules import Function, Module
from wrangler_py.diagram.nodes import Loop, Node, Timed


class Steps:
    """The object that steps are called on."""


@dataclass(slots=True)
class Coroutine:
    """What runs when it is awaited: ``nodes``, while ``tasks`` are waited for."""

    nodes: list[Node]
    tasks: list[Task] = field(default_factory=list)


@dataclass(slots=True)
class Task:
    """What has been started."""

    nodes: list[Node]

    def mark(self, *, starts: int | None = None, resolves: int | None = None) -> None:
        """Note when it was started, or waited for."""
        for node in self.nodes:
            if isinstance(node, Timed) and starts is not None:
                node.starts = starts
            if isinstance(node, Timed) and resolves is not None:
                node.resolves = resolves


@dataclass(slots=True)
class Many:
    """A collection of what can be awaited, made where ``depth`` loops are around."""

    items: list[Coroutine | Task]
    depth: int = 0

    def add(self, value: Value | None, depth: int) -> None:
        """Take in one more; what is added within a loop may be any number."""
        match value:
            case Many(items=items):
                self.items.extend(items)
            case Coroutine(nodes=nodes, tasks=tasks) if depth > self.depth and nodes:
                self.items.append(Coroutine([Loop(nodes)], tasks))
            case Coroutine() | Task():
                self.items.append(value)


@dataclass(slots=True)
class Group:
    """A task group; what it was given runs until its end."""

    started: Many


@dataclass(slots=True)
class Declaration:
    """``step.do(...)`` as a decorator."""

    name: ast.expr | None
    config: ast.expr | None
    depends: ast.expr | None
    is_concurrent: bool


@dataclass(slots=True, eq=False)
class Declared:
    """A step that runs when it is called, after those it depends on."""

    name: str
    config: ast.expr | None
    callback: Local
    depends: Sequence[Declared]
    is_concurrent: bool


@dataclass(slots=True)
class Local:
    """A function or lambda; ``around`` is what the names outside of it stand for."""

    module: Module
    function: Function | ast.Lambda
    around: Mapping[str, Value | None]
    is_method: bool = False

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters, without ``self``."""
        given = self.function.args
        names = [one.arg for one in (*given.posonlyargs, *given.args)]
        return [*names[self.is_method :], *(one.arg for one in given.kwonlyargs)]


Value: TypeAlias = Steps | Coroutine | Task | Many | Group | Declaration | Declared | Local
STEPS = Steps()
