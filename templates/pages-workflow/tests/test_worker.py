"""The workflow and the methods of the Worker."""

import asyncio
from types import SimpleNamespace
from typing import Any

from entry import Default, Signup


class Step:
    """Runs every step once, at once; sleeps do not wait."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def do(self, name: str) -> Any:
        self.names.append(name)
        return lambda callback: callback

    async def sleep(self, name: str, duration: Any) -> None:
        self.names.append(name)


class Workflow:
    """The binding `env.SIGNUP`."""

    def __init__(self) -> None:
        self.params: Any = None

    async def create(self, *, params: Any) -> Any:
        self.params = params
        return await self.get("one")

    async def get(self, instance_id: str) -> Any:
        async def status() -> Any:
            return {"status": "queued", "error": None, "output": None}

        return SimpleNamespace(id=instance_id, status=status)


def test_everybody_is_welcomed_and_asked_later():
    step = Step()
    result = asyncio.run(Signup(None, None).run({"payload": {"email": "a@b.c"}}, step))
    assert step.names == ["make an account", "say welcome", "let them look around", "ask how it goes"]
    assert result["last"] == "how do you like it, a@b.c?"


def test_create_instance_answers_with_id_and_status():
    workflow = Workflow()
    worker = Default(None, SimpleNamespace(SIGNUP=workflow))

    async def ask() -> Any:
        response = await worker.create_instance({"email": "a@b.c"})
        return await response.json()

    assert asyncio.run(ask())["id"] == "one"
    assert workflow.params == {"email": "a@b.c"}


def test_nothing_answers_from_outside():
    assert asyncio.run(Default(None, None).fetch()).status == 404
