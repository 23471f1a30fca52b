"""Answers other Workers: finds whom a call is for, and does it; whatever comes of it travels back in a `Parcel`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from wrangler_py.errors import UserError
from wrangler_py.sdk.raised import pack_error
from wrangler_py.sdk.stacks import stack_of

if TYPE_CHECKING:
    from wrangler_py.bindings.parcel import Invocation, Parcel
    from wrangler_py.bindings.resources import Resources, Target
    from wrangler_py.sdk.workers import Response

logger = logging.getLogger(__name__)

#: How many calls between Workers led to the code that runs now.
depth: ContextVar[int] = ContextVar("depth", default=0)


class Dispatcher:
    """Stands for one Worker: its entrypoints, workflows and Durable Objects."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def answer(self, parcel: Parcel) -> Parcel:
        """Do what a parcel asks; what goes wrong is an answer, too.

        Raises:
            ValueError: it is none of a call.
        """
        from wrangler_py.bindings.parcel import Misdirected, open_call, pack_answer

        call, args, kwargs = open_call(parcel)
        script = self._resources.config.name
        if call.script != script:
            return pack_answer(Misdirected(script))
        token = depth.set(call.depth)
        try:
            return await self._carry_out(call, args, kwargs)
        except Exception as error:  # noqa: BLE001 - user code may raise anything; the caller gets it
            raised = pack_error(error)
            logger.info("%s raised %s\n%s", _named(call), raised.error.name, stack_of(raised.error))
            return pack_answer(raised)
        finally:
            depth.reset(token)

    async def _carry_out(self, call: Invocation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Parcel:
        from wrangler_py.bindings.parcel import pack_items, pack_result

        found = await self._call(call.target, call.method, args, kwargs)
        if call.target.kind == "workflow" and isinstance(found, AsyncIterator):
            return pack_items(found)
        if call.target.kind == "entrypoint" and call.method == "fetch":
            found = require_response(found)
        return pack_result(found)

    async def _call(self, target: Target, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        here = self._resources
        match target.kind:
            case "entrypoint":
                return await here.code.call_entrypoint(target.name, method, args, kwargs, target.props)
            case "workflow":
                from wrangler_py.bindings.cross_script import ask_engine

                return await ask_engine(here.engine, target, method, kwargs)
            case "object":
                from wrangler_py.bindings.durable import DurableObjects

                assert target.id is not None
                objects = DurableObjects.of(here)
                if method == "fetch":
                    return await objects.fetch(target.name, target.id, args[0])
                return await objects.call(target.name, target.id, method, args, kwargs)


def _named(call: Invocation) -> str:
    return f"{call.target.name or 'Default'}.{call.method}()"


def require_response(answer: object) -> Response:
    """Return ``answer`` of a handler of requests; raise UserError if it is no Response."""
    from wrangler_py.sdk.workers import Response

    if isinstance(answer, Response):
        return answer
    described = "nothing" if answer is None else f"a value of type {type(answer).__name__}"
    raise UserError(
        f"fetch() returned {described}, not a Response.", hint='Return one: return Response("hello")'
    )
