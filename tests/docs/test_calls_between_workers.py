"""The documents' examples of Workers that use each other's workflows, ported to Python, in two real sessions.

docs, "Call Workflows from Pages" (the Worker's half; here another Worker calls it, with the same binding) and "Workers
API", "Cross-script calls".
"""

from __future__ import annotations

import json

import pytest

from tests.runtime.conftest import Project, _own_runtime_directory, dev, eventually  # noqa: F401

MAIN = """
main = "src/index.py"
compatibility_date = "2026-03-01"
"""


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "unused")


@pytest.fixture
def make(tmp_path):
    def write(name, config, entry):
        project = Project(tmp_path / name)
        project.write("wrangler.toml", f'name = "{name}"\n{MAIN}{config}')
        project.write("src/index.py", entry)
        return project

    return write


STARTER = """
[[workflows]]
name = "my-workflow"
binding = "MY_WORKFLOW"
class_name = "MyWorkflow"
"""
STARTER_INDEX = """
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint


class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        return event["payload"]["hello"]


class Default(WorkerEntrypoint):
    # Currently, entrypoints without a named handler are not supported
    async def fetch(self, request):
        return Response(None, status=404)

    async def createInstance(self, payload):
        instance = await self.env.MY_WORKFLOW.create(params=payload)
        return Response.json({"id": instance.id, "details": await instance.status()})
"""
SITE = """
services = [
  { binding = "WORKFLOW_SERVICE", service = "workflows-starter" }
]
"""
SITE_INDEX = """
from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        # This payload could be anything from within your app or from your frontend
        payload = {"hello": "world"}
        return await self.env.WORKFLOW_SERVICE.createInstance(payload)
"""


def test_call_workflows_from_pages_use_service_bindings(dev, make):  # noqa: F811
    starter = dev(of=make("workflows-starter", STARTER, STARTER_INDEX)).ready()
    site = dev(of=make("site", SITE, SITE_INDEX)).ready()
    assert starter.get("/")[0] == 404
    status, text = site.get("/")
    answer = json.loads(text)
    assert (status, set(answer)) == (200, {"id", "details"})
    assert set(answer["details"]) == {"status", "error", "output"}
    path = f"/client/v4/accounts/local/workflows/my-workflow/instances/{answer['id']}"
    eventually(lambda: json.loads(starter.get(path)[1])["result"]["output"] == "world", "the instance ends")


BILLING = """
[[workflows]]
name = "billing-workflow"
binding = "MY_WORKFLOW"
class_name = "MyWorkflow"
"""
BILLING_INDEX = """
from workers import WorkflowEntrypoint


class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("charge")
        async def charge():
            return {"charged": event["payload"]["amount"]}

        return await charge()
"""
WEB_API = """
[[workflows]]
# name of your workflow
name = "billing-workflow"
# binding name env.MY_WORKFLOW
binding = "MY_WORKFLOW"
# this is class that extends the Workflow class in src/index.py
class_name = "MyWorkflow"
# the script name where the Workflow is defined.
# required if the Workflow is defined in another script.
script_name = "billing-worker"
"""
WEB_API_INDEX = """
from urllib.parse import parse_qs, urlsplit

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        query = parse_qs(urlsplit(request.url).query)
        if "instanceId" in query:
            instance = await self.env.MY_WORKFLOW.get(query["instanceId"][0])
            return Response.json(await instance.status())
        instance = await self.env.MY_WORKFLOW.create(params={"amount": 12})
        return Response.json({"id": instance.id, "details": await instance.status()})
"""


def test_cross_script_calls(dev, make):  # noqa: F811
    web_api = dev(of=make("web-api-worker", WEB_API, WEB_API_INDEX)).ready()
    dev(of=make("billing-worker", BILLING, BILLING_INDEX)).ready()
    created = json.loads(web_api.get("/")[1])

    def ended():
        found = json.loads(web_api.get(f"/?instanceId={created['id']}")[1])
        return found["status"] == "complete" and found["output"] == {"charged": 12}

    eventually(ended, "the instance of the other script ends")
