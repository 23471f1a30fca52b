"""Messages and sockets arrive whole and in order, and a silent end is noticed."""

from __future__ import annotations

import queue
import socket

import pytest

from wrangler_py.runtime.channel import (
    Death,
    Drain,
    Drive,
    Load,
    Problem,
    Ready,
    Released,
    Serve,
    SupervisorWire,
    Terminal,
    WorkerWire,
)


@pytest.fixture
def wires():
    ours, theirs = socket.socketpair()
    supervisor, worker = SupervisorWire(ours), WorkerWire(theirs)
    yield supervisor, worker
    supervisor.close()
    worker.close()


def test_messages_keep_their_order_and_content(wires):
    supervisor, worker = wires
    sent = [
        Load("wrangler.toml", "state", "me", variables={"A": "b"}, sockets=0),
        Drive(),
        Drive([Death("dead", [("w", "i")], is_certain=True)], "living-"),
        Terminal(None),
        Drain(2.0, 30.0),
    ]
    for message in sent:
        assert supervisor.send(message)
    assert [worker.next() for _ in sent] == sent
    worker.send(Ready("app", "v", broken=Problem("text", "hint")))
    worker.send(Released())
    assert supervisor.messages() == [Ready("app", "v", broken=Problem("text", "hint")), Released()]
    assert supervisor.messages() == []


def test_sockets_travel_with_their_messages(wires):
    supervisor, worker = wires
    near, far = socket.socketpair()
    with near, far:
        supervisor.send(Serve(sockets=1), [far])
        supervisor.send(Drive())
    heard: queue.Queue = queue.Queue()
    thread = worker.listen(lambda message, sockets: heard.put((message, sockets)), lambda: heard.put(None))
    message, (copy,) = heard.get(timeout=10)
    assert message == Serve(sockets=1)
    assert copy.family == socket.AF_UNIX
    copy.close()
    assert heard.get(timeout=10) == (Drive(), [])
    supervisor.close()
    assert heard.get(timeout=10) is None
    thread.join(10)


def test_a_message_longer_than_one_reading_arrives_whole(wires):
    supervisor, worker = wires
    heard: queue.Queue = queue.Queue()
    thread = worker.listen(lambda message, _: heard.put(message), lambda: None)
    sent = Drive([Death("x" * 300_000)])
    assert supervisor.send(sent)
    assert heard.get(timeout=10) == sent
    supervisor.close()
    thread.join(10)


def test_whoever_is_gone_is_known_to_be(wires):
    supervisor, worker = wires
    worker.close()
    assert supervisor.messages() is None
    assert supervisor.send(Drive()) is False
