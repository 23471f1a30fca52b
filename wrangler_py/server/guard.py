"""Who may speak to the session's own paths.

A page of another site must not reach them through the browser of the person who develops here: neither by a
host name of its own that points at this machine (DNS rebinding), nor by a form or a fetch sent across sites.
What is no browser sends neither ``Origin`` nor ``Sec-Fetch-Site`` and is let in by its ``Host`` alone.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wrangler_py.errors import RequestError
from wrangler_py.server.asgi import Scope, header

if TYPE_CHECKING:
    from collections.abc import Collection

#: Pages a person may open by following a link from anywhere: looking at them changes nothing.
OPEN_TO_LINKS = ("cdn-cgi", "pywrangler")
#: Schemes of origins that may be of this session, and the port each has if none is named.
_PORTS = {"http": 80, "https": 443}


class Guard:
    """Lets in the names of loopback, and ``allowed``: entries are ``host`` or ``host:port``."""

    def __init__(self, allowed: Collection[str] | None = None) -> None:
        self._allowed = frozenset(entry.lower() for entry in allowed or ())

    def check(self, scope: Scope, path: tuple[str, ...]) -> None:
        """Raise RequestError (403) if the request comes from another site."""
        host = header(scope, b"host") or ""
        if not self._is_ours(host):
            raise RequestError(
                403, f"The host {host!r} is not one of this session; use localhost or its address."
            )
        origin = header(scope, b"origin")
        if origin is not None and not self._is_same_site(origin, host):
            raise RequestError(403, f"Requests from the origin {origin!r} are refused.")
        if _is_cross_site(scope, path):
            raise RequestError(403, "Requests from other sites are refused.")

    def _is_ours(self, netloc: str) -> bool:
        name, port = split_host(netloc)
        if is_loopback(name):
            return True
        return name in self._allowed or f"{name}:{port}" in self._allowed

    def _is_same_site(self, origin: str, host: str) -> bool:
        """Take the origin whose name is ours and whose port is the one the request was sent to."""
        scheme, separator, netloc = origin.lower().partition("://")
        if not separator or scheme not in _PORTS or not self._is_ours(netloc):
            return False
        default = _PORTS[scheme]
        return (split_host(netloc)[1] or default) == (split_host(host)[1] or default)


def admit_this_machine(scope: Scope, _: tuple[str, ...]) -> None:
    """Raise RequestError (403) if the request comes from another machine.

    A session's own paths ask for no token: whatever address it listens on, only the Worker is for others.
    """
    client = scope.get("client")
    if client is not None and client[0] and not is_loopback(client[0]):
        raise RequestError(
            403,
            "The API of a session answers this machine only. "
            "For others there is pywrangler serve, which asks for a token.",
        )


def _is_cross_site(scope: Scope, path: tuple[str, ...]) -> bool:
    if header(scope, b"sec-fetch-site") != "cross-site":
        return False
    is_visit = header(scope, b"sec-fetch-mode") == "navigate" and scope["method"] == "GET"
    return not (is_visit and path[:2] == OPEN_TO_LINKS)


def split_host(netloc: str) -> tuple[str, int | None]:
    """Return name and port of a ``Host`` header; the name is empty if it is none."""
    try:
        url = urlsplit(f"//{netloc}")
        return (url.hostname or "").rstrip("."), url.port
    except ValueError:
        return "", None


def is_loopback(name: str) -> bool:
    """Return True if a name, or an address, is of this machine alone."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    # An IPv4 peer of an IPv6 socket.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
