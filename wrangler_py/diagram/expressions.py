"""Expressions: which steps they run, start or stand for."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from wrangler_py.diagram.nodes import (
    Block,
    Branch,
    If,
    Loop,
    Node,
    Parallel,
)
from wrangler_py.diagram.texts import source
from wrangler_py.diagram.values import (
    Coroutine,
    Declared,
    Group,
    Local,
    Many,
    Task,
    Value,
)

if TYPE_CHECKING:
    from wrangler_py.diagram.modules import Module
    from wrangler_py.diagram.reader import Book


class Expressions:
    """Reads the expressions of one function. What runs is appended to ``out``."""

    def __init__(self, book: Book, module: Module, names: Mapping[str, Value | None]) -> None:
        self.book, self.module = book, module
        self.names: dict[str, Value | None] = dict(names)
        self.constants: dict[str, ast.expr | None] = {}
        self.out: list[Node] = []
        #: Loops around what is read just now.
        self.depth = 0
        #: Steps whose results are there: dependencies run once in a run.
        self._ran: set[Declared] = set()
        self._moments = count(1)

    # helpers

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

    # expressions

    def visit(self, node: ast.expr | None) -> Value | None:
        """Read an expression; return what it stands for."""
        if node is None:
            return None
        read: Callable[[Any], Value | None] = getattr(self, f"_{type(node).__name__.lower()}", self._other)
        return read(node)

    def _name(self, node: ast.Name) -> Value | None:
        return self.names.get(node.id)

    def _await(self, node: ast.Await) -> None:
        self.wait_for(self.visit(node.value))

    def _lambda(self, node: ast.Lambda) -> Local:
        return Local(self.module, node, self.names)

    def _starred(self, node: ast.Starred) -> Value | None:
        return self.visit(node.value)

    def _namedexpr(self, node: ast.NamedExpr) -> Value | None:
        found = self.visit(node.value)
        self.bind(node.target, found, node.value)
        return found

    def _ifexp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        ways = [(source(node.test), node.body), (None, node.orelse)]
        self.branch(Branch(condition, self._apart(one)) for condition, one in ways)

    def _boolop(self, node: ast.BoolOp) -> None:
        first, *rest = node.values
        self.visit(first)
        goes_on = first if isinstance(node.op, ast.And) else ast.UnaryOp(ast.Not(), first)
        self.branch([Branch(source(goes_on), [one for value in rest for one in self._apart(value)])])

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Many:
        return self._collect(node.elts)

    _tuple = _set = _list

    def _other(self, node: ast.AST) -> None:
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.expr):
                self.visit(part)
            elif isinstance(part, ast.keyword):
                self.visit(part.value)

    def _apart(self, node: ast.expr) -> list[Node]:
        with self.into() as nodes:
            self.visit(node)
        return nodes

    def branch(self, branches: Iterable[Branch]) -> None:
        """Append a choice, if anything runs in one of its ways."""
        found = list(branches)
        if any(one.nodes for one in found):
            self.out.append(If(found))

    def _collect(self, parts: Iterable[ast.expr]) -> Many:
        many = Many([], self.depth)
        for part in parts:
            many.add(self.visit(part), self.depth)
        return many

    def _listcomp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Many | None:
        self.visit(node.generators[0].iter)
        with self.into(loop=True) as nodes:
            for number, one in enumerate(node.generators):
                if number:
                    self.visit(one.iter)
                self.bind(one.target, None)
                for test in one.ifs:
                    self.visit(test)
            if isinstance(node, ast.DictComp):
                self.visit(node.key)
            value = self.visit(node.value if isinstance(node, ast.DictComp) else node.elt)
        if isinstance(value, Task):
            # Started one after the other, they run beside each other like coroutines that are gathered.
            started = value
            nodes = [one for one in nodes if not any(one is other for other in started.nodes)]
        if nodes:
            self.out.append(Loop(nodes))
        many = Many([], self.depth)
        many.add(Coroutine(value.nodes) if isinstance(value, Task) else value, self.depth + 1)
        return many

    _setcomp = _generatorexp = _dictcomp = _listcomp

    # running

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

    def _start(self, value: Value | None) -> Task | None:
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
