"""`pywrangler pages dev` with real processes (docs, "Call Workflows from Pages")."""

import json
import sys

import pytest

from tests.runtime.conftest import Dev, Project, eventually

PAGES = (sys.executable, "-c", "from wrangler_py.cli import main; main()", "pages", "dev")
SERVICE = """
name = "workflows-starter"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[workflows]]
name = "workflows-starter"
binding = "MY_WORKFLOW"
class_name = "MyWorkflow"
"""
ENTRY = """
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        return event["payload"]

class Default(WorkerEntrypoint):
    async def fetch(self):
        return Response(None, status=404)

    async def create_instance(self, payload):
        instance = await self.env.MY_WORKFLOW.create(params=payload)
        return Response.json({"id": instance.id, "details": await instance.status()})

    async def status(self, instance_id):
        return await (await self.env.MY_WORKFLOW.get(instance_id)).status()
"""
FUNCTION = """
from workers import Response

async def on_request_post(context):
    return await context.env.WORKFLOW_SERVICE.create_instance(await context.request.json())

async def on_request_get(context):
    instance_id = context.request.url.rpartition("=")[2]
    return Response.json(await context.env.WORKFLOW_SERVICE.status(instance_id))
"""
SITE = """
name = "site"
pages_build_output_dir = "public"
compatibility_date = "2026-03-01"
services = [{ binding = "WORKFLOW_SERVICE", service = "workflows-starter" }]
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A Pages project beside a Worker, and sessions of both that end with the test."""
    found = Project(tmp_path / "site")
    (found.root / "wrangler.toml").write_text(SITE)
    (found.root / "src" / "entry.py").unlink()
    found.write("public/index.html", "home")
    found.write("functions/api.py", FUNCTION)
    found.worker = Project(tmp_path / "worker")
    found.worker.write("wrangler.toml", SERVICE)
    found.worker.write("src/entry.py", ENTRY)
    sessions = []

    def pages(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr("tests.runtime.conftest.COMMAND", (*PAGES, "--port", "0"))
            sessions.append(Dev(found, *arguments))
        return sessions[-1]

    def dev():
        sessions.append(Dev(found.worker))
        return sessions[-1]

    found.pages, found.dev = pages, dev
    yield found
    for one in sessions:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait()


def created(session):
    status, text = session.get("/api", "POST", '{"hello": "world"}')
    assert status == 200, text
    return json.loads(text)


def completes(session, instance_id):
    def is_complete():
        return json.loads(session.get(f"/api?id={instance_id}")[1])["status"] == "complete"

    return eventually(is_complete, "the instance completes")


def test_a_function_calls_the_worker_of_another_session_which_may_start_later(site):
    pages = site.pages()
    pages.ready()
    assert pages.get("/") == (200, "home")
    status, text = pages.get("/api", "POST", "{}")
    assert status == 500
    assert 'service "workflows-starter"' in text
    worker = site.dev()
    worker.ready()
    made = created(pages)
    # How far it has come when it is asked, nobody can say; that it ends, the next line does.
    assert {**made["details"], "status": None} == {"status": None, "error": None, "output": None}
    completes(pages, made["id"])


def test_both_in_one_session(site):
    pages = site.pages("-c", "wrangler.toml", "-c", str(site.worker.root / "wrangler.toml"))
    pages.ready()
    eventually(lambda: pages.get("/api", "POST", "{}")[0] == 200, "the Worker answers")
    completes(pages, created(pages)["id"])


def test_options_stand_for_a_configuration(site):
    (site.root / "wrangler.toml").unlink()
    site.write(
        "functions/word.py",
        "from workers import Response\n\n\nasync def on_request(context):\n"
        "    await context.env.KV.put('k', context.env.WORD)\n"
        "    return Response(await context.env.KV.get('k'))\n",
    )
    pages = site.pages("public", "-b", "WORD=hello", "-k", "KV", "-s", "WORKFLOW_SERVICE=workflows-starter")
    pages.ready()
    assert pages.get("/word") == (200, "hello")
    assert "env.WORKFLOW_SERVICE (workflows-starter)" in pages.output


def test_a_saved_function_answers_and_a_broken_one_does_not_replace_it(site):
    pages = site.pages()
    pages.ready()
    site.write(
        "functions/new.py", "from workers import Response\nasync def on_request(c): return Response('1')\n"
    )
    eventually(lambda: pages.get("/new") == (200, "1"), "a new function answers")
    site.write("functions/new.py", "this is no Python\n")
    pages.wait_for("goes on serving")
    assert pages.get("/new") == (200, "1")


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("nowhere",), "There is no folder nowhere.", 1),
        (("public", "-s", "X"), "is not NAME=VALUE", 2),
        (("public", "-o", "X=Y"), "is not NAME=CLASS@WORKER", 2),
    ],
)
def test_mistakes_are_told_in_a_line(site, arguments, said, code):
    pages = site.pages(*arguments)
    assert pages.process.wait(15) == code
    pages.wait_for(said)
    assert "Traceback" not in pages.output


def test_without_a_folder_it_is_asked_for(site):
    (site.root / "wrangler.toml").unlink()
    pages = site.pages()
    pages.wait_for("Which folder has the static files")
    assert pages.process.wait(15) == 1
