"""Calls: of steps, of functions of the project, of asyncio."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from wrangler_py.diagram.frame import Frame, as_one
from wrangler_py.diagram.nodes import (
    EventOptions,
    FunctionCall,
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
from wrangler_py.engine.instance.callback import CTX
from wrangler_py.engine.instance.step import SPELLINGS

_EVENT_TIMEOUT = "24 hours"
#: Methods of task groups and of collections that take in what can be awaited.
_TAKES = frozenset({"create_task", "append", "add", "extend"})


class Calls:
    """Reader of the calls of one function; ``visit`` reads the expressions inside of them."""

    def __init__(self, frame: Frame, visit: Callable[[ast.expr | None], Value | None]) -> None:
        self._frame, self._visit = frame, visit

    def read(self, node: ast.Call) -> Value | None:
        """Read a call; return what its result stands for."""
        function = node.func
        # Once: a step that is awaited in here would be there twice, and a chain of calls would take for ever.
        owner = self._visit(function.value if isinstance(function, ast.Attribute) else function)
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if isinstance(owner, Steps):
            return self._step(node, SPELLINGS.get(name, name))
        target = owner if isinstance(owner, Declaration) else self._frame.book.target(self._frame, function)
        if isinstance(target, Declared | Declaration | Local):
            return self._ours(node, target)
        if isinstance(owner, Group | Many) and name in _TAKES and node.args:
            return self._take(owner, node.args[0])
        return self._library(node, name)

    def _ours(self, node: ast.Call, target: Declared | Declaration | Local) -> Value | None:
        match target:
            case Declared():
                return Coroutine(self._run(target))
            case Local():
                return self._helper(node, target)
        function = self._visit(node.args[0]) if node.args else None
        return self.declare(target, function) if isinstance(function, Local) else None

    def _take(self, owner: Group | Many, given: ast.expr) -> Task | None:
        """Read what is given to a task group, which starts it, or to a collection."""
        value = self._visit(given)
        many = owner.started if isinstance(owner, Group) else owner
        many.add(value, self._frame.depth)
        return Task(value.nodes) if isinstance(value, Coroutine) and isinstance(owner, Group) else None

    def _library(self, node: ast.Call, name: str) -> Value | None:
        """Read a call of asyncio, or of something that is no concern of ours."""
        match name:
            case "gather":
                return self._parallel(node.args, _kind_of_gather(node))
            case "wait" if node.args:
                return self._parallel(node.args[:1], _kind_of_wait(node))
            case "as_completed" if node.args:
                self._frame.wait_for(self._parallel(node.args[:1], "all"))
                return None
            case "create_task" | "ensure_future" if node.args:
                return self._frame.start(self._visit(node.args[0]))
            case "wait_for" | "shield" if node.args:
                return self._visit(node.args[0])
        for given in (*node.args, *(one.value for one in node.keywords)):
            self._visit(given)
        return None

    def _parallel(self, parts: Iterable[ast.expr], kind: ParallelKind) -> Coroutine:
        many = self._frame.many(self._visit(one) for one in parts)
        ways = [one for item in many.items if isinstance(item, Coroutine) for one in as_one(item.nodes)]
        tasks = [item for item in many.items if isinstance(item, Task)]
        tasks += [task for item in many.items if isinstance(item, Coroutine) for task in item.tasks]
        return Coroutine([Parallel(kind, ways)] if ways else [], tasks)

    def _helper(self, node: ast.Call, target: Local) -> Coroutine | None:
        names: dict[str, Value | None] = dict.fromkeys(target.parameters)
        places = iter(target.parameters)
        for given in node.args:
            value = self._visit(given)
            if (place := next(places, None)) is not None:
                names[place] = value
        for keyword in node.keywords:
            value = self._visit(keyword.value)
            if keyword.arg in names:
                names[keyword.arg] = value
        name = self._frame.book.function(target, names)
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
        text = text_of(name, self._frame.lookup)
        match method:
            case "sleep":
                duration = duration_of(what or named.get("duration"), self._frame.lookup, 0)
                return Coroutine([StepSleep(text, duration)])
            case "sleep_until":
                timestamp = what or named.get("timestamp")
                return Coroutine([StepSleepUntil(text, source(timestamp) if timestamp else "")])
            case "wait_for_event":
                timeout = node.args[2] if len(node.args) > 2 else named.get("timeout")
                event_type = what or named.get("event_type")
                options = EventOptions(
                    text_of(event_type, self._frame.lookup) if event_type else "",
                    duration_of(timeout, self._frame.lookup, _EVENT_TIMEOUT),
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
        text = text_of(name, self._frame.lookup) if name is not None else ""
        settings = config_of(rest[0] if len(rest) > 1 else config, self._frame.lookup)
        nodes = self._frame.book.inside(callback) if callback else []
        return Coroutine([StepDo(text, settings, nodes)])

    def _callback(self, node: ast.expr) -> Local | None:
        match node:
            case ast.Call(func=function, args=[first, *_]) if source(function).endswith("partial"):
                return self._callback(first)
            case ast.Lambda():
                return Local(self._frame.module, node, self._frame.names)
        found = self._frame.book.target(self._frame, node)
        return found if isinstance(found, Local) else None

    def declare(self, declaration: Declaration, function: Local) -> Declared:
        """Return the step that a function becomes."""
        own_name = getattr(function.function, "name", "")
        name = text_of(declaration.name, self._frame.lookup) if declaration.name is not None else own_name
        if isinstance(declaration.depends, ast.List | ast.Tuple):
            needed = [self._visit(one) for one in declaration.depends.elts]
        else:
            needed = [self._frame.book.declared.get(one) for one in function.parameters if one != CTX]
        depends = [one for one in needed if isinstance(one, Declared)]
        found = Declared(name, declaration.config, function, depends, declaration.is_concurrent)
        self._frame.book.declared[name] = found
        return found

    def _run(self, step: Declared) -> list[Node]:
        """Return a step behind those it depends on which have not run yet."""
        together = step.is_concurrent and len(step.depends) > 1
        nodes = [one for shared in _shared(step.depends) for one in self._once(shared)] if together else []
        before = [found for one in step.depends if (found := self._once(one))]
        if together and len(before) > 1:
            nodes.append(Parallel("all", [one for way in before for one in as_one(way)]))
        else:
            nodes += [one for way in before for one in way]
        inside = self._frame.book.inside(step.callback)
        return [*nodes, StepDo(step.name, config_of(step.config, self._frame.lookup), inside)]

    def _once(self, step: Declared) -> list[Node]:
        if step in self._frame.ran:
            return []
        self._frame.ran.add(step)
        return self._run(step)


def _shared(steps: Iterable[Declared]) -> list[Declared]:
    """Return what more than one of ``steps`` needs, or is and another needs: it runs before they run together."""
    counts = Counter(one for step in steps for one in [*_needs(step, {}), step])
    return [one for one, count in counts.items() if count > 1]


def _needs(step: Declared, found: dict[Declared, None]) -> dict[Declared, None]:
    """Add to ``found``, in an order that serves, all that has to run before a step; return it."""
    for needed in step.depends:
        if needed not in found:
            _needs(needed, found)
            found[needed] = None
    return found


def _kind_of_gather(node: ast.Call) -> ParallelKind:
    is_patient = any(one.arg == "return_exceptions" and source(one.value) == "True" for one in node.keywords)
    return "all_settled" if is_patient else "all"


def _kind_of_wait(node: ast.Call) -> ParallelKind:
    when = next((source(one.value) for one in node.keywords if one.arg == "return_when"), "")
    if when.endswith("FIRST_COMPLETED"):
        return "race"
    return "all" if when.endswith("FIRST_EXCEPTION") else "all_settled"
