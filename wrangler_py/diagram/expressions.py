"""Expressions: which steps they run, start or stand for."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from wrangler_py.diagram.calls import Calls
from wrangler_py.diagram.frame import Frame
from wrangler_py.diagram.nodes import Branch, Loop, Node
from wrangler_py.diagram.texts import source
from wrangler_py.diagram.values import Coroutine, Local, Many, Task, Value


class Expressions:
    """Reader of the expressions of one function; ``calls`` reads the calls among them."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.calls = Calls(frame, self.visit)

    def visit(self, node: ast.expr | None) -> Value | None:
        """Read an expression; return what it stands for."""
        if node is None:
            return None
        read: Callable[[Any], Value | None] = getattr(
            self, f"_{type(node).__name__.lower()}", self.visit_parts
        )
        return read(node)

    def _call(self, node: ast.Call) -> Value | None:
        return self.calls.read(node)

    def _name(self, node: ast.Name) -> Value | None:
        return self._frame.names.get(node.id)

    def _await(self, node: ast.Await) -> None:
        self._frame.wait_for(self.visit(node.value))

    def _lambda(self, node: ast.Lambda) -> Local:
        return Local(self._frame.module, node, self._frame.names)

    def _starred(self, node: ast.Starred) -> Value | None:
        return self.visit(node.value)

    def _namedexpr(self, node: ast.NamedExpr) -> Value | None:
        found = self.visit(node.value)
        self._frame.bind(node.target, found, node.value)
        return found

    def _ifexp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        ways = [(source(node.test), node.body), (None, node.orelse)]
        self._frame.branch(Branch(condition, self._apart(one)) for condition, one in ways)

    def _boolop(self, node: ast.BoolOp) -> None:
        first, *rest = node.values
        self.visit(first)
        goes_on = first if isinstance(node.op, ast.And) else ast.UnaryOp(ast.Not(), first)
        self._frame.branch([Branch(source(goes_on), [one for value in rest for one in self._apart(value)])])

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Many:
        return self._frame.many(self.visit(one) for one in node.elts)

    _tuple = _set = _list

    def visit_parts(self, node: ast.AST) -> None:
        """Read the expressions directly inside a node."""
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.expr):
                self.visit(part)
            elif isinstance(part, ast.keyword):
                self.visit(part.value)

    def _apart(self, node: ast.expr) -> list[Node]:
        with self._frame.into() as nodes:
            self.visit(node)
        return nodes

    def _listcomp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Many | None:
        self.visit(node.generators[0].iter)
        with self._frame.into(loop=True) as nodes:
            for number, one in enumerate(node.generators):
                if number:
                    self.visit(one.iter)
                self._frame.bind(one.target, None)
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
            self._frame.out.append(Loop(nodes))
        many = Many([], self._frame.depth)
        many.add(Coroutine(value.nodes) if isinstance(value, Task) else value, self._frame.depth + 1)
        return many

    _setcomp = _generatorexp = _dictcomp = _listcomp
