"""FastAPI itself, in a Worker, in a real session (Workers docs, "FastAPI")."""

from __future__ import annotations

import http.client
import json
import signal
from pathlib import Path

import pytest

from tests.runtime.conftest import eventually
from tests.support.session import HEAD, place

CONFIG = HEAD + '[vars]\nMESSAGE = "hello"\nLIMITS = { most = 3 }\n'
CODE = """
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import asgi
from fastapi import BackgroundTasks, FastAPI, Header, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from workers import WorkerEntrypoint, env as everywhere

HERE = Path(__file__).parent


@asynccontextmanager
async def lifespan(app):
    app.state.started = "started"
    yield
    (HERE / "ended").write_text("ended")


app = FastAPI(title="Shop", lifespan=lifespan)
done = []


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request.js_object, self.env)


class Item(BaseModel):
    name: str
    price: float = 1.5


@app.get("/")
async def root():
    return {"message": app.state.started}


@app.get("/env")
async def from_env(req: Request, depended=asgi.env):
    env = req.scope["env"]
    return [env.MESSAGE, env.LIMITS["most"], depended.MESSAGE, everywhere.MESSAGE]


@app.post("/items/{item_id}", status_code=201)
async def create(item_id: int, item: Item, q: str | None = None, x_token: str = Header("none")):
    return {"id": item_id, "item": item, "q": q, "token": x_token}


@app.get("/sync/{name:path}")
def sync(name: str):
    return {"name": name}


@app.get("/missing")
async def missing():
    raise HTTPException(404, "nothing here")


@app.get("/broken")
async def broken():
    raise ValueError("broken on purpose")


async def note(what):
    await asyncio.sleep(0.01)
    done.append(what)


@app.get("/later")
async def later(tasks: BackgroundTasks):
    tasks.add_task(note, "later")
    return done


@app.get("/done")
async def what_is_done():
    return done


@app.get("/stream")
async def stream():
    async def lines():
        for number in range(3):
            yield f"{number}\\n"
            await asyncio.sleep(0)

    return StreamingResponse(lines(), media_type="text/plain")


@app.post("/size")
async def size(request: Request):
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
    return total


@app.middleware("http")
async def stamp(request, call_next):
    response = await call_next(request)
    response.headers["x-stamp"] = request.url.path
    return response
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, place(tmp_path_factory.mktemp("shop")) as here:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        here.has(CONFIG, CODE)
        yield here.dev("--no-reload").ready()


def ask(session, path, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", session.port, timeout=15)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text, answer.headers
    finally:
        connection.close()


def test_the_lifespan_has_started_and_middleware_runs(session):
    status, body, headers = ask(session, "/")
    assert (status, body, headers["x-stamp"]) == (200, {"message": "started"}, "/")


def test_the_bindings_are_in_the_scope_and_a_dependency(session):
    assert ask(session, "/env")[1] == ["hello", 3, "hello", "hello"]


def test_path_query_header_and_json_body_are_read_and_checked(session):
    body = json.dumps({"name": "é"})
    status, answer, _ = ask(
        session, "/items/7?q=a%20b", "POST", body, **{"content-type": "application/json", "X-Token": "t"}
    )
    assert status == 201
    assert answer == {"id": 7, "item": {"name": "é", "price": 1.5}, "q": "a b", "token": "t"}
    status, answer, _ = ask(session, "/items/x", "POST", "{}", **{"content-type": "application/json"})
    assert status == 422
    assert [problem["loc"] for problem in answer["detail"]] == [["path", "item_id"], ["body", "name"]]


def test_a_def_route_runs_and_its_path_keeps_what_was_quoted(session):
    assert ask(session, "/sync/a%2Fb/%C3%A9")[1] == {"name": "a/b/é"}


def test_errors_are_answers_and_those_of_the_code_are_told(session):
    assert ask(session, "/missing")[:2] == (404, {"detail": "nothing here"})
    assert ask(session, "/nowhere")[:2] == (404, {"detail": "Not Found"})
    assert ask(session, "/", "POST")[0] == 405
    assert ask(session, "/broken")[0] == 500
    session.wait_for("ValueError: broken on purpose")


def test_background_tasks_run_after_the_response(session):
    assert ask(session, "/later")[1] == []
    eventually(lambda: ask(session, "/done")[1] == ["later"], "the background task")


def test_a_response_and_a_request_stream(session):
    assert ask(session, "/stream")[1] == "0\n1\n2\n"
    assert ask(session, "/size", "POST", b"x" * 3_000_000)[1] == 3_000_000


def test_the_generated_pages_are_there(session):
    status, page, _ = ask(session, "/docs")
    assert status == 200
    assert "Shop - Swagger UI" in page
    assert ask(session, "/openapi.json")[1]["info"]["title"] == "Shop"
    assert ask(session, "/redoc")[0] == 200


def test_many_requests_at_once_share_one_app(session):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(session, f"/sync/{number}")[1]["name"], range(64)))
    assert answers == [str(number) for number in range(64)]


def test_the_lifespan_ends_with_the_session(session):
    """The last test of the module: it ends the session."""
    assert session.stop(signal.SIGTERM) == 143
    assert Path(session.project.root / "src/ended").read_text() == "ended"
