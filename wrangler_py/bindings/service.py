"""Service bindings: another Worker's ``fetch`` and methods (Workers docs, "Service bindings")."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.declared import Declared
from wrangler_py.bindings.started import Started, starts

if TYPE_CHECKING:
    from typing import Unpack

    from wrangler_py.bindings.resources import Peers, Resources, Target
    from wrangler_py.config import Config
    from wrangler_py.config.model import ServiceConfig
    from wrangler_py.sdk.web.types import FetchKwargs
    from wrangler_py.sdk.workers import Request, Response


def declare(config: Config) -> Iterator[Declared]:
    """Yield the service bindings of a configuration."""
    for one in config.resources.services:
        yield Declared(one.binding, "Worker", _detail(one), partial(_make, one))


def _detail(service: ServiceConfig) -> str:
    return service.service if service.entrypoint is None else f"{service.service}#{service.entrypoint}"


def _make(service: ServiceConfig, on: Resources) -> ServiceBinding:
    from wrangler_py.bindings.resources import Target

    target = Target("entrypoint", service.entrypoint or "", props=service.props)
    return ServiceBinding(on.peers, service.service, target, _detail(service))


class ServiceBinding:
    """``env.MY_SERVICE``: every public name on it is a method of the Worker's entrypoint, to be awaited."""

    def __init__(self, peers: Peers, script: str, target: Target, shown: str) -> None:
        self._peers, self._script, self._target, self._shown = peers, script, target, shown

    def __repr__(self) -> str:
        return f"<service {self._shown}>"

    @starts
    async def fetch(self, resource: str | Request, /, **options: Unpack[FetchKwargs]) -> Response:
        """Let the Worker answer a request, which it sees as it is here: URL, method, headers, body.

        Options as for `Request`. Redirects are given back, not followed.

        Raises:
            TypeError: no absolute URL, an unknown option, a wrong body.
            PeerLostError: the Worker went away before there was a response.
            Exception: what its handler raised.
        """
        from wrangler_py.sdk.workers import Request

        request = resource if isinstance(resource, Request) and not options else Request(resource, **options)
        return await self._peers.fetch(self._script, self._target, request)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("_"):
            raise AttributeError(f"{self!r} has no method {name!r}: names that begin with _ are private")

        def call(*args: Any, **kwargs: Any) -> Started[Any]:
            return Started(self._peers.call(self._script, self._target, name, args, kwargs), self, name)

        call.__name__ = call.__qualname__ = name
        return call
