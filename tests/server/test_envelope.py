"""The status, the number and the sentence of every error, in both dialects of the API (rest-and-cli, section 2)."""

from __future__ import annotations

import json

import pytest

from wrangler_py import errors
from wrangler_py.server.envelope import Success, explorer_refusal, failure, rest_refusal, success

NOT_FOUND = "workflows.api.error.workflow.not_found"
INSTANCE_NOT_FOUND = "workflows.api.error.instance.not_found"
EXISTS = "workflows.api.error.instance.already_exists"
FAILED = "workflows.api.error.internal_server"
DEEP = "The JSON is nested too deeply."

#: An error, its status, and its number and sentence in REST v4; no sentence: the error's own.
ERRORS = [
    (errors.WorkflowNotFoundError("w"), 404, 10200, NOT_FOUND),
    (errors.InstanceNotFoundError("i"), 404, 10400, INSTANCE_NOT_FOUND),
    (errors.InstanceExistsError("i"), 409, 10401, EXISTS),
    (errors.InvalidInstanceIdError(), 400, 10402, None),
    (errors.CannotTerminateError(), 409, 10403, None),
    (errors.CannotRestartError("s"), 409, 10404, None),
    (errors.InstanceFinishedError("over"), 409, 10405, None),
    (errors.InstanceBusyError("busy"), 503, 10406, None),
    (errors.QueueFullError("full"), 429, 10407, None),
    (errors.RateLimitedError("slowly"), 429, 10408, None),
    (errors.InvalidArgumentError("bad"), 400, 10002, None),
    (errors.PayloadTooLargeError("large"), 413, 10413, None),
    (RecursionError("deep"), 400, 10002, DEEP),
    (errors.StoreUnavailableError("locked"), 503, 10001, None),
    (errors.StateCorruptError("cut in half"), 503, 10001, None),
    (LookupError("a bug"), 500, 10001, FAILED),
]
KINDS = [type(error).__name__ for error, *_ in ERRORS]


def told(refusal):
    """Return status, numbers and sentences, and headers of a refusal as a client sees them."""
    answer = failure(refusal)
    envelope = json.loads(answer.body)
    assert (envelope["success"], envelope["result"], envelope["messages"]) == (False, None, [])
    assert (b"content-type", b"application/json") in answer.headers
    headers = [(name, value) for name, value in answer.headers if name != b"content-type"]
    return answer.status, [(one["code"], one["message"]) for one in envelope["errors"]], headers


@pytest.mark.parametrize(("error", "status", "number", "sentence"), ERRORS, ids=KINDS)
def test_each_error_has_its_status_its_number_and_a_sentence(error, status, number, sentence):
    got, problems, headers = told(rest_refusal(error))
    assert (got, problems) == (status, [(number, sentence or str(error))])
    assert headers == ([(b"retry-after", b"1")] if status in (429, 503) else [])


@pytest.mark.parametrize(("error", "status", "number", "sentence"), ERRORS, ids=KINDS)
def test_the_explorer_says_the_same_in_its_own_words(error, status, number, sentence):
    if isinstance(error, errors.WorkflowNotFoundError):
        problem = (10501, str(error))
    elif isinstance(error, errors.InstanceNotFoundError):
        problem = (10501, "Workflow instance 'i' not found.")
    elif isinstance(error, errors.WorkflowError):
        problem = (10001, f"WorkflowError: {error}")
    else:
        problem = (number, sentence or str(error))
    got, problems, headers = told(explorer_refusal(error))
    assert (got, problems) == (status, [problem])
    assert headers == ([(b"retry-after", b"1")] if status in (429, 503) else [])


def test_the_explorer_names_the_instance_that_was_asked_for():
    _, problems, _ = told(explorer_refusal(errors.InstanceNotFoundError("stored"), "asked for"))
    assert problems == [(10501, "Workflow instance 'asked for' not found.")]


@pytest.mark.parametrize("refused", [rest_refusal, explorer_refusal])
def test_who_comes_too_often_is_told_when_there_is_room(refused):
    _, _, headers = told(refused(errors.RateLimitedError("slowly", retry_after_s=42)))
    assert headers == [(b"retry-after", b"42")]


@pytest.mark.parametrize("refused", [rest_refusal, explorer_refusal])
@pytest.mark.parametrize(
    ("status", "number", "more"),
    [
        (400, 10002, []),
        (401, 10000, [(b"www-authenticate", b"Bearer")]),
        (403, 10003, []),
        (404, 7003, []),
        (405, 7001, []),
        (413, 10413, []),
        (415, 10002, []),
    ],
)
def test_a_request_that_is_wrong_is_answered_by_its_status(refused, status, number, more):
    problems = ["this is wrong", "and this"]
    expected = (status, [(number, problem) for problem in problems], more)
    assert told(refused(errors.RequestError(status, *problems))) == expected


def test_a_request_may_have_a_number_of_its_own_and_say_what_is_allowed():
    error = errors.RequestError(405, "no", number=99, allow="GET, POST")
    assert told(rest_refusal(error)) == (405, [(99, "no")], [(b"allow", b"GET, POST")])


@pytest.mark.parametrize("info", [None, {"page": 1}])
def test_what_is_found_is_the_result(info):
    answer = success(Success([1], info))
    more = {} if info is None else {"result_info": info}
    envelope = {"success": True, "errors": [], "messages": [], "result": [1], **more}
    assert (answer.status, json.loads(answer.body)) == (200, envelope)


def test_a_failure_of_ours_is_logged_and_not_shown(caplog):
    _, problems, _ = told(rest_refusal(LookupError("secret")))
    assert "secret" not in str(problems)
    assert [record.exc_info[1].args for record in caplog.records] == [("secret",)]
