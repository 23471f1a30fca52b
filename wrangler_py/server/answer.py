"""What a handler gives back: a status, a body, headers; and how it is sent over ASGI."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from wrangler_py.server.asgi import Send


class Sendable(Protocol):
    """What can be sent as a response."""

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send it; with ``head`` (the answer to a HEAD request) without its body."""
        ...


JSON_TYPE = (b"content-type", b"application/json")
TEXT_TYPE = (b"content-type", b"text/plain; charset=utf-8")


class Answer(NamedTuple):
    """A whole HTTP response. Header names are lower case; ``content-length`` is added on the way out."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send it; with ``head`` (the answer to a HEAD request) without its body."""
        headers = list(self.headers)
        if self.status != 204:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else self.body})


def text(status: int, content: str) -> Answer:
    """Return an answer of plain text."""
    return Answer(status, content.encode(), (TEXT_TYPE,))
