"""The OpenAPI documents tell the truth: made-up requests to a real session are answered as they say, and never 500."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.runtime.conftest import Dev
from tests.server.session import in_session
from tests.support.session import configuration, place, trigger
from wrangler_py.server import explorer, rest
from wrangler_py.server.openapi import explorer_document, rest_document
from wrangler_py.server.operations import EXPLORER, REST

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
openapi_checks = pytest.importorskip("schemathesis.specs.openapi.checks")

ENTRY = """
from workers import WorkflowEntrypoint

class Steps(WorkflowEntrypoint):
    async def run(self, event, step):
        await step.do("work", lambda: "done")
        await step.wait_for_event("approval", "approve")
"""
DOCUMENTS = {
    "rest": ("/client/v4/openapi.json", rest_document),
    "explorer": (f"/{explorer.PREFIXES[0]}/openapi.json", explorer_document),
}
EXAMPLES = 12
#: These have a rule that a schema cannot tell: two keys that exclude each other, or the form of a cron expression.
UNTOLD = {("put", "/workflows/{workflow}"), ("patch", "/status"), ("get", "/instances")}
CHECKS = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Iterator[Dev]:
    with pytest.MonkeyPatch.context() as patch, place(tmp_path_factory.mktemp("openapi")) as project:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        project.has(configuration("Steps"), ENTRY)
        started = project.dev("--no-reload", "--log-level", "error").ready()
        for number in range(3):
            trigger(started, "steps", f"i{number}")
        yield started


def _operations() -> list[tuple[str, str, str]]:
    return [
        (which, method, path)
        for which, (_, document) in DOCUMENTS.items()
        for path, methods in document()["paths"].items()
        for method in methods
        if not path.endswith("/subscribe")  # Of an instance that lives, it does not end.
    ]


@pytest.mark.parametrize(("which", "method", "path"), _operations())
def test_every_operation_answers_as_its_document_says(session, which, method, path):
    """Half of the requests name what there is, so that answers other than "not found" are seen as well."""
    schema = schemathesis.openapi.from_dict(DOCUMENTS[which][1]())
    operation = schema[path][method.upper()]
    is_told = not any(method == of and path.endswith(end) for of, end in UNTOLD)
    checks = [*CHECKS, openapi_checks.positive_data_acceptance] if is_told else CHECKS

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def conforms(case):
        for names in ({}, {"workflow": "steps", "instance": "i1"}):
            known = {key: value for key, value in names.items() if key in case.path_parameters}
            case.path_parameters = {**case.path_parameters, **known}
            response = case.call(base_url=f"http://127.0.0.1:{session.port}")
            assert response.status_code != 500, case.as_curl_command()
            case.validate_response(response, checks=checks)

    conforms()


def test_every_route_is_described():
    assert set(rest.TABLE) - set(REST) == set()
    assert set(explorer.TABLE) - set(EXPLORER) == set()


@pytest.mark.parametrize("which", DOCUMENTS)
def test_the_document_is_served(tmp_path, which):
    path, document = DOCUMENTS[which]

    async def body(session):
        response = await session.client.get(path)
        assert response.json() == json.loads(json.dumps(document()))

    in_session(tmp_path, body)


def test_the_document_names_the_token(tmp_path):
    assert rest_document()["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
