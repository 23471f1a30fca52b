"""Durable execution: instances, steps, retries, timers, events, replay. No SQL, no HTTP, no screens."""

from wrangler_py.engine.control import StepRef
from wrangler_py.engine.creation import BatchError, BatchResult, DeleteResult, NewInstance
from wrangler_py.engine.definition import Definition
from wrangler_py.engine.engine import Engine
from wrangler_py.engine.model import InstanceRow, Kind, Occurrence, Status, Trigger
from wrangler_py.engine.observation import Blocked, Observation
from wrangler_py.engine.options import EngineOptions
from wrangler_py.engine.store import InstancePage, ListQuery

__all__ = [
    "BatchError",
    "BatchResult",
    "Blocked",
    "Definition",
    "DeleteResult",
    "Engine",
    "EngineOptions",
    "InstancePage",
    "InstanceRow",
    "Kind",
    "ListQuery",
    "NewInstance",
    "Observation",
    "Occurrence",
    "Status",
    "StepRef",
    "Trigger",
]
