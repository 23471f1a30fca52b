"""Which function answers a path: the folder ``functions`` read as routes (Pages docs, "Functions", "Routing").

``functions/fruits/apple.py`` answers ``/fruits/apple``, ``index.py`` its folder, ``[name].py`` one segment of any text,
``[[rest]].py`` any number of them, and ``_middleware.py`` runs before all below its folder. A path may end in a slash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

MIDDLEWARE, INDEX = "_middleware", "index"
_REST, _ONE = re.compile(r"\[\[(\w+)\]\]"), re.compile(r"\[(\w+)\]")

#: What the parts of a path in brackets were: a text for one segment, a list for any number.
Params = Mapping[str, str | list[str]]


class Weight(IntEnum):
    """How specific a segment is: of two routes that fit, the one with more of it sooner wins."""

    REST = 0
    ONE = 1
    FIXED = 2


class Segment(NamedTuple):
    """One part of a route: ``name`` is the text itself, or what its parameter is called."""

    weight: Weight
    name: str


class Route(NamedTuple):
    """A file of ``functions`` and the paths it is for. A middleware is for all paths that begin so."""

    path: Path
    segments: tuple[Segment, ...]
    is_middleware: bool = False

    @property
    def pattern(self) -> str:
        """The route as messages show it: ``/users/:id``, ``/files/*``."""
        return "/" + "/".join(map(_shown, self.segments))

    @property
    def specificity(self) -> tuple[tuple[int, ...], int]:
        """Grows with how exactly the route names its paths."""
        return tuple(segment.weight for segment in self.segments), len(self.segments)

    def match(self, parts: Sequence[str]) -> Params | None:
        """Return the parameters in ``parts``, the decoded segments of a path, or None if the route is not for it."""
        found: dict[str, str | list[str]] = {}
        for index, segment in enumerate(self.segments):
            if segment.weight is Weight.REST:
                found[segment.name] = list(parts[index:])
                return found
            if index >= len(parts) or (segment.weight is Weight.FIXED and parts[index] != segment.name):
                return None
            if segment.weight is Weight.ONE:
                found[segment.name] = parts[index]
        return found if self.is_middleware or len(parts) == len(self.segments) else None


def find_routes(folder: Path) -> list[Route]:
    """Return the routes of a ``functions`` folder, the most specific first; files in hidden folders are none."""
    return sorted(_routes(folder), key=lambda route: (route.specificity, route.pattern), reverse=True)


def _routes(folder: Path) -> Iterator[Route]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts):
            continue
        *above, name = parts
        names = above if name in (INDEX, MIDDLEWARE) else parts
        yield Route(path, tuple(map(_segment, names)), name == MIDDLEWARE)


def _segment(name: str) -> Segment:
    if rest := _REST.fullmatch(name):
        return Segment(Weight.REST, rest[1])
    if one := _ONE.fullmatch(name):
        return Segment(Weight.ONE, one[1])
    return Segment(Weight.FIXED, name)


def _shown(segment: Segment) -> str:
    return {Weight.REST: "*", Weight.ONE: f":{segment.name}"}.get(segment.weight, segment.name)
