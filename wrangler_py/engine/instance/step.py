"""What `run()` sees as ``step`` (python-sdk, section 3)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from wrangler_py.engine.instance import attempts, waiting
from wrangler_py.engine.instance.dag import DeclaredStep, positional_callback
from wrangler_py.engine.instance.rollback import Rollback

if TYPE_CHECKING:
    from wrangler_py.engine.instance.runner import Runner


class PortabilityWarning(UserWarning):
    """Code that runs here and would not on Cloudflare; ``--strict`` makes it an error."""


#: Of the TypeScript docs, and those of Cloudflare's Python SDK.
SPELLINGS = {"sleepUntil": "sleep_until", "waitForEvent": "wait_for_event"}


class WorkflowStep:
    """The durable steps of one instance."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.implicit = runner.definition.implicit_dependencies
        self._strict = runner.around.strict
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
        return self.runner.call(name, attempts.do, name, config, positional_callback(args[-1]), undo)

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
        if "depends" in what:
            warnings.warn(
                f"{what} does not run on Cloudflare with this compatibility date: name the parameters like the steps",
                PortabilityWarning,
                stacklevel=3,
            )

    def declared_step(self, name: str) -> DeclaredStep:
        """Return the step a parameter names; raise TypeError if none of that name is declared."""
        try:
            return self._declared[name]
        except KeyError:
            raise TypeError(f"Received unexpected parameter {name}") from None

    def sleep(self, name: str, duration: object) -> Coroutine[Any, Any, None]:
        """Sleep for a number of milliseconds, a text such as ``"1 minute"``, or a timedelta; at most 365 days."""
        return self.runner.call(name, waiting.sleep, name, duration)

    def sleep_until(self, name: str, timestamp: object) -> Coroutine[Any, Any, None]:
        """Sleep until a datetime (naive: UTC) or milliseconds since 1970."""
        return self.runner.call(name, waiting.sleep_until, name, timestamp)

    def wait_for_event(
        self, name: str, event_type: str, /, timeout: object = "24 hours"
    ) -> Coroutine[Any, Any, Any]:
        """Wait for an event; gives ``{payload, timestamp, type}`` or raises WorkflowTimeoutError."""
        return self.runner.call(name, waiting.wait_for_event, name, event_type, timeout)

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
