"""How an engine behaves."""

from __future__ import annotations

import msgspec

from wrangler_py.engine.limits import Plan

#: How often to look whether another process wrote something, in seconds.
LOOK_S = 0.25


class EngineOptions(msgspec.Struct):
    """How an engine behaves. ``hibernate_after_ms``: what waits longer leaves memory."""

    hibernate_after_ms: int = 10_000
    strict: bool = False
    enforce_limits: bool = False
    plan: Plan = "paid"
    owner: str = "pywrangler"
    #: False under virtual time: no thread, no looking at other processes.
    heartbeat: bool = True
    #: Seconds between two looks at what other processes wrote.
    look_s: float = LOOK_S
