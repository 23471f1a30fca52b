"""Pages Functions: middlewares, the function of the path, then the static file (Pages docs, "Functions")."""

import asyncio
import textwrap

import pytest

from tests.support.imports import user_code
from wrangler_py import config as configuration
from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.runtime.host import Host
from wrangler_py.sdk.web.request import Request

CONFIG = """
name = "site"
pages_build_output_dir = "public"
compatibility_date = "2026-03-01"
[vars]
GREETING = "hello"
"""
HELLO = """
from workers import Response
async def on_request(context):
    return Response.json({"path": context.function_path, "params": context.params, "says": context.env.GREETING})
"""


@pytest.fixture
def site(tmp_path):
    def ask(files, path="/", **options):
        for name, text in {"public/index.html": "home", "wrangler.toml": CONFIG, **files}.items():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text))
        return asyncio.run(_ask(tmp_path, path, options))

    with user_code():
        yield ask


async def _ask(root, path, options):
    loaded = configuration.load(root / "wrangler.toml")
    loaded.diagnostics.raise_for_errors()
    host = await Host.open(loaded.config, root / "state")
    try:
        response = await host.fetch(Request(f"http://localhost{path}", **options))
        body = await response.text()
        await host.work.drain(1)
        return response.status, body
    finally:
        await host.close()


def test_a_function_gets_its_path_parameters_and_env(site):
    status, body = site({"functions/users/[user].py": HELLO}, "/users/ann%20b")
    assert (status, body) == (200, '{"path": "/users/:user", "params": {"user": "ann b"}, "says": "hello"}')


def test_what_no_function_answers_is_a_file(site):
    assert site({"functions/api.py": HELLO}) == (200, "home")


def test_each_method_has_its_function_and_the_rest_the_general_one(site):
    code = """
    from workers import Response
    async def on_request(context): return Response("any")
    async def on_request_post(context): return Response(f"post {await context.request.text()}")
    """
    assert site({"functions/api.py": code}, "/api", method="POST", body="x") == (200, "post x")
    assert site({"functions/api.py": code}, "/api", method="PUT") == (200, "any")


def test_a_method_without_function_falls_through_to_the_file(site):
    code = "from workers import Response\nasync def on_request_post(context): return Response('post')\n"
    assert site({"functions/index.py": code}, "/") == (200, "home")


def test_the_spelling_of_javascript_works_and_def_too(site):
    code = "from workers import Response\ndef onRequestGet(context): return Response('js')\n"
    assert site({"functions/a.py": code}, "/a") == (200, "js")


def test_middlewares_run_from_the_top_down_and_share_data(site):
    top = """
    async def on_request(context):
        context.data["seen"] = ["top"]
        response = await context.next()
        response.headers["x-after"] = "top"
        return response
    """
    deep = """
    async def first(context):
        context.data["seen"].append("first")
        return await context.next()
    async def second(context):
        context.data["seen"].append("second")
        return await context.next()
    on_request = [first, second]
    """
    code = "from workers import Response\nasync def on_request(context): return Response.json(context.data.seen)\n"
    files = {"functions/_middleware.py": top, "functions/a/_middleware.py": deep, "functions/a/b.py": code}
    assert site(files, "/a/b") == (200, '["top", "first", "second"]')


def test_a_middleware_may_answer_itself_also_for_files(site):
    guard = "from workers import Response\nasync def on_request(context): return Response('no', status=401)\n"
    assert site({"functions/_middleware.py": guard}, "/") == (401, "no")


def test_next_may_be_given_another_request(site):
    code = "async def on_request(context): return await context.next('http://localhost/other')\n"
    files = {"functions/a.py": code, "public/other.html": "other"}
    assert site(files, "/a") == (200, "other")


def test_assets_can_be_fetched_from_env(site):
    code = """
    async def on_request(context):
        return await context.env.ASSETS.fetch("http://localhost/other")
    """
    assert site({"functions/a.py": code, "public/other.html": "other"}, "/a") == (200, "other")


def test_a_failing_function_may_pass_through_to_the_file(site):
    code = """
    async def on_request(context):
        context.pass_through_on_exception()
        raise RuntimeError("no")
    """
    assert site({"functions/about.py": code, "public/about.html": "about"}, "/about") == (200, "about")


def test_functions_import_modules_beside_them(site):
    code = "from workers import Response\nfrom lib.words import WORD\nasync def on_request(c): return Response(WORD)\n"
    assert site({"functions/a.py": code, "functions/lib/words.py": "WORD = 'beside'\n"}, "/a") == (
        200,
        "beside",
    )


def test_routes_json_keeps_functions_out(site):
    files = {
        "functions/_middleware.py": HELLO,
        "public/_routes.json": '{"include": ["/api/*"], "exclude": []}',
    }
    assert site(files, "/") == (200, "home")


def test_wait_until_goes_on_after_the_response(site, tmp_path):
    code = f"""
    from pathlib import Path
    from workers import Response
    async def later():
        Path({str(tmp_path / "mark")!r}).write_text("done")
    async def on_request(context):
        context.wait_until(later())
        return Response("now")
    """
    assert site({"functions/a.py": code}, "/a") == (200, "now")
    assert (tmp_path / "mark").read_text() == "done"


def test_a_function_that_returns_no_response_is_named(site):
    with pytest.raises(UserError, match=r"The function of /a returned nothing, not a Response\."):
        site({"functions/a.py": "async def on_request(context): pass\n"}, "/a")


@pytest.mark.parametrize("code", ["on_request = 3\n", "on_request = []\n", "raise ValueError('x')\n"])
def test_code_that_cannot_be_loaded_is_told_to_who_asks(site, code):
    with pytest.raises(WorkerLoadError):
        site({"functions/a.py": code}, "/")


def test_a_pages_project_has_no_main(tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "entry.py").write_text("")
    (tmp_path / "wrangler.toml").write_text(CONFIG.replace("[vars]", 'main = "entry.py"\n[vars]'))
    loaded = configuration.load(tmp_path / "wrangler.toml")
    assert "a Pages project has no main" in loaded.diagnostics.render()


def test_overrides_stand_without_a_file(tmp_path):
    (tmp_path / "dist").mkdir()
    overrides = {
        "name": "x",
        "pages_build_output_dir": "dist",
        "services": [{"binding": "S", "service": "s"}],
    }
    config = configuration.load(tmp_path / "wrangler.toml", overrides=overrides).config
    assert config.pages.directory == tmp_path / "dist"
    assert [one.service for one in config.resources.services] == ["s"]
