"""Steps that depend on steps (python-sdk, section 3): declared by decorator, run when called, their results shared.

Two modes by compatibility date: parameters named like the steps they need (implicit), or a ``depends=`` list
matched by position.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from wrangler_py.engine.instance import attempts
from wrangler_py.engine.instance.executor import Callback

if TYPE_CHECKING:
    from wrangler_py.engine.instance.rollback import Rollback
    from wrangler_py.engine.instance.runner import Runner
    from wrangler_py.engine.instance.step import WorkflowStep

CTX = "ctx"


class DeclaredStep:
    """What ``@step.do(...)`` makes of a function: call it, without arguments, to run the step."""

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
        return self._owner.runner.call(self.name, self._run)

    def rollback(self, function: Callable[..., Any] | None = None, *, config: object = None) -> Any:
        """Say how to undo this step, as decorator: ``@charge.rollback`` or ``@charge.rollback(config=...)``."""

        def declare(undo: Callable[..., Any]) -> Callable[..., Any]:
            self._undo = self._owner.read_rollback(self.name, undo, config)
            return undo

        return declare if function is None else declare(function)

    async def _run(self, runner: Runner) -> Any:
        needed = self._needed()
        if not needed:
            return await attempts.do(runner, self.name, self._config, self._callback({}), self._undo)
        results = await self._gather([dependency for _, dependency in needed])
        arguments = dict(zip([parameter for parameter, _ in needed], results, strict=True))
        return await attempts.do(runner, self.name, self._config, self._callback(arguments), self._undo)

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
            self._shared = asyncio.ensure_future(self._run(self._owner.runner))
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


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a callable's parameters, without ``self``; fast for plain functions, which steps mostly
    are."""
    code = getattr(function, "__code__", None)
    if code is None or inspect.ismethod(function):
        return tuple(inspect.signature(function).parameters)
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Say whether calling ``function`` gives a coroutine; fast for plain functions."""
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_COROUTINE:
        return True
    return inspect.iscoroutinefunction(function)


def positional_callback(function: Callable[..., Any]) -> Callback:
    """Return the callback of the call form: ``function`` takes the step context, or nothing; defaults stay as they
    are."""
    names = parameters_of(function)
    defaults = getattr(function, "__defaults__", None) or ()
    is_async = is_coroutine_function(function)
    if len(names) > len(defaults) or names[:1] == (CTX,):
        return Callback(function, is_async, wants_context=True)
    return Callback(lambda _: function(), is_async, wants_context=False)
