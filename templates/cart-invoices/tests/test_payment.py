"""The stand-in of the payment processor."""

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from payment import Processor


@pytest.fixture
def processor() -> Iterator[Processor]:
    with Processor(port=0, failures=0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def pay(processor: Processor, body: str, key: str) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", processor.server_port, timeout=10)
    try:
        connection.request("POST", "/", body, {"Idempotency-Key": key})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_payment_is_made_once_for_each_key(processor: Processor) -> None:
    first = pay(processor, '{"amount": 250}', "a")
    assert first == (200, {"payment": 1, "amount": 250})
    assert pay(processor, '{"amount": 250}', "a") == first
    assert pay(processor, '{"amount": 90}', "b") == (200, {"payment": 2, "amount": 90})


def test_a_processor_that_is_down_takes_nothing(processor: Processor) -> None:
    processor.failures = 1
    assert pay(processor, '{"amount": 250}', "a")[0] == 503
    assert processor.payments == {}


def test_it_may_break_after_the_payment_was_made(
    processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    moods = iter([False, True, False, False])
    monkeypatch.setattr(processor, "is_down", lambda: next(moods))
    assert pay(processor, '{"amount": 250}', "a")[0] == 500
    assert pay(processor, '{"amount": 250}', "a") == (200, {"payment": 1, "amount": 250})


@pytest.mark.parametrize("body", ["", "{}", "[1]", "nonsense"])
def test_a_payment_without_an_amount_is_refused(processor: Processor, body: str) -> None:
    assert pay(processor, body, "a")[0] == 400
