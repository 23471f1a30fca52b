"""A file becomes a configuration, with all problems at once; where it is found, and what makes it another one."""

import pytest

from tests.config.samples import HEAD, WORKFLOW, found, only
from wrangler_py import config as configuration
from wrangler_py.errors import ConfigError

FOREIGN = """\
account_id = "x"
workers_dev = true
kv_namespaces = []
routes = []
websearch = {}
vpc_networks = []
artifacts = []
flagship = []
agent_memory = []
connect = []
pipelines = []
dependencies_instrumentation = {}
"""
FOREIGN_TABLES = "[dev]\ninspector_port = 1\n[limits]\ncpu_ms = 5\n[triggers]\nevents = []\n"
AS_JSON = """\
{ // comment
"name": "app", "main": "src/entry.py", "compatibility_date": "2026-03-01",
"compatibility_flags": ["python_workers"],
"workflows": [{"name": "w", "binding": "W", "class_name": "Flow",},],}
"""


def test_all_problems_come_at_once(project):
    loaded = project('name = 1\nmain = "x.py"\ncompatibility_date = "y"\nworkflow = 3\n')
    assert [item.line for item in loaded.diagnostics.items] == [1, 2, 3, 4]
    with pytest.raises(ConfigError) as caught:
        loaded.diagnostics.raise_for_errors()
    assert len([row for row in str(caught.value).splitlines() if row.strip()[:1] in "✘▲"]) == 4


def test_keys_of_wrangler_pass_silently_and_others_warn(project):
    loaded = project(FOREIGN + HEAD + "made_up = 1\n" + FOREIGN_TABLES)
    assert found(loaded) == [("warning", 17, 'unknown key "made_up"')]
    assert "kv_namespaces" in loaded.config.raw


def test_json_and_toml_of_the_same_content_are_the_same(project):
    toml = project(HEAD + WORKFLOW).config
    json = project(AS_JSON, "wrangler.jsonc").config
    assert configuration.fingerprint(toml) == configuration.fingerprint(json)
    assert toml.workflows == json.workflows


@pytest.mark.parametrize("name", ["wrangler.json", "wrangler.toml"])
def test_no_key_stands_twice_unnoticed(project, name):
    text = '{"name":"a",\n"name":"b"}' if name.endswith("json") else 'name = "a"\nname = "b"\n'
    assert only(project(text, name), "error").line == 2


@pytest.mark.parametrize(
    ("text", "options", "is_same"),
    [
        (HEAD, {}, True),
        (HEAD + "[dev]\nport = 9\n", {}, True),
        (HEAD + "# comment\n", {}, True),
        (HEAD, {"variables": {"A": "1"}}, False),
        (HEAD + "[vars]\nA = 1\n", {}, False),
        (HEAD + "[limits]\nplan = 'free'\n", {}, False),
        (HEAD + WORKFLOW, {}, False),
        (HEAD + "when = 1979-05-27\n", {}, False),
        (HEAD + "n = nan\n", {}, False),
    ],
)
def test_the_fingerprint_follows_what_the_worker_sees(project, text, options, is_same):
    base = configuration.fingerprint(project(HEAD).config)
    assert (configuration.fingerprint(project(text, **options).config) == base) is is_same


def test_a_secret_changes_the_fingerprint(project):
    base = configuration.fingerprint(project(HEAD).config)
    (project.root / ".dev.vars").write_text("A=1")
    assert configuration.fingerprint(project(HEAD).config) != base


def test_secrets_files_to_come_are_watched_too(project):
    config = project(HEAD + "[env.prod]\n", env="prod").config
    names = {path.relative_to(project.root).as_posix() for path in configuration.watched_files(config)}
    assert names == {
        "wrangler.toml",
        ".dev.vars",
        ".dev.vars.prod",
        ".env",
        ".env.local",
        ".env.prod",
        ".env.prod.local",
    }


def test_the_nearest_configuration_is_found(project):
    project(HEAD)
    deep = project.root / "a" / "b"
    deep.mkdir(parents=True)
    assert configuration.find(deep) == (project.root / "wrangler.toml").resolve()


def test_json_is_preferred_and_a_folder_is_no_configuration(project):
    project(HEAD)
    (project.root / "wrangler.json").mkdir()
    assert configuration.find(project.root).name == "wrangler.toml"
    (project.root / "wrangler.jsonc").write_text("{}")
    assert configuration.find(project.root).name == "wrangler.jsonc"


def test_control_characters_do_not_reach_the_terminal(project):
    rendered = project(HEAD + '"\\u001b[31mx" = 1\n').diagnostics.render()
    assert "\x1b" not in rendered
    assert "\\u001b[31mx" in rendered
