"""Calling the user's handlers: methods of `Default`, or module functions before 2025-08-14 (python-sdk, section 2)."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from wrangler_py.bindings.workflow import source
from wrangler_py.engine import Trigger
from wrangler_py.engine.executing import RECORD
from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.runtime.loader import DEFAULT, GLOBAL_HANDLERS, WorkerCode
from wrangler_py.sdk.context import Context, WaitUntil, current_context
from wrangler_py.sdk.wire import as_js
from wrangler_py.serde import Record

#: Events whose instances are recorded as come from something else than a binding (engine-semantics, section 4).
_SOURCES = {"queue": Trigger.EVENT}
#: Events that end when what they handed to ``waitUntil`` has ended (Queues docs, "JavaScript APIs").
_WAITED = frozenset({"queue"})
#: How a service binding names the class ``Default``.
_DEFAULT_NAMES = frozenset({"", "default", DEFAULT})
#: What an entrypoint has that is no method of the user's.
_NOT_METHODS = frozenset({"ctx", "env"})
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Handlers:
    """One worker's handlers. ``work`` holds what they hand to ``waitUntil``."""

    def __init__(self, code: WorkerCode, env: Any, work: WaitUntil) -> None:
        self._code, self._env, self._work = code, env, work

    async def call(self, event: str, argument: Any, props: Mapping[str, Any] | None = None) -> Any:
        """Run the handler of ``event`` (``fetch``, ``scheduled``, ``queue``) with a fresh ``ctx``; return what it does.

        A ``def`` handler runs in a thread, so that it cannot keep other requests and instances waiting. A batch of a
        queue is handled when all that went to ``waitUntil`` has ended too, and has failed if that did.

        Raises:
            WorkerLoadError: there is no class ``Default``.
            UserError: the class lacks the method.
        """
        if event not in _WAITED:
            return await self._call(event, argument, Context(self._work, props=Record(props or {})))
        async with _to_the_end() as work:
            return await self._call(event, argument, Context(work))

    async def _call(self, event: str, argument: Any, context: Context) -> Any:
        with _handling(context, _SOURCES.get(event)):
            return await _call(self._find(event, context), self._given(event, argument), self._env, context)

    def handles(self, event: str) -> bool:
        """Return True if there is a handler of ``event``."""
        if self._code.global_handler(event) is not None:
            return True
        return callable(getattr(self._code.handler_class(), event, None))

    async def call_entrypoint(
        self, name: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any], props: Mapping[str, Any]
    ) -> Any:
        """Call a method of an entrypoint, as over a service binding; ``name`` "" is the class ``Default``.

        ``fetch`` of that one is the handler of requests, which may also be ``on_fetch``.

        Raises:
            WorkerLoadError: there is no such class.
            UserError: the class lacks the method, or it is private.
        """
        if method == "fetch" and name in _DEFAULT_NAMES:
            return await self.call("fetch", args[0], props)
        context = Context(self._work, props=Record(props))
        function = public_method(self._entrypoint(name, context), method)
        with _handling(context, None):
            # A handler of requests may do without the request.
            return await (
                _call(function, *args) if method == "fetch" else run_handler(function, *args, **kwargs)
            )

    def _entrypoint(self, name: str, context: Context) -> Any:
        name = DEFAULT if name in _DEFAULT_NAMES else name
        entrypoint = self._code.entrypoint(name)
        if entrypoint is None:
            raise WorkerLoadError(
                f"There is no '{name}' class defined in the Python Worker's main module",
                hint=f"Add: class {name}(WorkerEntrypoint)",
            )
        return entrypoint(context, self._env)

    def object_class(self, name: str) -> type:
        """Return the Durable Object class ``name``; raise WorkerLoadError if the configuration names none such."""
        found = self._code.objects.get(name)
        if found is None:
            raise WorkerLoadError(
                f"There is no Durable Object class '{name}' bound in this Worker",
                hint="Add it to [[durable_objects.bindings]] of the Worker that defines it.",
            )
        return found

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


def public_method(instance: Any, name: str) -> Callable[..., Any]:
    """Return a method that others may call; raise UserError if there is none of that name."""
    method = None if name.startswith("_") or name in _NOT_METHODS else getattr(instance, name, None)
    if not callable(method):
        raise UserError(
            f"Method {name} does not exist",
            hint=f"Add it to class {type(instance).__name__}: async def {name}(self, ...)",
        )
    found: Callable[..., Any] = method
    return found


async def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return await run_handler(function, *arguments[: _accepted(function)])


async def run_handler(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the user's function: a coroutine function here, any other in a thread."""
    if _is_async(function):
        return await function(*args, **kwargs)
    context = contextvars.copy_context()
    call = functools.partial(context.run, function, *args, **kwargs)
    result = await asyncio.get_running_loop().run_in_executor(None, call)
    return await result if inspect.isawaitable(result) else result


@asynccontextmanager
async def _to_the_end() -> AsyncIterator[WaitUntil]:
    """Give what holds the work of one call: it has ended after the block, and what failed in it is raised."""
    failures: list[BaseException] = []
    work = WaitUntil(failures.append)
    try:
        try:
            yield work
        except Exception as error:  # noqa: BLE001 - raised below, when the rest has ended
            failures.insert(0, error)
        await work.drain()
    except asyncio.CancelledError:
        await work.drain(0)
        raise
    if failures:
        raise failures[0]


@contextmanager
def _handling(context: Context, trigger: Trigger | None) -> Iterator[None]:
    """Make ``context`` the one of the call; instances that are created inside have come from ``trigger``."""
    token, before = current_context.set(context), source.get()
    source.set(trigger or Trigger.BINDING)
    try:
        with RECORD.handler():
            yield
    finally:
        source.set(before)
        current_context.reset(token)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def _accepted(function: Callable[..., Any]) -> int | None:
    """Return how many positional arguments ``function`` takes; None: any number."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(parameter.kind in _POSITIONAL for parameter in parameters)
