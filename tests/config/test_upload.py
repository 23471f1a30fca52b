"""A configuration, sent as Cloudflare's metadata and read back, is the same Worker."""

from __future__ import annotations

import json

import pytest

from wrangler_py import config as configuration
from wrangler_py.config.upload import secrets_of, to_config, to_metadata
from wrangler_py.errors import RequestError

EVERYTHING = """
name = "shop"
main = "entry.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workflows"]
kv_namespaces = [{ binding = "KV", id = "abc" }]
r2_buckets = [{ binding = "R2", bucket_name = "files" }]
services = [{ binding = "AUTH", service = "auth", entrypoint = "Admin" }]
send_email = [{ name = "MAIL" }]

[vars]
TEXT = "a"
JSON = { a = [1, 2] }

[[workflows]]
name = "flow"
binding = "FLOW"
class_name = "Flow"
schedules = ["0 * * * *"]
limits = { steps = 20000 }

[[workflows]]
name = "theirs"
binding = "THEIRS"
class_name = "Theirs"
script_name = "other"

[[d1_databases]]
binding = "DB"
database_name = "main"
database_id = "d1"

[[queues.producers]]
binding = "QUEUE"
queue = "q"
delivery_delay = 5

[[queues.consumers]]
queue = "q"
max_batch_size = 3

[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"

[triggers]
crons = ["*/5 * * * *"]
"""


def loaded(path, text):
    path.write_text(text)
    (path.parent / "entry.py").touch()
    found = configuration.load(path)
    found.diagnostics.raise_for_errors()
    assert found.config is not None
    return found.config


def test_there_and_back(tmp_path):
    before = loaded(tmp_path / "wrangler.toml", EVERYTHING)
    metadata = json.loads(json.dumps(to_metadata(before, "entry.py", message="m", tag=None)))
    assert metadata["annotations"] == {"workers/message": "m"}
    (tmp_path / "there").mkdir()
    after = loaded(tmp_path / "there" / "wrangler.json", json.dumps(to_config("shop", metadata)))
    assert after.name == before.name
    for field in (
        "compatibility_date",
        "compatibility_flags",
        "workflows",
        "vars",
        "resources",
        "crons",
        "limits",
    ):
        assert getattr(after, field) == getattr(before, field), field


def test_what_cloudflares_own_tool_sends_is_read(tmp_path):
    """Without what only ours sends, a workflow and a queue come from their bindings."""
    before = loaded(tmp_path / "wrangler.toml", EVERYTHING)
    metadata = to_metadata(before, "entry.py", message=None, tag=None)
    del metadata["pywrangler"]
    found = to_config("shop", metadata)
    assert [(one["name"], one.get("script_name")) for one in found["workflows"]] == [
        ("flow", None), ("theirs", "other"),
    ]  # fmt: skip
    assert found["queues"] == {"producers": [{"binding": "QUEUE", "queue": "q"}]}


def test_secrets_are_variables_with_a_name_in_the_list():
    metadata = {"main_module": "a.py", "bindings": [{"type": "secret_text", "name": "KEY", "text": "s"}]}
    assert to_config("shop", metadata)["vars"] == {"KEY": "s"}
    assert secrets_of(metadata) == ["KEY"]


@pytest.mark.parametrize(
    "metadata",
    [
        {}, {"main_module": "a.js"}, {"main_module": 1},
        {"main_module": "a.py", "bindings": [{"type": "ai", "name": "AI"}]},
        {"main_module": "a.py", "bindings": [{"type": "workflow", "name": "A"}]},
        {"main_module": "a.py", "bindings": [{"type": "plain_text", "text": "x"}]},
        {"main_module": "a.py", "bindings": ["x"]},
        {"main_module": "a.py", "bindings": 5},
        {"main_module": "a.py", "pywrangler": 5},
    ],
)  # fmt: skip
def test_metadata_that_is_not_one_is_refused(metadata):
    with pytest.raises(RequestError) as caught:
        to_config("shop", metadata)
    assert caught.value.status == 400
