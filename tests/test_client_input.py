"""Whatever a client sends, pywrangler's own parsing never fails: it is answered with 2xx to 4xx, or refused.

A real session takes made-up requests over real sockets. Its Worker reads what a Worker reads of a request.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.runtime.conftest import DEADLINE, Dev, _own_runtime_directory  # noqa: F401 - a fixture
from tests.support.session import configuration, place

ENTRY = """
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class Echo(WorkflowEntrypoint):
    async def run(self, event, step):
        return event["payload"]

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        read = [request.url, request.method, dict(request.headers.items()), str(request.cf)]
        try:
            form = await request.form_data()
        except (TypeError, OSError):  # not a form, or the client has gone
            return Response.json(read)
        return Response.json([*read, len(list(form.keys()))])

    async def scheduled(self, controller):
        pass
"""
API = "/client/v4/accounts/local/workflows"
EXPLORER = "/cdn-cgi/local/explorer/api/workflows"
#: Texts that parsers of addresses, numbers, dates, lists and escapes choke on.
NASTY = st.sampled_from(
    [
        "", " ", "[", "]", "http://[", "http://[::1", "//", "http://", "://", "a:b:c", ":", "@", "localhost:x", "%",
        "%zz", "%00", "%ff", "%ed%a0%80", "%F0%9F%92%A9", "\\", '"', "'", ";", ";;=", "=", ",", ",,", "bytes=",
        "bytes=-", "bytes=9-1", "bytes=0-0,1-1", "bytes=" + "9" * 40 + "-", "W/", 'W/"', "*", "Thu, 99 Xyz 2020", "0",
        "-1", "1e999", "nan", "9" * 5000, "\u00e4", "\u00ff" * 50, "text/html; charset=nonsense", "multipart/form-data",
        "multipart/form-data; boundary=", 'multipart/form-data; boundary="', "application/x-www-form-urlencoded",
        "gzip;q=x", "Bearer", "Basic !", "for=[;by=", "a=b; a", "\t", "\x7f", "..", ".", "../..", "null",
    ]
)  # fmt: skip
TEXT = NASTY | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=20)
NAMES = st.sampled_from(
    [
        "origin", "host", "range", "if-range", "if-none-match", "if-match", "if-modified-since", "if-unmodified-since",
        "content-type", "cookie", "forwarded", "x-forwarded-for", "x-forwarded-proto", "accept", "accept-encoding",
        "authorization", "referer", "user-agent", "expect", "upgrade", "connection", "sec-websocket-key",
        "sec-websocket-version", "sec-fetch-site", "sec-fetch-mode", "last-event-id", "te", "trailer", "date",
        "http2-settings", "cf-connecting-ip", "content-encoding", "x-http-method-override",
    ]
)  # fmt: skip
SEGMENT = NASTY.map(lambda text: text.replace("/", "%2F")) | st.sampled_from(
    [
        "echo",
        "instances",
        "latest",
        "status",
        "events",
        "step",
        "batch",
        "versions",
        "terminate",
        "subscribe",
        "graph",
    ]
)
BASES = st.sampled_from(
    ["", API, EXPLORER, f"{API}/echo", f"{API}/echo/instances", f"{EXPLORER}/echo/instances", "/cdn-cgi",
     "/cdn-cgi/handler/scheduled", "/cdn-cgi/pywrangler", "/cdn-cgi/pywrangler/rpc", "/client/v4/graphql", "/client/v4"]
)  # fmt: skip
PARAMETERS = st.sampled_from(
    ["page", "per_page", "status", "cursor", "date_start", "date_end", "direction", "order", "simple", "name", "type",
     "attempt", "search", "filter", "cron", "time", "format"]
)  # fmt: skip
BODIES = st.sampled_from(
    [b"", b"{", b"null", b"[]", b'"\\ud800"', b'{"params": "\\ud800"}', b'{"instance_id": "\\ud800"}', b"\xff",
     b"1" * 5000, b"[" * 5000, b'{"status": 1}', b'{"query": "{"}',
     b'{"query": "{ viewer { accounts { a } } }", "variables": []}',
     b"--x\r\n\r\n--x--", b'--x\r\nContent-Disposition: form-data; name="a\r\n\r\n--x--\r\n', b"a=%zz&%ff=%00&=&;"]
) | st.binary(max_size=40)  # fmt: skip
METHODS = st.sampled_from(
    ["GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"]
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with pytest.MonkeyPatch.context() as patch, place(tmp_path_factory.mktemp("app")) as app:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        app.has(configuration("Echo"), ENTRY)
        yield app.dev().ready()


def send(session: Dev, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> int | None:
    """Send a request byte by byte as it is; return the status, None if the connection just ends."""
    named = {name for name, _ in headers}
    lines = [f"{method} {target} HTTP/1.1", *([] if "host" in named else ["host: localhost"])]
    lines += [f"{name}: {value}" for name, value in headers] + [
        "connection: close",
        f"content-length: {len(body)}",
    ]
    with socket.create_connection(("127.0.0.1", session.port), DEADLINE) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = http.client.HTTPResponse(connection, method=method)
        try:
            answer.begin()
        except (http.client.HTTPException, ConnectionError):
            return None
        if answer.headers.get_content_type() != "text/event-stream":
            answer.read()
        return answer.status


def check(session: Dev, status: int | None) -> None:
    assert status is None or status < 500 or status in {501, 505}
    assert "Traceback" not in session.output
    assert "the API failed" not in session.output


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(METHODS, BASES, st.lists(SEGMENT, max_size=4), st.lists(st.tuples(PARAMETERS | TEXT, TEXT), max_size=3),
       st.lists(st.tuples(NAMES, TEXT), max_size=4, unique_by=lambda pair: pair[0]), BODIES)  # fmt: skip
@example("GET", API, [], [], [("origin", "http://[")], b"")
@example("GET", "", [], [], [("host", "[")], b"")
@example("POST", "", [], [], [("content-type", "multipart/form-data; boundary=x")], b"--x\r\n\r\n--x--")
def test_no_request_makes_the_server_itself_fail(session, method, base, more, query, headers, body):
    path = "/".join([base, *more]) or "/"
    target = path + ("?" + "&".join(f"{name}={value}" for name, value in query) if query else "")
    target = "".join(one if "!" <= one <= "~" else f"%{ord(one):02x}" for one in target.replace("#", "%23"))
    check(session, send(session, method, target if target.startswith("/") else f"/{target}", headers, body))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60).map(lambda noise: noise.replace(b"\n", b"")), st.integers(0, 200))
def test_no_noise_in_the_bytes_of_a_request_does(session, noise, place):
    """Anywhere in an otherwise good request: in its first line, in a header, in a chunk's length."""
    good = (
        b"POST /a?b=c HTTP/1.1\r\nhost: localhost\r\ncookie: a=b\r\ncontent-type: text/plain\r\n"
        b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", session.port), DEADLINE) as connection:
        connection.sendall(good[:place] + noise + good[place:])
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionError:
            pass
    check(session, int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else None)
