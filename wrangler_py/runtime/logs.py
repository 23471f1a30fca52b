"""The log of a session: instance events and requests as lines, fewer when there are too many to read."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from wrangler_py.engine import Blocked, Engine, Observation
from wrangler_py.engine.model import HistoryType
from wrangler_py.errors import StoreError
from wrangler_py.runtime.events import Said, describe, describe_block, level_of, span
from wrangler_py.runtime.options import LogLevel
from wrangler_py.runtime.output import Console
from wrangler_py.runtime.style import Style, paint
from wrangler_py.runtime.tracebacks import readable
from wrangler_py.serde import visible

#: Lines a second before the rest is only counted; important lines have a budget of their own.
LINES, IMPORTANT_LINES = 60, 40
#: Seconds between two lines about a store that takes no writes.
STORE_PAUSE = 10.0
#: Instances whose start is remembered, to tell how long they took.
REMEMBERED = 10_000
#: Paths that are the session's own; requests to them are no news.
OWN_PATHS = ("/cdn-cgi/", "/client/v4/")
#: Loggers whose records are a matter of the session, not of the user's own logging.
LIBRARIES = ("wrangler_py", "uvicorn", "asyncio")
#: What bindings log as INFO is what happened: a cron that fired, a message that was not sent.
BINDINGS = "wrangler_py.bindings"

Scope = Any


class Budget:
    """So many lines a second; what is more is counted, and told once a second."""

    def __init__(self, limit: int, tell: Callable[[int], None]) -> None:
        self._limit, self._tell = limit, tell
        self._used = self._over = 0
        self._ends_at = 0.0

    def allows(self) -> bool:
        """Return True if one more line may be written; False counts it. Must be called on the event loop."""
        now = time.monotonic()
        if now >= self._ends_at:
            self._ends_at, self._used = now + 1.0, 0
        self._used += 1
        if self._used <= self._limit:
            return True
        if not self._over:
            asyncio.get_running_loop().call_later(self._ends_at - now, self._finish)
        self._over += 1
        return False

    def _finish(self) -> None:
        over, self._over = self._over, 0
        self._tell(over)


class SessionLog:
    """Writes what happens, from ``level`` on. It must cost next to nothing: the engine calls it for every event."""

    def __init__(self, console: Console, level: LogLevel) -> None:
        self._console, self._level = console, level
        self._shown = frozenset(kind for kind in HistoryType if level.shows(level_of(kind)))
        self._budgets = {
            False: Budget(LINES, lambda over: self._more(over, "events")),
            True: Budget(IMPORTANT_LINES, lambda over: self._more(over, "failures")),
        }
        self._requests = Budget(LINES, lambda over: self._more(over, "requests"))
        self._started: OrderedDict[tuple[str, str], int] = OrderedDict()
        #: Hashes of the stacks told of instances that still run.
        self._told: OrderedDict[tuple[str, str], set[int]] = OrderedDict()
        self._roots: tuple[Path, ...] = ()
        self._blocked_for = 0.0
        self._store_told_at = -STORE_PAUSE

    def attach(
        self, engine: Engine, roots: tuple[Path, ...] = (), blames: Callable[[Blocked], bool] = lambda _: True
    ) -> None:
        """Follow an engine. Paths under ``roots`` are shortened; ``blames``: is a blocked loop the user's fault?"""
        self._roots = roots
        if self._level is LogLevel.NONE:
            return
        engine.observe(self.saw)
        engine.observe_blocks(lambda blocked: self.saw_block(blocked) if blames(blocked) else None)
        engine.observe_store(self.saw_store_failure)

    def saw(self, seen: Observation) -> None:
        """Write the line of an event, if it is one to show."""
        kind = seen.event.type
        if kind not in self._shown:
            return
        started_at = self._remember(seen)
        level = level_of(kind)
        important = level.rank >= LogLevel.WARN.rank
        if self._budgets[important].allows():
            said = describe(seen, started_at)
            self._write(said.text + self._below(seen, said), level)

    def saw_block(self, blocked: Blocked) -> None:
        """Tell of code that blocks the loop: at first, and again whenever it has lasted twice as long."""
        if blocked.seconds < self._blocked_for:
            self._blocked_for = 0.0
        if self._level.shows(LogLevel.WARN) and blocked.seconds >= 2 * self._blocked_for:
            self._blocked_for = blocked.seconds
            self._write(describe_block(blocked), LogLevel.WARN)

    def saw_store_failure(self, error: StoreError) -> None:
        """Tell, now and then, that nothing can be stored."""
        if time.monotonic() - self._store_told_at >= STORE_PAUSE and self._level.shows(LogLevel.ERROR):
            self._store_told_at = time.monotonic()
            self._write(f"⎔ the state cannot be written, trying again: {error}", LogLevel.ERROR)

    def request(self, scope: Scope, status: int, seconds: float) -> None:
        """Write the line of an answered request."""
        level = is_told(scope, status, self._level)
        if level is not None and self._requests.allows():
            self._write(status_line(scope, status, seconds), level)

    def _below(self, seen: Observation, said: Said) -> str:
        """Return what stands below a line; of an instance each stack once, at the first attempt that fails with it."""
        key, below = (seen.workflow, seen.instance_id), ""
        if said.below:
            told = self._told.setdefault(key, set())
            if hash(said.below) not in told:
                told.add(hash(said.below))
                below = self._indented(said.below)
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        if seen.event.type in _ENDS:
            self._told.pop(key, None)
        return below

    def _indented(self, text: str) -> str:
        for root in self._roots:
            text = text.replace(f'"{root}/', '"')
        return "".join(f"\n    {line}" for line in text.rstrip().splitlines())

    def _remember(self, seen: Observation) -> int | None:
        """Note when an instance started; return it when it ends."""
        key = (seen.workflow, seen.instance_id)
        if seen.event.type is HistoryType.WORKFLOW_START:
            self._started[key] = seen.event.at
            if len(self._started) > REMEMBERED:
                self._started.popitem(last=False)
        elif seen.event.type in _ENDS:
            return self._started.pop(key, None)
        return None

    def _more(self, over: int, what: str) -> None:
        self._write(f"⎔ … and {over} more {what}", LogLevel.DEBUG)

    def _write(self, text: str, level: LogLevel) -> None:
        self._console.line(paint(text, *_STYLES[level], colour=self._console.colour))


_ENDS = frozenset(
    {HistoryType.WORKFLOW_SUCCESS, HistoryType.WORKFLOW_FAILURE, HistoryType.WORKFLOW_TERMINATED}
)
_STYLES: dict[LogLevel, tuple[Style, ...]] = {
    LogLevel.DEBUG: (Style.DIM,),
    LogLevel.LOG: (),
    LogLevel.WARN: (Style.YELLOW,),
    LogLevel.ERROR: (Style.RED,),
}


def is_told(scope: Scope, status: int, least: LogLevel) -> LogLevel | None:
    """Return how important an answered request is, None if it is not told where ``least`` is asked for."""
    has_failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    own = scope["path"].startswith(OWN_PATHS) and not has_failed
    if not least.shows(LogLevel.DEBUG if own else LogLevel.LOG):
        return None
    return LogLevel.ERROR if has_failed else LogLevel.LOG


def status_line(scope: Scope, status: int, seconds: float) -> str:
    """Return the line of an answered request."""
    path = visible(scope["path"].replace("\n", " "))
    return f"{scope['method']} {path} {status} {_phrase(status)} ({span(seconds * 1000)})"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class RequestLog:
    """An ASGI application that tells `SessionLog` of every request to ``app``."""

    def __init__(self, app: Callable[..., Awaitable[None]], log: SessionLog) -> None:
        self._app, self._log = app, log

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer as ``app`` does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def watched(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._log.request(scope, status, time.monotonic() - began)


class LibraryLog(logging.Handler):
    """Writes what pywrangler itself and the libraries under it log, errors with the user's own frames only."""

    def __init__(self, console: Console, roots: tuple[Path, ...]) -> None:
        super().__init__()
        self._console, self._roots = console, roots

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        text = f"⎔ {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + readable(record.exc_info[1], self._roots)
        text = "\n    ".join(text.splitlines())
        self._console.line(paint(visible(text), *_style_of(record), colour=self._console.colour))


def _style_of(record: logging.LogRecord) -> tuple[Style, ...]:
    if record.levelno >= logging.ERROR:
        return (Style.RED,)
    return (Style.YELLOW,) if record.levelno >= logging.WARNING else ()


def send_library_logs(console: Console, level: LogLevel, roots: tuple[Path, ...]) -> None:
    """Show warnings and errors of ours and of the libraries under us; the root logger is left to the user's code."""
    handler = LibraryLog(console, roots)
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(_LOGGING_LEVELS[level])
    news = logging.getLogger(BINDINGS)
    news.setLevel(logging.INFO if level.shows(LogLevel.LOG) else logging.NOTSET)


_LOGGING_LEVELS = {
    LogLevel.DEBUG: logging.INFO,
    LogLevel.INFO: logging.WARNING,
    LogLevel.LOG: logging.WARNING,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.NONE: logging.CRITICAL + 1,
}
