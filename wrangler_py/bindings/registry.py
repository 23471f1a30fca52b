"""The one list of the kinds of binding there are, and of what runs behind them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from wrangler_py.bindings.declared import Background, Declared
from wrangler_py.bindings.env import WorkerEnv
from wrangler_py.bindings.started import Unawaited

if TYPE_CHECKING:
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config

#: In the order of the banner. Each module has ``declare(config)``, which yields `Declared` and imports nothing heavy.
KINDS = ("durable", "kv", "queues", "email", "d1", "r2", "service", "workflow")


def declared(config: Config) -> Iterator[Declared]:
    """Yield all bindings of a configuration but variables and secrets."""
    for kind in KINDS:
        yield from import_module(f"wrangler_py.bindings.{kind}").declare(config)


def build_env(resources: Resources) -> WorkerEnv:
    """Return the environment of a Worker: its variables, secrets and bindings; secrets win over variables."""
    from wrangler_py.sdk.rpc import python_from_rpc

    config = resources.config
    bindings = {one.name: one.make(resources) for one in declared(config)}
    env = resources.env = WorkerEnv({**python_from_rpc(config.vars), **config.secrets, **bindings})
    return env


def background(resources: Resources) -> list[Background]:
    """Return what a script needs running behind its bindings; nothing of it has begun.

    Durable Objects are the last: all others may call them.
    """
    config, found = resources.config, list[Background]([Unawaited()])
    if config.resources.consumers:
        from wrangler_py.bindings.queues import Consumers

        found.append(Consumers(resources))
    if config.crons or config.workflows:
        from wrangler_py.bindings.cron import CronTriggers

        found.append(CronTriggers(resources))
    if config.resources.durable_objects:
        from wrangler_py.bindings.durable import DurableObjects

        found.append(DurableObjects.of(resources))
    return found
