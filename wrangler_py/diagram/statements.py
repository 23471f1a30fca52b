"""Statements: the order in which steps run, and what that depends on."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from wrangler_py.diagram.expressions import Expressions
from wrangler_py.diagram.frame import Frame
from wrangler_py.diagram.modules import Function
from wrangler_py.diagram.nodes import Block, Branch, Break, Loop, Node, Switch, Try, leaves
from wrangler_py.diagram.texts import source
from wrangler_py.diagram.values import Declaration, Group, Local, Many, Value


class Statements:
    """Reader of the statements of one function."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._expressions = frame, Expressions(frame)

    def block(self, body: Sequence[ast.stmt], *, loop: bool = False) -> list[Node]:
        """Return what statements run."""
        with self._frame.into(loop=loop) as nodes:
            self.read(body)
        return nodes

    def read(self, body: Sequence[ast.stmt]) -> None:
        """Append what statements run, up to one that ends the block."""
        for statement in body:
            self._statement(statement)
            if isinstance(statement, ast.Return | ast.Break | ast.Continue | ast.Raise):
                break

    def _statement(self, node: ast.stmt) -> None:
        visit_parts = self._expressions.visit_parts
        read: Callable[[Any], object] = getattr(self, f"_{type(node).__name__.lower()}", visit_parts)
        read(node)

    def _assign(self, node: ast.Assign) -> None:
        found = self._expressions.visit(node.value)
        for target in node.targets:
            self._frame.bind(target, found, node.value)

    def _annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._frame.bind(node.target, self._expressions.visit(node.value), node.value)

    def _augassign(self, node: ast.AugAssign) -> None:
        found = self._expressions.visit(node.value)
        if isinstance(node.target, ast.Name) and isinstance(
            many := self._frame.names.get(node.target.id), Many
        ):
            many.add(found, self._frame.depth)

    def _return(self, node: ast.Return) -> None:
        # A coroutine that is given back is awaited by the caller, where the call stands.
        self._frame.wait_for(self._expressions.visit(node.value))
        self._frame.out.append(Break("return"))

    def _break(self, _: ast.Break) -> None:
        self._frame.out.append(Break("break"))

    def _classdef(self, _: ast.ClassDef) -> None:
        """A class inside of a function does nothing yet."""

    def _functiondef(self, node: Function) -> None:
        function = Local(self._frame.module, node, self._frame.names)
        value: Value = function
        for decorator in reversed(node.decorator_list):
            found = self._expressions.visit(decorator)
            if isinstance(found, Declaration):
                value = self._expressions.calls.declare(found, function)
        self._frame.names[node.name] = value
        self._frame.constants[node.name] = None

    _asyncfunctiondef = _functiondef

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        """What is imported here is found like what the module imports, and by this function only."""
        names = {one.asname or one.name: node for one in node.names}
        for name in names:
            self._frame.names.pop(name, None)
        self._frame.module = self._frame.module._replace(names={**self._frame.module.names, **names})

    _importfrom = _import

    def _if(self, node: ast.If) -> None:
        self._expressions.visit(node.test)
        branches = [Branch(source(node.test), self.block(node.body))]
        rest = node.orelse
        while len(rest) == 1 and isinstance(rest[0], ast.If):
            other = rest[0]
            branches.append(Branch(source(other.test), self.block([ast.Expr(other.test), *other.body])))
            rest = other.orelse
        if rest:
            branches.append(Branch(None, self.block(rest)))
        self._frame.branch(branches)

    def _for(self, node: ast.For | ast.AsyncFor | ast.While) -> None:
        body: list[ast.stmt] = node.body
        if isinstance(node, ast.While):
            body = [ast.Expr(node.test), *body]
        else:
            self._expressions.visit(node.iter)
            self._frame.bind(node.target, None)
        nodes = self.block(body, loop=True)
        if any(one != Break("break") for one in leaves(nodes)):
            self._frame.out.append(Loop(nodes))
        self.read(node.orelse)

    _asyncfor = _while = _for

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        tried = self.block([*node.body, *node.orelse])
        ways = [Branch(source(one.type) if one.type else None, self.block(one.body)) for one in node.handlers]
        if len(ways) == 1:
            caught = ways[0].nodes
        else:
            with self._frame.into() as caught:
                self._frame.branch(ways)
        last = self.block(node.finalbody)
        if tried or caught or last:
            self._frame.out.append(Try(_block(tried), _block(caught), _block(last)))

    _trystar = _try

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        groups = []
        for item in node.items:
            self._expressions.visit(item.context_expr)
            if source(item.context_expr).endswith("TaskGroup()"):
                groups.append(Group(Many([], self._frame.depth)))
                if item.optional_vars is not None:
                    self._frame.bind(item.optional_vars, groups[-1])
            elif item.optional_vars is not None:
                self._frame.bind(item.optional_vars, None)
        nodes = self.block(node.body)
        self._frame.finish(groups, nodes)

    _asyncwith = _with

    def _match(self, node: ast.Match) -> None:
        self._expressions.visit(node.subject)
        branches = [Branch(_condition(one), self.block(one.body)) for one in node.cases]
        if any(one.nodes for one in branches):
            self._frame.out.append(Switch(source(node.subject), branches))


def _condition(case: ast.match_case) -> str | None:
    pattern = source(case.pattern)
    if case.guard is None:
        return None if pattern == "_" else pattern
    return f"{pattern} if {source(case.guard)}"


def _block(nodes: list[Node]) -> Block | None:
    return Block(nodes) if nodes else None
