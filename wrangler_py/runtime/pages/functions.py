"""Calling Pages Functions: middlewares from the top down, the function of the path, then the static file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.runtime.handlers import run_handler
from wrangler_py.runtime.loader import import_user_file, roots_of
from wrangler_py.runtime.pages.assets import Assets
from wrangler_py.runtime.pages.routes import Params, Route, find_routes
from wrangler_py.runtime.pages.rules import read_functions
from wrangler_py.runtime.sources import install_import_root
from wrangler_py.sdk import imports
from wrangler_py.sdk.context import Context, WaitUntil, current_context
from wrangler_py.sdk.web.request import Request
from wrangler_py.sdk.web.response import Response
from wrangler_py.serde import Record

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from wrangler_py.config import Config
    from wrangler_py.config.model import PagesConfig

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
#: On env: the project's static files (Pages docs, "Functions", "API reference").
ASSETS = "ASSETS"
Function = Callable[..., Any]


class Endpoint(NamedTuple):
    """A loaded file: its route, and its functions by HTTP method; "" is for those without one of their own."""

    route: Route
    functions: Mapping[str, Sequence[Function]]

    def for_method(self, method: str) -> Sequence[Function]:
        """Return the functions to call for a method, one after the other as they call ``next``."""
        return self.functions.get(method) or self.functions.get("", ())


class Call(NamedTuple):
    """One function in the chain of a request, and what its route's brackets stand for."""

    function: Function
    params: Params
    path: str


class EventContext:
    """What a function is given (Pages docs, "Functions", "API reference")."""

    def __init__(self, chain: Chain, index: int) -> None:
        call = chain.calls[index]
        self._chain, self._index = chain, index
        self.request, self.env, self.data = chain.request, chain.env, chain.data
        self.params: Any = Record(call.params)
        self.function_path = self.functionPath = call.path

    async def next(self, request: Request | str | None = None, **init: Any) -> Response:
        """Call what comes behind: the next function, or the static file; with another request if one is given."""
        return await self._chain.go_on(self._index + 1, request, init)

    def wait_until(self, awaitable: Any) -> None:
        """Keep ``awaitable`` running after the response was sent."""
        self._chain.context.waitUntil(awaitable)

    waitUntil = wait_until  # noqa: N815 - the spelling of Cloudflare's own API

    def passThroughOnException(self) -> None:  # noqa: N802
        """Let the static file answer if a function raises."""
        self._chain.passes_through = True

    pass_through_on_exception = passThroughOnException


class Chain:
    """The functions of one request, and what they share."""

    def __init__(
        self, calls: Sequence[Call], request: Request, env: Any, context: Context, assets: Assets
    ) -> None:
        self.calls, self.request, self.env, self.context = calls, request, env, context
        self.data: Any = Record()
        self.passes_through = False
        self._assets = assets

    async def run(self) -> Response:
        """Answer the request."""
        spare = self.request.clone() if self.request.method in ("GET", "HEAD") else None
        try:
            return await self.go_on(0, None, {})
        except Exception:
            if not self.passes_through or spare is None:
                raise
            return await self._assets.fetch(spare)

    async def go_on(self, index: int, given: Request | str | None, init: Mapping[str, Any]) -> Response:
        """Call function ``index``, or serve the file behind the last one."""
        if given is not None or init:
            self.request = Request(self.request if given is None else given, **init)
        if index >= len(self.calls):
            return await self._assets.fetch(self.request)
        call = self.calls[index]
        answer = await run_handler(call.function, EventContext(self, index))
        if not isinstance(answer, Response):
            raise UserError(
                f"The function of {call.path} returned {_described(answer)}, not a Response.",
                hint='Return one: return Response("hello"), or: return await context.next()',
            )
        return answer


class PagesHandlers:
    """A Pages project's code, in the place of a Worker's (`bindings.resources.Code`)."""

    def __init__(self, endpoints: Sequence[Endpoint], pages: PagesConfig, env: Any, work: WaitUntil) -> None:
        self._functions = [one for one in endpoints if not one.route.is_middleware]
        # From the top down: the reverse of the most specific first.
        self._middlewares = [one for one in reversed(endpoints) if one.route.is_middleware]
        self._reached = read_functions(pages.directory)
        self._assets = Assets(pages.directory)
        self._env, self._work = env, work
        vars(env)[ASSETS] = self._assets

    async def call(self, event: str, argument: Any) -> Any:
        """Answer a request; there are no other events in a Pages project.

        Raises:
            UserError: ``event`` is another, or a function returned something else than a Response.
        """
        if event != "fetch":
            raise UserError(f"A Pages project has no {event} handler.", hint="Write a Worker for it.")
        context = Context(self._work)
        chain = Chain(self._calls(argument), argument, self._env, context, self._assets)
        token = current_context.set(context)
        try:
            return await chain.run()
        finally:
            current_context.reset(token)

    def handles(self, event: str) -> bool:
        """Return True if there is a handler of ``event``: of requests only."""
        return event == "fetch"

    async def call_entrypoint(
        self, name: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any], props: Mapping[str, Any]
    ) -> Any:
        """Answer ``fetch`` of the project itself; it has no methods to call over a service binding."""
        _ = kwargs, props
        if name or method != "fetch":
            raise UserError(f"Method {method} does not exist", hint="A Pages project can only be fetched.")
        return await self.call("fetch", *args)

    def object_class(self, name: str) -> type:
        """Raise WorkerLoadError: a Pages project binds to the Durable Objects of a Worker."""
        raise WorkerLoadError(
            f"The Durable Object class '{name}' cannot be part of a Pages project.",
            hint="Define it in a Worker, and name that Worker as the binding's script_name.",
        )

    def _calls(self, request: Request) -> list[Call]:
        path = urlsplit(request.url).path
        if not self._reached.reach(path):
            return []
        parts = [unquote(part) for part in path.split("/") if part]
        calls = [call for one in self._middlewares for call in _fitting(one, parts, request.method)]
        found = (list(_fitting(one, parts, request.method)) for one in self._functions)
        return [*calls, *next(filter(None, found), [])]


def load_pages(config: Config) -> Sequence[Endpoint]:
    """Import the functions of a Pages project into this process, the most specific routes first.

    Raises:
        WorkerLoadError: a file cannot be imported, or what it calls ``on_request`` is no function.
    """
    assert config.pages is not None
    folder = config.pages.functions
    if not folder.is_dir():
        return []
    install_import_root(folder)
    imports.install(folder)
    found = (
        Endpoint(route, _functions(_import(route, folder, config), route)) for route in find_routes(folder)
    )
    return [one for one in found if one.functions]


def _import(route: Route, folder: Path, config: Config) -> ModuleType:
    name = ".".join(("functions", *route.path.relative_to(folder).with_suffix("").parts))
    return import_user_file(route.path, name, roots_of(config))


def _functions(module: ModuleType, route: Route) -> dict[str, Sequence[Function]]:
    """Return what a file exports: ``on_request``, ``on_request_get`` and so on, or as JavaScript spells them."""
    found = {}
    for method in ("", *METHODS):
        names = (f"on_request_{method.lower()}".rstrip("_"), f"onRequest{method.capitalize()}")
        value = next((getattr(module, name) for name in names if hasattr(module, name)), None)
        if value is not None:
            found[method] = _as_functions(value, names[0], route)
    return found


def _as_functions(value: Any, name: str, route: Route) -> Sequence[Function]:
    functions = value if isinstance(value, list | tuple) else (value,)
    if functions and all(map(callable, functions)):
        return tuple(functions)
    raise WorkerLoadError(
        f"{name} in {route.path.name} is no function and no list of them.",
        hint=f"Write: async def {name}(context): ...",
    )


def _fitting(endpoint: Endpoint, parts: Sequence[str], method: str) -> list[Call]:
    functions = endpoint.for_method(method)
    params = endpoint.route.match(parts) if functions else None
    return [] if params is None else [Call(one, params, endpoint.route.pattern) for one in functions]


def _described(answer: Any) -> str:
    return "nothing" if answer is None else f"a value of type {type(answer).__name__}"
