"""A session that does not answer, or something else that does, is told."""

import socket

import pytest

from wrangler_py.cli.transport import SessionTransport
from wrangler_py.errors import SessionError


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_port_where_nobody_listens_names_it_and_what_to_do(alone):
    port = free_port()
    result = alone("workflows", "list", "--port", str(port))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        f"✘ [ERROR] Could not connect to local dev session on port {port}. "
        'Make sure "pywrangler dev" is running.\n'
    )


def test_a_session_that_stays_silent_is_not_waited_for_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = SessionTransport("127.0.0.1", server.getsockname()[1], timeout=0.05)
        with pytest.raises(SessionError, match=r"did not answer within 0\.05 seconds"):
            transport.request("GET", "/")


@pytest.mark.parametrize("text", ["<html>hello</html>", "[]", '{"hello": "world"}', ""])
def test_what_is_no_session_is_told(run, session, text):
    session.answers["GET "] = [(404, text)]
    result = run("workflows", "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not a pywrangler session: status 404" in result.stderr


@pytest.mark.parametrize(
    ("token", "text"), [(None, "wants a token"), ("pywr_x", "is not one of this server's")]
)
def test_a_server_that_wants_a_token_is_told_with_where_to_make_one(run, session, monkeypatch, token, text):
    monkeypatch.delenv("PYWRANGLER_TOKEN", raising=False)
    if token:
        monkeypatch.setenv("PYWRANGLER_TOKEN", token)
    session.refuse("GET ", 10000, "Authentication error", status=401)
    result = run("workflows", "list")
    assert result.exit_code == 1
    assert text in result.stderr
    assert "pywrangler tokens create" in result.stderr
    assert "pywr_x" not in result.stderr
