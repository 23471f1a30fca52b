"""Whom a command speaks to: the session that was named, the one found by itself, or the stored state."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wrangler_py.cli.client import Client
from wrangler_py.cli.transport import SessionTransport
from wrangler_py.errors import ConfigError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wrangler_py.config import Config
    from wrangler_py.runtime.sessions import Session

DEFAULT_IP = "127.0.0.1"
DEFAULT_PORT = 8787


@dataclass(frozen=True)
class Target:
    """The options by which a command finds its session or its stored state; all may be left out."""

    config: Path | None = None
    env: str | None = None
    persist_to: Path | None = None
    port: int | None = None
    ip: str | None = None
    cwd: Path | None = None

    @contextmanager
    def client(self, *, reads: bool = False) -> Iterator[Client]:
        """Open the API; with ``reads``, stored state need not be writable, and nothing of it is written.

        Raises UserError if there is neither a session nor a project.
        """
        if self.port is not None or self.ip is not None:
            yield Client(SessionTransport(self.ip or DEFAULT_IP, self.port or DEFAULT_PORT))
            return
        self._enter_directory()
        with self._found(self._config_path(), reads=reads) as client:
            yield client

    @contextmanager
    def reader(self) -> Iterator[Client]:
        """Open the API to read only; raises as `client`."""
        with self.client(reads=True) as client:
            yield client

    def load_config(self) -> Config:
        """Return the project's configuration. Raises UserError if there is no project, ConfigError if it is wrong."""
        self._enter_directory()
        return self._load(self._config_path())

    @contextmanager
    def _found(self, path: Path, *, reads: bool) -> Iterator[Client]:
        """Open the project's session, found even while the configuration is broken; else its stored state."""
        session, state = self.find_state(path)
        if session is not None:
            url = urlsplit(session.url_of_config(path))
            yield Client(SessionTransport(url.hostname or DEFAULT_IP, url.port or DEFAULT_PORT))
            return
        from wrangler_py.cli.stored import StoredTransport, access
        from wrangler_py.server.cold import cold_app

        with access(reads=reads), StoredTransport(cold_app(self._load(path), state)) as transport:
            yield Client(transport)

    def find_state(self, path: Path) -> tuple[Session | None, Path]:
        """Return the session for the project configured by ``path``, if one runs, and the state of the project.

        It may run as one of several Workers of another project's session, in that one's state.
        """
        from wrangler_py.runtime.sessions import DEFAULT_STATE, find_session, session_of_config

        state = (self.persist_to or path.parent / DEFAULT_STATE).absolute()
        session = find_session(state)
        if session is None and self.persist_to is None:
            session = session_of_config(path)
        return session, state if session is None else Path(session.state_dir)

    def _enter_directory(self) -> None:
        if self.cwd is None:
            return
        try:
            os.chdir(self.cwd)
        except OSError as error:
            raise UserError(f"Cannot work in {self.cwd}: {error.strerror}.", hint="Check --cwd.") from error

    def _load(self, path: Path) -> Config:
        from wrangler_py.config import load

        loaded = load(path, env=self.env)
        loaded.diagnostics.raise_for_errors()
        if loaded.config is None:
            raise ConfigError(f"The configuration {path} cannot be used.")
        return loaded.config

    def _config_path(self) -> Path:
        from wrangler_py.config import find

        if self.config is not None:
            return self.config.absolute()
        found = find(Path.cwd())
        if found is None:
            raise UserError(
                f"No wrangler.toml, wrangler.jsonc or wrangler.json in {Path.cwd()} or above it.",
                hint="Go to a project, name one with --config or --cwd, or make one: pywrangler init my-app",
            )
        return found
