from __future__ import annotations

import pytest

from wrangler_py.sdk import js
from wrangler_py.sdk.entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint, handler
from wrangler_py.sdk.web.request import Request

BASES = [WorkerEntrypoint, WorkflowEntrypoint, DurableObject]


@pytest.mark.parametrize("base", BASES)
def test_an_entrypoint_has_ctx_and_env(base: type) -> None:
    entrypoint = base("ctx", "env")
    assert (entrypoint.ctx, entrypoint.env) == ("ctx", "env")


@pytest.mark.parametrize("base", BASES)
def test_also_when_its_own_init_never_calls_super(base: type) -> None:
    class Mine(base):  # type: ignore[misc]
        def __init__(self, ctx: object, env: object) -> None:
            self.seen = (self.ctx, self.env)

    assert Mine("ctx", "env").seen == ("ctx", "env")
    assert Mine(ctx="ctx", env="env").env == "env"


def test_super_may_be_given_other_ones() -> None:
    class Mine(WorkerEntrypoint):
        def __init__(self, ctx: object, env: object) -> None:
            super().__init__(ctx, {"wrapped": env})

    assert Mine("ctx", "env").env == {"wrapped": "env"}


async def test_a_workflow_without_run_says_so() -> None:
    class Mine(WorkflowEntrypoint):
        pass

    with pytest.raises(NotImplementedError, match="Method run does not exist"):
        await Mine(None, None).run({}, None)


async def test_handler_gives_a_python_request_for_the_js_one() -> None:
    @handler
    async def on_fetch(request: Request, env: object, ctx: object) -> tuple[type, str, object]:
        """Documented."""
        return type(request), await request.text(), env

    assert await on_fetch(js.Request.new("http://a", method="POST", body="x"), "env", None) == (
        Request,
        "x",
        "env",
    )
    assert (on_fetch.__name__, on_fetch.__doc__) == ("on_fetch", "Documented.")


def test_handler_leaves_other_arguments_alone() -> None:
    assert handler(lambda controller, env: (controller, env))("cron", "env") == ("cron", "env")
    assert handler(lambda: "nothing")() == "nothing"
