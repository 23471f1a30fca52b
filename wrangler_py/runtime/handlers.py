"""Calling the user's handlers: methods of `Default`, or module functions before 2025-08-14 (python-sdk, section 2)."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from typing import Any

from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.runtime.loader import DEFAULT, GLOBAL_HANDLERS, WorkerCode
from wrangler_py.sdk.context import Context, WaitUntil, current_context
from wrangler_py.sdk.wire import as_js

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Handlers:
    """One worker's handlers. ``work`` holds what they hand to ``waitUntil``."""

    def __init__(self, code: WorkerCode, env: Any, work: WaitUntil) -> None:
        self._code, self._env, self._work = code, env, work

    async def call(self, event: str, argument: Any) -> Any:
        """Run the handler of ``event`` (``fetch``, ``scheduled``) with a fresh ``ctx``, and return what it does.

        A ``def`` handler runs in a thread, so that it cannot keep other requests and instances waiting.

        Raises:
            WorkerLoadError: there is no class ``Default``.
            UserError: the class lacks the method.
        """
        context = Context(self._work)
        token = current_context.set(context)
        try:
            return await _call(self._find(event, context), self._given(event, argument), self._env, context)
        finally:
            current_context.reset(token)

    def _given(self, event: str, argument: Any) -> Any:
        """A module function such as ``on_fetch`` is given the JS request, as on Cloudflare."""
        return as_js(argument) if event == "fetch" and self._code.global_handler(event) else argument

    def _find(self, event: str, context: Context) -> Callable[..., Any]:
        function = self._code.global_handler(event)
        return function if function is not None else self._method(event, context)

    def _method(self, event: str, context: Context) -> Callable[..., Any]:
        handler = self._code.handler_class()
        if handler is None:
            raise WorkerLoadError(
                f"There is no '{DEFAULT}' class defined in the Python Worker's main module",
                hint=self._advice(event),
            )
        if not callable(getattr(handler, event, None)):
            raise UserError(
                f"Method {event} does not exist",
                hint=f"Add it to class {DEFAULT}: async def {event}(self, ...)",
            )
        method: Callable[..., Any] = getattr(handler(context, self._env), event)
        return method

    def _advice(self, event: str) -> str:
        old = GLOBAL_HANDLERS[event]
        if hasattr(self._code.module, old):
            return f"{old}() counts only before compatibility date 2025-08-14; from then on the class {DEFAULT} does."
        return f"Add: class {DEFAULT}(WorkerEntrypoint), with: async def {event}(self, ...)"


async def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    given = arguments[: _accepted(function)]
    if _is_async(function):
        return await function(*given)
    context = contextvars.copy_context()
    result = await asyncio.get_running_loop().run_in_executor(None, lambda: context.run(function, *given))
    return await result if inspect.isawaitable(result) else result


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def _accepted(function: Callable[..., Any]) -> int | None:
    """Return how many positional arguments ``function`` takes; None: any number."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(parameter.kind in _POSITIONAL for parameter in parameters)
