"""``_redirects``, ``_headers`` and ``_routes.json`` (Pages docs, "Redirects", "Headers", "Functions", "Routing")."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from wrangler_py.sdk.web.headers import Headers

#: Files that hold rules and are not served themselves.
REDIRECTS, HEADERS, ROUTES = "_redirects", "_headers", "_routes.json"
_STATUSES = frozenset({200, 301, 302, 303, 307, 308})
_MARK = re.compile(r"\*|:[A-Za-z]\w*", re.ASCII)
#: The start of a line that names the target of a block of ``_headers``: a path, or an address with a scheme.
_ADDRESSED = re.compile(r"/|[^\s:]+://")
_REMOVES = "! "
#: Characters that a ``Location`` keeps as they are; all others are percent-encoded.
_PLAIN = "%/:?#[]@!$&'()*+,;=~-._"
_log = logging.getLogger(__name__)


class RuleError(ValueError):
    """A line cannot be followed; the message says why."""


class Pattern:
    """A path with ``*`` for any text and ``:name`` for one segment.

    Raises:
        RuleError: a mark stands twice.
    """

    def __init__(self, text: str) -> None:
        marks = _MARK.findall(text.replace("*", ":splat"))
        if twice := [mark for mark in marks if marks.count(mark) > 1]:
            raise RuleError(f"{twice[0]} may stand once in a path (* counts as :splat)")
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
    """A block of ``_headers``: headers to set, by name in lower case, and names to take away (``! Name``)."""

    source: Pattern
    values: dict[str, str]
    removed: list[str]


class Functions(msgspec.Struct, frozen=True):
    """``_routes.json``: which paths reach functions at all; ``exclude`` wins."""

    include: tuple[str, ...] = ("/*",)
    exclude: tuple[str, ...] = ()

    def reach(self, path: str) -> bool:
        """Return True if functions are asked for ``path``."""
        return _any(self.include, path) and not _any(self.exclude, path)


#: Matches no path, for a block that cannot be followed: its headers must not fall to the block above.
NOWHERE = Pattern("")


def read_redirects(folder: Path) -> list[Redirect]:
    """Return the lines of ``_redirects`` in their order; one that cannot be followed is passed over with a warning."""
    path, found = folder / REDIRECTS, []
    for number, line in _lines(path):
        try:
            found.append(_redirect(line))
        except RuleError as error:
            _warn(path, number, error)
    return found


def read_headers(folder: Path) -> list[HeaderRule]:
    """Return the blocks of ``_headers``; lines that cannot be followed are passed over with a warning.

    A block begins with the path it is for. As on Cloudflare, its lines need not be indented.
    """
    path, found = folder / HEADERS, []
    for number, line in _lines(path):
        try:
            if _ADDRESSED.match(line):
                found.append(HeaderRule(Pattern(_path_of(line)), {}, []))
            else:
                _add_header(found, line)
        except RuleError as error:
            _warn(path, number, error)
            if _ADDRESSED.match(line):
                found.append(HeaderRule(NOWHERE, {}, []))
    return found


def read_functions(folder: Path) -> Functions:
    """Return what ``_routes.json`` says; without a usable one, functions are asked for every path."""
    try:
        return msgspec.json.decode((folder / ROUTES).read_bytes(), type=Functions)
    except (OSError, msgspec.MsgspecError):
        return Functions()


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with ``:name`` and ``:splat`` replaced by what they stand for."""
    return re.sub(r":([A-Za-z]\w*)", lambda mark: values.get(mark[1], mark[0]), text, flags=re.ASCII)


def _redirect(line: str) -> Redirect:
    parts = line.split()
    if len(parts) not in (2, 3):
        raise RuleError(
            "a redirect is a path, where it leads to, and perhaps a status, with spaces between them"
        )
    source, target, status = parts if len(parts) == 3 else (*parts, "302")
    if not source.startswith("/"):
        raise RuleError(f"{source} does not begin with a slash")
    if status not in map(str, _STATUSES):
        raise RuleError(f"{status} is none of {', '.join(map(str, sorted(_STATUSES)))}")
    if status == "200" and not target.startswith("/"):
        raise RuleError(f"with status 200 the target is a path of this site, not {target}")
    return Redirect(Pattern(source), quote(target, safe=_PLAIN), int(status))


def _add_header(rules: list[HeaderRule], line: str) -> None:
    if not rules:
        raise RuleError("there is no path above it")
    rule = rules[-1]
    name, colon, value = line.partition(":")
    if not colon and line.startswith(_REMOVES):
        rule.removed.append(line.removeprefix(_REMOVES).strip().lower())
        return
    name, value = name.strip().lower(), value.strip()
    if not name or not value:
        raise RuleError("a header is a name, a colon and a value, or '! ' and a name to take away")
    try:
        Headers({name: value})
    except TypeError as error:
        raise RuleError(str(error)) from None
    rule.values[name] = f"{rule.values[name]}, {value}" if name in rule.values else value


def _path_of(source: str) -> str:
    """Return the path of a rule for an absolute URL: here every host is this session."""
    _, scheme, rest = source.partition("://")
    return "/" + rest.partition("/")[2] if scheme else source


def _group(mark: str) -> str:
    return "(?P<splat>.*)" if mark == "*" else f"(?P<{mark[1:]}>[^/]+)"


def _any(patterns: tuple[str, ...], path: str) -> bool:
    return any(_matches(pattern, path) for pattern in patterns)


def _matches(pattern: str, path: str) -> bool:
    """Return True if ``path`` is ``pattern`` with any text for each ``*``: each piece is looked for once."""
    first, *others = pattern.split("*")
    if not others:
        return path == pattern
    *middle, last = others
    if not path.startswith(first) or not path.endswith(last):
        return False
    at, end = len(first), len(path) - len(last)
    for piece in middle:
        found = path.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return at <= end


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither empty nor comments, without space around them, and their numbers from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return
    for number, line in enumerate(map(str.strip, text.split("\n")), 1):
        if line and not line.startswith("#"):
            yield number, line


def _warn(path: Path, number: int, error: RuleError) -> None:
    _log.warning("%s, line %d, is passed over: %s", path.name, number, error)
