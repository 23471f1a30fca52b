"""The classes a Worker is made of, and the ``handler`` decorator of older code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self, TypeVar

from wrangler_py.sdk.web.request import Request

F = TypeVar("F", bound=Callable[..., Any])


class _Entrypoint:
    """Has ``ctx`` and ``env`` from the start, also when a subclass's ``__init__`` never calls this one."""

    ctx: Any
    env: Any

    def __new__(cls, ctx: Any = None, env: Any = None, *_: Any, **__: Any) -> Self:
        self = super().__new__(cls)
        self.ctx = ctx
        self.env = env
        return self

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env


class WorkerEntrypoint(_Entrypoint):
    """Handles what comes to a Worker. The class named ``Default`` has ``fetch(self, request)`` and, if
    wanted, ``scheduled(self, controller, env, ctx)`` and ``queue(self, batch, env, ctx)``; its other
    methods, and those of classes of other names, can be called over a service binding.
    """


class WorkflowEntrypoint(_Entrypoint):
    """A workflow: write ``async def run(self, event, step)``.

    ``event`` has ``payload``, ``timestamp``, ``instanceId`` and ``workflowName``, and if a schedule created
    the instance ``schedule``: ``{"cron", "scheduledTime"}``, in ms since 1970. ``step`` has ``do``, ``sleep``,
    ``sleep_until`` and ``wait_for_event``. What a step returned is kept: when ``run()`` starts
    over, after a crash or a long sleep, finished steps give back what they returned and only the rest runs.
    The value ``run()`` returns is the instance's output.
    """

    async def run(self, event: Any, step: Any) -> Any:
        """Do the workflow's work. Each subclass has its own."""
        raise NotImplementedError("Method run does not exist")


class DurableObject(_Entrypoint):
    """An object with an identity and storage; its methods can be called by whoever holds its id."""


def handler(func: F) -> F:
    """Give a module-level ``on_fetch(request, env, ctx)`` a `Request` for the JS object it would get."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*(Request(arg) if isinstance(arg, Request) else arg for arg in args), **kwargs)

    return wrapper  # type: ignore[return-value]
