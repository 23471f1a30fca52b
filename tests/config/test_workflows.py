"""Each ``[[workflows]]`` entry is right, or every problem in it has its place."""

import pytest

from tests.config.samples import HEAD, WORKFLOW, found, only, without
from wrangler_py.config.model import WorkflowConfig

EXTRAS = """\
limits = { steps = 25000 }
concurrency = { limit = 3 }
schedules = "0 * * * *"
script_name = "other"
default_retention = { success_retention = "3 days", error_retention = 86400000 }
"""


def test_a_whole_entry_is_read(project):
    loaded = project(HEAD + WORKFLOW + EXTRAS)
    assert found(loaded) == []
    assert loaded.config.workflows == (
        WorkflowConfig("w", "W", "Flow", "other", 25000, 3, ("0 * * * *",), "3 days", 86_400_000),
    )  # fmt: skip


@pytest.mark.parametrize(
    "value", ["0", "-5", "true", '"soon"', '"3 fortnights"', '"101 years"', "[]", '"0 days"']
)
def test_a_retention_is_a_duration(project, value):
    problem = only(project(f"{HEAD}{WORKFLOW}default_retention = {{ error_retention = {value} }}\n"), "error")
    assert problem.message.startswith("error_retention must be milliseconds above 0, or a duration")
    assert problem.line == 9


@pytest.mark.parametrize("value", ['"100 years"', '"365 days"', '"1.5 hours"', '"90second"', "1"])
def test_durations_that_are_right(project, value):
    assert found(project(f"{HEAD}{WORKFLOW}default_retention.success_retention = {value}\n")) == []


def test_a_short_entry_has_the_plans_own_limits(project):
    assert project(HEAD + WORKFLOW).config.workflows == (WorkflowConfig("w", "W", "Flow"),)


@pytest.mark.parametrize(
    "entry",
    [
        'name = "a b"',
        f'name = "{"x" * 65}"',
        'name = ""',
        'name = "-a"',
        'name = "a\\n"',
        'binding = "1A"',
        'binding = "a-b"',
        'binding = "class"',
        'class_name = "a.b"',
        'class_name = ""',
        "script_name = 3",
        'script_name = ""',
        "limits = 3",
        "limits = { steps = 0 }",
        "limits = { steps = 25001 }",
        "limits = { steps = true }",
        "concurrency = { limit = 0 }",
        "schedules = []",
        'schedules = ""',
        "schedules = [1]",
        "schedules = 5",
        'schedules = "never"',
    ],
)
def test_a_wrong_value_is_one_error_at_its_line(project, entry):
    text = HEAD + without(WORKFLOW, entry.split()[0]) + entry
    loaded = project(text)
    assert loaded.config is None
    assert only(loaded, "error").line == len(text.splitlines())


@pytest.mark.parametrize("key", ["name", "binding", "class_name"])
def test_a_missing_key_is_an_error_at_the_entry(project, key):
    item = only(project(HEAD + without(WORKFLOW, key)), "error")
    assert (item.line, item.column) == (5, 1)
    assert f'"{key}"' in item.message


def test_a_mistyped_key_is_named_with_a_suggestion(project):
    loaded = project(HEAD + WORKFLOW.replace("class_name", "clas_name"))
    assert loaded.config is None
    item = only(loaded, "error")
    assert (item.line, item.column, item.hint) == (8, 1, '"clas_name" should be class_name')
    assert len(loaded.diagnostics.items) == 1


def test_an_unknown_key_is_a_warning(project):
    item = only(project(HEAD + WORKFLOW + "limits = { step = 1 }\n"), "warning")
    assert (item.line, item.hint) == (9, 'did you mean "steps"?')


def test_the_mistyped_list_is_a_warning(project):
    item = only(project(HEAD + WORKFLOW.replace("workflows", "workflow")), "warning")
    assert (item.line, item.hint) == (5, 'did you mean "workflows"?')


def test_a_name_or_binding_stands_once(project):
    assert [item.line for item in project(HEAD + WORKFLOW + WORKFLOW).diagnostics.errors] == [10, 11]


def test_a_binding_and_a_variable_may_not_share_a_name(project):
    item = only(project(HEAD + "[vars]\nW = 1\n" + WORKFLOW), "error")
    assert item.line == 9
    assert only(project(HEAD + WORKFLOW, variables={"W": "1"}), "error").line == 7


@pytest.mark.parametrize("script_name", ["", 'script_name = "a"\n'])
def test_a_workflow_of_this_worker_needs_code(project, script_name):
    assert "has no code" in only(project('name = "a"\n' + WORKFLOW + script_name), "error").message


def test_a_workflow_of_another_worker_needs_none(project):
    assert project('name = "a"\n' + WORKFLOW + 'script_name = "other"\n').config is not None
