"""Durable Objects: classes whose instances have an identity, storage of their own, and one life at a time.

Read in this order: `namespace` is what hangs on ``env``; `objects` finds or makes the one live instance; `resident`
is that instance and delivers its events; `gate` decides which of its code may run; `context` and `storage` are its
``ctx``; `alarms` wakes the sleeping.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.declared import Declared

if TYPE_CHECKING:
    from wrangler_py.bindings.durable.namespace import Namespace
    from wrangler_py.bindings.durable.objects import DurableObjects
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config
    from wrangler_py.config.model import ObjectConfig

__all__ = ["DurableObjects", "declare"]


def declare(config: Config) -> Iterator[Declared]:
    """Yield the Durable Object bindings of a configuration."""
    for one in config.resources.durable_objects:
        yield Declared(one.binding, "Durable Object", _detail(one, config.name), partial(_make, one))


def _detail(binding: ObjectConfig, script: str) -> str:
    if binding.script_name in (None, script):
        return binding.class_name
    return f"{binding.class_name} of {binding.script_name}"


def _make(binding: ObjectConfig, on: Resources) -> Namespace:
    from wrangler_py.bindings.durable.namespace import Namespace

    return Namespace(on, binding.script_name or on.config.name, binding.class_name)


def __getattr__(name: str) -> Any:
    """Import `DurableObjects` when it is asked for: commands only want `declare`, and start fast."""
    if name != "DurableObjects":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from wrangler_py.bindings.durable.objects import DurableObjects

    return DurableObjects
