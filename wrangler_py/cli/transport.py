"""How a request of the command line reaches the REST API of a session.

With the standard library's client: importing httpx costs more than all else a command does (130 of the 400 ms
that `workflows list` may take).
"""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

from wrangler_py.errors import SessionError

#: Seconds a session may take to answer.
TIMEOUT = 30.0
UNAUTHORIZED = 401
TOKEN_VARIABLE = "PYWRANGLER_TOKEN"  # noqa: S105 - the name of a variable
HEADERS = {"accept": "application/json", "content-type": "application/json"}


class Answer(NamedTuple):
    """An HTTP status and a body."""

    status: int
    body: bytes


class Transport(Protocol):
    """Sends one request: ``path`` with its query, ``body`` already JSON."""

    #: True if nobody runs instances behind it.
    is_stored: bool

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Return the answer. Raises SessionError if there is none."""
        ...


class SessionTransport:
    """Speaks HTTP to a running session."""

    is_stored = False

    def __init__(self, host: str, port: int, *, timeout: float = TIMEOUT) -> None:
        self.host, self.port, self.timeout = host, port, timeout

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Send it on a connection of its own: a worker replaced meanwhile never leaves us a dead one."""
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.request(method, path, body, _headers())
            response = connection.getresponse()
            answer = Answer(response.status, response.read())
        except TimeoutError as error:
            raise self._silent() from error
        except (OSError, HTTPException) as error:
            raise self._unreachable() from error
        finally:
            connection.close()
        if answer.status == UNAUTHORIZED:
            raise _unauthorized()
        return answer

    def _silent(self) -> SessionError:
        return SessionError(
            f"The local dev session on port {self.port} did not answer within {self.timeout:g} seconds.",
            hint="A step or request handler that blocks the event loop can cause this; look at its terminal.",
        )

    def _unreachable(self) -> SessionError:
        return SessionError(
            f"Could not connect to local dev session on port {self.port}. "
            'Make sure "pywrangler dev" is running.',
            hint="Without --port and --ip the session is found by itself, or the stored state is used.",
        )


def _headers() -> dict[str, str]:
    token = os.environ.get(TOKEN_VARIABLE)
    return {**HEADERS, "authorization": f"Bearer {token}"} if token else HEADERS


def _unauthorized() -> SessionError:
    """Return what a `pywrangler serve` means that takes no, or not this, token."""
    is_given = bool(os.environ.get(TOKEN_VARIABLE))
    return SessionError(
        f"The token in {TOKEN_VARIABLE} is not one of this server's."
        if is_given
        else "This server wants a token.",
        hint=f"Make one where it runs: pywrangler tokens create NAME. Then set {TOKEN_VARIABLE} to it.",
    )
