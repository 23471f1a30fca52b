"""The session's log: what is said, at which level, and not too much of it."""

from __future__ import annotations

import asyncio
import io
import logging

import pytest

from wrangler_py.engine import Blocked, Observation
from wrangler_py.engine.entries import Cause, FailureData, MessageData, StartData, encode_data
from wrangler_py.engine.instance.place import StepPlace
from wrangler_py.engine.model import INTERNAL, ErrorRecord, HistoryEvent, HistoryType
from wrangler_py.errors import StoreUnavailableError
from wrangler_py.runtime import logs
from wrangler_py.runtime.events import describe, level_of, span
from wrangler_py.runtime.logs import Budget, LibraryLog, RequestLog, SessionLog, send_library_logs
from wrangler_py.runtime.options import LogLevel
from wrangler_py.runtime.output import Console

T = HistoryType
ERROR = ErrorRecord("ValueError", "bad card", traceback="Traceback:\n  File entry.py\n")
AT = 1_767_225_600_000


def event(kind, data=None, *, name="charge-1", attempt=0, at=AT, workflow="my-app"):
    encoded = None if data is None else encode_data(data)
    return Observation(
        workflow, "3f2a9c11-0000-4000-8000-00000000", HistoryEvent(1, kind, at, 1, attempt, name, encoded)
    )


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (event(T.WORKFLOW_START), "started"),
        (event(T.STEP_SUCCESS), 'step "charge" completed'),
        (
            event(T.ATTEMPT_FAILURE, FailureData(ERROR, AT + 20_000, 5), attempt=2),
            'step "charge" failed (attempt 2/6), next in 20 s: ValueError: bad card',
        ),
        (
            event(T.ATTEMPT_FAILURE, FailureData(ERROR, AT + 90_000, None), attempt=2),
            'step "charge" failed (attempt 2), next in 1 min 30 s: ValueError: bad card',
        ),
        (
            event(T.ATTEMPT_FAILURE, FailureData(ERROR, None, 0), attempt=1),
            'step "charge" failed (attempt 1/1), not tried again: ValueError: bad card',
        ),
        (
            event(T.SLEEP_START, StartData(wake_at=AT + 3_600_000), name="nap-1"),
            'step "nap" sleeps 1 h, until 2026-01-01T01:00:00.000Z',
        ),
        (
            event(T.WAIT_START, StartData(event_type="approve"), name="ask-1"),
            'step "ask" waits for event "approve"',
        ),
        (event(T.WORKFLOW_FAILURE, FailureData(ERROR)), "errored: ValueError: bad card"),
        (event(T.REPLAY_DIVERGED, MessageData("the order changed")), "the order changed"),
        (event(T.STEP_SUCCESS, name="a\x1b[2Jb-1"), 'step "a\\x1b[2Jb" completed'),
    ],
)
def test_an_event_in_words(seen, text):
    assert describe(seen).text == f"⎔ my-app 3f2a… {text}"


def test_every_kind_of_event_has_words_and_a_level():
    data = {
        T.ATTEMPT_FAILURE: FailureData(ERROR),
        T.WORKFLOW_FAILURE: FailureData(ERROR),
        T.WAIT_TIMED_OUT: FailureData(ERROR),
        T.STEP_FAILURE: FailureData(ERROR),
        T.REPLAY_DIVERGED: MessageData("order"),
        T.ROLLBACK_ATTEMPT_FAILURE: FailureData(ERROR),
        T.ROLLBACK_FAILED: FailureData(ERROR),
        T.ROLLBACK_START: Cause(status="errored", error=ERROR),
    }
    for kind in set(HistoryType) - INTERNAL:
        assert describe(event(kind, data.get(kind))).text.startswith("⎔ my-app 3f2a… ")
        assert level_of(kind) in LogLevel


def test_an_end_tells_how_long_it_took_and_the_users_frames():
    said = describe(event(T.WORKFLOW_FAILURE, FailureData(ERROR), at=AT + 2500), AT)
    assert said.text == "⎔ my-app 3f2a… errored (2.5 s): ValueError: bad card"
    assert said.below == f"{ERROR.traceback}ValueError: bad card\n"
    assert describe(event(T.WORKFLOW_SUCCESS, at=AT + 340), AT).text.endswith("completed (340 ms)")


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0 ms"), (999, "999 ms"), (1500, "1.5 s"), (20_000, "20 s"), (59_999, "59 s"), (60_000, "1 min"),
     (7_500_000, "2 h 5 min"), (86_400_000 * 3 + 3_600_000 * 4, "3 d 4 h"), (-5, "0 ms")],
)  # fmt: skip
def test_durations_for_people(ms, text):
    assert span(ms) == text


def log_at(level):
    screen = io.StringIO()
    return SessionLog(Console(screen, screen), level), screen


def lines_of(level, *seen):
    async def run():
        log, screen = log_at(level)
        for each in seen:
            log.saw(each)
        return screen.getvalue().splitlines()

    return asyncio.run(run())


def test_a_stack_is_told_at_the_first_failing_attempt_and_only_then():
    other = ErrorRecord("KeyError", "'k'", traceback="Traceback:\n  File other.py\n")
    failures = [
        event(T.ATTEMPT_FAILURE, FailureData(ERROR, AT + 1000, 5), attempt=1),
        event(T.ATTEMPT_FAILURE, FailureData(ERROR, AT + 2000, 5), attempt=2),
        event(T.ATTEMPT_FAILURE, FailureData(other, None, 5), attempt=3),
        event(T.STEP_FAILURE, FailureData(other, None, 5)),
        event(T.WORKFLOW_FAILURE, FailureData(other)),
    ]
    lines = lines_of(LogLevel.LOG, *failures, *failures[:1])
    shown = [line.strip() for line in lines if "File" in line]
    assert shown == ["File entry.py", "File other.py", "File entry.py"]
    assert lines[1].strip() == "Traceback:"


def test_levels_choose_what_is_said():
    seen = [
        event(T.WORKFLOW_QUEUED),
        event(T.WORKFLOW_START),
        event(T.ATTEMPT_START, attempt=1),
        event(T.ATTEMPT_FAILURE, FailureData(ErrorRecord("E", "m"), AT + 1000, 5), attempt=1),
        event(T.WORKFLOW_FAILURE, FailureData(ErrorRecord("E", "m"))),
    ]
    assert len(lines_of(LogLevel.DEBUG, *seen)) == 5
    assert len(lines_of(LogLevel.LOG, *seen)) == 3
    assert len(lines_of(LogLevel.INFO, *seen)) == 3
    assert len(lines_of(LogLevel.WARN, *seen)) == 2
    assert len(lines_of(LogLevel.ERROR, *seen)) == 1
    assert lines_of(LogLevel.NONE, *seen) == []


def test_too_many_lines_become_one_and_failures_are_not_drowned(monkeypatch):
    """Thousands of events in a second cost thousands of counts, not of lines; the count is told in the end."""
    now = 100.0
    monkeypatch.setattr(logs.time, "monotonic", lambda: now)
    told = []

    async def run():
        log, screen = log_at(LogLevel.LOG)
        monkeypatch.setattr(
            asyncio.get_running_loop(), "call_later", lambda seconds, call: told.append((seconds, call))
        )
        for _ in range(900):
            log.saw(event(T.STEP_SUCCESS))
        log.saw(event(T.WORKFLOW_FAILURE, FailureData(ErrorRecord("E", "m"))))
        assert len(told) == 1
        told[0][1]()
        return screen.getvalue().splitlines()

    lines = asyncio.run(run())
    assert len(lines) == logs.LINES + 2
    assert lines[-2].endswith("errored: E: m")
    assert lines[-1] == f"⎔ … and {900 - logs.LINES} more events"
    assert told[0][0] == pytest.approx(1.0)


def test_a_new_second_has_a_new_budget(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    budget = Budget(1, lambda over: None)
    assert budget.allows()
    now[0] += 1.0
    assert budget.allows()


def test_what_is_not_shown_is_not_worded_either(monkeypatch):
    """Ten thousand suppressed events cost ten thousand counts: the engine is not slowed down by its log."""
    worded = []
    monkeypatch.setattr(logs.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(logs, "describe", lambda *given: worded.append(1) or describe(*given))

    async def run():
        log, _ = log_at(LogLevel.LOG)
        for _ in range(10_000):
            log.saw(event(T.STEP_SUCCESS))

    asyncio.run(run())
    assert len(worded) == logs.LINES


def test_a_blocked_loop_is_told_at_first_and_whenever_it_lasted_twice_as_long():
    log, screen = log_at(LogLevel.LOG)
    place = StepPlace("my-app", "i1", "charge-1", 1)
    for seconds in (1.0, 2.0, 3.0, 4.0, 5.0, 1.0):
        log.saw_block(Blocked(seconds, place, "entry.py:7 in charge"))
    lines = screen.getvalue().splitlines()
    assert lines[0] == '⎔ my-app i1 step "charge" blocked the loop for 1 s (entry.py:7 in charge)'
    assert [line.split(" for ")[1].split(" (")[0] for line in lines] == ["1 s", "2 s", "4 s", "1 s"]


def test_a_store_that_takes_no_writes_is_told_once_in_a_while():
    log, screen = log_at(LogLevel.LOG)
    for _ in range(5):
        log.saw_store_failure(StoreUnavailableError("the disk is full"))
    assert screen.getvalue().count("the disk is full") == 1


def requests(level, path, status=200):
    async def app(scope, receive, send):
        if status is None:
            raise OSError
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": b""})

    async def run():
        log, screen = log_at(level)

        async def send(message):
            pass

        try:
            await RequestLog(app, log)({"type": "http", "method": "GET", "path": path}, None, send)
        except OSError:
            screen.write("passed on\n")
        return screen.getvalue()

    return asyncio.run(run())


def test_a_request_is_one_line():
    assert requests(LogLevel.LOG, "/a/b").startswith("GET /a/b 200 OK (0 ms)")
    assert requests(LogLevel.LOG, "/", 404).startswith("GET / 404 Not Found (")
    assert requests(LogLevel.LOG, "/", 299).startswith("GET / 299  (")
    assert requests(LogLevel.LOG, "/\x1b[2J\n").count("\n") == 1
    assert requests(LogLevel.WARN, "/") == ""


def test_requests_of_our_own_commands_are_no_news_unless_they_fail():
    own = "/client/v4/accounts/local/workflows"
    assert requests(LogLevel.LOG, own) == ""
    assert own in requests(LogLevel.DEBUG, own)
    assert "500" in requests(LogLevel.LOG, own, 500)


def test_an_application_that_fails_is_a_500_and_its_error_passes():
    text = requests(LogLevel.LOG, "/", None)
    assert "500" in text
    assert "passed on" in text


def test_libraries_log_with_the_users_frames_only_and_the_root_logger_is_left_alone(tmp_path):
    screen = io.StringIO()
    before = {
        name: (logging.getLogger(name).handlers[:], logging.getLogger(name).propagate)
        for name in logs.LIBRARIES
    }
    root = logging.getLogger().handlers[:]
    try:
        send_library_logs(Console(screen, screen), LogLevel.LOG, (tmp_path,))
        logger = logging.getLogger("wrangler_py.server.fetch")
        path = tmp_path / "entry.py"
        path.write_text("def fail():\n    raise ValueError('bad')\n")
        space = {}
        exec(compile(path.read_text(), str(path), "exec"), space)
        try:
            space["fail"]()
        except ValueError as error:
            logger.error("GET / failed", exc_info=error)
        logger.info("quiet")
        logging.getLogger("wrangler_py.bindings.cron").info('"* * * * *" - Ok')
        assert logging.getLogger().handlers == root
    finally:
        for name, (handlers, propagate) in before.items():
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(logging.NOTSET)
        logging.getLogger("wrangler_py.bindings").setLevel(logging.NOTSET)
    text = screen.getvalue()
    assert text.startswith("⎔ GET / failed\n")
    assert 'File "entry.py", line 2, in fail' in text
    assert "test_logs" not in text
    assert "quiet" not in text
    assert text.endswith('⎔ "* * * * *" - Ok\n')
    assert isinstance(LibraryLog(Console(screen, screen), ()), logging.Handler)
