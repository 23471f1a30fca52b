"""What the adapters for web frameworks (`workers.asgi`, `workers.wsgi`) share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

if TYPE_CHECKING:
    from wrangler_py.sdk.web.request import Request

EncodeBody = Literal["automatic", "manual"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of an adapter. Whatever ``encode_body`` says, bodies are sent here as the app gives them."""

    encode_body: EncodeBody = "automatic"

    def __post_init__(self) -> None:
        if self.encode_body not in get_args(EncodeBody):
            raise ValueError(f"encode_body is one of {get_args(EncodeBody)}, not {self.encode_body!r}")


@dataclass(frozen=True)
class Target:
    """The parts of a request's URL that frameworks ask for."""

    scheme: str
    host: str
    port: int
    #: Percent-decoded, as bytes: each protocol has its own way to make text of it.
    path: bytes
    raw_path: bytes
    query: str

    @classmethod
    def of(cls, request: Request) -> Target:
        """Take the URL of ``request`` apart."""
        url: SplitResult = urlsplit(request.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        path = url.path or "/"
        return cls(url.scheme, url.hostname or "", port, unquote_to_bytes(path), path.encode(), url.query)
