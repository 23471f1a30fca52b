from __future__ import annotations

import pytest

from tests.sdk.web_server import WebServer
from wrangler_py.sdk import js, workers
from wrangler_py.sdk.pyodide.ffi import JsException, to_js
from wrangler_py.sdk.web.fetch import close_client


async def test_a_response_is_made_as_in_javascript() -> None:
    headers = js.Headers.new({"a": "b"}.items())
    response = js.Response.new("hi", to_js({"status": 201, "statusText": "Made", "headers": headers}))
    assert isinstance(response, workers.Response)
    assert (response.status, response.statusText, response.headers.get("a"), response.bodyUsed) == (
        201,
        "Made",
        "b",
        False,
    )
    assert await response.arrayBuffer() == b"hi"
    assert js.Response.new(None, status=404).status == 404


async def test_json_is_both_here_too() -> None:
    response = js.Response.json(to_js({"a": {"b": 1}}), {"status": 201})
    assert (response.status, response.headers["content-type"]) == (201, "application/json")
    assert (await response.json()).a.b == 1
    assert js.Response.json(1).status == 200
    assert js.Response.json(1, status=202).status == 202


async def test_a_request_is_made_as_in_javascript() -> None:
    request = js.Request.new("http://a", to_js({"method": "POST", "body": "{}"}))
    assert isinstance(request, workers.Request)
    assert (await request.json()).to_py() == {}
    form = js.FormData.new()
    form.append("f", js.Blob.new(["x"], type="a/b"))
    assert (await js.Request.new("http://a", method="POST", body=form).formData())["f"].content_type == "a/b"


async def test_blobs_and_files_have_their_js_names() -> None:
    blob = js.Blob.new(["a", b"b"], to_js({"type": "t/u"}))
    assert (blob.type, await blob.arrayBuffer()) == ("t/u", b"ab")
    file = js.File.new(["a"], "f.txt", type="t/u", lastModified=5)
    assert (file.name, file.type, file.lastModified, await file.arrayBuffer()) == ("f.txt", "t/u", 5, b"a")


async def test_fetch_answers_with_js_objects(web: WebServer) -> None:
    response = await js.fetch(f"{web.url}/echo", to_js({"method": "POST", "body": "x"}))
    assert (await response.json()).method == "POST"
    await close_client()


async def test_fetch_fails_as_javascript_does() -> None:
    with pytest.raises(JsException, match="^TypeError: .*cannot load ftp://a/"):
        await js.fetch("ftp://a")
