"""`pywrangler workflows ...` against a session with recorded answers."""

import json

import pytest

from tests.cli.recorded import ID, WORKFLOW

CREATED = {"id": ID, "status": "queued", "version_id": "v", "workflow_id": "w", "trigger_source": "api"}

LISTED = """\
Showing last 1 workflow:
┌───────────────────┬─────────────┬────────────┬─────────────────────────┬─────────────────────────┐
│ Name              │ Script name │ Class name │ Created                 │ Modified                │
├───────────────────┼─────────────┼────────────┼─────────────────────────┼─────────────────────────┤
│ workflows-starter │ my-app      │ MyWorkflow │ 11/22/2026, 12:05:00 AM │ 11/22/2026, 12:05:00 PM │
└───────────────────┴─────────────┴────────────┴─────────────────────────┴─────────────────────────┘
"""
DESCRIBED = """\
Name:         workflows-starter
Id:           3f1d6b4e-6b0c-4f7e-9a58-0a4a5f6b7c01
Script Name:  my-app
Class Name:   MyWorkflow
Created On:   11/22/2026, 12:05:00 AM
Modified On:  11/22/2026, 12:05:00 PM
Instance Status Counts:
  complete:  2
  errored:   1
  paused:    0
  queued:    0
  running:   1
"""


def test_list_is_a_table_in_its_full_width_when_piped(run, session):
    session.answer("GET ", [WORKFLOW])
    result = run("workflows", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, LISTED, "")


def test_list_of_nothing_is_a_warning(run, session):
    session.answer("GET ", [])
    result = run("workflows", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("▲ [WARNING] There are no Workflows in this project.")


def test_a_page_beyond_the_end_says_so(run, session):
    session.answer("GET ", [])
    assert "No Workflows found on page 9" in run("workflows", "list", "--page", "9").stderr
    assert session.requests == [("GET ?page=9", None)]


def test_a_later_page_is_named(run, session):
    session.answer("GET ", [WORKFLOW])
    assert run("workflows", "list", "--page", "2").stdout.startswith("Showing 1 workflow from page 2:")


def test_json_is_the_answer_and_nothing_else(run, session):
    session.answer("GET ", [WORKFLOW])
    assert json.loads(run("workflows", "list", "--json").stdout) == [WORKFLOW]
    session.answer("GET /workflows-starter", WORKFLOW)
    assert json.loads(run("workflows", "describe", "workflows-starter", "--json").stdout) == WORKFLOW
    session.answer("POST /workflows-starter/instances", CREATED)
    assert json.loads(run("workflows", "trigger", "workflows-starter", "--json").stdout) == CREATED


def test_an_empty_list_is_an_empty_array_in_json(run, session):
    session.answer("GET ", [])
    result = run("workflows", "list", "--json")
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_describe_shows_the_workflow_and_its_counts(run, session):
    session.answer("GET /workflows-starter", WORKFLOW)
    assert run("workflows", "describe", "workflows-starter").stdout == DESCRIBED


def test_describe_shows_when_each_schedule_comes_next(run, session):
    schedules = [
        {"cron": "0 9 * * MON", "next_instance": "2026-11-23T09:00:00.000Z"},
        {"cron": "0 0 30 2 *", "next_instance": None},
    ]
    session.answer("GET /workflows-starter", WORKFLOW | {"schedules": schedules})
    lines = run("workflows", "describe", "workflows-starter").stdout.splitlines()
    assert "Schedule:     0 9 * * MON (next 11/23/2026, 9:00:00 AM)" in lines
    assert "Schedule:     0 0 30 2 * (never comes)" in lines


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ((), {}),
        (('{"hello":"world"}',), {"params": {"hello": "world"}}),
        (("--params", "[1, null]"), {"params": [1, None]}),
        (('--params={"a": 1}', "--id", "my-id"), {"instance_id": "my-id", "params": {"a": 1}}),
        (("0",), {"params": 0}),
        (("null",), {"params": None}),
        (('"123"',), {"params": '"123"'}),
        (("",), {}),
    ],
)
def test_trigger_sends_the_parameters(run, session, arguments, body):
    session.answer("POST /wf/instances", CREATED)
    result = run("workflows", "trigger", "wf", *arguments)
    assert result.stdout == f'🚀 Workflow instance "{ID}" has been queued successfully\n'
    assert session.requests == [("POST /wf/instances", body)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{bad", "Expecting property name enclosed in double quotes at position 1 (line 1 column 2)"),
        ("NaN", "NaN is not JSON"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a": "\\ud800"}', "U+D800: half of a surrogate pair, which is not valid Unicode"),
        ("[1e999]", "the number 1e999, which is out of range"),
        ("9" * 5000, "a number of 5000 digits, which is out of range"),
    ],
)
def test_parameters_that_are_no_json_are_refused_before_anything_is_sent(run, session, text, reason):
    result = run("workflows", "trigger", "wf", text)
    assert (result.exit_code, result.stdout, session.requests) == (1, "", [])
    assert result.stderr.startswith(f'✘ [ERROR] Error while parsing instance parameters: "{text[:200]}')
    assert reason in result.stderr


def test_parameters_given_twice_are_wrong_usage(run):
    result = run("workflows", "trigger", "wf", "{}", "--params", "{}")
    assert result.exit_code == 2
    assert "given twice" in result.stderr


def test_a_refusal_is_one_line_with_the_servers_reason(run, session):
    session.refuse(
        "POST /wf/instances", 10407, "100000 instances are queued, and no more may be.", status=429
    )
    result = run("workflows", "trigger", "wf")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "✘ [ERROR] 100000 instances are queued, and no more may be.\n"


def test_an_id_that_is_taken_is_named_with_what_to_do(run, session):
    session.refuse("POST /wf/instances", 10401, "workflows.api.error.instance.already_exists", status=409)
    result = run("workflows", "trigger", "wf", "--id", "taken")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "✘ [ERROR] Instance 'taken' already exists in workflow 'wf'.\n"
        "  Choose another --id, or leave it out for a random one.\n"
    )


@pytest.mark.parametrize(
    ("wanted", "known", "hint"),
    [
        ("workflow-starter", [WORKFLOW], "Did you mean 'workflows-starter'?"),
        ("nope", [WORKFLOW, WORKFLOW | {"name": "other"}], "Known workflows: workflows-starter, other"),
        ("nope", [], "No workflow is known here: declare one under [[workflows]] in the configuration."),
    ],
)
def test_an_unknown_workflow_is_told_with_those_there_are(run, session, wanted, known, hint):
    session.missing(f"GET /{wanted}", "workflow")
    session.answer("GET ", known)
    result = run("workflows", "describe", wanted)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"✘ [ERROR] Workflow '{wanted}' not found.\n  {hint}\n"


def test_delete_says_what_it_did(run, session):
    session.answer("DELETE /wf", {"status": "ok", "success": True})
    assert run("workflows", "delete", "wf").stdout == '✅ Workflow "wf" removed successfully.\n'


def test_names_are_quoted_in_the_path(run, session):
    session.answer("GET /a%20b%2F..%3F", WORKFLOW)
    assert run("workflows", "describe", "a b/..?").exit_code == 0


STEP = {"retries": {"limit": 5, "delay": 10_000, "backoff": "exponential"}, "timeout": "10 minutes"}
OWN = {"retries": {"limit": 2, "delay": 1, "backoff": "linear"}, "timeout": 90_000}
NODES = [
    {"type": "step_do", "name": "get [cat]", "config": OWN, "nodes": []},
    {"type": "if", "branches": [
        {"condition": "x > 1", "nodes": [{"type": "step_sleep", "name": "nap", "duration": "1 minute"}]},
        {"condition": None, "nodes": [{"type": "break", "kind": "return"}]},
    ]},
    {"type": "step_do", "name": "beside", "config": STEP, "nodes": [], "starts": 1, "resolves": 2},
    {"type": "parallel", "kind": "all", "nodes": [{"type": "function_call", "name": "send"}]},
    {"type": "try", "try_block": {"type": "block", "nodes": [
        {"type": "step_wait_for_event", "name": "w", "options": {"event_type": "go", "timeout": 1500}}]},
     "catch_block": None, "finally_block": None},
]  # fmt: skip
DRAWN = """\
workflows-starter (MyWorkflow)
├── 🎯 get [cat] · retries 2, timeout 1 min 30 s
├── If
│   ├── x > 1
│   │   └── 💤 nap · 1 minute
│   └── else
│       └── ⏹ End
├── 🎯 beside · starts at 1, awaited at 2
├── ⇉ At once, all must succeed
│   └── → send · see below
├── Guarded
│   └── Try
│       └── 👀 w · go, at most 1.5 s
└── Functions
    └── send
        └── 🎯 mail
"""


def test_a_diagram_is_a_tree(run, session):
    functions = {"send": {"type": "function_def", "name": "send", "nodes": [
        {"type": "step_do", "name": "mail", "config": STEP, "nodes": []}]}}  # fmt: skip
    graph = {"version": 1, "workflow": {"class_name": "MyWorkflow", "functions": functions, "nodes": NODES}}
    session.answer("GET /workflows-starter", WORKFLOW | {"version_id": "v1"})
    session.answer("GET /workflows-starter/versions/v1/graph", {"graph": graph})
    result = run("workflows", "diagram", "workflows-starter")
    assert (result.exit_code, result.stdout) == (0, DRAWN)
    assert json.loads(run("workflows", "diagram", "workflows-starter", "--json").stdout) == graph


def test_a_diagram_without_code_says_where_to_ask(run, session):
    session.answer("GET /workflows-starter/versions/old/graph", {"graph": None})
    result = run("workflows", "diagram", "workflows-starter", "--version-id", "old")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "✘ [ERROR] The code of workflow 'workflows-starter', version old, is not here."
    )
