"""``range``: which bytes of an object are wanted (R2 docs, "Ranged reads"; RFC 9110, section 14)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from wrangler_py.bindings.failures import R2Error
from wrangler_py.bindings.r2.options import read_options, read_whole
from wrangler_py.bindings.r2.refusals import INVALID_RANGE, wrong_type
from wrangler_py.sdk.web.headers import Headers

_OPTIONS = ("offset", "length", "suffix")


class Span(NamedTuple):
    """Bytes that are there: where they begin, and how many."""

    offset: int
    length: int


def read_span(method: str, given: Any, size: int) -> Span:
    """Return which of ``size`` bytes ``range`` means: all, a mapping's, or those of the header ``Range``.

    Raises:
        R2Error: none of them are there, or it is no range.
    """
    if given is None:
        return Span(0, size)
    if isinstance(given, Headers):
        return _of_header(method, given.get("range") or "", size)
    return _of_options(method, read_options(f"{method}: range", given, {}, _OPTIONS), size)


def _of_options(method: str, options: Mapping[str, Any], size: int) -> Span:
    numbers = {name: _number(name, value) for name, value in options.items()}
    suffix = numbers.get("suffix")
    if suffix is None:
        offset = numbers.get("offset", 0)
        return _checked(method, offset, numbers.get("length", size - offset), size)
    for other in ("offset", "length"):
        if other in numbers:
            raise wrong_type(f"Suffix is incompatible with {other}.")
    return _checked(method, max(0, size - suffix), min(suffix, size), size)


def _of_header(method: str, header: str, size: int) -> Span:
    """A header that is no range, or several, stands for everything, as everywhere in HTTP."""
    ends = _ends(header)
    if ends is None:
        return Span(0, size)
    first, last = ends
    if first is None:
        suffix = min(last or 0, size)
        return _checked(method, size - suffix, suffix, size)
    if last is not None and last < first:
        return Span(0, size)
    return _checked(method, first, (size - 1 if last is None else last) - first + 1, size)


def _ends(header: str) -> tuple[int | None, int | None] | None:
    """Return the two numbers of ``bytes=FIRST-LAST``, of which one may be missing; None if it is no such range."""
    unit, _, span = header.partition("=")
    first, dash, last = (part.strip() for part in span.partition("-"))
    if unit.strip().lower() != "bytes" or not dash or not (first or last):
        return None
    if not all(part == "" or (part.isascii() and part.isdecimal()) for part in (first, last)):
        return None
    return _decimal(first), _decimal(last)


def _decimal(digits: str) -> int | None:
    if not digits:
        return None
    # Python reads no number of thousands of digits; one of twenty is already behind the end of every object.
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) < 20 else sys.maxsize


def _checked(method: str, offset: int, length: int, size: int) -> Span:
    if offset >= size or length <= 0:
        raise INVALID_RANGE.of(method)
    return Span(offset, min(length, size - offset))


def _number(name: str, value: Any) -> int:
    whole = read_whole(value)
    if whole is not None and whole >= 0:
        return whole
    what = {"offset": "Invalid range. Starting offset", "length": "Invalid range. Length"}.get(
        name, "Invalid suffix. Suffix"
    )
    rule = "must be an integer, not floating point" if whole is None else "must be greater than or equal to 0"
    raise R2Error(f"{what} ({value}) {rule}.", name="RangeError")
