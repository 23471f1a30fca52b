"""Rows of the table `instances` as the engine's `InstanceRow`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from wrangler_py.engine.model import ErrorRecord, InstanceRow, Occurrence, Request, Status, Trigger

_error = msgspec.json.Decoder(ErrorRecord)
_occurrence = msgspec.json.Decoder(Occurrence)
_STATUSES = {status.value: status for status in Status}
_TRIGGERS = {trigger.value: trigger for trigger in Trigger}


def read_instance(stored: Mapping[str, Any]) -> InstanceRow:
    """Return an instance from its stored values, by the names of their columns."""
    error, schedule, request = stored["error"], stored["schedule"], stored["request"]
    return InstanceRow(
        row=stored["number"],
        workflow=stored["workflow"],
        id=stored["id"],
        status=_STATUSES[stored["status"]],
        params=stored["params"],
        trigger=_TRIGGERS[stored["trigger"]],
        version=stored["version"],
        created_at=stored["created_at"],
        modified_at=stored["modified_at"],
        started_at=stored["started_at"],
        ended_at=stored["ended_at"],
        output=stored["output"],
        error=_error.decode(error) if error else None,
        due_at=stored["due_at"],
        paused_at=stored["paused_at"],
        epoch=stored["epoch"],
        schedule=None if schedule is None else _occurrence.decode(schedule),
        request=Request(request) if request else None,
    )
