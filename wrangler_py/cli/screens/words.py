"""Wrangler's words and signs for what the API says (rest-and-cli, section 6)."""

from __future__ import annotations

import json
from typing import Any

from wrangler_py.cli.terminal import printable

STATUSES = {
    "complete": "✅ Completed",
    "errored": "❌ Errored",
    "paused": "⏸️ Paused",
    "queued": "⌛ Queued",
    "running": "▶ Running",
    "terminated": "🚫 Terminated",
    "waiting": "⏰ Waiting",
    "waitingForPause": "⏱️ Waiting for Pause",
}
UNKNOWN_STATUS = "❓ Unknown"
FINAL = frozenset({"complete", "errored", "terminated"})
#: The statuses a list may be filtered by, in the order an error names them.
FILTERS = ("queued", "running", "paused", "errored", "terminated", "complete", "waiting", "waitingForPause")
TRIGGERS = {"api": "🌎 API", "binding": "🔗 Binding", "cron": "⌛ Cron", "event": "📩 Event"}
STEP_TYPES = {
    "step": "🎯 Step",
    "rollback": "↩️ Rollback",
    "sleep": "💤 Sleeping",
    "termination": "🚫 Termination",
    "waitForEvent": "👀 Waiting for event",
}
COLOURS = {
    "complete": "green",
    "errored": "red",
    "terminated": "red",
    "paused": "yellow",
    "waitingForPause": "yellow",
    "waiting": "cyan",
    "queued": "blue",
    "running": "cyan",
}
MISSING = "N/A"


def status(value: str | None) -> str:
    """Return the words for an instance's status."""
    return STATUSES.get(value or "", UNKNOWN_STATUS)


def trigger(source: str | None) -> str:
    """Return the words for what created an instance; an unknown source as it is."""
    return TRIGGERS.get(source or "", source or MISSING)


def step_type(value: str) -> str:
    """Return the words for the type of a step; an unknown type as it is."""
    return STEP_TYPES.get(value, value)


def success(value: bool | None) -> str:
    """Return the words for a result: None means that there is none yet."""
    if value is None:
        return "▶ Running"
    return "✅ Yes" if value else "❌ No"


def attempt(value: bool | None) -> str:
    """Return the words for one attempt."""
    if value is None:
        return "🔄 Working"
    return "✅ Success" if value else "❌ Error"


def error(record: dict[str, Any] | None) -> str:
    """Return ``name: message``, or nothing."""
    if not record:
        return ""
    return printable(f"{record.get('name') or 'Error'}: {record.get('message', '')}")


def stack(record: dict[str, Any] | None) -> list[str]:
    """Return the lines of an error's frames; none, if they stand elsewhere or there are none."""
    return printable((record or {}).get("stack") or "").splitlines()


def output(value: Any, limit: int | None = None) -> str:
    """Return ``value`` as compact JSON, cut after ``limit`` characters."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if limit is not None and len(text) > limit:
        return printable(text[:limit]) + "[...output truncated]"
    return printable(text)


def counted(number: int, noun: str) -> str:
    """Return ``1 instance``, ``2 instances``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
