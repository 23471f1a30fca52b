"""Names, durations and settings as a diagram shows them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_args

from wrangler_py.diagram.nodes import Backoff, Duration, Retries, StepConfig
from wrangler_py.engine.retry import DEFAULT_CONFIG

#: Gives the expression a name was assigned, or None.
Lookup: TypeAlias = Callable[[str], ast.expr | None]

#: The settings of a step that says nothing.
_RETRIES: Mapping[str, Any] = DEFAULT_CONFIG.shown["retries"]
_TIMEOUT: str = DEFAULT_CONFIG.shown["timeout"]
#: Larger numbers are not exact in JSON, as most of its readers take it.
_LARGEST = 1 << 53
#: Names that name others are followed so far.
_FAR = 10


def source(node: ast.AST) -> str:
    """Return an expression as source, on one line."""
    return _utf8(" ".join(ast.unparse(node).split()))


def _utf8(text: str) -> str:
    """Return a text whose halves of surrogate pairs are written out: it becomes UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def text_of(node: ast.expr, lookup: Lookup, far: int = _FAR) -> str:
    """Return a text; what is known only when it runs stands in braces: ``get cat: {cat}``."""
    match node:
        case ast.Constant(value=str(text)):
            return _utf8(text)
        case ast.JoinedStr(values=parts):
            return "".join(_part(part, lookup, far) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text_of(left, lookup, far) + text_of(right, lookup, far)
        case ast.Name(id=name) if far and (meant := lookup(name)) is not None and _is_text(meant):
            return text_of(meant, lookup, far - 1)
    return f"{{{source(node)}}}"


def _part(part: ast.expr, lookup: Lookup, far: int) -> str:
    if not isinstance(part, ast.FormattedValue):
        return text_of(part, lookup, far)
    if part.format_spec is None and isinstance(part.value, ast.Name | ast.Constant):
        return text_of(part.value, lookup, far)
    return f"{{{source(part.value)}}}"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr | ast.BinOp | ast.Name) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def value_of(node: ast.expr, lookup: Lookup, far: int = _FAR) -> Any:
    """Return what a literal means, with names followed; other expressions inside are their source."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if far and (meant := lookup(name)) is not None:
            return value_of(meant, lookup, far - 1)
        case ast.Dict(keys=keys, values=values):
            named = {
                one.value: value
                for one, value in zip(keys, values, strict=True)
                if isinstance(one, ast.Constant)
            }
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            named = {one.arg: one.value for one in keywords if one.arg}
        case _:
            return _computed(node) if isinstance(node, ast.BinOp) else source(node)
    return {key: value_of(value, lookup, far) for key, value in named.items()}


def _computed(node: ast.BinOp) -> Any:
    """Return products of numbers, which is how durations in milliseconds are written; else the source."""
    product: float = 1
    parts: list[ast.expr] = [node]
    while parts:
        match parts.pop():
            case ast.BinOp(op=ast.Mult(), left=left, right=right):
                parts += [left, right]
            case ast.Constant(value=int() | float() as factor):
                product *= factor
            case _:
                return source(node)
    return product


def duration_of(node: ast.expr | None, lookup: Lookup, default: Duration) -> Duration:
    """Return a duration: milliseconds, a text such as "1 minute", or the source of what computes it."""
    return default if node is None else _duration(value_of(node, lookup), default)


def _duration(value: Any, default: Duration) -> Duration:
    if isinstance(value, str):
        return _utf8(value)
    return value if _is_number(value) else default


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def config_of(node: ast.expr | None, lookup: Lookup) -> StepConfig:
    """Return the settings of a step; what is not given, or computed, is the default's."""
    given = {} if node is None else value_of(node, lookup)
    given = given if isinstance(given, dict) else {}
    retries = given.get("retries")
    retries = {**_RETRIES, **retries} if isinstance(retries, dict) else dict(_RETRIES)
    if not _is_number(retries["limit"]):
        retries["limit"] = _RETRIES["limit"]
    if retries["backoff"] not in get_args(Backoff):
        retries["backoff"] = _RETRIES["backoff"]
    delay = _duration(retries["delay"], _RETRIES["delay"])
    return StepConfig(
        Retries(retries["limit"], delay, retries["backoff"]), _duration(given.get("timeout"), _TIMEOUT)
    )
