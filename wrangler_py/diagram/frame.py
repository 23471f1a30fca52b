"""State of reading one function: what its names stand for, and the nodes found so far."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Protocol

from wrangler_py.diagram.modules import Module, Modules
from wrangler_py.diagram.nodes import Block, Branch, If, Node, Parallel
from wrangler_py.diagram.values import Coroutine, Declared, Group, Local, Many, Task, Value


class Book(Protocol):
    """All that the functions of one workflow share; `reader` has it."""

    modules: Modules
    #: Steps by name, as parameters of later ones name them.
    declared: dict[str, Declared]

    def target(self, frame: Frame, node: ast.expr) -> Value | None:
        """Return the project's step or function that an expression names."""

    def function(self, target: Local, names: Mapping[str, Value | None]) -> str | None:
        """Return the name of a function in the diagram; None if there is no step in it."""

    def inside(self, callback: Local) -> list[Node]:
        """Return the nodes inside of a step's callback."""


class Frame:
    """One function while it is read. Nodes that run are appended to ``out``."""

    def __init__(self, book: Book, module: Module, names: Mapping[str, Value | None]) -> None:
        self.book, self.module = book, module
        self.names: dict[str, Value | None] = dict(names)
        self.constants: dict[str, ast.expr | None] = {}
        self.out: list[Node] = []
        #: Loops around what is read just now.
        self.depth = 0
        #: Steps whose results are there: dependencies run once in a run.
        self.ran: set[Declared] = set()
        self._moments = count(1)

    @contextmanager
    def into(self, *, loop: bool = False) -> Iterator[list[Node]]:
        """Gather what runs inside in a list of its own."""
        before, self.out = self.out, []
        self.depth += loop
        try:
            yield self.out
        finally:
            self.out = before
            self.depth -= loop

    def lookup(self, name: str) -> ast.expr | None:
        """Return the expression a name was assigned, once, in the function or the module."""
        if name in self.constants or name in self.names:
            return self.constants.get(name)
        found = self.book.modules.find(self.module, name)
        statement = found.statement if found else None
        return statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None

    def bind(self, target: ast.expr, value: Value | None, expression: ast.expr | None = None) -> None:
        """Note what a name stands for from now on."""
        if isinstance(target, ast.Name):
            again = target.id in self.names
            self.names[target.id] = value
            self.constants[target.id] = None if again else expression
        elif isinstance(target, ast.Tuple | ast.List):
            parts = expression.elts if isinstance(expression, ast.Tuple | ast.List) else []
            items = value.items if isinstance(value, Many) and len(value.items) == len(target.elts) else []
            for place, one in enumerate(target.elts):
                self.bind(
                    one,
                    items[place] if items else None,
                    parts[place] if len(parts) == len(target.elts) else None,
                )

    def many(self, values: Iterable[Value | None]) -> Many:
        """Return a collection of values, each taken when the iterable gives it."""
        many = Many([], self.depth)
        for value in values:
            many.add(value, self.depth)
        return many

    def branch(self, branches: Iterable[Branch]) -> None:
        """Append a choice, if anything runs in one of its ways."""
        found = list(branches)
        if any(one.nodes for one in found):
            self.out.append(If(found))

    def wait_for(self, value: Value | None) -> None:
        """Append what runs when a value is awaited."""
        match value:
            case Coroutine(nodes=nodes, tasks=tasks):
                self.out.extend(nodes)
                self._resolve(tasks)
            case Task():
                self._resolve([value])

    def _resolve(self, tasks: list[Task]) -> None:
        if tasks:
            moment = next(self._moments)
            for task in tasks:
                task.mark(resolves=moment)

    def start(self, value: Value | None) -> Task | None:
        """Append what a task runs; return the task."""
        if not isinstance(value, Coroutine) or not value.nodes:
            return None
        task = Task(value.nodes)
        task.mark(starts=next(self._moments))
        self.out.extend(value.nodes)
        return task

    def finish(self, groups: list[Group], own: list[Node]) -> None:
        """Append what ran while task groups, if any, were open: their tasks beside the rest."""
        ways = [one for group in groups for item in group.started.items for one in as_one(item.nodes)]
        self.out += [Parallel("all", [*ways, *as_one(own)])] if ways else own


def as_one(nodes: list[Node]) -> list[Node]:
    """Return nodes as one way beside others: a block if they are several."""
    return [Block(nodes)] if len(nodes) > 1 else nodes
