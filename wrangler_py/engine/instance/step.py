"""The ``step`` of `run()`: steps run, or declared by decorator and run when called (python-sdk, section 3).

Declared steps may depend on others, whose results they share. Two modes by compatibility date: parameters named like
the steps they need (implicit), or a ``depends=`` list matched by position.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec

from wrangler_py.engine.instance import waiting
from wrangler_py.engine.instance.attempts import Attempts
from wrangler_py.engine.instance.callback import (
    CTX,
    Callback,
    is_coroutine_function,
    parameters_of,
    positional_callback,
)
from wrangler_py.engine.instance.context import InstanceContext
from wrangler_py.engine.instance.replay import Reached
from wrangler_py.engine.instance.rollback import Rollback, Rollbacks
from wrangler_py.engine.instance.streams import restore
from wrangler_py.engine.model import Kind
from wrangler_py.engine.retry import DEFAULT_POLICY, Policy, read_policy
from wrangler_py.errors import FatalStepError


class PortabilityWarning(UserWarning):
    """Code that runs here and would not on Cloudflare; ``--strict`` makes it an error."""


_DO = Kind.DO
#: Of the TypeScript docs, and those of Cloudflare's Python SDK.
SPELLINGS = {"sleepUntil": "sleep_until", "waitForEvent": "wait_for_event"}
_NOT_PORTABLE = (
    "step.do(depends=...) does not run on Cloudflare with this compatibility date: "
    "name the parameters like the steps"
)


class WorkflowStep:
    """The durable steps of one instance."""

    def __init__(self, context: InstanceContext, rollbacks: Rollbacks) -> None:
        self.context = context
        self.rollbacks = rollbacks
        self.implicit = context.definition.implicit_dependencies
        self._strict = context.shared.strict
        self._declared: dict[str, DeclaredStep] = {}

    def do(
        self,
        name: str | None = None,
        *args: Any,
        depends: Sequence[object] | None = None,
        concurrent: bool = False,
        config: object = None,
        rollback: Callable[..., Any] | None = None,
        rollback_config: object = None,
    ) -> Any:
        """Declare a step, as decorator, or (ours, in addition) run one: ``await step.do(name[, config], function)``.

        ``config`` is ``{"retries": {"limit", "delay", "backoff"}, "timeout", "sensitive"}``. ``rollback`` (ours) undoes
        the step when the instance fails: a function of any of ``ctx``, ``error``, ``output``; ``rollback_config`` is
        its ``{"retries", "timeout"}``.
        """
        undo = self.read_rollback(name, rollback, rollback_config)
        if args and callable(args[-1]):
            return self._call_form(name, args, config, undo)
        if args:
            depends = self._positional_depends(args)
        if depends is not None and self.implicit:
            self._extension("step.do(depends=...)", "do() got an unexpected keyword argument 'depends'")
            warnings.warn(_NOT_PORTABLE, PortabilityWarning, stacklevel=2)

        def declare(function: Callable[..., Any]) -> DeclaredStep:
            step_name = function.__name__ if name is None else name
            declared = DeclaredStep(
                self, function, step_name, config=config, depends=depends, concurrent=concurrent, undo=undo
            )
            self._declared[step_name] = declared
            return declared

        return declare

    def read_rollback(
        self, name: str | None, function: Callable[..., Any] | None, config: object
    ) -> Rollback | None:
        """Return how to undo a step, None if it was not said; TypeError in strict mode, and for a wrong function."""
        if function is None:
            if config is not None:
                raise TypeError("step.do takes rollback_config= only together with rollback=")
            return None
        self._extension("step.do(rollback=...)", "do() got an unexpected keyword argument 'rollback'")
        undo = Rollback(function, config)
        undo.check(str(name or "?"))
        return undo

    def _call_form(
        self, name: str | None, args: tuple[Any, ...], config: object, undo: Rollback | None
    ) -> Coroutine[Any, Any, Any]:
        given = 2 + len(args)
        self._extension(
            "step.do(name, function)", f"do() takes from 1 to 2 positional arguments but {given} were given"
        )
        if len(args) > 2:
            raise TypeError("step.do takes (name, function) or (name, config, function)")
        if len(args) == 2:
            config = args[0]
        asked = StepCall(name, config, partial(positional_callback, args[-1]), undo)
        return self.context.calls.call(name, do, self.context, self.rollbacks, asked)

    def _positional_depends(self, args: tuple[Any, ...]) -> Sequence[object] | None:
        if self.implicit or len(args) > 1:
            raise TypeError(
                f"step.do takes a name, then a function to call: {args[0]!r} is neither a function nor allowed here"
            )
        depends: Sequence[object] | None = args[0]
        return depends

    def _extension(self, what: str, error: str) -> None:
        if self._strict:
            raise TypeError(f"{error} ({what} is an extension of pywrangler, switched off by strict mode)")

    def declared_step(self, name: str) -> DeclaredStep:
        """Return the step a parameter names; raise TypeError if none of that name is declared."""
        try:
            return self._declared[name]
        except KeyError:
            raise TypeError(f"Received unexpected parameter {name}") from None

    def sleep(self, name: str, duration: object) -> Coroutine[Any, Any, None]:
        """Sleep for a number of milliseconds, a text such as ``"1 minute"``, or a timedelta; at most 365 days."""
        return self.context.calls.call(name, waiting.sleep, self.context, name, duration)

    def sleep_until(self, name: str, timestamp: object) -> Coroutine[Any, Any, None]:
        """Sleep until a datetime (naive: UTC) or milliseconds since 1970."""
        return self.context.calls.call(name, waiting.sleep_until, self.context, name, timestamp)

    def wait_for_event(
        self, name: str, event_type: str, /, timeout: object = "24 hours"
    ) -> Coroutine[Any, Any, Any]:
        """Wait for an event; gives ``{payload, timestamp, type}`` or raises WorkflowTimeoutError."""
        return self.context.calls.call(name, waiting.wait_for_event, self.context, name, event_type, timeout)

    def __getattr__(self, name: str) -> Any:
        spelling = SPELLINGS.get(name)
        if spelling is None or self._strict:
            raise AttributeError(f"'WorkflowStep' object has no attribute {name!r}")
        warnings.warn(
            f"step.{name} does not exist on Cloudflare: write step.{spelling}",
            PortabilityWarning,
            stacklevel=2,
        )
        return getattr(self, spelling)


class DeclaredStep:
    """A function decorated with ``@step.do(...)``: call it, without arguments, to run the step."""

    def __init__(
        self,
        owner: WorkflowStep,
        function: Callable[..., Any],
        name: str,
        *,
        config: object,
        depends: Sequence[object] | None,
        concurrent: bool,
        undo: Rollback | None = None,
    ) -> None:
        self.name = name
        self._owner = owner
        self._function = function
        self._config = config
        self._depends = depends
        self._concurrent = concurrent
        self._undo = undo
        self._parameters = parameters_of(function)
        self._shared: asyncio.Future[Any] | None = None
        self.__name__ = getattr(function, "__name__", name)
        self.__doc__ = getattr(function, "__doc__", None)
        self.__wrapped__ = function

    def __call__(self) -> Coroutine[Any, Any, Any]:
        """Return the step's run, to be awaited; every call is a run of its own."""
        return self._owner.context.calls.call(self.name, self._run)

    def rollback(self, function: Callable[..., Any] | None = None, *, config: object = None) -> Any:
        """Declare the rollback of this step, as decorator: ``@charge.rollback`` or ``@charge.rollback(config=...)``."""

        def declare(undo: Callable[..., Any]) -> Callable[..., Any]:
            self._undo = self._owner.read_rollback(self.name, undo, config)
            return undo

        return declare if function is None else declare(function)

    async def _run(self) -> Any:
        needed = self._needed() if self._parameters or self._depends is not None else []
        arguments = await self._results(needed) if needed else {}
        asked = StepCall(self.name, self._config, partial(self._callback, arguments), self._undo)
        return await do(self._owner.context, self._owner.rollbacks, asked)

    async def _results(self, needed: list[tuple[str, DeclaredStep]]) -> dict[str, Any]:
        results = await self._gather([dependency for _, dependency in needed])
        return dict(zip([parameter for parameter, _ in needed], results, strict=True))

    def _needed(self) -> list[tuple[str, DeclaredStep]]:
        names = [name for name in self._parameters if name != CTX]
        if self._depends is not None:
            return _match(names, self._depends)
        if not names:
            return []
        if not self._owner.implicit:
            raise TypeError(f"Step has {len(names)} non-ctx parameter(s) but no 'depends' list provided")
        return [(name, self._owner.declared_step(name)) for name in names]

    async def _gather(self, dependencies: list[DeclaredStep]) -> list[Any]:
        if self._concurrent:
            return await asyncio.gather(*(dependency.result() for dependency in dependencies))
        return [await dependency.result() for dependency in dependencies]

    async def result(self) -> Any:
        """Return this step's result as a dependency: run once per `run()`, also when several steps need it at
        once."""
        if self._shared is None:
            self._shared = asyncio.ensure_future(self._run())
        return await asyncio.shield(self._shared)

    def _callback(self, arguments: dict[str, Any]) -> Callback:
        function, is_async = self._function, is_coroutine_function(self._function)
        if CTX in self._parameters:
            return Callback(lambda ctx: function(**{CTX: ctx}, **arguments), is_async, wants_context=True)
        return Callback(lambda _: function(**arguments), is_async, wants_context=False)


def _match(names: list[str], depends: Sequence[object]) -> list[tuple[str, DeclaredStep]]:
    if len(names) != len(depends):
        raise TypeError(
            f"Step declares {len(names)} non-ctx parameter(s) but 'depends' has {len(depends)} item(s)"
        )
    matched = []
    for name, dependency in zip(names, depends, strict=True):
        if not isinstance(dependency, DeclaredStep):
            raise TypeError(
                f"'depends' entry for parameter {name!r} is not a function decorated with step.do"
            )
        matched.append((name, dependency))
    return matched


class StepCall(msgspec.Struct, frozen=True):
    """One step as user code asks for it: name and configuration are not checked yet."""

    name: Any
    config: object
    #: Makes the callback; a replay has no use for it.
    callback: Callable[[], Callback]
    rollback: Rollback | None = None


async def do(context: InstanceContext, rollbacks: Rollbacks, asked: StepCall) -> Any:
    """Return a step's result: from its checkpoint, or by calling its callback until it succeeds or is given up.

    Raises:
        Exception: the step's final error, rebuilt from what is stored.
    """
    name, rollback = asked.name, asked.rollback
    reached = await context.reach(_DO, name)
    recorded = reached.recorded
    if recorded is not None and rollback is not None:
        rollbacks.attempts(rollback, reached, DEFAULT_POLICY)
    if recorded is not None and recorded.done:
        data = await context.stored_end(recorded)
        if context.has_had_its_turn():
            await asyncio.sleep(0)
        return restore(context, data)
    try:
        policy = read_policy(name, asked.config)
    except FatalStepError as error:
        raise context.end_with(error) from None
    if context.is_held:
        await _pass_gate(context, reached, policy)
    if rollback is not None:
        return await rollbacks.attempts(rollback, reached, policy).run(asked.callback())
    return await Attempts(context, reached, policy).run(asked.callback())


async def _pass_gate(context: InstanceContext, reached: Reached, policy: Policy) -> None:
    """Wait until the step may start. If `run()` gives it up meanwhile, that is stored: a replay would call it."""
    try:
        await context.gate.enter()
    except asyncio.CancelledError:
        if context.is_given_up:
            Attempts(context, reached, policy).give_up()
        raise
