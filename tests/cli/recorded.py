"""Answers as a real engine gave them, and moments to look at them from."""

from wrangler_py.cli.screens.times import milliseconds

ID = "12dc179f-9f77-4a37-b973-709dca4189ba"
WRITE = "make a call to write that could maybe, just might, fail-1"
FAILED = {"name": "Error", "message": "API call to $STORAGE_SYSTEM failed"}
CONFIG = {"retries": {"limit": 5, "delay": "5 second", "backoff": "exponential"}, "timeout": "15 minutes"}


def at(clock):
    return f"2026-11-22T{clock}Z"


def now(clock):
    return milliseconds(at(clock))


def tried(start, end, error=None, *, success=None):
    return {"start": at(start), "end": at(end) if end else None, "success": success, "error": error}


FIRST = {
    "name": "my first step-1",
    "type": "step",
    "start": at("13:55:31.000"),
    "end": at("13:55:31.004"),
    "success": True,
    "output": {"files": ["doc_7392_rev3.pdf", "report_x29_final.pdf"]},
    "config": {"retries": {"limit": 5, "delay": 10000, "backoff": "exponential"}, "timeout": "10 minutes"},
    "attempts": [tried("13:55:31.000", "13:55:31.004", success=True)],
    "retry_at": None,
    "error": None,
}
SLEPT = {
    "name": "wait on something-1",
    "type": "sleep",
    "start": at("13:55:31.005"),
    "end": at("13:56:31.005"),
    "finished": True,
    "error": None,
}
SLEEPING = SLEPT | {"finished": False}
WRITTEN = {
    "name": WRITE,
    "type": "step",
    "start": at("13:56:31.006"),
    "end": at("13:56:32.006"),
    "success": True,
    "output": None,
    "config": CONFIG,
    "attempts": [
        tried("13:56:31.006", "13:56:31.010", FAILED, success=False),
        tried("13:56:32.000", "13:56:32.006", success=True),
    ],
    "retry_at": None,
    "error": None,
}
RETRYING = WRITTEN | {
    "end": None,
    "success": None,
    "attempts": [tried("13:56:31.006", "13:56:31.010", FAILED, success=False)],
    "retry_at": at("13:56:36.010"),
}
WORKING = RETRYING | {"retry_at": None, "attempts": [*RETRYING["attempts"], tried("13:56:36.010", None)]}
WAITING = {
    "name": "wait for approval-1",
    "type": "waitForEvent",
    "start": at("13:55:32.000"),
    "end": at("14:55:32.000"),
    "finished": False,
    "error": None,
    "output": None,
    "event_type": "approval",
}
TERMINATION = {"type": "termination", "trigger": {"source": "user"}}


def detail(status="complete", steps=(FIRST, SLEPT, WRITTEN), **changes):
    whole = {
        "id": ID,
        "status": status,
        "params": {"hello": "world"},
        "trigger": {"source": "api"},
        "versionId": "cedc33a0",
        "queued": at("13:55:31.000"),
        "start": at("13:55:31.000"),
        "end": at("13:56:32.006") if status == "complete" else None,
        "steps": list(steps),
        "step_count": len(steps),
        "success": True if status == "complete" else None,
        "error": None,
        "output": None,
        "warnings": [],
        "schedule": None,
    }
    return whole | changes


def listed(instance_id, status="complete"):
    return {
        "id": instance_id,
        "status": status,
        "version_id": "aaaaaaaa-0000-4000-8000-000000000001",
        "workflow_id": "3f1d6b4e-6b0c-4f7e-9a58-0a4a5f6b7c01",
        "created_on": "2026-11-22T08:14:00.000Z",
        "modified_on": "2026-11-22T18:14:30.000Z",
        "started_on": None,
        "ended_on": None,
        "trigger_source": "api",
    }


WORKFLOW = {
    "id": "3f1d6b4e-6b0c-4f7e-9a58-0a4a5f6b7c01",
    "name": "workflows-starter",
    "script_name": "my-app",
    "class_name": "MyWorkflow",
    "created_on": "2026-11-22T00:05:00.000Z",
    "modified_on": "2026-11-22T12:05:00.000Z",
    "triggered_on": None,
    "instances": {"complete": 2, "errored": 1, "paused": 0, "queued": 0, "running": 1},
    "schedules": [],
}
