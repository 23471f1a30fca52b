"""Which handler a path and a method belong to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrangler_py.errors import RequestError

if TYPE_CHECKING:
    from wrangler_py.server.answer import Sendable
    from wrangler_py.server.call import Call
    from wrangler_py.server.envelope import Dialect, Success

Handler = Callable[["Call"], Awaitable["Success | Sendable"]]


@dataclass(frozen=True)
class Route:
    """``GET workflows/{workflow}`` and who answers it, and in which `Dialect`."""

    method: str
    pattern: tuple[str, ...]
    handler: Handler
    dialect: Dialect

    def match(self, path: tuple[str, ...]) -> dict[str, str] | None:
        """Return the variable segments of ``path``, or None if it is another path."""
        parts = {}
        for wanted, given in zip(self.pattern, path, strict=True):
            if wanted.startswith("{"):
                parts[wanted[1:-1]] = given
            elif wanted != given:
                return None
        return parts


def routes(prefix: str, dialect: Dialect, table: Mapping[str, Handler]) -> list[Route]:
    """Return the routes of ``{"GET workflows/{workflow}": handler}`` under ``prefix``."""
    found = []
    for key, handler in table.items():
        method, _, path = key.partition(" ")
        found.append(Route(method, tuple(f"{prefix}/{path}".split("/")), handler, dialect))
    return found


class Router:
    """All routes; of two that fit, the one named first."""

    def __init__(self, table: Iterable[Route]) -> None:
        self._by_length: dict[int, list[Route]] = {}
        for route in table:
            self._by_length.setdefault(len(route.pattern), []).append(route)

    def find(self, method: str, path: tuple[str, ...]) -> tuple[Route, dict[str, str]]:
        """Return the route and its variable segments.

        Raises:
            RequestError: 404 no such path; 405 not with this method (with ``Allow``).
        """
        wanted = "GET" if method == "HEAD" else method
        for route, parts in self._fitting(path):
            if route.method == wanted:
                return route, parts
        allowed = self.allowed(path)
        raise RequestError(405, f"Method {method} is not allowed here; allowed: {allowed}.", allow=allowed)

    def allowed(self, path: tuple[str, ...]) -> str:
        """Return the methods of ``path`` as an ``Allow`` header names them. Raises RequestError (404)."""
        methods = {route.method for route, _ in self._fitting(path)}
        if not methods:
            raise RequestError(404, f"No route for the URI /{'/'.join(path)}")
        extra = {"OPTIONS", "HEAD"} if "GET" in methods else {"OPTIONS"}
        return ", ".join(sorted(methods | extra))

    def _fitting(self, path: tuple[str, ...]) -> list[tuple[Route, dict[str, str]]]:
        candidates = ((route, route.match(path)) for route in self._by_length.get(len(path), ()))
        return [(route, parts) for route, parts in candidates if parts is not None]
