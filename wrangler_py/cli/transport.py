"""How a request of the command line reaches the REST API of a session.

With the standard library's client: importing httpx costs more than all else a command does (130 of the 400 ms
that `workflows list` may take).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from wrangler_py.errors import SessionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPConnection

#: Seconds a session may take to answer.
TIMEOUT = 30.0
OK, UNAUTHORIZED = 200, 401
TOKEN_VARIABLE = "PYWRANGLER_TOKEN"  # noqa: S105 - the name of a variable
HEADERS = {"accept": "application/json", "content-type": "application/json"}


class Answer(NamedTuple):
    """An HTTP status and a body."""

    status: int
    body: bytes


class Events:
    """The events of a subscription: iterating gives the id of each, until the stream ends. A context manager."""

    def __init__(self, connection: HTTPConnection, path: str, headers: dict[str, str]) -> None:
        from http.client import HTTPException

        self._connection, self._errors = connection, (OSError, HTTPException, ValueError)
        try:
            connection.request("GET", path, headers=headers)
            self._socket = connection.sock
            self._response = connection.getresponse()
        except self._errors as error:
            connection.close()
            raise SessionError(f"The subscription could not be opened: {error}") from error
        self.status = self._response.status

    def __iter__(self) -> Iterator[str]:
        if self.status != OK:
            return
        try:
            for line in self._response:
                name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
                if name == "id":
                    yield value.strip()
        except self._errors as error:
            raise SessionError(f"The subscription broke: {error}") from error

    def stop(self) -> None:
        """End the iteration, from another thread."""
        import socket

        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()


class Transport(Protocol):
    """Sends one request: ``path`` with its query, ``body`` already JSON."""

    #: True if nobody runs instances behind it.
    is_stored: bool

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Return the answer. Raises SessionError if there is none."""
        ...

    def events(self, path: str, after: str | None) -> Events:
        """Subscribe: to what comes after the event with that id. Raises SessionError if nobody answers."""
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

    def events(self, path: str, after: str | None) -> Events:
        """See `Transport`."""
        from http.client import HTTPConnection

        headers = {**_headers(), "accept": "text/event-stream"}
        if after is not None:
            headers["last-event-id"] = after
        return Events(HTTPConnection(self.host, self.port, timeout=self.timeout), path, headers)

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
