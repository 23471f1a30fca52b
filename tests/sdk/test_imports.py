from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wrangler_py.sdk import imports

ALIASES = {
    "workers": "wrangler_py.sdk.workers",
    "workers.workflows": "wrangler_py.sdk.workers.workflows",
    "workers.asgi": "wrangler_py.sdk.workers.asgi",
    "workers.wsgi": "wrangler_py.sdk.workers.wsgi",
    "asgi": "wrangler_py.sdk.workers.asgi",
    "js": "wrangler_py.sdk.js",
    "pyodide": "wrangler_py.sdk.pyodide",
    "pyodide.ffi": "wrangler_py.sdk.pyodide.ffi",
    "pyodide.http": "wrangler_py.sdk.http",
}


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    imports.uninstall()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory first on the import path, with another package called `workers` in it."""
    package = tmp_path / "workers"
    package.mkdir()
    (package / "__init__.py").write_text("whose = 'theirs'")
    (package / "extra.py").write_text("whose = 'theirs'")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "real"), ALIASES.items())
def test_a_name_and_our_module_are_one(name: str, real: str) -> None:
    imports.install()
    module = importlib.import_module(name)
    assert module is sys.modules[name] is sys.modules[real]
    assert module.__name__ == real
    assert module.__spec__ is not None
    assert module.__spec__.name == real


def test_classes_are_one_however_they_are_imported() -> None:
    imports.install()
    namespace: dict[str, object] = {}
    exec("from workers import asgi, Response\nimport workers.workflows\nfrom js import Headers", namespace)
    assert namespace["asgi"] is importlib.import_module("workers.asgi")
    assert namespace["Response"] is sys.modules["wrangler_py.sdk.web.response"].Response
    assert namespace["Headers"] is sys.modules["wrangler_py.sdk.workers"].Headers


@pytest.mark.usefixtures("site")
def test_ours_wins_over_an_installed_package() -> None:
    imports.install()
    assert not hasattr(importlib.import_module("workers"), "whose")
    with pytest.raises(ModuleNotFoundError, match="workers.extra"):
        importlib.import_module("workers.extra")


@pytest.mark.usefixtures("site")
def test_ours_wins_over_a_package_that_was_imported_before() -> None:
    theirs = importlib.import_module("workers.extra")
    imports.install()
    assert importlib.import_module("workers") is sys.modules["wrangler_py.sdk.workers"]
    imports.uninstall()
    assert importlib.import_module("workers.extra") is theirs
    for name in ("workers", "workers.extra"):
        del sys.modules[name]


def test_uninstalling_takes_the_names_away() -> None:
    imports.install()
    importlib.import_module("js")
    imports.uninstall()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("js")


def test_installing_twice_is_installing_once() -> None:
    before = len(sys.meta_path)
    imports.install()
    imports.install()
    assert len(sys.meta_path) == before + 1


def test_an_asgi_module_of_the_users_own_stays_theirs(site: Path) -> None:
    """`asgi.py` is what Django projects have; on Cloudflare too the import root comes first."""
    (site / "asgi.py").write_text("whose = 'theirs'")
    imports.install(site)
    module = importlib.import_module("asgi")
    assert module.whose == "theirs"
    assert hasattr(importlib.import_module("workers.asgi"), "fetch")
    del sys.modules["asgi"]
