"""The bell of a subscription, over a real connection."""

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wrangler_py.cli import following
from wrangler_py.cli.following import Bell
from wrangler_py.cli.transport import SessionTransport


class Stream(BaseHTTPRequestHandler):
    """Sends what it is handed, until it is handed None."""

    def do_GET(self):
        self.server.asked.put(self.headers.get("last-event-id"))
        self.send_response(self.server.status)
        self.end_headers()
        while (text := self.server.texts.get()) is not None:
            self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Stream) as server:
        server.status, server.texts, server.asked = 200, queue.Queue(), queue.Queue()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.texts.put(None)
        server.shutdown()
        thread.join()


@pytest.fixture
def bell(server, monkeypatch):
    """A bell that nothing but the server rings."""
    monkeypatch.setattr(following, "PATIENCE", 3600.0)
    return Bell(SessionTransport("127.0.0.1", server.server_port), "/subscribe")


def test_an_event_rings_at_once_and_silence_does_not_end_the_wait(server, bell):
    with bell:
        for number in range(3):
            server.texts.put(f"id: {number}\nevent: x\ndata: {{}}\n\n")
            bell.wait()
        server.texts.put(None)


def test_a_subscription_that_ends_is_opened_again_behind_what_was_seen(server, bell):
    with bell:
        server.texts.put("id: 5\n\n")
        bell.wait()
        server.texts.put(None)
        assert [server.asked.get(timeout=30) for _ in range(2)] == [None, "5"]
        bell.wait()
        server.texts.put(None)


def test_leaving_ends_a_subscription_that_is_silent(server, bell):
    with bell:
        server.asked.get(timeout=30)
    assert not any(thread.name == "subscription" for thread in threading.enumerate())
    server.texts.put(None)


def test_a_server_without_subscriptions_is_looked_at_again_and_again(server, bell):
    server.status = 404
    server.texts.put(None)
    with bell:
        for _ in range(3):
            bell.wait()
    assert server.asked.qsize() == 1
