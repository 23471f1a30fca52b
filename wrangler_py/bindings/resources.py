"""What bindings stand on: the state directory, the clock, the engine, the user's code, and other Workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from wrangler_py.errors import WorkerLoadError

if TYPE_CHECKING:
    from wrangler_py.clock import Clock
    from wrangler_py.config import Config
    from wrangler_py.engine import Engine
    from wrangler_py.sdk.workers import Request, Response

T = TypeVar("T")
Synchronous = Literal["NORMAL", "FULL"]


class Target(msgspec.Struct, frozen=True):
    """Whom a call to a Worker is for.

    ``entrypoint``: the class ``name`` ("" is ``Default``), with ``props`` for its ``ctx``. ``workflow``: the binding of
    workflow ``name``, or its instance ``id``. ``object``: the Durable Object ``id`` of class ``name``.
    """

    kind: Literal["entrypoint", "workflow", "object"]
    name: str = ""
    id: str | None = None
    props: Mapping[str, Any] = {}


class Peers(Protocol):
    """Other Workers, of this session or another, by the name of their script."""

    async def call(
        self, script: str, target: Target, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a method there and return what it returns; what it raises is raised here, type and message kept.

        Raises:
            PeerUnavailableError: no running session has that script.
        """
        ...

    async def fetch(self, script: str, target: Target, request: Request) -> Response:
        """Let the script answer a request; one that does not run is a response with status 503 that names it."""
        ...


class Code(Protocol):
    """The user's code, as bindings call it; `runtime.handlers` implements it."""

    async def call(self, event: str, argument: Any) -> Any:
        """Run the handler of ``event`` (``fetch``, ``scheduled``, ``queue``) with a fresh ``ctx``."""
        ...

    def handles(self, event: str) -> bool:
        """Return True if there is a handler of ``event``."""
        ...

    async def call_entrypoint(
        self, name: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any], props: Mapping[str, Any]
    ) -> Any:
        """Call a method of an entrypoint ("": ``Default``), as over a service binding; ``fetch`` is one of them."""
        ...

    def object_class(self, name: str) -> type:
        """Return the Durable Object class ``name``; raise WorkerLoadError if there is none."""
        ...


class NoCode:
    """Stands for code that could not be loaded, or is not wanted."""

    def __init__(self, error: WorkerLoadError) -> None:
        self._error = error

    async def call(self, event: str, argument: Any) -> Any:
        """Raise WorkerLoadError."""
        _ = event, argument
        raise self._error

    def handles(self, event: str) -> bool:
        """Say no."""
        _ = event
        return False

    async def call_entrypoint(
        self, name: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any], props: Mapping[str, Any]
    ) -> Any:
        """Raise WorkerLoadError."""
        _ = name, method, args, kwargs, props
        raise self._error

    def object_class(self, name: str) -> type:
        """Raise WorkerLoadError."""
        _ = name
        raise self._error


class Resources:
    """Made once a process by the host. Parts that several bindings share are made when first asked for."""

    def __init__(
        self,
        config: Config,
        state_dir: Path,
        engine: Engine,
        peers: Peers,
        *,
        synchronous: Synchronous = "NORMAL",
    ) -> None:
        self.config, self.state_dir, self.engine, self.peers = config, state_dir, engine, peers
        #: What a commit survives: ``NORMAL`` any crash of the process, ``FULL`` also a power cut.
        self.synchronous: Synchronous = synchronous
        #: Set as soon as the user's code has been imported, which is after its bindings were made.
        self.code: Code = NoCode(WorkerLoadError("The Worker's code is not loaded yet."))
        #: What user code is given as ``env``; set by `build_env`.
        self.env: Any = None
        self._closers: list[Callable[[], None]] = []
        self._shared: dict[type, Any] = {}

    @property
    def clock(self) -> Clock:
        """The one source of time."""
        return self.engine.clock

    def place(self, kind: str, name: str, suffix: str = "") -> Path:
        """Return where the state of a resource is: ``<state>/<kind>/<name><suffix>``, whatever the name contains."""
        return place(self.state_dir, kind, name, suffix)

    def on_close(self, close: Callable[[], None]) -> None:
        """Have ``close`` called when the process lets go of its state, last come first."""
        self._closers.append(close)

    def close(self) -> None:
        """Let go of everything."""
        while self._closers:
            self._closers.pop()()

    def shared(self, key: type[T], factory: Callable[[], T]) -> T:
        """Return the one ``key`` of this process, which several bindings share; ``factory`` makes it at first."""
        if key not in self._shared:
            self._shared[key] = factory()
        found: T = self._shared[key]
        return found


def place(state_dir: Path, kind: str, name: str, suffix: str = "") -> Path:
    """Return ``<state>/<kind>/<name><suffix>``: where the state of a resource is, whatever its name contains."""
    return state_dir / kind / (file_name(name) + suffix)


def file_name(name: str) -> str:
    """Return ``name`` as one file's name that means nothing to a file system: no slash, no dot at the front."""
    quoted = quote(name, safe="")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted
