"""How the user's handlers are called."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from wrangler_py.errors import UserError, WorkerLoadError
from wrangler_py.runtime.handlers import Handlers
from wrangler_py.runtime.loader import WorkerCode
from wrangler_py.sdk.context import WaitUntil, current_context, wait_until
from wrangler_py.sdk.workers import Request


def call(module, event="fetch", argument="request", *, old=False):
    async def run():
        work = WaitUntil()
        result = await Handlers(WorkerCode(module, {}, old), "env", work).call(event, argument)
        await work.drain()
        return result

    return asyncio.run(run())


def worker(fetch, **more):
    class Default:
        def __init__(self, ctx, env):
            self.ctx, self.env = ctx, env

    for name, function in {"fetch": fetch, **more}.items():
        setattr(Default, name, function)
    return SimpleNamespace(Default=Default)


def test_a_handler_takes_as_many_arguments_as_it_likes():
    async def nothing(self):
        return ()

    async def one(self, request):
        return (request,)

    async def all_of_them(self, request, env, ctx):
        return (request, env, ctx is self.ctx)

    async def any_number(self, *arguments):
        return arguments[:2]

    assert call(worker(nothing)) == ()
    assert call(worker(one)) == ("request",)
    assert call(worker(all_of_them)) == ("request", "env", True)
    assert call(worker(any_number)) == ("request", "env")


def test_each_call_has_an_instance_and_a_ctx_of_its_own():
    seen = []

    async def fetch(self):
        assert current_context.get() is self.ctx
        seen.append((self, self.ctx))

    module = worker(fetch)
    call(module)
    call(module)
    assert seen[0][0] is not seen[1][0]
    assert seen[0][1] is not seen[1][1]


def test_a_def_handler_runs_in_a_thread_and_may_give_back_an_awaitable():
    threads = []

    async def later():
        return "later"

    def fetch(self):
        threads.append(threading.current_thread())
        wait_until(later())
        return later()

    assert call(worker(fetch)) == "later"
    assert threads[0] is not threading.main_thread()


def test_what_is_handed_to_wait_until_goes_on_after_the_answer():
    steps = []

    async def slowly():
        await asyncio.sleep(0)
        steps.append("after")

    async def fetch(self):
        self.ctx.waitUntil(slowly())
        steps.append("answer")

    call(worker(fetch))
    assert steps == ["answer", "after"]


def test_missing_class_and_method_have_cloudflares_words():
    with pytest.raises(
        WorkerLoadError, match="There is no 'Default' class defined in the Python Worker's main module"
    ):
        call(SimpleNamespace())
    with pytest.raises(UserError, match="Method scheduled does not exist"):
        call(worker(lambda self: None), "scheduled")


def test_a_global_handler_that_no_longer_counts_is_explained():
    with pytest.raises(WorkerLoadError) as caught:
        call(SimpleNamespace(on_fetch=lambda request: request))
    assert "2025-08-14" in (caught.value.hint or "")


def test_global_handlers_answer_before_the_class_does():
    async def on_scheduled(controller, env, ctx):
        return (controller, env)

    async def on_fetch(request):
        return request

    module = worker(lambda self: "class", scheduled=lambda self: "class")
    module.on_fetch, module.on_scheduled = on_fetch, on_scheduled
    assert call(module, "scheduled", "controller", old=True) == ("controller", "env")
    assert call(module, argument=Request("http://a/"), old=True).url == "http://a/"
    assert call(module) == call(module, "scheduled") == "class"
