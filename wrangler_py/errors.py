"""Every exception pywrangler raises on purpose, as one tree.

::

    PywranglerError
    ├── UserError                 the user can mend it: one line on stderr, exit code 1, no traceback
    │   ├── ConfigError           the configuration file is wrong (carries every problem found)
    │   ├── WorkerLoadError       the Worker's code cannot be loaded
    │   ├── PortInUseError        something else listens on the address
    │   ├── SessionError          no session to speak to, or it answered with an error
    │   └── StateError            the state directory cannot be used
    │       ├── StateLockedError      another session has it
    │       ├── StateCorruptError     it is not a database, or a damaged one
    │       ├── StateTooNewError      a newer pywrangler wrote it
    │       └── StateUnwritableError  permissions, read-only or full disk
    ├── WorkflowError             what a caller of the Workflows API may get; has a ``code``
    │   ├── WorkflowNotFoundError
    │   ├── InstanceNotFoundError
    │   ├── InstanceExistsError
    │   ├── InvalidInstanceIdError
    │   ├── InvalidArgumentError
    │   ├── PayloadTooLargeError
    │   ├── InstanceFinishedError
    │   ├── CannotTerminateError
    │   ├── CannotRestartError
    │   ├── QueueFullError
    │   ├── RateLimitedError
    │   └── InstanceBusyError
    ├── BindingError              what a binding other than a workflow's raises; `bindings.failures` has the kinds,
    │                             which are JavaScript errors as well, as on Cloudflare
    ├── StepError                 what ends an attempt, a step or an instance; stored with ``name`` and message
    │   ├── FatalStepError            ends the instance, whatever ``run()`` catches
    │   ├── WorkflowTimeoutError
    │   ├── WorkflowInternalError
    │   ├── StepOutputTooLargeError
    │   └── NonRetryableDelayError
    ├── RequestError              an HTTP request the server answers with a refusal
    └── StoreError
        ├── StaleEpochError       the lease was lost: somebody else drives the instance now
        └── StoreUnavailableError the database cannot be written now (disk full, I/O error)
            └── StoreBusyError        another process holds its lock; waiting is right

    BaseException
    └── ControlFlow               never seen by a user's ``except Exception``
        ├── Suspend               leave memory; the instance goes on later
        └── Abort                 stop at once; the instance was terminated, restarted, deleted or lost

Messages say what happened, why, and what to do next. Code never looks at the text of a message: it looks at the type or
at ``code``.
"""

from __future__ import annotations

from typing import Self


class PywranglerError(Exception):
    """Base of every error of pywrangler."""


class UserError(PywranglerError):
    """A mistake the user can mend. ``hint`` says what to do next; it is shown on a line of its own."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(UserError):
    """The configuration cannot be used; the message holds every problem, one a line."""


class WorkerLoadError(UserError):
    """The Worker's code cannot be imported, or lacks a class the configuration names.

    ``traceback`` holds the user's own frames, ready to print, or is empty.
    """

    def __init__(self, message: str, *, traceback: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.traceback = traceback


class PortInUseError(UserError):
    """The address to listen on is taken."""


class SessionError(UserError):
    """A command could not reach a session, or the session refused what it asked."""


class StateError(UserError):
    """The state directory cannot be used; nothing in it was changed."""


class StateLockedError(StateError):
    """Another session uses this state directory."""


class StateCorruptError(StateError):
    """The database in the state directory is not one, or is damaged."""


class StateTooNewError(StateError):
    """The state directory was written by a newer pywrangler."""


class StateUnwritableError(StateError):
    """The state directory cannot be written."""


class WorkflowError(PywranglerError):
    """An answer of the Workflows API to a caller. ``code`` is Cloudflare's dotted code."""

    code = "internal_server"


class WorkflowNotFoundError(WorkflowError):
    """No workflow of that name."""

    code = "workflow.not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"Workflow '{name}' not found.")
        self.name = name


class InstanceNotFoundError(WorkflowError):
    """No instance of that id."""

    code = "instance.not_found"

    def __init__(self, instance_id: str = "") -> None:
        super().__init__("(instance.not_found) Instance does not exist")
        self.instance_id = instance_id


class InstanceExistsError(WorkflowError):
    """The id is taken; ids are unique per workflow for ever (docs, "Instance IDs are unique")."""

    code = "instance.already_exists"

    def __init__(self, instance_id: str) -> None:
        super().__init__(
            f'(instance.already_exists) Workflow instance with id "{instance_id}" already exists'
        )
        self.instance_id = instance_id


class InvalidInstanceIdError(WorkflowError):
    """The id does not match ``^[a-zA-Z0-9_][a-zA-Z0-9-_]*$`` or is longer than 64 characters (docs, "Limits")."""

    code = "instance.invalid_id"

    def __init__(self) -> None:
        super().__init__("Workflow instance has invalid id")


class InvalidArgumentError(WorkflowError):
    """An argument has the wrong type or value."""

    code = "invalid_argument"


class PayloadTooLargeError(WorkflowError):
    """Parameters or an event payload over 1 MiB (docs, "Limits")."""

    code = "payload_too_large"


class InstanceFinishedError(WorkflowError):
    """An event was sent to an instance that has ended."""

    code = "instance.finished"


class CannotTerminateError(WorkflowError):
    """``terminate`` of an instance that has ended."""

    code = "instance.cannot_terminate"

    def __init__(self) -> None:
        super().__init__("(instance.cannot_terminate) Cannot terminate instance since its on a finite state")


class CannotRestartError(WorkflowError):
    """``restart`` from a step that is not in the history."""

    code = "instance.cannot_restart"

    def __init__(self, step: str) -> None:
        super().__init__(f'(instance.cannot_restart) Step "{step}" not found in execution history')


class QueueFullError(WorkflowError):
    """As many instances are queued as the plan allows (docs, "Limits")."""

    code = "queue_full"


class RateLimitedError(WorkflowError):
    """More instances were created in ten seconds than the plan allows (docs, "Limits").

    ``retry_after_s``: after so many whole seconds there is room.
    """

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InstanceBusyError(WorkflowError):
    """Another process drives the instance and did not let go in time; trying again is right."""

    code = "instance.busy"


class BindingError(PywranglerError):
    """A binding could not do what it was asked. The kinds of it are in `bindings.failures`."""


class StepError(PywranglerError):
    """What ends an attempt, a step or an instance. ``name`` is what is stored and shown."""

    name = "Error"


class FatalStepError(StepError):
    """Ends the instance as ``errored`` even if ``run()`` catches it (engine-semantics, sections 2 and 5)."""

    name = "WorkflowFatalError"


class WorkflowTimeoutError(StepError):
    """An attempt, or a wait for an event, took longer than its timeout."""

    name = "WorkflowTimeoutError"

    def __init__(self, timeout_ms: int) -> None:
        super().__init__(f"Execution timed out after {timeout_ms}ms")


class StepAbandonedError(StepError):
    """``run()`` gave a step up before it had ended: a timeout of its own, a lost race, a cancelled task."""

    name = "StepAbandonedError"

    def __init__(self) -> None:
        super().__init__("run() stopped waiting for this step")


class WorkflowInternalError(StepError):
    """The engine died during an attempt."""

    name = "WorkflowInternalError"

    def __init__(self, message: str = "Attempt failed due to internal workflows error") -> None:
        super().__init__(message)

    @classmethod
    def by_death(cls) -> Self:
        """Return the error of an attempt whose process died."""
        return cls(
            "Attempt failed due to internal workflows error: the process died while this step was executing"
        )


class StepOutputTooLargeError(StepError):
    """A step's result is over 1 MiB (docs, "Limits")."""

    name = "WorkflowInternalError"


class NonRetryableDelayError(StepError):
    """A retry delay function raised, was too slow, or returned nonsense."""

    name = "NonRetryableDelayError"


class RequestError(PywranglerError):
    """An HTTP request the server does not take: ``status`` and everything that is wrong with it."""

    def __init__(
        self, status: int, *problems: str, allow: str | None = None, number: int | None = None
    ) -> None:
        super().__init__("; ".join(problems))
        self.status = status
        self.problems = problems
        #: Cloudflare's number of this error, where its own clients look at it.
        self.number = number
        #: The methods there are, for the ``Allow`` header of a 405.
        self.allow = allow


class StoreError(PywranglerError):
    """The store did not take a write."""


class StaleEpochError(StoreError):
    """The lease this write was made under is no longer ours; nothing was written."""


class StoreUnavailableError(StoreError):
    """The database cannot be written at the moment: a full disk, an I/O error, a lock held too long."""


class StoreBusyError(StoreUnavailableError):
    """Another process holds the lock of the database; nothing was changed, and trying again is right."""


class ControlFlow(BaseException):
    """Unwinds a user's ``run()``; not an ``Exception``, so that a user's ``except Exception`` cannot swallow it."""


class Suspend(ControlFlow):
    """The instance leaves memory and goes on later from its checkpoints."""


class Abort(ControlFlow):
    """The instance stops here: terminated, restarted, deleted, or its lease was lost."""


def control_flow_in(error: BaseException) -> ControlFlow | None:
    """Return the control flow that an error is, or that a TaskGroup has made a group of; None if there is none."""
    while isinstance(error, BaseExceptionGroup):
        inner = error.subgroup(ControlFlow)
        if inner is None:
            return None
        error = inner.exceptions[0]
    return error if isinstance(error, ControlFlow) else None
