"""What is saved is noticed, what steps write is not."""

from __future__ import annotations

import asyncio

import pytest

from wrangler_py.config import load, watched_files
from wrangler_py.runtime.watch import Watch


def settings_of(project):
    config = load(project.root / "wrangler.toml").config
    assert config is not None
    return watched_files(config)


def watched(project, act, *, until=None):
    """Return the names told while ``act`` runs; waits for ``until`` to be among them."""

    async def run():
        told, failures = set(), []
        arrived = asyncio.Event()

        def changed(paths):
            told.update(str(path.relative_to(project.root)) for path in paths)
            arrived.set()

        watch = Watch([project.root], settings_of(project), changed, failures.append)
        await watch.start()
        act()
        async with asyncio.timeout(10):
            while until is not None and until not in told:
                await arrived.wait()
                arrived.clear()
        await watch.stop()
        assert failures == []
        return told

    return asyncio.run(run())


@pytest.mark.parametrize(
    "name", ["src/entry.py", "wrangler.toml", ".dev.vars", ".env", ".env.local", "src/page.html", "src/q.sql"]
)
def test_code_configuration_and_secrets_count(project, name):
    assert name in watched(project, lambda: project.write(name, "x = 1\n"), until=name)


def test_data_and_what_is_not_the_users_does_not_count(project):
    for folder in (".venv/lib", "node_modules/a", "src/__pycache__", ".wrangler/state"):
        project.write(f"{folder}/old.py", "")

    def act():
        for folder in (".venv/lib", "node_modules/a", "src/__pycache__", ".wrangler/state"):
            project.write(f"{folder}/x.py", "")
        for name in (
            "src/out.json",
            "log.txt",
            "data.sqlite",
            "src/.entry.py.swp",
            "src/entry.py~",
            "src/.env",
        ):
            project.write(name, "")
        # Saved last: once it is told, the others have been seen too.
        project.write("src/entry.py", "")

    assert watched(project, act, until="src/entry.py") == {"src/entry.py"}


def test_an_editor_that_replaces_the_file_is_noticed(project):
    def act():
        project.write("src/entry.py.new", "x = 2\n").replace(project.root / "src" / "entry.py")

    assert watched(project, act, until="src/entry.py") == {"src/entry.py"}


def test_a_new_folder_counts_when_code_comes_into_it(project):
    def act():
        project.write("src/a/b/deep.py", "")

    watched(project, act, until="src/a")


def test_a_folder_of_code_that_is_moved_in_counts(project, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "parts"
    outside.mkdir()
    (outside / "a.py").write_text("")
    assert watched(project, lambda: outside.rename(project.root / "src" / "parts"), until="src/parts") == {
        "src/parts"
    }


def test_a_kernel_that_refuses_is_said_once(project, monkeypatch):
    async def refuse(watched):
        raise OSError("file watch limit reached")
        yield

    monkeypatch.setattr("wrangler_py.runtime.watch._stream", refuse)

    async def run():
        failures = []
        watch = Watch([project.root], settings_of(project), lambda _: None, failures.append)
        await watch.start()
        while not failures:
            await asyncio.sleep(0)
        await watch.stop()
        return failures

    assert asyncio.run(run()) == ["file watch limit reached"]
