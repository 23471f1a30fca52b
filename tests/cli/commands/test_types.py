"""`pywrangler types`: a stub of `env` that mypy believes, and that is left alone while nothing changes."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wrangler_py.sdk
from tests.runtime.conftest import ENTRY, fresh_imports  # noqa: F401 - a fixture
from wrangler_py.bindings.registry import KINDS, declared
from wrangler_py.cli.env_stub import CLASSES
from wrangler_py.config import load
from wrangler_py.runtime.host import Host

STUBS = Path(wrangler_py.sdk.__file__).parent / "stubs" / "workers-stubs"
CONFIG = """
name = "app"
main = "src/entry.py"
compatibility_date = "2026-03-01"
migrations = [{ tag = "v1", new_sqlite_classes = ["Counter"] }]
kv_namespaces = [{ binding = "KV", id = "kv" }]
r2_buckets = [{ binding = "BUCKET", bucket_name = "bucket" }]
d1_databases = [{ binding = "DB", database_name = "db", database_id = "db" }]
send_email = [{ name = "MAIL" }]
services = [{ binding = "OTHER", service = "other" }]
durable_objects.bindings = [{ name = "COUNTER", class_name = "Counter" }]
queues.producers = [{ binding = "QUEUE", queue = "queue" }]

[[workflows]]
name = "my-workflow"
binding = "MY_WORKFLOW"
class_name = "MyWorkflow"

[vars]
MODE = "development"
RETRIES = 3
RATIO = 0.5
DEBUG = true
HOSTS = ["a", 1]
EMPTY = []
SETTINGS = { name = "x", limits = { most = 5 } }

[env.prod.vars]
MODE = "production"
"""
STUB = """\
from typing import Any, Literal

from wrangler_py.bindings.d1.database import D1Database
from wrangler_py.bindings.durable.namespace import Namespace
from wrangler_py.bindings.email.binding import SendEmail
from wrangler_py.bindings.kv.namespace import KvNamespace
from wrangler_py.bindings.queues.producer import QueueProducer
from wrangler_py.bindings.r2.bucket import R2Bucket
from wrangler_py.bindings.service import ServiceBinding
from wrangler_py.bindings.workflow import WorkflowBinding

class _SettingsLimits(dict[str, Any]):
    most: int

class _Settings(dict[str, Any]):
    name: str
    limits: _SettingsLimits

class Env:
    COUNTER: Namespace  # Counter
    KV: KvNamespace  # kv
    QUEUE: QueueProducer  # queue
    MAIL: SendEmail  # unrestricted
    DB: D1Database  # db
    BUCKET: R2Bucket  # bucket
    OTHER: ServiceBinding  # other
    MY_WORKFLOW: WorkflowBinding  # MyWorkflow
    MODE: Literal["development", "production"]
    RETRIES: int
    RATIO: float
    DEBUG: bool
    HOSTS: list[str | int]
    EMPTY: list[Any]
    SETTINGS: _Settings
    TOKEN: str  # secret
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    (tmp_path / ".dev.vars").write_text("TOKEN=x\n")
    code = ENTRY + "\nfrom workers import DurableObject\nclass Counter(DurableObject):\n    pass\n"
    (tmp_path / "src/entry.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def body(path):
    return path.read_text().partition("\n")[2]


def test_every_binding_variable_and_secret_has_its_type(alone, project):
    result = alone("types")
    assert result.exit_code == 0, result.output
    assert body(project / "src/worker_types.pyi") == STUB
    assert "✅ Types written to src/worker_types.pyi." in result.stdout
    assert "      from worker_types import Env\n" in result.stdout
    assert "Use them in src/entry.py:" in result.stdout


@pytest.mark.usefixtures("fresh_imports")
def test_each_binding_is_at_run_time_what_the_stub_says(project):
    config = load(project / "wrangler.toml").config
    kinds = {one.name: one.kind for one in declared(config)}
    assert set(kinds.values()) == CLASSES.keys()
    assert len(CLASSES) == len(KINDS)

    async def classes():
        (project / ".wrangler/state").mkdir(parents=True)
        host = await Host.open(config, project / ".wrangler/state")
        found = {name: type(host.env[name]) for name in kinds}
        await host.close()
        return found

    for name, found in asyncio.run(classes()).items():
        module, title = CLASSES[kinds[name]]
        assert found is getattr(importlib.import_module(module), title)


def test_a_chosen_environment_stands_alone(alone, project):
    alone("types", "--env", "prod")
    assert 'MODE: Literal["production"]' in body(project / "src/worker_types.pyi")
    assert "MY_WORKFLOW" not in body(project / "src/worker_types.pyi")


def test_without_strict_vars_a_text_is_any_text(alone, project):
    alone("types", "--no-strict-vars")
    assert "    MODE: str\n" in body(project / "src/worker_types.pyi")


def test_unchanged_configuration_leaves_a_reformatted_file_alone(alone, project):
    alone("types")
    file = project / "src/worker_types.pyi"
    file.write_text(file.read_text().replace("    ", "\t"))
    before = file.read_text()
    result = alone("types")
    assert result.stdout == "✅ src/worker_types.pyi is up to date.\n"
    assert file.read_text() == before


def test_check_fails_while_the_file_is_missing_or_old_and_writes_nothing(alone, project):
    file = project / "src/worker_types.pyi"
    for _ in range(2):
        result = alone("types", "--check")
        assert (result.exit_code, file.exists()) == (1, False)
    assert result.stderr == "✘ [ERROR] src/worker_types.pyi is out of date.\n  Write it: pywrangler types\n"
    alone("types")
    assert alone("types", "--check").exit_code == 0
    (project / "wrangler.toml").write_text(CONFIG.replace("RETRIES = 3", 'RETRIES = "3"'))
    before = file.read_text()
    assert (alone("types", "--check").exit_code, file.read_text()) == (1, before)
    assert "Types written" in alone("types").stdout
    assert 'RETRIES: Literal["3"]' in file.read_text()


def test_a_file_that_is_not_ours_is_left_alone(alone, project):
    (project / "mine.pyi").write_text("class Env: ...\n")
    result = alone("types", "mine.pyi")
    assert result.exit_code == 1
    assert "was not written by pywrangler types" in result.stderr
    assert (project / "mine.pyi").read_text() == "class Env: ...\n"


def test_a_module_is_refused_because_it_would_be_deployed(alone, project):
    result = alone("types", "src/env.py")
    assert (result.exit_code, (project / "src/env.py").exists()) == (1, False)
    assert "must end in .pyi" in result.stderr


def test_another_path_is_imported_by_its_own_name(alone, project):
    assert "from stubs.env import Env" in alone("types", "src/stubs/env.pyi").stdout


def test_names_that_python_cannot_write_and_odd_values(alone, project):
    odd = {
        "name": "app",
        "vars": {
            "a-b": 1,
            "class": "x",
            "QUOTED": 'say "hi"\n\u2028',
            "LONG": "x" * 200,
            "NOTHING": None,
            "NESTED": {"a-b": [{"c": None}], "for": {}, "items": 1},
            "Nested": {"other": "shape"},
        },
    }
    (project / "wrangler.toml").unlink()
    (project / ".dev.vars").unlink()
    (project / "wrangler.json").write_text(json.dumps(odd))
    result = alone("types", "env.pyi")
    assert result.exit_code == 0, result.output
    compile(body(project / "env.pyi"), "env.pyi", "exec")
    assert body(project / "env.pyi") == (
        "from typing import Any, Literal\n\n"
        "class _NestedAB(dict[str, Any]):\n"
        "    c: None\n\n"
        "class _NestedFor(dict[str, Any]):\n"
        "    ...\n\n"
        "class _Nested(dict[str, Any]):\n"
        '    # "a-b" can be read as ["a-b"] only\n'
        '    # "for" can be read as ["for"] only\n'
        '    # "items" can be read as ["items"] only\n'
        "    ...\n\n"
        "class _Nested_(dict[str, Any]):\n"
        "    other: str\n\n"
        "class Env:\n"
        '    # "a-b" can be read as ["a-b"] only\n'
        '    # "class" can be read as ["class"] only\n'
        '    QUOTED: Literal["say \\"hi\\"\\n\u2028"]\n'
        "    LONG: str\n"
        "    NOTHING: None\n"
        "    NESTED: _Nested\n"
        "    Nested: _Nested_\n"
    )


def test_required_secrets_are_typed_without_a_file_that_has_them(alone, project):
    (project / "wrangler.toml").write_text('name = "app"\nsecrets = { required = ["API_KEY"] }\n')
    assert alone("types", "env.pyi").exit_code == 0
    assert body(project / "env.pyi") == "class Env:\n    API_KEY: str  # secret\n"


def test_an_env_of_nothing_is_valid(alone, project):
    (project / "wrangler.toml").write_text('name = "app"\n')
    (project / ".dev.vars").unlink()
    alone("types")
    assert "class Env:\n    ...\n" in (project / "worker_types.pyi").read_text()


# what a type checker says

GOOD = """
from typing import TYPE_CHECKING

from workers import Request, Response, WorkerEntrypoint
from workers.workflows import NonRetryableError

if TYPE_CHECKING:
    from worker_types import Env


class Default(WorkerEntrypoint):
    env: "Env"

    async def fetch(self, request: Request) -> Response:
        instance = await self.env.MY_WORKFLOW.create(params={"a": 1})
        if self.env.MODE == "production" and self.env.SETTINGS.limits.most > self.env.RETRIES:
            raise NonRetryableError(self.env.TOKEN.upper())
        await self.env.KV.put("key", instance.id)
        return Response(instance.id)
"""


SECONDS = itertools.count(1_000_000_000)


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture
def mypy(project, alone, mypy_cache):
    """Check the project as its user would, with `workers` known as an installed package's stubs are."""
    alone("types")
    shutil.copytree(STUBS, project / "typings/workers")

    def check(code):
        entry = project / "src/entry.py"
        entry.write_text(code)
        # The cache that tests share takes a file of the same size and second for the same file.
        os.utime(entry, (next(SECONDS),) * 2)
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(mypy_cache), "src/entry.py"],
            env={"MYPYPATH": "src:typings", "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    return check


def test_right_use_passes_mypy_strict(mypy):
    assert "Success: no issues found" in mypy(GOOD)


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("MY_WORKFLOW.create", "MY_WORKFLOW.craete", '"WorkflowBinding" has no attribute "craete"'),
        ("env.MY_WORKFLOW", "env.MY_WORKFLO", '"Env" has no attribute "MY_WORKFLO"'),
        ('"production"', '"prodution"', "Non-overlapping equality check"),
        (".most", ".least", '"_SettingsLimits" has no attribute "least"'),
        ("TOKEN.upper()", "TOKEN + 1", "Unsupported operand types"),
    ],
)
def test_what_is_misspelt_is_found(mypy, right, wrong, error):
    assert error in mypy(GOOD.replace(right, wrong))


def test_the_stubs_of_workers_have_every_name_that_there_is():
    assert sorted(path.stem for path in STUBS.iterdir()) == ["__init__", "asgi", "workflows", "wsgi"]
    assert "from wrangler_py.sdk.workers import *" in (STUBS / "__init__.pyi").read_text()
