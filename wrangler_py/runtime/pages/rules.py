"""``_redirects``, ``_headers`` and ``_routes.json`` (Pages docs, "Redirects", "Headers", "Functions", "Routing")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

#: Files that hold rules and are not served themselves.
REDIRECTS, HEADERS, ROUTES = "_redirects", "_headers", "_routes.json"
_STATUSES = frozenset({200, 301, 302, 303, 307, 308})
_MARK = re.compile(r"\*|:[A-Za-z]\w*")


class Pattern:
    """A path with ``*`` for any text and ``:name`` for one segment."""

    def __init__(self, text: str) -> None:
        pieces, last = [], 0
        for mark in _MARK.finditer(text):
            pieces += [re.escape(text[last : mark.start()]), _group(mark[0])]
            last = mark.end()
        self._expression = re.compile("".join([*pieces, re.escape(text[last:])]))

    def match(self, path: str) -> dict[str, str] | None:
        """Return what the marks stand for in ``path`` (``*`` is ``splat``), or None."""
        found = self._expression.fullmatch(path)
        return None if found is None else found.groupdict()


class Redirect(NamedTuple):
    """A line of ``_redirects``. Status 200 serves the target in the place of what was asked for."""

    source: Pattern
    target: str
    status: int

    def resolve(self, path: str) -> str | None:
        """Return where ``path`` leads, or None if the line is not for it."""
        found = self.source.match(path)
        return None if found is None else fill(self.target, found)


class HeaderRule(NamedTuple):
    """A block of ``_headers``: headers to set, and names to take away (``! Name``)."""

    source: Pattern
    values: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]


class Functions(msgspec.Struct, frozen=True):
    """``_routes.json``: which paths reach functions at all; ``exclude`` wins."""

    include: tuple[str, ...] = ("/*",)
    exclude: tuple[str, ...] = ()

    def reach(self, path: str) -> bool:
        """Say whether functions are asked for ``path``."""
        return _any(self.include, path) and not _any(self.exclude, path)


def read_redirects(folder: Path) -> list[Redirect]:
    """Return the lines of ``_redirects`` in their order; a line that is none is passed over, as on Cloudflare."""
    return list(filter(None, map(_redirect, _lines(folder / REDIRECTS))))


def read_headers(folder: Path) -> list[HeaderRule]:
    """Return the blocks of ``_headers``."""
    blocks: list[tuple[str, list[str]]] = []
    for line in _lines(folder / HEADERS):
        if not line[0].isspace():
            blocks.append((line.strip(), []))
        elif blocks:
            blocks[-1][1].append(line.strip())
    return [_header_rule(_path_of(source), lines) for source, lines in blocks]


def read_functions(folder: Path) -> Functions:
    """Return what ``_routes.json`` says; without a usable one, functions are asked for every path."""
    try:
        return msgspec.json.decode((folder / ROUTES).read_bytes(), type=Functions)
    except (OSError, msgspec.MsgspecError):
        return Functions()


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with ``:name`` and ``:splat`` replaced by what they stand for."""
    return re.sub(r":([A-Za-z]\w*)", lambda mark: values.get(mark[1], mark[0]), text)


def _redirect(line: str) -> Redirect | None:
    parts = line.split()
    if len(parts) not in (2, 3) or not parts[0].startswith("/"):
        return None
    status = int(parts[2]) if len(parts) == 3 and parts[2].isdecimal() else 302
    return Redirect(Pattern(parts[0]), parts[1], status) if status in _STATUSES else None


def _header_rule(source: str, lines: list[str]) -> HeaderRule:
    removed = tuple(line[1:].strip() for line in lines if line.startswith("!"))
    pairs = (line.partition(":") for line in lines if not line.startswith("!"))
    values = tuple((name.strip(), value.strip()) for name, colon, value in pairs if colon)
    return HeaderRule(Pattern(source), values, removed)


def _path_of(source: str) -> str:
    """Return the path of a rule for an absolute URL: here every host is this session."""
    _, scheme, rest = source.partition("://")
    return "/" + rest.partition("/")[2] if scheme else source


def _group(mark: str) -> str:
    return "(?P<splat>.*)" if mark == "*" else f"(?P<{mark[1:]}>[^/]+)"


def _any(patterns: tuple[str, ...], path: str) -> bool:
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), path) is not None for pattern in patterns
    )


def _lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return
    yield from (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
