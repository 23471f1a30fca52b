"""Other Workers, wherever they run, and this one as others see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.dispatch import Dispatcher, depth
from wrangler_py.bindings.failures import PeerUnavailableError, RpcError

if TYPE_CHECKING:
    from wrangler_py.bindings.link import Find, Link
    from wrangler_py.bindings.parcel import Answer
    from wrangler_py.bindings.resources import Target
    from wrangler_py.sdk.web.streams import Source
    from wrangler_py.sdk.workers import Request, Response

#: Calls between Workers that may lead to one another (Workers docs, "Service bindings", "Limits").
MAX_DEPTH = 16


class SessionPeers:
    """Finds a Worker among the running sessions, and speaks to it.

    A Worker that calls itself is answered here, by ``home``, with copies of all values, as if it were another.
    """

    def __init__(self, script: str, find: Find) -> None:
        self._script, self._find = script, find
        self._links: dict[str, Link] = {}
        self.home: Dispatcher | None = None

    async def call(
        self, script: str, target: Target, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a method there and return what it returns; what it raises is raised here, type and message kept.

        A `Request` or `Response` may be one of the arguments, or the result; its body streams.

        Raises:
            TypeError: an argument cannot be sent (python-sdk, section 4).
            PeerUnavailableError: no running session has that script; nothing was done.
            PeerLostError: the connection broke; the method may have been called or not.
            RpcError: the arguments are too large, or too many calls led to this one.
        """
        from wrangler_py.bindings.link import AbsentError

        try:
            answer, body = await self._ask(script, target, method, args, kwargs)
        except AbsentError:
            raise PeerUnavailableError(
                f'Cannot access "{method}" as we couldn\'t find {_who(script, target)}.\n{_advice(script)}'
            ) from None
        return _open(script, answer, body)

    async def fetch(self, script: str, target: Target, request: Request) -> Response:
        """Let the script answer a request; one that does not run is a response with status 503 that names it.

        Raises:
            PeerLostError: the connection broke before there was a response.
            Exception: what the handler there raised.
        """
        from wrangler_py.bindings.link import AbsentError
        from wrangler_py.sdk.workers import Response

        try:
            answer, body = await self._ask(script, target, "fetch", (request,), {})
        except AbsentError:
            return Response(f"Couldn't find {_who(script, target)}\n{_advice(script)}\n", status=503)
        response: Response = _open(script, answer, body)
        response._url = request.url
        return response

    async def _ask(
        self, script: str, target: Target, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Answer, Source]:
        from wrangler_py.bindings.parcel import open_answer, pack_call

        level = depth.get() + 1
        if level > MAX_DEPTH:
            raise RpcError(
                "Subrequest depth limit exceeded. This request recursed through Workers too many times. This can "
                "happen e.g. if you have a Worker or Durable Object that calls other Workers or objects recursively."
            )
        parcel = pack_call(script, target, method, args, kwargs, depth=level)
        # Its own objects are asked for here only when this worker has left them to the script's new one.
        if script != self._script or target.kind == "object" or self.home is None:
            return await self._link(script).carry(parcel, level)
        # Code of the user's runs in there, which may belong to one task from its first step on.
        found = await asyncio.create_task(self.home.answer(parcel))
        return open_answer(found), found.body

    def _link(self, script: str) -> Link:
        from wrangler_py.bindings.link import Link

        return self._links.setdefault(script, Link(script, self._find))

    def close(self) -> None:
        """Close every connection."""
        for link in self._links.values():
            link.close()


def _who(script: str, target: Target) -> str:
    entrypoint = target.name or "default"
    return f'a local dev session for the "{entrypoint}" entrypoint of service "{script}" to proxy to'


def _advice(script: str) -> str:
    return (
        f'Start "{script}": run pywrangler dev in its folder, or add its configuration here with another -c.'
    )


def _open(script: str, answer: Answer, body: Source) -> Any:
    from wrangler_py.bindings.parcel import Items, Result, open_result
    from wrangler_py.sdk.raised import Raised, revive

    match answer:
        case Result():
            return open_result(answer, body)
        case Items():
            return _items(script, body)
        case Raised():
            raise revive(answer, f"the Worker {script}")
    raise AssertionError(answer)


async def _items(script: str, body: Source) -> AsyncIterator[Any]:
    from wrangler_py.bindings.parcel import open_items

    async for item in open_items(body):
        yield _open(script, item, b"")
