"""A worker's inside: the only place where configuration, store, engine, bindings and user code are wired together."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import msgspec

from wrangler_py.bindings import Background, Resources, background, build_env
from wrangler_py.bindings.cron import ScheduledController
from wrangler_py.bindings.cross_script import RemoteEngine, Workflows
from wrangler_py.bindings.dispatch import Dispatcher, require_response
from wrangler_py.bindings.peers import SessionPeers
from wrangler_py.bindings.resources import NoCode
from wrangler_py.clock import Clock, SystemClock
from wrangler_py.config import fingerprint
from wrangler_py.engine import Definition, Engine, EngineOptions
from wrangler_py.engine.quarantine import Ends
from wrangler_py.engine.settings import read_retention
from wrangler_py.errors import WorkerLoadError
from wrangler_py.runtime.handlers import Handlers
from wrangler_py.runtime.loader import load, own_workflows, roots_of
from wrangler_py.runtime.options import HostOptions, Part
from wrangler_py.runtime.sessions import DATABASE, find_session, url_of_script
from wrangler_py.runtime.version import version_id
from wrangler_py.runtime.versions import Versions
from wrangler_py.sdk.context import Context, WaitUntil
from wrangler_py.sdk.environment import set_env
from wrangler_py.storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from wrangler_py.config import Config
    from wrangler_py.config.model import WorkflowConfig
    from wrangler_py.runtime.pages.functions import PagesHandlers
    from wrangler_py.sdk.workers import Request, Response

UserCode: TypeAlias = "Handlers | PagesHandlers"
#: The version of a Worker whose code cannot be found.
NO_VERSION = str(uuid.UUID(int=0))


class Host:
    """One version of one script over one state directory.

    ``load_error`` says why the user's code could not be loaded; the engine and the REST API work all the same.
    """

    def __init__(self, config: Config | None, state_dir: Path, store: SqliteStore, engine: Engine) -> None:
        self.config = config
        self.state_dir = state_dir
        self.engine = engine
        self.load_error: WorkerLoadError | None = None
        self.version = NO_VERSION if config is None else _version(config)
        #: Folders whose files are the user's own, for tracebacks.
        self.roots = () if config is None else roots_of(config)
        self.work = WaitUntil()
        self.env: Any = None
        #: Answers other Workers; None where no code is loaded.
        self.dispatcher: Dispatcher | None = None
        self.options = HostOptions()
        self._store = store
        self._part: Part | None = None
        self._handlers: UserCode | None = None
        self._resources: Resources | None = None
        self._background: list[Background] = []

    @classmethod
    async def open(
        cls,
        config: Config,
        state_dir: Path,
        *,
        options: HostOptions | None = None,
        clock: Clock | None = None,
        owner: str | None = None,
        part: Part | None = None,
    ) -> Host:
        """Open the state and import the user's code, which may leave `load_error` set. Nothing runs before `start`.

        ``part``: this process runs a part of the script's instances; the others have processes of their own.

        Raises:
            StateError: the state directory cannot be used.
        """
        host = await cls._over(config, state_dir, options or HostOptions(), clock or SystemClock(), owner)
        if part is not None:
            host._part, host.version = part, part.version
        try:
            await host._take_code(config)
        except BaseException:
            await host.close()
            raise
        return host

    @classmethod
    async def open_cold(cls, config: Config | None, state_dir: Path) -> Host:
        """Open the state only, to look and to steer without a session: no user code, nothing is ever run.

        Inside of `reading_only` what is announced here is known to this process alone. A large state is not copied
        for that: only workflows that were announced before are known then.
        """
        host = await cls._over(config, state_dir, HostOptions(), SystemClock(), None)
        if not host._store.takes_writes:
            return host
        await host.engine.free_all()
        if config is not None:
            await host.announce(config, host.version)
        return host

    @classmethod
    async def open_front(cls, state_dir: Path, options: HostOptions) -> Host:
        """Open the state to look and to steer beside the processes that drive."""
        return await cls._over(None, state_dir, options, SystemClock(), None)

    async def announce(self, config: Config, version: str) -> None:
        """Let instances created from now on be of this version of a script, whose code is in other processes."""
        await self.engine.bind(definition_of(one, config, version) for one in own_workflows(config))

    @classmethod
    async def _over(
        cls, config: Config | None, state_dir: Path, options: HostOptions, clock: Clock, owner: str | None
    ) -> Host:
        store = await SqliteStore.open(state_dir / DATABASE, synchronous=options.synchronous)
        engine = Engine(store, clock, options=_engine_options(config, options, owner))
        host = cls(config, state_dir, store, engine)
        host.options = options
        return host

    async def _take_code(self, config: Config) -> None:
        peers = SessionPeers(config.name, partial(url_of_script, near=self.state_dir))
        resources = self._resources = Resources(
            config, self.state_dir, self.engine, peers, synchronous=self.options.synchronous
        )
        resources.on_close(peers.close)
        self.dispatcher = peers.home = Dispatcher(resources)
        self.env = build_env(resources)
        set_env(self.env)
        classes: Mapping[str, type] = {}
        try:
            self._handlers, classes = self._load(config)
            resources.code = self._handlers
            self._background = background(resources)
        except WorkerLoadError as error:
            self.load_error = error
            resources.code = NoCode(error)
        await self.engine.bind(self._definition(one, classes.get(one.name)) for one in own_workflows(config))

    def _load(self, config: Config) -> tuple[UserCode, Mapping[str, type]]:
        """Import the user's code; return how it is called, and the class of each of its workflows."""
        if config.pages is not None:
            from wrangler_py.runtime.pages.functions import PagesHandlers, load_pages

            return PagesHandlers(load_pages(config), config.pages, self.env, self.work), {}
        code = load(config)
        return Handlers(code, self.env, self.work), code.workflows

    def _definition(self, workflow: WorkflowConfig, found: type | None) -> Definition:
        assert self.config is not None
        definition = definition_of(workflow, self.config, self.version)
        definition.is_pinned = self._part is not None
        # A limit of concurrency is counted by one process, so only the first of several runs such a workflow.
        is_elsewhere = workflow.concurrency is not None and self._part is not None and self._part.index > 0
        if found is not None and not is_elsewhere:
            definition.make = self._maker(found)
        return definition

    def _maker(self, found: type) -> Any:
        return lambda: found(Context(self.work), self.env)

    async def start(
        self, dead_owners: Collection[str] | None = (), *, living: str | None = None, **ends: Unpack[Ends]
    ) -> None:
        """Begin to run instances, queues, alarms and schedules; this process drives the script now.

        What ``dead_owners`` (None: everybody else) ran is taken over at once, and so is what owners ran whose names do
        not begin with ``living``, if that is given. ``ends``: see `Engine.start`.
        """
        await self.engine.start(dead_owners, living=living, **ends)
        if self._part is None:
            await self.lead()

    async def lead(self) -> None:
        """Begin what only one process of a script may run: queues, schedules, Durable Objects and their alarms."""
        for one in self._background:
            await one.start()

    async def stand_by(self, grace: float) -> None:
        """Leave that to another process, after ``grace`` seconds for what is in flight. See `drain`."""
        await _drain([one.drain for one in self._background], grace)

    async def drain(self, grace: float) -> None:
        """Let what is in flight finish for ``grace`` seconds, then leave everything to the next process.

        Durable Objects are the last to go: what else is in flight may still call them.
        """
        await _drain([self.engine.drain, *(one.drain for one in self._background)], grace)

    async def close(self) -> None:
        """Let go of the engine and the state. What was handed to ``waitUntil`` and still runs is cancelled."""
        await asyncio.gather(*(one.drain(0) for one in self._background))
        await self.work.drain(0)
        await self.engine.close()
        await self._close_user_resources()
        if self._resources is not None:
            self._resources.close()
        if "versions" in self.__dict__:
            self.versions.close()
        await self._store.close()

    async def _close_user_resources(self) -> None:
        """End what user code opened through the SDK: connections of ``fetch``, lifespans of ASGI applications."""
        if self._handlers is not None:
            from wrangler_py.sdk.web.fetch import close_client
            from wrangler_py.sdk.workers.asgi import close_applications

            await close_applications()
            await close_client()

    @cached_property
    def versions(self) -> Versions:
        """The versions of workflows' code."""
        return Versions(self.config, self.version, self.state_dir, self.engine.clock)

    async def engine_of(self, workflow: str) -> Workflows:
        """Return what steers a workflow's instances: the engine here, or that of the session's Worker that runs them.

        Raises:
            WorkflowNotFoundError: nobody knows it.
        """
        row = await self.engine.workflow(workflow)
        if self.config is None or self._resources is None or row.script == self.config.name:
            return self.engine
        session = find_session(self.state_dir)
        if session is None or row.script not in session.scripts:
            return self.engine
        return RemoteEngine(self._resources.peers, row.script)

    async def fetch(self, request: Request) -> Response:
        """Answer a request by the user's code; exceptions of theirs pass.

        Raises:
            WorkerLoadError: the code could not be loaded, or has no class ``Default``.
            UserError: that class has no method ``fetch``, or it returned something else than a Response.
        """
        return require_response(await self._ready().call("fetch", request))

    async def scheduled(self, cron: str, at_ms: int) -> None:
        """Run the user's ``scheduled`` handler for ``cron``; raises as `fetch` does."""
        await self._ready().call("scheduled", ScheduledController(cron, at_ms))

    def _ready(self) -> UserCode:
        if self.load_error is not None:
            raise self.load_error
        if self._handlers is None:
            raise WorkerLoadError("No Worker runs on this state.", hint="Start it: pywrangler dev")
        return self._handlers


def definition_of(workflow: WorkflowConfig, config: Config, version: str) -> Definition:
    """Return a workflow as a configuration says it is, without its code."""
    return Definition(
        name=workflow.name,
        script=workflow.script_name or config.name,
        class_name=workflow.class_name,
        version=version,
        concurrency=workflow.concurrency,
        implicit_dependencies=config.implicit_dependencies,
        step_limit=workflow.step_limit,
        schedules=workflow.schedules,
        retention=read_retention(workflow.success_retention, workflow.error_retention),
    )


async def _drain(drains: Sequence[Callable[[float], Awaitable[None]]], grace: float) -> None:
    """Drain all together but the last, which what is in flight elsewhere may still call."""
    time = asyncio.get_running_loop().time
    ends_at = time() + grace
    await asyncio.gather(*(drain(grace) for drain in drains[:-1]))
    for last in drains[-1:]:
        await last(max(0, ends_at - time()))


def _version(config: Config) -> str:
    if config.pages is not None:
        return version_id(config.pages.functions, fingerprint(config))
    return NO_VERSION if config.main is None else version_id(config.main.parent, fingerprint(config))


def _engine_options(config: Config | None, options: HostOptions, owner: str | None) -> EngineOptions:
    chosen = EngineOptions(
        owner=owner or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}",
        strict=options.strict or (config is not None and config.dev.strict),
        enforce_limits=options.enforce_limits or (config is not None and config.limits.enforce),
        plan=options.plan or (config.limits.plan if config is not None else "paid"),
    )
    if options.hibernate_after_ms is not None:
        chosen = msgspec.structs.replace(chosen, hibernate_after_ms=options.hibernate_after_ms)
    if options.look_s is not None:
        chosen = msgspec.structs.replace(chosen, look_s=options.look_s)
    return chosen
