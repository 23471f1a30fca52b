"""The envelope around every answer of the API, and which error is which status, number and message.

The shapes are those of rest-and-cli.md, section 2; the explorer's numbers and messages are recorded in
spec/wrangler/local.md. Numbers that Cloudflare has not published are ours; their message is a sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from wrangler_py.errors import (
    CannotRestartError,
    CannotTerminateError,
    InstanceBusyError,
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    InvalidArgumentError,
    InvalidInstanceIdError,
    PayloadTooLargeError,
    QueueFullError,
    RateLimitedError,
    RequestError,
    StateError,
    StoreError,
    WorkflowError,
    WorkflowNotFoundError,
)
from wrangler_py.server.answer import JSON_TYPE, Answer

logger = logging.getLogger(__name__)

INTERNAL_SERVER = 10001
BAD_REQUEST = 10002
EXPLORER_NOT_FOUND = 10501
INTERNAL_MESSAGE = "workflows.api.error.internal_server"
_NUMBERS_BY_STATUS = {401: 10000, 403: 10003, 404: 7003, 405: 7001, 413: 10413}
_encode = msgspec.json.Encoder().encode


class Success(msgspec.Struct):
    """What a handler found: ``result``, and ``info`` about it for lists."""

    result: Any
    info: dict[str, Any] | None = None


class Problem(msgspec.Struct, frozen=True):
    """One entry of ``errors``."""

    code: int
    message: str


class Refusal(msgspec.Struct, frozen=True):
    """An error as it is answered."""

    status: int
    problems: tuple[Problem, ...]
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Rule:
    """How one kind of WorkflowError is answered; ``message`` None: the error's own sentence."""

    status: int
    number: int
    message: str | None = None


#: The first class that fits decides.
RULES: tuple[tuple[type[Exception], Rule], ...] = (
    (WorkflowNotFoundError, Rule(404, 10200, "workflows.api.error.workflow.not_found")),
    (InstanceNotFoundError, Rule(404, 10400, "workflows.api.error.instance.not_found")),
    (InstanceExistsError, Rule(409, 10401, "workflows.api.error.instance.already_exists")),
    (InvalidInstanceIdError, Rule(400, 10402)),
    (CannotTerminateError, Rule(409, 10403)),
    (CannotRestartError, Rule(409, 10404)),
    (InstanceFinishedError, Rule(409, 10405)),
    (InstanceBusyError, Rule(503, 10406)),
    (QueueFullError, Rule(429, 10407)),
    (RateLimitedError, Rule(429, 10408)),
    (InvalidArgumentError, Rule(400, BAD_REQUEST)),
    (PayloadTooLargeError, Rule(413, _NUMBERS_BY_STATUS[413])),
    (RecursionError, Rule(400, BAD_REQUEST, "The JSON is nested too deeply.")),
    (StoreError, Rule(503, INTERNAL_SERVER)),
    (StateError, Rule(503, INTERNAL_SERVER)),
)


def rule_for(error: Exception) -> Rule | None:
    """Return how ``error`` is answered; None for a failure of ours."""
    return next((rule for kind, rule in RULES if isinstance(error, kind)), None)


def success(found: Success) -> Answer:
    """Return 200 with the success envelope."""
    envelope = {"success": True, "errors": [], "messages": [], "result": found.result}
    if found.info is not None:
        envelope["result_info"] = found.info
    return Answer(200, _encode(envelope), (JSON_TYPE,))


def failure(refusal: Refusal) -> Answer:
    """Return the error envelope."""
    envelope = {"success": False, "errors": refusal.problems, "messages": [], "result": None}
    return Answer(refusal.status, _encode(envelope), (JSON_TYPE, *refusal.headers))


#: Turns an error into what is answered; the second argument is the instance id in the path, or "".
Dialect = Callable[[Exception, str], Refusal]


def rest_refusal(error: Exception, instance_id: str = "") -> Refusal:  # noqa: ARG001 - the explorer's needs it
    """Return what REST v4 answers to ``error``."""
    if isinstance(error, RequestError):
        return _request_refusal(error)
    rule = rule_for(error)
    if rule is None:
        return _internal(error)
    return _ruled(error, rule, Problem(rule.number, rule.message or str(error)))


def explorer_refusal(error: Exception, instance_id: str = "") -> Refusal:
    """Return what the explorer API answers: one number for what is not found, a sentence for the rest."""
    if isinstance(error, RequestError):
        return _request_refusal(error)
    rule = rule_for(error)
    if rule is None:
        return _internal(error)
    return _ruled(error, rule, _explorer_problem(error, rule, instance_id))


def _explorer_problem(error: Exception, rule: Rule, instance_id: str) -> Problem:
    if isinstance(error, WorkflowNotFoundError):
        return Problem(EXPLORER_NOT_FOUND, str(error))
    if isinstance(error, InstanceNotFoundError):
        return Problem(
            EXPLORER_NOT_FOUND, f"Workflow instance '{instance_id or error.instance_id}' not found."
        )
    if isinstance(error, WorkflowError):
        return Problem(INTERNAL_SERVER, f"WorkflowError: {error}")
    return Problem(rule.number, rule.message or str(error))


def _ruled(error: Exception, rule: Rule, problem: Problem) -> Refusal:
    if rule.status not in {429, 503}:
        return Refusal(rule.status, (problem,))
    seconds = error.retry_after_s if isinstance(error, RateLimitedError) else 1
    return Refusal(rule.status, (problem,), ((b"retry-after", b"%d" % seconds),))


def _request_refusal(error: RequestError) -> Refusal:
    number = error.number or _NUMBERS_BY_STATUS.get(error.status, BAD_REQUEST)
    headers = ((b"allow", error.allow.encode()),) if error.allow else ()
    if error.status == 401:
        headers = ((b"www-authenticate", b"Bearer"),)
    return Refusal(error.status, tuple(Problem(number, problem) for problem in error.problems), headers)


def _internal(error: Exception) -> Refusal:
    logger.error("the API failed", exc_info=error)
    return Refusal(500, (Problem(INTERNAL_SERVER, INTERNAL_MESSAGE),))
