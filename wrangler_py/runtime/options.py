"""What a session is asked to do: the flags of `pywrangler dev`, and the part of them that reaches a worker."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import msgspec

#: Seconds that steps in flight get when code is replaced or the session ends (DESIGN, "Shape").
DEV_GRACE = 2.0
#: The same when a `pywrangler serve` ends. Shorter than what Docker (10 s) and systemd (90 s) wait before they kill.
SERVE_GRACE = 8.0
#: Bytes a request to a Worker may have (Workers docs, "Limits", of the free and the pro plan).
MAX_BODY = 100 * 1024 * 1024
LogFormat = Literal["text", "json"]
Plan = Literal["paid", "free"]


#: Seconds between two looks of a worker of `pywrangler serve` at what the other processes wrote.
LOOK_S = 0.05


class LogLevel(StrEnum):
    """How much a session says (wrangler's words). The user's own prints always pass."""

    DEBUG = "debug"
    INFO = "info"
    LOG = "log"
    WARN = "warn"
    ERROR = "error"
    NONE = "none"

    @property
    def rank(self) -> int:
        """Return a number that grows with the importance of what is still shown."""
        return _RANKS[self]

    def shows(self, level: LogLevel) -> bool:
        """Return True if a line of ``level`` is printed."""
        return level.rank >= self.rank


_RANKS = {
    LogLevel.DEBUG: 0,
    LogLevel.INFO: 1,
    LogLevel.LOG: 1,
    LogLevel.WARN: 2,
    LogLevel.ERROR: 3,
    LogLevel.NONE: 4,
}


class HostOptions(msgspec.Struct, frozen=True):
    """How the engine behaves. None, or False, leaves what the configuration or the engine itself says."""

    hibernate_after_ms: int | None = None
    strict: bool = False
    enforce_limits: bool = False
    #: None: as the configuration says.
    plan: Plan | None = None
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    #: Seconds between two looks at what other processes wrote.
    look_s: float | None = None
    #: Whether visitors are told how the user's code failed.
    shows_faults: bool = True


class Part(msgspec.Struct, frozen=True):
    """One of the processes that share a script's instances: its version's number ``index``, from 0."""

    version: str
    index: int = 0


class ServeOptions(msgspec.Struct, frozen=True):
    """The flags of ``pywrangler serve``. ``workers``: processes of each version of each script; ``grace`` in seconds.

    ``default``: the script that answers requests whose host names none. ``max_body`` in bytes.
    """

    state_dir: Path
    ip: str = "127.0.0.1"
    port: int = 8787
    workers: int = 1
    default: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    grace: float = SERVE_GRACE
    max_body: int = MAX_BODY
    log_level: LogLevel = LogLevel.LOG
    log_format: LogFormat = "text"
    enforce_limits: bool = False
    #: That of the account, whatever a script's own configuration says.
    plan: Plan = "paid"

    @property
    def host(self) -> HostOptions:
        """Return the part the engine looks at. Seconds count when several processes share the work."""
        return HostOptions(
            enforce_limits=self.enforce_limits,
            plan=self.plan,
            synchronous="FULL",
            look_s=LOOK_S,
            shows_faults=False,
        )


class DevOptions(msgspec.Struct, frozen=True):
    """The flags of ``pywrangler dev`` (rest-and-cli, section 6). ``ip``, ``port`` None: as the configuration says.

    ``config`` has the absolute path of each Worker's file; the first is the one at ``port``, and the state is kept
    beside its file. ``overrides`` are further keys for the first (`config.load`).
    """

    config: tuple[Path, ...]
    env: str | None = None
    ip: str | None = None
    port: int | None = None
    variables: Mapping[str, str] = {}
    persist_to: Path | None = None
    log_level: LogLevel = LogLevel.LOG
    hibernate_after_ms: int | None = None
    strict: bool = False
    enforce_limits: bool = False
    reload: bool = True
    debug_port: int | None = None
    test_scheduled: bool = False
    overrides: Mapping[str, Any] = {}

    def overrides_of(self, path: Path) -> dict[str, Any]:
        """Return the keys that are put over those of a Worker's file."""
        return dict(self.overrides) if path == self.config[0] else {}

    @property
    def host(self) -> HostOptions:
        """Return the part the engine looks at."""
        return HostOptions(self.hibernate_after_ms, self.strict, self.enforce_limits)
