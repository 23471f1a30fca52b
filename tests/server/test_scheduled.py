"""The Worker's scheduled handler, run by hand."""

from __future__ import annotations

import pytest

from tests.server.session import in_session

PATH = "/cdn-cgi/handler/scheduled"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_it_runs_with_the_cron_and_time_given(tmp_path, method):
    async def body(session):
        response = await session.client.request(method, f"{PATH}?cron=*/5+*+*+*+*&time=1745856238000")
        assert (response.status_code, response.text) == (200, "ok")
        assert session.host.scheduled_calls == [("*/5 * * * *", 1745856238000)]

    in_session(tmp_path, body)


def test_the_time_is_now_unless_given(tmp_path):
    async def body(session):
        await session.client.get(PATH)
        assert session.host.scheduled_calls == [("* * * * *", session.world.clock.now())]

    in_session(tmp_path, body)


def test_a_bad_time_is_refused(tmp_path):
    async def body(session):
        response = await session.client.get(f"{PATH}?time=noon")
        assert response.status_code == 400
        assert "'noon'" in response.text
        assert session.host.scheduled_calls == []

    in_session(tmp_path, body)


def test_a_handler_that_fails_answers_500_with_the_users_frames(tmp_path, caplog):
    async def fail(cron, at_ms):
        raise ValueError("no backup today")

    async def body(session):
        response = await session.client.get(PATH)
        assert response.status_code == 500
        assert "ValueError: no backup today" in response.text
        assert "test_scheduled.py" in response.text

    in_session(tmp_path, body, scheduled=fail)
    assert "scheduled() failed" in caplog.text


def test_the_older_path_is_the_users_unless_asked_for(tmp_path):
    async def body(session):
        assert (await session.client.get("/__scheduled")).text == "ok"
        assert len(session.host.scheduled_calls) == 1

    in_session(tmp_path, body, app={"test_scheduled": True})


def test_the_older_path_is_guarded_too(tmp_path):
    async def body(session):
        assert (await session.client.get("/__scheduled")).status_code == 403
        assert session.host.scheduled_calls == []

    in_session(tmp_path, body, app={"test_scheduled": True}, base_url="http://evil.example")
