"""Server-sent events of an instance, over both APIs."""

from __future__ import annotations

import json

import pytest

from tests.server.session import errors, in_session
from wrangler_py.engine.model import HistoryEvent, HistoryType
from wrangler_py.server.subscribe import KEEP_ALIVE, EventStream


async def napper(event, step):
    await step.do("work", lambda: 1)
    await step.sleep("nap", "1 second")
    return "done"


def frames(text: str) -> list[tuple[int, str, dict]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "id" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


@pytest.mark.parametrize("api", ["rest", "explorer"])
def test_the_whole_history_comes_with_cursors_and_ends(tmp_path, api):
    async def body(session):
        await session.create("a")
        answer = await getattr(session, api)("GET", "/workflows/w/instances/a/subscribe")
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        stored = await session.world.engine.history("w", "a")
        found = frames(answer.text)
        assert [(seq, kind) for seq, kind, _ in found] == [(one.seq, one.type.value) for one in stored]
        assert all(data["cursor"] == seq and data["type"] == kind for seq, kind, data in found)
        assert found[-1][1] == "WORKFLOW_SUCCESS"

    in_session(tmp_path, body, run=napper)


def test_last_event_id_goes_on_behind_it_and_wins_over_the_cursor(tmp_path):
    async def body(session):
        await session.create("a")
        path = "/workflows/w/instances/a/subscribe"
        whole = frames((await session.rest("GET", path)).text)
        last = str(whole[2][0])
        by_cursor = await session.rest("GET", f"{path}?cursor={last}")
        assert frames(by_cursor.text) == whole[3:]
        by_header = await session.rest("GET", f"{path}?cursor=1", headers={"last-event-id": last})
        assert frames(by_header.text) == whole[3:]
        filtered = await session.rest("GET", f"{path}?filter=STEP_SUCCESS,SLEEP_COMPLETE")
        assert [kind for _, kind, _ in frames(filtered.text)] == ["STEP_SUCCESS", "SLEEP_COMPLETE"]

    in_session(tmp_path, body, run=napper)


def test_what_is_wrong_is_said_before_the_stream_begins(tmp_path):
    async def body(session):
        await session.create("a")
        path = "/workflows/w/instances/{}/subscribe?{}"
        missing = await session.rest("GET", path.format("nobody", ""))
        assert missing.status_code == 404
        assert errors(missing) == [(10400, "workflows.api.error.instance.not_found")]
        for query in ("cursor=-1", "cursor=x", "cursor=99999999999999999999", "filter=NOTHING"):
            assert (await session.rest("GET", path.format("a", query))).status_code == 400

    in_session(tmp_path, body, run=napper)


def test_silence_is_filled_and_a_client_that_goes_ends_the_reading(tmp_path):
    import asyncio

    async def body(session):
        closed = asyncio.Event()

        async def events():
            try:
                yield HistoryEvent(1, HistoryType.WORKFLOW_QUEUED, 0, 0, 0, None, None, 7)
                await asyncio.Event().wait()
            finally:
                closed.set()

        sent: list[bytes] = []

        async def send(message):
            sent.append(message.get("body", b""))

        async def receive():
            await asyncio.sleep(40)
            return {"type": "http.disconnect"}

        await EventStream(events(), receive).send(send)
        assert sent.count(KEEP_ALIVE) == 2
        assert sum(part.startswith(b"id: 7\n") for part in sent) == 1
        assert closed.is_set()

    in_session(tmp_path, body)
