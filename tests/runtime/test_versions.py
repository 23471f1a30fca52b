"""Which versions of a workflow's code there are, and what each of them does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from wrangler_py import config
from wrangler_py.clock import SystemClock
from wrangler_py.engine.model import WorkflowRow
from wrangler_py.errors import StateCorruptError
from wrangler_py.runtime.versions import CodeVersion, Versions
from wrangler_py.storage.deployments import Deployments, Version

ROW = WorkflowRow("flow", "shop", "Flow", "v2", 5, 7)


def write(folder: Path, step: str, **fields: object) -> Path:
    folder.mkdir(parents=True)
    workflow = {"name": "flow", "binding": "FLOW", "class_name": "Flow"} | fields
    found = {"name": "shop", "main": "entry.py", "compatibility_date": "2026-03-01", "workflows": [workflow]}
    (folder / "wrangler.json").write_text(json.dumps(found))
    code = (
        f"class {workflow['class_name']}:\n async def run(self, event, step): await step.sleep('{step}', 1)"
    )
    (folder / "entry.py").write_text(code)
    return folder / "wrangler.json"


@pytest.fixture
def deployed(tmp_path):
    deployments = Deployments.open(tmp_path, SystemClock())
    for number, version in enumerate(("v1", "v2", "v3")):
        write(
            deployments.folder("shop", version),
            version,
            **({"class_name": "Old"} if version == "v1" else {"name": "x"} if version == "v3" else {}),
        )
        deployments.release(Version("shop", version, created_at=1000 + number))
    yield deployments
    deployments.close()


def all_of(versions: Versions, row: WorkflowRow = ROW) -> list[CodeVersion]:
    return asyncio.run(versions.of(row))


def first_step(versions: Versions, code) -> str | None:
    graph = asyncio.run(versions.graph(code))
    return None if graph is None else graph.workflow.nodes[0].name


def test_of_a_deployed_script_all_that_have_the_workflow(tmp_path, deployed):
    versions = Versions(None, "", tmp_path, SystemClock())
    found = all_of(versions)
    assert [one[:3] for one in found] == [("v2", "Flow", 1001), ("v1", "Old", 1000)]
    assert [first_step(versions, one) for one in found] == ["v2", "v1"]
    versions.close()


def test_a_version_whose_files_are_gone_has_no_diagram(tmp_path, deployed):
    (deployed.folder("shop", "v1") / "wrangler.json").unlink()
    versions = Versions(None, "", tmp_path, SystemClock())
    assert [(one.id, first_step(versions, one)) for one in all_of(versions)] == [("v2", "v2"), ("v1", None)]
    versions.close()


def test_a_version_that_was_never_deployed_is_there_all_the_same(tmp_path, deployed):
    versions = Versions(None, "", tmp_path, SystemClock())
    row = WorkflowRow("flow", "shop", "Flow", "v9", 5, 7)
    assert [(one.id, one.created_at) for one in all_of(versions, row)] == [
        ("v9", 7),
        ("v2", 1001),
        ("v1", 1000),
    ]
    versions.close()


def test_of_ones_own_script_the_one_that_runs(tmp_path):
    own = config.load(write(tmp_path / "project", "here")).config
    versions = Versions(own, "v2", tmp_path, SystemClock())
    (found,) = all_of(versions)
    assert (found.id, found.created_at, first_step(versions, found)) == ("v2", 7, "here")
    (other,) = all_of(Versions(own, "v3", tmp_path, SystemClock()))
    assert first_step(versions, other) is None
    assert list(tmp_path.iterdir()) == [tmp_path / "project"]


def test_where_nothing_was_deployed_nothing_is_made(tmp_path):
    (found,) = all_of(Versions(None, "", tmp_path, SystemClock()))
    assert (found.id, found.main) == ("v2", None)
    assert list(tmp_path.iterdir()) == []


def test_a_registry_that_cannot_be_read_is_said_by_who_needs_it(tmp_path):
    own = config.load(write(tmp_path / "project", "here")).config
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "deployments.sqlite").write_bytes(b"no database" * 400)
    assert len(all_of(Versions(own, "v2", tmp_path, SystemClock()))) == 1
    with pytest.raises(StateCorruptError):
        all_of(Versions(None, "", tmp_path, SystemClock()))
