"""A workflow's class -> its diagram."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from wrangler_py.diagram.frame import Frame
from wrangler_py.diagram.modules import Function, Module, Modules, dotted
from wrangler_py.diagram.nodes import Break, FunctionCall, FunctionDef, Node, Workflow, leaves
from wrangler_py.diagram.statements import Statements
from wrangler_py.diagram.values import STEPS, Declared, Local, Steps, Value

#: Functions in functions, each called twice, make a diagram that doubles with each of them.
MOST_READS = 10_000


class TooLargeError(Exception):
    """The diagram would be too large for anybody to look at."""


def read_workflow(modules: Modules, module: Module, owner: ast.ClassDef) -> Workflow:
    """Return the diagram of a class; one without `run()` does nothing.

    Raises:
        TooLargeError, RecursionError: it is too large, or the code is nested too deep.
    """
    book = Book(modules, module, owner)
    found = modules.method(module, owner, "run")
    nodes = book.read_run(*found) if found else []
    return Workflow(owner.name, book.functions, nodes)


class Book:
    """What the functions of one workflow have in common."""

    def __init__(self, modules: Modules, module: Module, owner: ast.ClassDef) -> None:
        self.modules = modules
        self.functions: dict[str, FunctionDef] = {}
        #: Steps by name, as parameters of later ones name them.
        self.declared: dict[str, Declared] = {}
        self._module, self._owner = module, owner
        self._names: dict[tuple[ast.AST, frozenset[str]], str | None] = {}
        self._inside: set[ast.AST] = set()
        self._reads = 0

    def read_run(self, module: Module, run: Function) -> list[Node]:
        """Return what `run(self, event, step)` does."""
        parameters = [one.arg for one in (*run.args.posonlyargs, *run.args.args)]
        names: dict[str, Value | None] = dict.fromkeys(parameters)
        names.update(dict.fromkeys(parameters[2:3], STEPS))
        return self._read(module, run, names)

    def _read(
        self, module: Module, function: Function | ast.Lambda, names: Mapping[str, Value | None]
    ) -> list[Node]:
        self._reads += 1
        if self._reads > MOST_READS:
            raise TooLargeError
        frame = Frame(self, module, names)
        body = Statements(frame)
        if isinstance(function, ast.Lambda):
            body.read([ast.Expr(ast.Await(function.body))])
        else:
            body.read(function.body)
        while frame.out and isinstance(frame.out[-1], Break):
            frame.out.pop()
        return frame.out

    def target(self, frame: Frame, node: ast.expr) -> Value | None:
        """Return the step or function of the workflow that an expression names."""
        path = dotted(node)
        first, _, rest = path.partition(".")
        if first == "self" and rest:
            method = self.modules.method(self._module, self._owner, rest)
            return Local(*method, {}, is_method=not _is_static(method[1])) if method else None
        if first in frame.names:
            return None if rest else frame.names[first]
        found = self.modules.named(frame.module, path)
        if found and isinstance(found.statement, Function):
            return Local(found.module, found.statement, {})
        return None

    def function(self, target: Local, names: Mapping[str, Value | None]) -> str | None:
        """Return under which name a function is in the diagram; None if there is no step in it."""
        given = frozenset(name for name, value in names.items() if isinstance(value, Steps))
        key = (target.function, given)
        if key not in self._names:
            name = self._free_name(getattr(target.function, "name", "lambda"))
            # A function that calls itself is met again before it is read to its end.
            self._names[key], self.functions[name] = name, FunctionDef(name, [])
            nodes = self._read(target.module, target.function, {**target.around, **names})
            if _has_steps(nodes, name):
                self.functions[name].nodes.extend(nodes)
            else:
                del self.functions[name]
                self._names[key] = None
        return self._names[key]

    def _free_name(self, name: str) -> str:
        names = (name, *(f"{name} ({number})" for number in range(2, len(self.functions) + 2)))
        return next(one for one in names if one not in self.functions)

    def inside(self, callback: Local) -> list[Node]:
        """Return what runs inside of a step's callback."""
        if callback.function in self._inside:
            return []
        self._inside.add(callback.function)
        names = {**callback.around, **dict.fromkeys(callback.parameters)}
        nodes = self._read(callback.module, callback.function, names)
        self._inside.discard(callback.function)
        return nodes if _has_steps(nodes) else []


def _is_static(function: Function) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in function.decorator_list)


def _has_steps(nodes: list[Node], own_name: str = "") -> bool:
    """Return True if a step runs, or a function with steps is called; that a function calls itself is no step."""
    return any(not isinstance(one, Break) and one != FunctionCall(own_name) for one in leaves(nodes))
