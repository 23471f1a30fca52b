from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from wrangler_py.sdk.environment import env, patch_env, set_env, use_env


@pytest.fixture(autouse=True)
def _worker() -> Iterator[None]:
    set_env(SimpleNamespace(NAME="worker", KEY="k"))
    yield
    set_env(None)


def test_env_is_that_of_the_running_worker() -> None:
    assert (env.NAME, env["NAME"]) == ("worker", "worker")
    assert {"NAME", "KEY"} <= set(dir(env))
    assert repr(env) == "<env: KEY, NAME>"


def test_a_missing_name_is_an_attribute_error_of_the_workers_env() -> None:
    assert not hasattr(env, "MISSING")


def test_without_a_worker_env_is_empty() -> None:
    set_env(None)
    with pytest.raises(AttributeError, match="env has no 'NAME': no Worker is running"):
        _ = env.NAME
    assert repr(env) == "<env: empty>"


def test_threads_see_it() -> None:
    seen = []
    thread = threading.Thread(target=lambda: seen.append(env.NAME))
    thread.start()
    thread.join()
    assert seen == ["worker"]


def test_another_env_holds_inside_the_with_only() -> None:
    with use_env(SimpleNamespace(NAME="other")):
        assert env.NAME == "other"
    assert env.NAME == "worker"


@pytest.mark.parametrize("given", [{"NAME": "patched"}, [("NAME", "patched")]])
def test_patches_hold_inside_the_with_only(given: object) -> None:
    with patch_env(given, MORE=1):  # type: ignore[arg-type]
        assert (env.NAME, env.KEY, env.MORE) == ("patched", "k", 1)
        assert "MORE" in dir(env)
        with patch_env(NAME="twice"):
            assert (env.NAME, env.MORE) == ("twice", 1)
        assert env.NAME == "patched"
    assert (env.NAME, hasattr(env, "MORE")) == ("worker", False)


async def test_patches_of_one_task_are_not_anothers() -> None:
    async def patched(value: str) -> str:
        with patch_env(NAME=value):
            await asyncio.sleep(0)
            return str(env.NAME)

    assert await asyncio.gather(patched("a"), patched("b")) == ["a", "b"]


def test_patches_end_with_an_exception_too() -> None:
    with pytest.raises(ZeroDivisionError), patch_env(NAME="patched"):
        _ = 1 / 0
    assert env.NAME == "worker"
