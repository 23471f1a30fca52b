"""The picture of one instance (docs, guide, section 6)."""

import io

import pytest
from rich.console import Console

from tests.cli.recorded import FIRST, RETRYING, SLEEPING, SLEPT, TERMINATION, WAITING, WORKING, detail, now
from wrangler_py.cli.screens.instance import Picture, last_successful

SCHEDULE = {"cron": "*/5 * * * *", "scheduledTime": 1_795_355_700_000}
COMPLETE = """\
Workflow Name:         workflows-starter
Instance Id:           12dc179f-9f77-4a37-b973-709dca4189ba
Version Id:            cedc33a0
Status:                ✅ Completed
Trigger:               🌎 API
Queued:                11/22/2026, 1:55:31 PM
Success:               ✅ Yes
Start:                 11/22/2026, 1:55:31 PM
End:                   11/22/2026, 1:56:32 PM
Duration:              1 minute
Last Successful Step:  make a call to write that could maybe, just might, fail-1
Steps:

  Name:      my first step-1
  Type:      🎯 Step
  Start:     11/22/2026, 1:55:31 PM
  End:       11/22/2026, 1:55:31 PM
  Duration:  0 seconds
  Success:   ✅ Yes
  Output:    {"files":["doc_7392_rev3.pdf","report_x29_final.pdf"]}
┌────────────────────────┬────────────────────────┬───────────┬────────────┐
│ Start                  │ End                    │ Duration  │ State      │
├────────────────────────┼────────────────────────┼───────────┼────────────┤
│ 11/22/2026, 1:55:31 PM │ 11/22/2026, 1:55:31 PM │ 0 seconds │ ✅ Success │
└────────────────────────┴────────────────────────┴───────────┴────────────┘

  Name:      wait on something-1
  Type:      💤 Sleeping
  Start:     11/22/2026, 1:55:31 PM
  End:       11/22/2026, 1:56:31 PM
  Duration:  1 minute

  Name:      make a call to write that could maybe, just might, fail-1
  Type:      🎯 Step
  Start:     11/22/2026, 1:56:31 PM
  End:       11/22/2026, 1:56:32 PM
  Duration:  1 second
  Success:   ✅ Yes
  Output:    null
┌────────────────────────┬────────────────────────┬───────────┬────────────┬───────────────────────────────────────────┐
│ Start                  │ End                    │ Duration  │ State      │ Error                                     │
├────────────────────────┼────────────────────────┼───────────┼────────────┼───────────────────────────────────────────┤
│ 11/22/2026, 1:56:31 PM │ 11/22/2026, 1:56:31 PM │ 0 seconds │ ❌ Error   │ Error: API call to $STORAGE_SYSTEM failed │
├────────────────────────┼────────────────────────┼───────────┼────────────┼───────────────────────────────────────────┤
│ 11/22/2026, 1:56:32 PM │ 11/22/2026, 1:56:32 PM │ 0 seconds │ ✅ Success │                                           │
└────────────────────────┴────────────────────────┴───────────┴────────────┴───────────────────────────────────────────┘
"""


def drawn(record, at="14:00:00.000", *, width=200, limit=5000):
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    Picture("workflows-starter", now(at), limit).print(console, record)
    return console.file.getvalue()


def lines(record, at, **options):
    return [line.strip() for line in drawn(record, at, **options).splitlines()]


def test_a_complete_instance_is_the_picture_of_the_docs():
    assert drawn(detail()) == COMPLETE


def test_in_80_columns_attempts_lose_the_day_and_errors_fold():
    text = drawn(detail(), width=80)
    table = text[text.rindex("┌") :]
    assert max(len(line) for line in table.splitlines()) <= 80
    assert "│ 1:56:31 PM │ 1:56:31 PM │ 0 seconds │ ❌ Error   │" in table
    assert "$STORAGE_SYSTEM" in table
    assert "…" not in table


def test_attempts_over_midnight_keep_their_day_however_narrow():
    one = RETRYING["attempts"][0] | {"start": "2026-11-23T00:00:01.000Z", "end": "2026-11-23T00:00:02.000Z"}
    text = drawn(detail("running", [RETRYING | {"attempts": [one]}]), width=80)
    assert "11/23/2026" in text


def test_a_running_instance_has_lasted_until_now_and_has_no_end():
    shown = lines(detail("running", [WORKING]), "13:57:31.000")
    assert "Duration:       2 minutes" in shown
    assert "Success:   ▶ Running" in shown
    assert not [line for line in shown if line.startswith("End:")]
    assert "🔄 Working" in drawn(detail("running", [WORKING]), "13:57:31.000")


def test_a_failing_step_shows_when_it_is_retried():
    assert "Retries At:  11/22/2026, 1:56:36 PM (in 5 seconds from now)" in lines(
        detail("waiting", [RETRYING]), "13:56:31.010"
    )


def test_a_retry_that_is_overdue_is_due_now():
    assert "Retries At:  11/22/2026, 1:56:36 PM (now)" in lines(detail("waiting", [RETRYING]), "15:00:00.000")


def test_a_sleeping_step_shows_when_it_wakes_and_not_an_end():
    shown = lines(detail("waiting", [FIRST, SLEEPING]), "13:55:41.005")
    assert "Wakes At:  11/22/2026, 1:56:31 PM (in 50 seconds from now)" in shown
    assert "Duration:  10 seconds" in shown
    assert "End:       11/22/2026, 1:56:31 PM" not in shown


def test_a_wait_shows_the_event_type_and_when_it_gives_up():
    shown = lines(detail("waiting", [WAITING]), "14:00:32.000")
    assert "Type:          👀 Waiting for event" in shown
    assert "Event Type:    approval" in shown
    assert "Times Out At:  11/22/2026, 2:55:32 PM (in 55 minutes from now)" in shown


def test_a_received_event_is_the_output_of_its_wait():
    got = WAITING | {"finished": True, "output": {"type": "approval", "payload": {"ok": True}}}
    assert 'Output:      {"type":"approval","payload":{"ok":true}}' in lines(
        detail(steps=[got]), "15:00:00.000"
    )


def test_a_wait_that_timed_out_shows_its_error_and_is_no_success():
    late = WAITING | {"finished": True, "error": {"name": "WorkflowTimeoutError", "message": "too late"}}
    record = detail("errored", [FIRST, late], success=False, error=late["error"])
    shown = lines(record, "15:00:00.000")
    assert shown.count("Error:       WorkflowTimeoutError: too late") == 1
    assert "Success:               ❌ No" in shown
    assert "Last Successful Step:  my first step-1" in shown


def test_a_terminated_instance_ends_with_who_did_it():
    shown = lines(detail("terminated", [FIRST, TERMINATION], success=False), "15:00:00.000")
    assert shown[-2:] == ["Type:     🚫 Termination", "Trigger:  user"]


def test_a_queued_instance_has_neither_start_nor_duration():
    text = drawn(detail("queued", [], start=None))
    assert "Status:         ⌛ Queued" in text
    assert "Start:" not in text
    assert "Duration:" not in text


def test_output_and_warnings_of_the_instance_are_shown():
    text = drawn(detail(output={"ok": True}, warnings=['step "a-1" was never visited again']))
    assert 'Output:                {"ok":true}' in text
    assert 'Warning:               step "a-1" was never visited again' in text


def test_an_instance_of_a_schedule_shows_which_and_for_which_minute():
    text = drawn(detail(trigger={"source": "cron"}, schedule=SCHEDULE))
    assert "Trigger:               ⌛ Cron" in text
    assert "Schedule:              */5 * * * * (11/22/2026, 1:55:00 PM)" in text


def test_a_long_output_is_cut_and_says_so():
    assert 'Output:    {"files":[[...output truncated]' in drawn(detail(), limit=10)


def test_outputs_can_be_left_out():
    assert "Output:" not in drawn(detail(), limit=None)


def test_control_characters_of_an_error_cannot_reach_the_terminal():
    record = detail("errored", [], error={"name": "Error", "message": "\x1b[2J\x07gone"}, success=False)
    text = drawn(record)
    assert "\\x1b[2J\\x07gone" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([], None),
        ([RETRYING], None),
        ([FIRST, SLEEPING], "my first step-1"),
        ([FIRST, SLEPT], "wait on something-1"),
    ],
)
def test_the_last_successful_step_is_the_last_that_ended_well(steps, name):
    assert last_successful(steps) == name


def test_every_status_has_wranglers_words():
    words = {
        status: drawn(detail(status, [])).split("Status:")[1].split("\n")[0].strip() for status in STATUSES
    }
    assert words == STATUSES


STATUSES = {
    "complete": "✅ Completed",
    "errored": "❌ Errored",
    "paused": "⏸️ Paused",
    "queued": "⌛ Queued",
    "running": "▶ Running",
    "terminated": "🚫 Terminated",
    "waiting": "⏰ Waiting",
    "waitingForPause": "⏱️ Waiting for Pause",
    "something new": "❓ Unknown",
}


def test_the_frames_of_an_error_stand_below_the_instance_or_the_attempt_that_has_them():
    def failed(stack):
        return {"name": "ValueError", "message": "bad", "stack": stack}

    tries = [RETRYING["attempts"][0] | {"error": failed("Traceback:\n  File a.py\n\x1b[2JValueError: bad\n")}]
    record = detail("errored", [RETRYING | {"attempts": tries}], success=False, error=failed("its own\n"))
    shown = drawn(record).splitlines()
    below = shown.index("    Traceback:")
    assert shown[below + 1 : below + 3] == ["      File a.py", "    \\x1b[2JValueError: bad"]
    assert shown.index("    its own") < shown.index("Steps:") < below
