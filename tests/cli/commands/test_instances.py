"""`pywrangler workflows instances ...` against a session with recorded answers."""

import json

import pytest

from tests.cli.recorded import FIRST, ID, SLEEPING, SLEPT, WORKFLOW, detail, listed

DELETION = "POST /wf/instances/batch/delete"


def instances(run, *arguments):
    return run("workflows", "instances", *arguments)


# list


LISTED = """\
Showing 2 instances from page 1:
┌─────────────┬──────────────────────────────────────┬────────────────────────┬────────────────────────┬──────────────┐
│ Instance ID │ Version                              │ Created                │ Modified               │ Status       │
├─────────────┼──────────────────────────────────────┼────────────────────────┼────────────────────────┼──────────────┤
│ inst-1      │ aaaaaaaa-0000-4000-8000-000000000001 │ 11/22/2026, 8:14:00 AM │ 11/22/2026, 6:14:30 PM │ ✅ Completed │
├─────────────┼──────────────────────────────────────┼────────────────────────┼────────────────────────┼──────────────┤
│ inst-2      │ aaaaaaaa-0000-4000-8000-000000000001 │ 11/22/2026, 8:14:00 AM │ 11/22/2026, 6:14:30 PM │ ⏸️ Paused    │
└─────────────┴──────────────────────────────────────┴────────────────────────┴────────────────────────┴──────────────┘
"""


def test_list_is_wranglers_table(run, session):
    session.answer("GET /wf/instances", [listed("inst-1"), listed("inst-2", "paused")])
    result = instances(run, "list", "wf")
    assert (result.exit_code, result.stdout, result.stderr) == (0, LISTED, "")


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ((), "page=1&per_page=25&direction=desc"),
        (("--reverse", "--page", "3", "--per-page", "2"), "page=3&per_page=2&direction=asc"),
        (("--status", "waitingForPause"), "page=1&per_page=25&direction=desc&status=waitingForPause"),
        (
            ("--date-start", "2026-01-01", "--date-end", "2026-01-31"),
            "page=1&per_page=25&direction=desc&date_start=2026-01-01T00%3A00%3A00.000Z&date_end=2026-01-31T23%3A59%3A59.999Z",
        ),
        (
            ("--date-start", "2026-01-01T13:00:00+02:00"),
            "page=1&per_page=25&direction=desc&date_start=2026-01-01T11%3A00%3A00.000Z",
        ),
    ],
)
def test_list_asks_for_what_was_asked(run, session, arguments, query):
    session.answer("GET /wf/instances", [listed("inst-1")])
    instances(run, "list", "wf", *arguments)
    assert session.requests == [(f"GET /wf/instances?{query}", None)]


def test_more_pages_are_announced(run, session):
    session.answer("GET /wf/instances", [listed("inst-1")], result_info={"total_count": 93})
    assert instances(run, "list", "wf").stdout.endswith("93 instances in all; the next page: --page 2\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            (),
            'There are no instances in workflow "wf". You can trigger it with "pywrangler workflows trigger wf"',
        ),
        (("--status", "running"), 'No instances in workflow "wf" matched the provided filters.'),
        (("--page", "9"), "No instances found on page 9. Please try a smaller page number."),
    ],
)
def test_an_empty_list_says_why(run, session, arguments, text):
    session.answer("GET /wf/instances", [])
    result = instances(run, "list", "wf", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"▲ [WARNING] {text}\n")


def test_an_invalid_status_is_refused_with_the_valid_ones(run, session):
    result = instances(run, "list", "wf", "--status", "bogus")
    assert (result.exit_code, session.requests) == (1, [])
    assert result.stderr == (
        '✘ [ERROR] Looks like you have provided a invalid status "bogus". Valid statuses are: queued, running, '
        "paused, errored, terminated, complete, waiting, waitingForPause\n"
    )


def test_an_invalid_date_is_refused(run, session):
    result = instances(run, "list", "wf", "--date-end", "yesterday")
    assert (result.exit_code, session.requests) == (1, [])
    assert 'an invalid date "yesterday" for --date-end' in result.stderr


# describe


def test_describe_shows_the_picture(run, session):
    session.answer(f"GET /wf/instances/{ID}", detail())
    result = instances(run, "describe", "wf", ID)
    assert result.exit_code == 0
    assert result.stdout.startswith("Workflow Name:         wf\nInstance Id:           12dc179f")
    assert "Describing latest instance" not in result.stdout


@pytest.mark.parametrize("arguments", [("latest",), ()])
def test_latest_is_the_instance_created_last_and_is_said(run, session, arguments):
    session.answer("GET /wf/instances", [listed("ev-2")])
    session.answer("GET /wf/instances/ev-2", detail(id="ev-2"))
    result = instances(run, "describe", "wf", *arguments)
    assert result.stdout.startswith('Latest instance is "ev-2"\nWorkflow Name:')
    assert session.requests[0][0] == "GET /wf/instances?page=1&per_page=1&direction=desc"


def test_describe_in_json_is_the_answer_and_nothing_else(run, session):
    session.answer("GET /wf/instances", [listed("ev-2")])
    session.answer("GET /wf/instances/ev-2", detail(id="ev-2"))
    assert json.loads(instances(run, "describe", "wf", "latest", "--json").stdout) == detail(id="ev-2")


def test_latest_of_none_says_how_to_make_one(run, session):
    session.answer("GET /wf/instances", [])
    result = instances(run, "describe", "wf", "latest")
    assert (result.exit_code, result.stdout) == (1, "")
    assert 'There are no instances in workflow "wf"' in result.stderr
    assert "pywrangler workflows trigger wf" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "present"),
    [((), True), (("--no-step-output",), False), (("--step-output",), True)],
)
def test_step_outputs_can_be_left_out(run, session, arguments, present):
    session.answer(f"GET /wf/instances/{ID}", detail())
    shown = instances(run, "describe", "wf", ID, *arguments).stdout
    assert ("report_x29_final" in shown) is present


def test_outputs_are_cut_at_the_limit(run, session):
    session.answer(f"GET /wf/instances/{ID}", detail())
    shown = instances(run, "describe", "wf", ID, "--truncate-output-limit", "10").stdout
    assert 'Output:    {"files":[[...output truncated]\n' in shown


@pytest.mark.parametrize(
    ("command", "request_", "options"),
    [
        ("describe", "GET /wf/instances/missing", ()),
        ("watch", "GET /wf/instances/missing", ()),
        ("pause", "PATCH /wf/instances/missing/status", ()),
        ("resume", "PATCH /wf/instances/missing/status", ()),
        ("restart", "PATCH /wf/instances/missing/status", ()),
        ("terminate", "PATCH /wf/instances/missing/status", ()),
        ("send-event", "POST /wf/instances/missing/events/t", ("--type", "t")),
    ],
)
def test_an_unknown_instance_is_told_with_where_to_look(run, session, command, request_, options):
    session.missing(request_, "instance")
    result = instances(run, command, "wf", "missing", *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "✘ [ERROR] Instance 'missing' not found in workflow 'wf'.\n"
        "  See which there are: pywrangler workflows instances list wf\n"
    )


@pytest.mark.parametrize("command", ["describe", "list", "watch"])
def test_an_unknown_workflow_is_told(run, session, command):
    session.missing("GET /nope/instances", "workflow")
    session.answer("GET ", [WORKFLOW])
    result = instances(run, command, "nope")
    assert result.exit_code == 1
    assert "Workflow 'nope' not found." in result.stderr


# pause, resume, restart, terminate


@pytest.mark.parametrize(
    ("command", "status", "line"),
    [
        ("pause", "paused", '⏸️ The instance "i" from wf was paused successfully'),
        ("resume", "queued", '🔄 The instance "i" from wf was resumed successfully'),
        ("restart", "queued", '🥷 The instance "i" from wf was restarted successfully'),
        ("terminate", "terminated", '🥷 The instance "i" from wf was terminated successfully'),
    ],
)
def test_an_order_says_that_it_was_done(run, session, command, status, line):
    answer = {"status": status, "timestamp": "2026-11-22T08:20:00.000Z"}
    session.answer("PATCH /wf/instances/i/status", answer)
    result = instances(run, command, "wf", "i")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{line}\n", "")
    assert session.requests == [("PATCH /wf/instances/i/status", {"status": command})]
    assert json.loads(instances(run, command, "wf", "i", "--json").stdout) == answer


def test_a_pause_that_waits_for_steps_says_so(run, session):
    session.answer("PATCH /wf/instances/i/status", {"status": "waitingForPause"})
    assert instances(run, "pause", "wf", "i").stdout.splitlines() == [
        '⏸️ The instance "i" from wf was paused successfully',
        "⏱️ Waiting for Pause: the steps in flight finish first.",
    ]


@pytest.mark.parametrize(("command", "done"), [("pause", "paused"), ("resume", "resumed")])
def test_an_order_without_effect_does_not_claim_success(run, session, command, done):
    session.answer("PATCH /wf/instances/i/status", {"status": "complete"})
    result = instances(run, command, "wf", "i")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        f'▲ [WARNING] The instance "i" from wf could not be {done}: its status is ✅ Completed.\n'
    )


def test_orders_take_latest(run, session):
    session.answer("GET /wf/instances", [listed("ev-2")])
    session.answer("PATCH /wf/instances/ev-2/status", {"status": "paused"})
    assert instances(run, "pause", "wf", "latest").stdout.startswith('Latest instance is "ev-2"\n⏸️ ')


def test_restart_from_a_step_names_it(run, session):
    session.answer("PATCH /wf/instances/i/status", {"status": "queued"})
    options = ("--from-step-name", "wait", "--from-step-count", "2", "--from-step-type", "sleep")
    instances(run, "restart", "wf", "i", *options)
    step = {"name": "wait", "count": 2, "type": "sleep"}
    assert session.requests[0][1] == {"status": "restart", "from": step}


@pytest.mark.parametrize(
    "options",
    [
        ("--from-step-count", "1"),
        ("--from-step-type", "do"),
        ("--from-step-name", "x", "--from-step-type", "step"),
        ("--from-step-name", "x", "--from-step-count", "0"),
    ],
)
def test_half_a_step_is_wrong_usage(run, session, options):
    result = instances(run, "restart", "wf", "i", *options)
    assert (result.exit_code, session.requests) == (2, [])


def test_a_refused_order_shows_the_servers_reason(run, session):
    reason = "(instance.cannot_terminate) Cannot terminate instance since its on a finite state"
    session.refuse("PATCH /wf/instances/i/status", 10001, reason, status=409)
    result = instances(run, "terminate", "wf", "i")
    assert (result.exit_code, result.stderr) == (1, f"✘ [ERROR] {reason}\n")


# send-event


@pytest.mark.parametrize(
    ("options", "body", "said"),
    [
        ((), {}, ""),
        (("--payload", '{"ok":true}'), {"ok": True}, ' and payload "{"ok":true}"'),
        (("--payload", "null"), None, ' and payload "null"'),
    ],
)
def test_send_event_says_what_was_sent(run, session, options, body, said):
    request = "POST /wf/instances/i/events/approval%2Fx"
    session.answer(request, {"instanceId": "i", "timestamp": "2026-11-22T08:20:00.000Z"})
    result = instances(run, "send-event", "wf", "i", "--type", "approval/x", *options)
    assert result.stdout == (
        f'📤 The event with type "approval/x"{said} was sent to the instance "i" from wf\n'
    )
    assert session.requests == [(request, body)]


def test_a_payload_that_is_no_json_is_refused(run, session):
    result = instances(run, "send-event", "wf", "i", "--type", "t", "--payload", "{bad")
    assert (result.exit_code, session.requests) == (1, [])
    assert 'Error while parsing event payload: "{bad" with ' in result.stderr


def test_an_event_needs_a_type(run):
    assert instances(run, "send-event", "wf", "i").exit_code == 2


# delete


def test_delete_names_what_it_deleted(run, session):
    session.answer(DELETION, {"deleted": [{"id": "a"}, {"id": "b"}], "errors": []})
    result = instances(run, "delete", "wf", "a", "b")
    assert (result.exit_code, result.stdout) == (0, '🗑️  Deleted workflow instances from "wf": "a", "b"\n')
    assert session.requests == [(DELETION, {"instances": ["a", "b"]})]


def test_delete_of_a_missing_one_fails_after_deleting_the_others(run, session):
    error = {"id": "m", "code": 10400, "message": "workflows.api.error.instance.not_found"}
    session.answer(DELETION, {"deleted": [{"id": "a"}], "errors": [error]})
    result = instances(run, "delete", "wf", "a", "m")
    assert result.exit_code == 1
    assert result.stdout == '🗑️  Deleted workflow instances from "wf": "a"\n'
    assert "Failed to delete 1 workflow instance(s):" in result.stderr
    assert "- m: workflows.api.error.instance.not_found" in result.stderr


def test_delete_of_nothing_is_wrong_usage(run):
    result = instances(run, "delete", "wf")
    assert result.exit_code == 2
    assert "at least one workflow instance ID" in result.stderr


def test_delete_reads_ids_from_a_file(run, session, tmp_path):
    (tmp_path / "ids.json").write_text('["a", "b"]')
    session.answer(DELETION, {"deleted": [{"id": "a"}, {"id": "b"}], "errors": []})
    instances(run, "delete", "wf", "--filename", str(tmp_path / "ids.json"))
    assert session.requests == [(DELETION, {"instances": ["a", "b"]})]


@pytest.mark.parametrize(
    ("text", "reason"), [("{}", "not a JSON array"), ("[1]", "not a JSON array"), ("[", "parsing")]
)
def test_a_file_of_something_else_is_refused(run, session, tmp_path, text, reason):
    (tmp_path / "ids.json").write_text(text)
    result = instances(run, "delete", "wf", "--filename", str(tmp_path / "ids.json"))
    assert (result.exit_code, session.requests) == (1, [])
    assert reason in result.stderr


def test_a_file_that_is_not_there_is_told(run, tmp_path):
    result = instances(run, "delete", "wf", "--filename", str(tmp_path / "no.json"))
    assert result.exit_code == 1
    assert "Cannot read" in result.stderr


# watch


def test_watch_looks_until_the_instance_has_ended(run, session):
    states = [detail("running", [FIRST]), detail("waiting", [FIRST, SLEEPING]), detail(steps=[FIRST, SLEPT])]
    session.answer("GET /wf/instances/i", *states)
    result = instances(run, "watch", "wf", "i")
    assert result.exit_code == 0
    assert [line.split("  ")[-1] for line in result.stdout.splitlines()] == [
        "▶ Running",
        "✅ Success after 0 seconds",
        "⏰ Waiting",
        "wakes at 11/22/2026, 1:56:31 PM",
        "✅ Success after 1 minute",
        "✅ Completed",
    ]


def test_watch_in_json_is_one_document_a_change(run, session):
    session.answer("GET /wf/instances/i", detail("running", []), detail("complete", []))
    lines = instances(run, "watch", "wf", "i", "--json").stdout.splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["running", "complete"]


def test_watch_subscribes_and_goes_on_behind_the_last_event(run, session):
    session.answer("GET /wf/instances/i", *[detail("running", [])] * 3, detail("complete", []))
    session.stream(
        "GET /wf/instances/i/subscribe", "retry: 500\n\nid: 4\nevent: x\ndata: {}\n\nid: 7\n\n", ""
    )
    assert instances(run, "watch", "wf", "i").exit_code == 0
    cursors = [
        headers.get("last-event-id")
        for (request, _), headers in zip(session.requests, session.headers, strict=True)
        if request.endswith("/subscribe")
    ]
    assert cursors[:2] == [None, "7"]


@pytest.mark.parametrize(
    ("status", "options", "code"),
    [
        ("errored", (), 0),
        ("complete", ("--exit-status",), 0),
        ("errored", ("--exit-status",), 1),
        ("terminated", ("--exit-status",), 1),
    ],
)
def test_the_exit_code_mirrors_the_instance_only_when_asked(run, session, status, options, code):
    session.answer("GET /wf/instances/i", detail(status, []))
    assert instances(run, "watch", "wf", "i", *options).exit_code == code


# terminate-all


@pytest.mark.parametrize(
    ("answer", "arguments", "path", "text"),
    [
        ("ok", (), "/wf/instances/terminate", 'from Workflow "wf" has been started.'),
        (
            "ok",
            ("--status", "paused"),
            "/wf/instances/terminate?status=paused",
            'from Workflow "wf" with status "paused" has been started.',
        ),
        ("already_running", (), "/wf/instances/terminate", 'from Workflow "wf" is already running.'),
    ],
)
def test_terminate_all_is_a_job(run, session, answer, arguments, path, text):
    session.answer("PUT /wf/instances/terminate", {"status": answer})
    result = instances(run, "terminate-all", "wf", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert text in result.stdout
    assert session.requests == [(f"PUT {path}", None)]


def test_terminate_all_takes_only_statuses_of_the_living(run, session):
    result = instances(run, "terminate-all", "wf", "--status", "complete")
    assert (result.exit_code, session.requests) == (2, [])
