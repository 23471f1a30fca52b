"""The faults: one changed node of a module's syntax tree, or one changed condition of an SQL statement."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple


class Mutant(NamedTuple):
    """One fault.

    ``where``: the innermost function or class, or an SQL statement's name; empty at module level. ``source``: the
    whole file with the fault in it. ``lines``: those of the statement's own; none for SQL. ``constant``: the name
    bound by the statement, at module level.
    """

    where: str
    line: int
    change: str
    source: str
    lines: range = range(0)
    constant: str = ""

    @property
    def key(self) -> str:
        """Text that names the fault as long as the code around it stays."""
        return f"{self.where or '<module>'}: {self.change}"


# Python ---------------------------------------------------------------------------------------------------------------

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_EQUALITIES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
#: Functions called for a text that only people read, or a type checker.
_NAMING = ("TypeVar", "logging.getLogger", "cast")
_LOGGED = re.compile(r"(logger|_log)\.\w+\(")
_NOT_RUN = ("annotation", "returns", "decorator_list", "bases", "type_params")

#: A node, and what to put there instead.
Change = tuple[ast.AST, ast.AST]


def mutants_of(source: str) -> Iterator[Mutant]:
    """Yield every fault of a Python module."""
    lines, seen = source.splitlines(keepends=True), dict[str, int]()
    tree = ast.parse(source)
    for where, node, replacement in _walk(tree, ""):
        assert isinstance(node, ast.expr | ast.stmt)
        text = ast.unparse(replacement)
        change = f"{_short(ast.unparse(node))} -> {_short(text)}"
        count = seen[where + change] = seen.get(where + change, 0) + 1
        change += f" (#{count})" if count > 1 else ""
        constant = "" if where else _bound_at(tree, node.lineno)
        yield Mutant(
            where, node.lineno, change, _replaced(lines, node, text), _statement(tree, node), constant
        )


def _statement(tree: ast.Module, node: ast.expr | ast.stmt) -> range:
    """Return the lines of the innermost statement around a node: without its body, if it has one."""
    found: Sequence[ast.stmt] = [
        one
        for one in ast.walk(tree)
        if isinstance(one, ast.stmt) and one.lineno <= node.lineno <= (one.end_lineno or 0)
    ]
    inner = max(found, key=lambda one: (one.lineno, -(one.end_lineno or 0)))
    body = getattr(inner, "body", None)
    if body is None and isinstance(inner, ast.Match):
        return range(node.lineno, (node.end_lineno or 0) + 1)
    return range(inner.lineno, max(inner.lineno + 1, body[0].lineno) if body else (inner.end_lineno or 0) + 1)


def _bound_at(tree: ast.Module, line: int) -> str:
    for statement in tree.body:
        if statement.lineno <= line <= (statement.end_lineno or line):
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
            return next((target.id for target in targets if isinstance(target, ast.Name)), "")
    return ""


def _walk(node: ast.AST, where: str) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}" if where else node.name
    for kind, change in _CHANGES:
        if isinstance(node, kind):
            yield from ((where, *pair) for pair in change(node))
    for child in _children(node):
        yield from _walk(child, where)


def _replaced(lines: list[str], node: ast.expr | ast.stmt, text: str) -> str:
    """Return the source with a node's text replaced; every other line keeps its number."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    before = lines[node.lineno - 1].encode()[: node.col_offset].decode()
    after = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
    middle = f"({text})" if isinstance(node, ast.expr) else text
    filling = "\n" * (node.end_lineno - node.lineno)
    return "".join([*lines[: node.lineno - 1], before, middle, after, filling, *lines[node.end_lineno :]])


def _short(text: str) -> str:
    return " ".join(text.split())[:90]


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the children that run: no annotation, docstring, import, or text of an f-string."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
        return
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__slots__", "__all__"):
        return
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        return
    if isinstance(node, ast.Call) and ast.unparse(node.func) in _NAMING:
        return
    for name, value in ast.iter_fields(node):
        # A keyword of a class statement makes its objects comparable, or frozen; types say who relies on it.
        is_option = name == "keywords" and isinstance(node, ast.ClassDef)
        if name not in _NOT_RUN and not is_option:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_text(child):
                    yield child


def _is_text(node: ast.AST) -> bool:
    """Return True for a docstring, an ellipsis, and a statement that logs."""
    return isinstance(node, ast.Expr) and (
        isinstance(node.value, ast.Constant) or bool(_LOGGED.match(ast.unparse(node)))
    )


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _comparison(node: ast.Compare) -> Iterator[Change]:
    for number, operator in enumerate(node.ops):
        ops = list(node.ops)
        ops[number] = _COMPARISONS[type(operator)]()
        yield node, _with(node, ops=ops)


def _boolean(node: ast.BoolOp) -> Iterator[Change]:
    yield node, _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())


def _negation(node: ast.UnaryOp) -> Iterator[Change]:
    if isinstance(node.op, ast.Not):
        yield node, node.operand


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator[Change]:
    if type(node.op) in _OPERATORS:
        yield node, _with(node, op=_OPERATORS[type(node.op)]())


def _constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield node, ast.Constant(not value)
    elif isinstance(value, int | float):
        yield node, ast.Constant(value + 1)
    elif isinstance(value, str) and re.fullmatch(r"[\w.:/-]+", value):
        yield node, ast.Constant(value + "X")


def _condition(node: ast.If | ast.While | ast.IfExp) -> Iterator[Change]:
    yield from _negated(node.test)


def _filter(node: ast.comprehension) -> Iterator[Change]:
    for test in node.ifs:
        yield from _negated(test)


def _negated(test: ast.expr) -> Iterator[Change]:
    """A comparison with one ``==``, ``is`` or ``in`` and a ``not`` have their opposites already."""
    is_equality = (
        isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], _EQUALITIES)
    )
    if not is_equality and not isinstance(test, ast.UnaryOp | ast.Constant):
        yield test, ast.UnaryOp(ast.Not(), test)


def _call(node: ast.Call) -> Iterator[Change]:
    if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        yield node.func, ast.Name(_CALLS[node.func.id])


def _dropped(node: ast.stmt) -> Iterator[Change]:
    """A plain name that is never bound is found at once, so only what changes an object is dropped."""
    if isinstance(node, ast.Assign) and all(isinstance(one, ast.Name) for one in node.targets):
        return
    if isinstance(node, ast.AnnAssign) and (node.value is None or isinstance(node.target, ast.Name)):
        return
    if not _is_text(node):
        yield node, ast.Pass()


def _returned(node: ast.Return) -> Iterator[Change]:
    """None is false, too: nobody asks which."""
    if node.value is not None and not (
        isinstance(node.value, ast.Constant) and node.value.value in (None, False)
    ):
        yield node, ast.Return(ast.Constant(None))


def _handler(node: ast.ExceptHandler) -> Iterator[Change]:
    if not isinstance(node.body[0], ast.Raise):
        yield node.body[0], ast.Raise()


_CHANGES: list[tuple[Any, Callable[[Any], Iterator[Change]]]] = [
    (ast.Compare, _comparison),
    (ast.BoolOp, _boolean),
    (ast.UnaryOp, _negation),
    (ast.BinOp | ast.AugAssign, _arithmetic),
    (ast.Constant, _constant),
    (ast.If | ast.While | ast.IfExp, _condition),
    (ast.comprehension, _filter),
    (ast.Call, _call),
    (ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Raise | ast.Break | ast.Continue, _dropped),
    (ast.Return, _returned),
    (ast.ExceptHandler, _handler),
]


# SQL ------------------------------------------------------------------------------------------------------------------

_SQL_CHANGES = [
    (r"(?<![<>!=:])<(?![>=])", "<="), (r"<=", "<"), (r"(?<![<>!=:])>(?!=)", ">="), (r">=", ">"), (r"<>", "="),
    (r"\bIS NOT NULL\b", "IS NULL"), (r"\bIS NULL\b", "IS NOT NULL"), (r"\bAND\b", "OR"), (r"\bOR\b", "AND"),
    (r"\bmin\(", "max("), (r"\bmax\(", "min("), (r" \+ ", " - "), (r"\bNOT IN\b", "IN"), (r"\bDESC\b", ""),
    (r"\bAND [^()\n]+?(?= AND | ORDER | GROUP | LIMIT |\n|$)", ""), (r", \w+ = (?:NULL|:\w+|\?)", ""),
    (r"\b1\b", "2"), (r"\b0\b", "1"), (r"ORDER BY ([\w.]+)(?! DESC)\b", r"ORDER BY \1 DESC"),
]  # fmt: skip


def sql_mutants_of(source: str) -> Iterator[Mutant]:
    """Yield the faults of a file of SQL statements that begin with ``-- name --``."""
    name, offset = "", 0
    for number, line in enumerate(source.splitlines(keepends=True), 1):
        if found := re.match(r"-- (\w+) --", line):
            name = found[1]
        elif not line.startswith("--"):
            for start, old, new in _changed_texts(line):
                changed = source[: offset + start] + new + source[offset + start + len(old) :]
                yield Mutant(
                    name, number, f"{_short(line)} @{start}: {old.strip()} -> {new or 'nothing'}", changed
                )
        offset += len(line)


def _changed_texts(line: str) -> Iterator[tuple[int, str, str]]:
    seen = set()
    for pattern, new in _SQL_CHANGES:
        for match in re.finditer(pattern, line):
            change = (match.start(), match[0], match.expand(new))
            if change not in seen:
                seen.add(change)
                yield change
