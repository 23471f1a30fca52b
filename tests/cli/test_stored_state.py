"""The commands over a real project's stored state: real configuration, server, engine and store."""

import json

import pytest

STARTER = "workflows-starter"


@pytest.fixture
def cli(alone, tmp_path, monkeypatch):
    """Run a command in a new project; it must succeed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert alone("init", "my-app").exit_code == 0
    monkeypatch.chdir(tmp_path / "my-app")

    def succeed(*arguments):
        result = alone(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    return succeed


def test_a_new_project_lists_its_workflow(cli):
    listed = json.loads(cli("workflows", "list", "--json"))
    assert [(one["name"], one["script_name"], one["class_name"]) for one in listed] == [
        (STARTER, "my-app", "MyWorkflow")
    ]


def test_what_is_triggered_is_there_for_the_next_command(cli):
    cli("workflows", "trigger", STARTER, '{"hello":"world"}', "--id", "first")
    cli("workflows", "trigger", STARTER, '"text"', "--id", "second")
    listed = json.loads(cli("workflows", "instances", "list", STARTER, "--json"))
    assert [(one["id"], one["status"]) for one in listed] == [("second", "queued"), ("first", "queued")]
    shown = cli("workflows", "instances", "describe", STARTER, "latest")
    assert 'Latest instance is "second"\n' in shown
    assert "⌛ Queued" in shown
    detail = json.loads(cli("workflows", "instances", "describe", STARTER, "second", "--json"))
    assert (detail["id"], detail["params"]) == ("second", "text")
    assert json.loads(cli("workflows", "describe", STARTER, "--json"))["instances"]["queued"] == 2


def test_a_stored_instance_can_be_steered(cli):
    cli("workflows", "trigger", STARTER, "--id", "one")
    cli("workflows", "instances", "send-event", STARTER, "one", "--type", "t", "--payload", "1")
    assert "was terminated successfully" in cli("workflows", "instances", "terminate", STARTER, "one")
    assert "🚫 Terminated" in cli("workflows", "instances", "list", STARTER)
    assert "was restarted successfully" in cli("workflows", "instances", "restart", STARTER, "latest")
    assert "⌛ Queued" in cli("workflows", "instances", "list", STARTER)
    cli("workflows", "instances", "delete", STARTER, "one")
    assert cli("workflows", "instances", "list", STARTER, "--json") == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("describe", "workflow-starter"), "Did you mean 'workflows-starter'?"),
        (("trigger", STARTER, "--id", "bad id!"), "invalid id"),
        (("instances", "describe", STARTER, "missing"), "Instance 'missing' not found"),
        (("instances", "describe", STARTER, "latest"), "There are no instances"),
        (("instances", "delete", STARTER, "missing"), "Failed to delete 1 workflow instance(s)"),
    ],
)
def test_what_does_not_exist_is_told_without_a_traceback(cli, alone, arguments, text):
    result = alone("workflows", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert text in result.stderr


def test_an_id_that_is_taken_changes_nothing(cli, alone):
    cli("workflows", "trigger", STARTER, "1", "--id", "one")
    result = alone("workflows", "trigger", STARTER, "2", "--id", "one")
    assert result.exit_code == 1
    assert "already" in result.stderr
    assert json.loads(cli("workflows", "instances", "describe", STARTER, "one", "--json"))["params"] == 1


def test_a_state_directory_that_is_a_file_is_told(cli, alone, tmp_path):
    (tmp_path / "state").write_text("")
    result = alone("workflows", "list", "--persist-to", str(tmp_path / "state"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("✘ [ERROR] ")
    assert "bug" not in result.stderr


def test_all_stored_instances_are_terminated_at_once(cli):
    for name in ("one", "two"):
        cli("workflows", "trigger", STARTER, "--id", name)
    assert "were terminated." in cli("workflows", "instances", "terminate-all", STARTER)
    listed = json.loads(cli("workflows", "instances", "list", STARTER, "--json"))
    assert {one["status"] for one in listed} == {"terminated"}
