"""The functions of the site."""

import asyncio
from types import SimpleNamespace
from typing import Any

from workers import Request, Response


class Service:
    """The binding `env.WORKFLOW_SERVICE`."""

    async def create_instance(self, payload: Any) -> Response:
        return Response.json({"id": "one", "email": payload["email"]})

    async def instance_status(self, instance_id: str) -> Any:
        return {"status": "complete", "id": instance_id}


def context(**given: Any) -> Any:
    return SimpleNamespace(env=SimpleNamespace(WORKFLOW_SERVICE=Service()), **given)


def posted(text: str) -> Request:
    return Request("http://localhost/api/instances", method="POST", body=text)


def answer(call: Any) -> Any:
    async def ask() -> Any:
        response = await call
        return response.status, await response.json()

    return asyncio.run(ask())


def test_an_instance_is_created_for_an_address(function):
    create = function("api/instances/index.py").on_request_post
    found = answer(create(context(request=posted('{"email": "a@b.c", "more": 1}'))))
    assert found == (200, {"id": "one", "email": "a@b.c"})


def test_an_address_is_needed(function):
    create = function("api/instances/index.py").on_request_post
    assert answer(create(context(request=posted("{}"))))[0] == 400


def test_the_status_is_that_of_the_instance_in_the_path(function):
    show = function("api/instances/[id].py").on_request_get
    assert answer(show(context(params={"id": "one"}))) == (200, {"status": "complete", "id": "one"})


def test_what_fails_becomes_json(function):
    async def fail() -> Response:
        raise RuntimeError("no")

    guard = function("_middleware.py").on_request
    assert answer(guard(context(next=fail))) == (500, {"error": "no"})
