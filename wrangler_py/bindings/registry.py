"""The one list of the kinds of binding there are, and of what runs behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from wrangler_py.bindings.env import WorkerEnv

if TYPE_CHECKING:
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.config import Config

#: In the order of the banner. Each module has ``declare(config)``, which yields `Declared` and imports nothing heavy.
KINDS = ("durable", "kv", "queues", "email", "d1", "r2", "service", "workflow")


class Declared(NamedTuple):
    """A binding the configuration asks for: its name on ``env``, what the banner calls it, and how it is made."""

    name: str
    kind: str
    detail: str
    make: Callable[[Resources], Any]


class Background(Protocol):
    """What goes on by itself in the one process that drives a script: consumers, alarms, cron."""

    async def start(self) -> None:
        """Begin: this process drives the script now."""
        ...

    async def drain(self, grace: float) -> None:
        """Start nothing new, wait up to ``grace`` seconds for what is in flight, then stop it."""
        ...


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
    config, found = resources.config, list[Background]()
    if config.resources.consumers:
        from wrangler_py.bindings.queues import Consumers

        found.append(Consumers(resources))
    if config.crons or config.workflows:
        from wrangler_py.bindings.cron import CronTriggers

        found.append(CronTriggers(resources))
    if config.resources.durable_objects:
        found.append(resources.objects)
    return found
