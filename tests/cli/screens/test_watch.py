"""What `watch` draws, says and prints for each state of an instance."""

import io
import json

from rich.console import Console

from tests.cli.recorded import (
    FAILED,
    FIRST,
    RETRYING,
    SLEEPING,
    SLEPT,
    TERMINATION,
    WAITING,
    WORKING,
    WRITTEN,
    detail,
    now,
)
from wrangler_py.cli.screens.watch import JsonView, LineView, LiveView, drawing


def drawn(record, at, rows=None, width=100):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(drawing("wf", record, now(at), rows))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


class At:
    """A clock that stands still."""

    def __init__(self, moment):
        self.moment = moment

    def now(self):
        return now(self.moment)


def test_the_first_line_says_what_the_instance_is_doing_and_for_how_long():
    assert drawn(detail("running", []), "13:55:43.000")[0].endswith("▶ Running  12 seconds")


def test_a_sleep_counts_down_from_one_look_to_the_next():
    record = detail("waiting", [FIRST, SLEEPING])
    assert drawn(record, "13:55:41.005")[-1].endswith("wakes in 50s")
    assert drawn(record, "13:55:42.005")[-1].endswith("wakes in 49s")


def test_a_retry_shows_the_attempt_its_error_and_when_the_next_one_starts():
    text = " ".join(drawn(detail("waiting", [RETRYING]), "13:56:32.010", width=200))
    assert "❌ attempt 1/6 failed: Error: API call to $STORAGE_SYSTEM failed; next in 4s" in text


def test_a_second_attempt_at_work_shows_its_number():
    assert "🔄 Working (attempt 2/6) 3 seconds" in " ".join(
        drawn(detail("running", [WORKING]), "13:56:39.010")
    )


def test_a_wait_shows_what_it_waits_for():
    line = " ".join(drawn(detail("waiting", [WAITING]), "14:55:30.000"))
    assert 'waits for "approval", gives up in 2s' in line


def test_an_unlimited_retry_shows_no_limit():
    endless = RETRYING | {"config": {"retries": {"limit": None, "delay": 1}}}
    assert "attempt 1 failed" in " ".join(drawn(detail("waiting", [endless]), "13:56:32.010", width=200))


def test_more_steps_than_lines_show_the_last_ones_and_how_many_are_above():
    steps = [FIRST | {"name": f"s-{number}"} for number in range(50)]
    lines = drawn(detail("running", steps), "13:56:00.000", rows=3)
    assert lines[1] == "  (47 earlier steps)"
    assert [line.split()[1] for line in lines[2:]] == ["s-47", "s-48", "s-49"]


def test_an_ended_instance_shows_its_error():
    record = detail("errored", [FIRST, TERMINATION], error=FAILED, success=False)
    assert drawn(record, "13:56:00.000")[-1] == "Error: API call to $STORAGE_SYSTEM failed"


def test_80_columns_hold_every_line_and_lose_no_name():
    lines = drawn(detail("waiting", [RETRYING]), "13:56:32.010", width=80)
    assert max(map(len, lines)) <= 80
    assert "fail-1" in " ".join(lines)


def test_a_live_screen_never_grows_over_the_terminal_and_shows_what_is_at_work():
    console = Console(file=io.StringIO(), width=60, height=10, force_terminal=True, color_system=None)
    steps = [
        FIRST | {"name": f"a step with a rather long name that folds, number {number}"}
        for number in range(30)
    ]
    with LiveView("wf", console, At("13:57:00.000")) as view:
        view.show(detail("waiting", [*steps, RETRYING]))
    frame = console.file.getvalue().rpartition("\x1b[2K")[2]
    assert frame.count("\n") <= 9
    assert "next in" in " ".join(frame.split())


def test_the_live_screen_ends_with_all_steps():
    console = Console(file=io.StringIO(), width=100, height=10, force_terminal=True, color_system=None)
    steps = [FIRST | {"name": f"s-{number}"} for number in range(30)]
    with LiveView("wf", console, At("13:56:00.000")) as view:
        view.show(detail("running", steps[:20]))
        view.show(detail("complete", steps))
    last = console.file.getvalue().rpartition("Completed")[2]
    assert all(f"s-{number} " in last for number in range(30))


def test_a_pipe_gets_a_line_for_each_change_and_none_for_the_time_that_passes(capsys):
    with LineView("wf") as view:
        view.show(detail("running", [FIRST]))
        view.show(detail("waiting", [FIRST, SLEEPING]))
        view.show(detail("waiting", [FIRST, SLEEPING]))
        view.show(detail("waiting", [FIRST, SLEPT, RETRYING]))
        view.show(detail("complete", [FIRST, SLEPT, WRITTEN]))
    name = "wf 12dc179f-9f77-4a37-b973-709dca4189ba"
    write = "🎯 make a call to write that could maybe, just might, fail-1"
    error = "Error: API call to $STORAGE_SYSTEM failed"
    assert capsys.readouterr().out.splitlines() == [
        f"{name}  ▶ Running",
        "  🎯 my first step-1  ✅ Success after 0 seconds",
        f"{name}  ⏰ Waiting",
        "  💤 wait on something-1  wakes at 11/22/2026, 1:56:31 PM",
        "  💤 wait on something-1  ✅ Success after 1 minute",
        f"  {write}  ❌ attempt 1/6 failed: {error}; next at 11/22/2026, 1:56:36 PM",
        f"  {write}  ✅ Success after 1 second",
        f"{name}  ✅ Completed",
    ]


def test_a_pipe_is_told_why_an_instance_failed(capsys):
    LineView("wf").show(detail("errored", [], error=FAILED))
    assert capsys.readouterr().out.rstrip().endswith("❌ Errored: Error: API call to $STORAGE_SYSTEM failed")


def test_json_is_one_document_a_line_for_each_change(capsys):
    view = JsonView()
    for record in (detail("running", []), detail("running", []), detail("complete", [])):
        view.show(record)
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [document["status"] for document in documents] == ["running", "complete"]
