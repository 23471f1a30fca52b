"""The options of an engine."""

from __future__ import annotations

import msgspec

from wrangler_py.engine.limits import Plan

#: Interval of polls for changes by other processes, in seconds.
LOOK_S = 0.25


class EngineOptions(msgspec.Struct):
    """The options of an engine. ``hibernate_after_ms``: an instance that waits longer leaves memory."""

    hibernate_after_ms: int = 10_000
    strict: bool = False
    enforce_limits: bool = False
    plan: Plan = "paid"
    owner: str = "pywrangler"
    #: False under virtual time: no thread, no looking at other processes.
    heartbeat: bool = True
    #: Seconds between two looks at what other processes wrote.
    look_s: float = LOOK_S
