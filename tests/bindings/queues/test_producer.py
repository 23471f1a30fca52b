"""What may be sent, how it is refused, and that it is stored (Queues docs, "JavaScript APIs", "Limits")."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3

import pytest

from tests.bindings.queues.world import in_queues
from wrangler_py.bindings.failures import QueueError
from wrangler_py.sdk.pyodide.ffi import JsException, to_js


async def echo(world, *send, **options):
    """Send one message; return its body as a handler sees it."""
    await world.producer().send(*send, **options)
    code = await world.consume(lambda batch: None, max_batch_size=1)
    await asyncio.sleep(100_000)
    return code.batches[0].messages[0].body


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ({"a": [1, 2.5, None, True], "b": {"c": "ä"}}, None),
        ({"at": dt.datetime(2026, 1, 2, 3, 4, 5, 678000), "raw": b"\0\xff", "set": {1, 2}}, "v8"),
        ([1, "two"], "json"),
        (None, "json"),
        ("plain", "json"),
        ("zwölf\n", "text"),
        (b"\x00\x01", "bytes"),
    ],
)
def test_a_body_comes_back_as_it_was_sent(tmp_path, body, content_type):
    assert in_queues(tmp_path, lambda world: echo(world, body, contentType=content_type)) == body


def test_a_body_answers_as_a_js_value_too(tmp_path):
    body = in_queues(tmp_path, lambda world: echo(world, to_js({"user": {"id": 7}})))
    assert body.user.id == 7
    assert body["user"]["id"] == 7
    assert body.to_py() == {"user": {"id": 7}}
    assert type(body.to_py()) is dict


@pytest.mark.parametrize(
    "send",
    [
        lambda q: q.send("x", {"contentType": "text", "delaySeconds": 60}),
        lambda q: q.send("x", contentType="TEXT", delaySeconds=60),
        lambda q: q.send("x", content_type="text", delay_seconds=60),
        lambda q: q.sendBatch([{"body": "x", "contentType": "text", "delaySeconds": 60}]),
        lambda q: q.send_batch([{"body": "x", "contentType": "text"}], delaySeconds=60),
        lambda q: q.sendBatch(
            ({"body": "x", "content_type": "text"} for _ in range(1)), {"delaySeconds": 60}
        ),
    ],
)
def test_options_are_an_object_or_keywords_in_both_spellings(tmp_path, send):
    async def body(world):
        await send(world.producer())
        [stored] = world.queues._store._execute(
            "SELECT content_type, due_at - sent_at FROM messages"
        ).fetchall()
        return stored

    assert in_queues(tmp_path, body) == ("text", 60_000)


def test_a_delay_of_the_message_wins_over_the_batch_and_that_over_the_queue(tmp_path):
    async def body(world):
        q = world.producer(delivery_delay=30)
        await q.send(1)
        await q.send(2, delaySeconds=0)
        await q.sendBatch([{"body": 3}, {"body": 4, "delaySeconds": 0}], delaySeconds=10)
        return [
            at for (at,) in world.queues._store._execute("SELECT (due_at - sent_at) / 1000 FROM messages")
        ]

    assert in_queues(tmp_path, body) == [30, 0, 10, 0]


@pytest.mark.parametrize(
    ("send", "kind", "message"),
    [
        (lambda q: q.send(1, contentType="text"), TypeError,
         'Content Type "text" requires a value of type string, but received: number'),
        (lambda q: q.send("x", contentType="bytes"), TypeError,
         'Content Type "bytes" requires a value of type ArrayBufferView, but received: string'),
        (lambda q: q.send(True, contentType="bytes"), TypeError, "received: boolean"),
        (lambda q: q.send(print, contentType="text"), TypeError, "received: function"),
        (lambda q: q.send({}, contentType="text"), TypeError, "received: object"),
        (lambda q: q.send({}, contentType="xml"), TypeError, "Unsupported queue message content type: xml"),
        (lambda q: q.send((1, 2)), TypeError, "<class 'tuple'> cannot be sent over RPC."),
        (lambda q: q.send({"f": print}), TypeError, "builtin_function_or_method at ['f'] cannot be stored"),
        (lambda q: q.send(1, delay=5), TypeError, "send() has no option 'delay': there are contentType, delaySeconds"),
        (lambda q: q.send(1, "text"), TypeError, "send() takes its options as an object or keywords, not as str"),
        (lambda q: q.sendBatch([]), TypeError, "sendBatch() requires at least one message"),
        (lambda q: q.sendBatch([{"contentType": "text"}]), TypeError, "Message body cannot be undefined"),
        (lambda q: q.sendBatch(["x"]), TypeError, "sendBatch() takes objects {'body': ...}, not str"),
        (lambda q: q.send("x" * 128_001, contentType="text"), QueueError,
         "Error: Queue send failed: message length of 128001 bytes exceeds limit of 128000"),
        (lambda q: q.sendBatch([{"body": 1}] * 101), QueueError,
         "Error: Queue sendBatch failed: batch message count of 101 exceeds limit of 100"),
        (lambda q: q.sendBatch([{"body": b"x" * 128_001, "contentType": "bytes"}]), QueueError,
         "message in batch has length 128001 bytes which exceeds single message size limit of 128000"),
        (lambda q: q.sendBatch([{"body": b"x" * 86_000, "contentType": "bytes"}] * 3), QueueError,
         "Error: Queue sendBatch failed: batch size of 258000 bytes exceeds limit of 256000"),
        (lambda q: q.send(1, delaySeconds=43_201), QueueError, "Queue send failed: message delay 43201 is invalid"),
        (lambda q: q.send(1, delaySeconds=-1), QueueError, "message delay -1 is invalid"),
        (lambda q: q.send(1, delaySeconds=1.5), QueueError, "message delay 1.5 is invalid"),
        (lambda q: q.send(1, delaySeconds="5"), QueueError, "message delay '5' is invalid"),
        (lambda q: q.send(1, delaySeconds=float("nan")), QueueError, "message delay nan is invalid"),
        (lambda q: q.sendBatch([{"body": 1}], delaySeconds=True), QueueError, "message delay True is invalid"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_in_cloudflares_words_and_leaves_nothing(tmp_path, send, kind, message):
    async def body(world):
        with pytest.raises(kind) as raised:
            await send(world.producer())
        assert message in str(raised.value)
        assert isinstance(raised.value, JsException) == (kind is QueueError)
        return world.left()

    assert in_queues(tmp_path, body) == 0


def test_the_largest_message_and_batch_are_taken(tmp_path):
    async def body(world):
        await world.producer().send(b"x" * 128_000, contentType="bytes", delaySeconds=43_200)
        await world.producer().sendBatch([{"body": b"x" * 2_560, "contentType": "bytes"}] * 100)
        return world.left()

    assert in_queues(tmp_path, body) == 101


def test_all_sends_of_one_turn_share_a_transaction_and_are_on_disk_when_they_return(tmp_path):
    async def body(world):
        commits = []
        world.queues._store._database.connection.set_trace_callback(
            lambda sql: commits.append(sql) if sql == "COMMIT" else 0
        )
        await asyncio.gather(*(world.producer().send(n) for n in range(300)))
        with sqlite3.connect(world.path) as other:
            stored = other.execute("SELECT count(*) FROM bodies").fetchone()[0]
        other.close()
        return len(commits), stored

    assert in_queues(tmp_path, body) == (1, 300)


def test_many_sends_are_split_so_that_no_turn_is_long(tmp_path):
    async def body(world):
        commits = []
        world.queues._store._database.connection.set_trace_callback(
            lambda sql: commits.append(sql) if sql == "COMMIT" else 0
        )
        await asyncio.gather(*(world.producer().send(n) for n in range(1800)))
        return len(commits), world.left()

    assert in_queues(tmp_path, body) == (4, 1800)


def test_a_failed_write_is_told_to_every_sender(tmp_path):
    async def body(world):
        world.queues._store._database.connection.execute("DROP TABLE bodies")
        results = await asyncio.gather(*(world.producer().send(n) for n in range(3)), return_exceptions=True)
        assert [type(one) for one in results] == [QueueError] * 3
        assert "no such table: bodies" in str(results[0])
        return world.left()

    assert in_queues(tmp_path, body) == 0


def test_metrics_count_the_backlog(tmp_path):
    async def body(world):
        assert await world.producer().metrics() == {
            "backlogCount": 0, "backlogBytes": 0, "oldestMessageTimestamp": None,
        }  # fmt: skip
        await world.producer().send("abc", contentType="text")
        await asyncio.sleep(5)
        await world.producer().send("de", contentType="text")
        await world.producer("other").send("x")
        return await world.producer().metrics()

    found = in_queues(tmp_path, body)
    assert (found.backlogCount, found.backlogBytes) == (2, 5)
    assert found.oldestMessageTimestamp == dt.datetime(2026, 1, 1)
