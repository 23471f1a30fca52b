"""Expressions: which steps they run, start or stand for."""

from __future__ import annotations

import ast
from collections import ChainMap, Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from wrangler_py.diagram.nodes import (
    Block,
    Branch,
    EventOptions,
    FunctionCall,
    If,
    Loop,
    Node,
    Parallel,
    ParallelKind,
    StepDo,
    StepSleep,
    StepSleepUntil,
    StepWaitForEvent,
)
from wrangler_py.diagram.texts import config_of, duration_of, source, text_of
from wrangler_py.diagram.values import (
    Coroutine,
    Declaration,
    Declared,
    Group,
    Local,
    Many,
    Steps,
    Task,
    Value,
)

if TYPE_CHECKING:
    from wrangler_py.diagram.modules import Module
    from wrangler_py.diagram.reader import Book

_CAMEL = {"sleepUntil": "sleep_until", "waitForEvent": "wait_for_event"}
_EVENT_TIMEOUT = "24 hours"
_CTX = "ctx"
#: Methods of task groups and of collections that take in what can be awaited.
_TAKES = frozenset({"create_task", "append", "add", "extend"})
_STARTS = frozenset({"create_task", "ensure_future"})
_ASYNCIO = _STARTS | {"wait", "as_completed", "wait_for", "shield"}


class _Known(NamedTuple):
    """What a call that we know stands for."""

    value: Value | None


class Expressions:
    """Reads the expressions of one function. What runs is appended to ``out``."""

    def __init__(self, book: Book, module: Module, names: Mapping[str, Value | None]) -> None:
        self.book, self.module = book, module
        self.names: ChainMap[str, Value | None] = ChainMap({}, dict(names))
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
        self.branch([Branch(source(first), [one for value in rest for one in self._apart(value)])])

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

    def finish(self, group: Group, own: list[Node]) -> None:
        """Append what ran while a task group was open, its tasks beside the rest."""
        ways = [one for item in group.started.items for one in _as_one(item.nodes)]
        if ways:
            self.out.append(Parallel("all", [*ways, *_as_one(own)]))
        else:
            self.out.extend(own)

    # calls

    def _call(self, node: ast.Call) -> Value | None:
        if isinstance(node.func, ast.Attribute) and isinstance(self.visit(node.func.value), Steps):
            return self._step(node, _CAMEL.get(node.func.attr, node.func.attr))
        target = self.book.target(self, node.func) or (
            self.visit(node.func) if isinstance(node.func, ast.Call) else None
        )
        match target:
            case Declared():
                return Coroutine(self._run(target))
            case Declaration():
                function = self.visit(node.args[0]) if node.args else None
                return self.declare(target, function) if isinstance(function, Local) else None
            case Local():
                return self._helper(node, target)
        return self._library(node)

    def _library(self, node: ast.Call) -> Value | None:
        """Read a call of asyncio, of a collection, or of something that is no concern of ours."""
        match node.func:
            case ast.Name(id=name):
                known = self._known(name, node)
            case ast.Attribute(value=owner, attr=name):
                value = self.visit(owner)
                known = self._given(value, name, node) or self._known(name, node)
            case _:
                known = None
        if known is not None:
            return known.value
        self._other(node)
        return None

    def _given(self, owner: Value | None, name: str, node: ast.Call) -> _Known | None:
        """Read what is done with a task group or a collection."""
        if not node.args or not isinstance(owner, Group | Many) or name not in _TAKES:
            return None
        value = self.visit(node.args[0])
        many = owner.started if isinstance(owner, Group) else owner
        many.add(value, self.depth)
        return _Known(
            Task(value.nodes) if isinstance(value, Coroutine) and isinstance(owner, Group) else None
        )

    def _known(self, name: str, node: ast.Call) -> _Known | None:
        """Read a function of asyncio."""
        if name == "gather":
            is_patient = any(
                one.arg == "return_exceptions" and source(one.value) == "True" for one in node.keywords
            )
            return _Known(self._parallel(node.args, "all_settled" if is_patient else "all"))
        if not node.args or name not in _ASYNCIO:
            return None
        if name == "wait":
            return _Known(self._parallel(node.args[:1], _kind_of_wait(node)))
        if name == "as_completed":
            self.wait_for(self._parallel(node.args[:1], "all"))
            return _Known(None)
        value = self.visit(node.args[0])
        return _Known(self._start(value) if name in _STARTS else value)

    def _parallel(self, parts: Iterable[ast.expr], kind: ParallelKind) -> Coroutine:
        many = self._collect(parts)
        ways = [one for item in many.items if isinstance(item, Coroutine) for one in _as_one(item.nodes)]
        tasks = [item for item in many.items if isinstance(item, Task)]
        tasks += [task for item in many.items if isinstance(item, Coroutine) for task in item.tasks]
        return Coroutine([Parallel(kind, ways)] if ways else [], tasks)

    def _helper(self, node: ast.Call, target: Local) -> Coroutine | None:
        names: dict[str, Value | None] = dict.fromkeys(target.parameters)
        places = iter(target.parameters)
        for given in node.args:
            value = self.visit(given)
            if (place := next(places, None)) is not None:
                names[place] = value
        for keyword in node.keywords:
            value = self.visit(keyword.value)
            if keyword.arg in names:
                names[keyword.arg] = value
        name = self.book.function(target, names)
        return None if name is None else Coroutine([FunctionCall(name)])

    # steps

    def _step(self, node: ast.Call, method: str) -> Value | None:
        named = {one.arg: one.value for one in node.keywords}
        if method == "do":
            return self._do(node.args, named)
        name, what = [*node.args, *[None] * 2][:2]
        name = name or named.get("name")
        if name is None:
            return None
        text = text_of(name, self.lookup)
        match method:
            case "sleep":
                duration = duration_of(what or named.get("duration"), self.lookup, 0)
                return Coroutine([StepSleep(text, duration)])
            case "sleep_until":
                timestamp = what or named.get("timestamp")
                return Coroutine([StepSleepUntil(text, source(timestamp) if timestamp else "")])
            case "wait_for_event":
                timeout = node.args[2] if len(node.args) > 2 else named.get("timeout")
                event_type = what or named.get("event_type")
                options = EventOptions(
                    text_of(event_type, self.lookup) if event_type else "",
                    duration_of(timeout, self.lookup, _EVENT_TIMEOUT),
                )
                return Coroutine([StepWaitForEvent(text, options)])
        return None

    def _do(self, args: list[ast.expr], named: Mapping[str | None, ast.expr]) -> Value:
        name = args[0] if args else named.get("name")
        config, depends, rest = named.get("config"), named.get("depends"), args[1:]
        if len(rest) == 1 and isinstance(rest[0], ast.List | ast.Tuple):
            depends, rest = rest[0], []
        if not rest:
            is_concurrent = "concurrent" in named and source(named["concurrent"]) == "True"
            return Declaration(name, config, depends, is_concurrent)
        callback = self._callback(rest[-1])
        text = text_of(name, self.lookup) if name is not None else ""
        settings = config_of(rest[0] if len(rest) > 1 else config, self.lookup)
        nodes = self.book.inside(callback) if callback else []
        return Coroutine([StepDo(text, settings, nodes)])

    def _callback(self, node: ast.expr) -> Local | None:
        match node:
            case ast.Call(func=function, args=[first, *_]) if source(function).endswith("partial"):
                return self._callback(first)
            case ast.Lambda():
                return Local(self.module, node, self.names)
        found = self.book.target(self, node)
        return found if isinstance(found, Local) else None

    def declare(self, declaration: Declaration, function: Local) -> Declared:
        """Return the step that a function becomes."""
        own_name = getattr(function.function, "name", "")
        name = text_of(declaration.name, self.lookup) if declaration.name is not None else own_name
        if isinstance(declaration.depends, ast.List | ast.Tuple):
            needed = [self.visit(one) for one in declaration.depends.elts]
        else:
            needed = [self.book.declared.get(one) for one in function.parameters if one != _CTX]
        depends = [one for one in needed if isinstance(one, Declared)]
        found = Declared(name, declaration.config, function, depends, declaration.is_concurrent)
        self.book.declared[name] = found
        return found

    def _run(self, step: Declared) -> list[Node]:
        """Return a step behind those it depends on which have not run yet."""
        together = step.is_concurrent and len(step.depends) > 1
        nodes = [one for shared in _shared(step.depends) for one in self._once(shared)] if together else []
        before = [found for one in step.depends if (found := self._once(one))]
        if together and len(before) > 1:
            nodes.append(Parallel("all", [one for way in before for one in _as_one(way)]))
        else:
            nodes += [one for way in before for one in way]
        inside = self.book.inside(step.callback)
        return [*nodes, StepDo(step.name, config_of(step.config, self.lookup), inside)]

    def _once(self, step: Declared) -> list[Node]:
        if step in self._ran:
            return []
        self._ran.add(step)
        return self._run(step)


def _shared(steps: Iterable[Declared]) -> list[Declared]:
    """Return what more than one of ``steps`` needs, or is and another needs: it runs before they run together."""
    counts = Counter(one for step in steps for one in dict.fromkeys([*_needs(step), step]))
    return [one for one, count in counts.items() if count > 1]


def _needs(step: Declared) -> list[Declared]:
    """Return all that has to run before a step, in an order that serves."""
    return [one for needed in step.depends for one in [*_needs(needed), needed]]


def _as_one(nodes: list[Node]) -> list[Node]:
    return [Block(nodes)] if len(nodes) > 1 else nodes


def _kind_of_wait(node: ast.Call) -> ParallelKind:
    when = next((source(one.value) for one in node.keywords if one.arg == "return_when"), "")
    if when.endswith("FIRST_COMPLETED"):
        return "race"
    return "all" if when.endswith("FIRST_EXCEPTION") else "all_settled"
