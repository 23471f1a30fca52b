"""The session's own paths answer to this session's names only, and to no other site."""

from __future__ import annotations

import httpx
import pytest

from tests.server.session import echo, in_session
from wrangler_py.errors import RequestError
from wrangler_py.sdk.web.response import Response
from wrangler_py.server.app import create_app
from wrangler_py.server.guard import Guard, admit_this_machine

API = ("client", "v4", "accounts", "local", "workflows")
HEALTH = ("cdn-cgi", "pywrangler", "health")


def check(path=API, *, allowed=(), method="POST", **headers):
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    Guard(allowed).check({"headers": named, "method": method}, path)


def refused(*args, **kwargs):
    with pytest.raises(RequestError) as caught:
        check(*args, **kwargs)
    return caught.value.status == 403


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8787",
        "LOCALHOST:1",
        "127.0.0.1:8787",
        "127.0.0.2",
        "[::1]:8787",
        "app.localhost",
    ],
)
def test_names_of_loopback_are_let_in(host):
    check(host=host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8787",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.5:8787",
        "",
        "a b",
        "[",
        "localhost:x",
    ],
)
def test_other_hosts_are_refused_dns_rebinding(host):
    assert refused(host=host)


def test_no_host_is_refused():
    assert refused()


@pytest.mark.parametrize("host", ["192.168.1.5:8787", "my-box:8787"])
def test_the_sessions_own_address_is_let_in(host):
    allowed = ["192.168.1.5", "My-Box:8787"]
    check(allowed=allowed, host=host)
    check(allowed=allowed, host=host, origin=f"http://{host}")


def test_an_allowed_port_is_not_another():
    assert refused(allowed=["my-box:8787"], host="my-box:9999")


@pytest.mark.parametrize("origin", ["http://localhost:8787", "http://127.0.0.1:8787"])
def test_the_sessions_own_pages_may_post(origin):
    check(host="localhost:8787", origin=origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:3000",
        "https://localhost",
        "file://",
        "http://evil.example:8787",
        "",
        "http://",
        "http://[",
        "http://[::1",
        "http://[v1.x]:8787",
        "http://localhost:99999",
        "http://localhost:x",
        "localhost:8787",
    ],
)
def test_other_origins_are_refused(origin):
    assert refused(host="localhost:8787", origin=origin)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost", "http://localhost:80"),
        ("localhost:80", "http://localhost"),
        ("localhost", "https://localhost"),
        ("localhost:443", "https://localhost"),
        ("localhost", "https://localhost:443"),
        ("localhost.:8787", "http://app.localhost.:8787"),
    ],
)
def test_default_ports_and_last_dots_are_the_same_place(host, origin):
    check(host=host, origin=origin)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:443", "http://localhost"),
        ("localhost:80", "https://localhost"),
        ("localhost:81", "http://localhost"),
        ("localhost:444", "https://localhost"),
        ("localhost:8787", "ftp://localhost:8787"),
    ],
)
def test_a_default_port_is_that_of_its_scheme(host, origin):
    assert refused(host=host, origin=origin)


def test_cross_site_reads_without_an_origin_are_refused():
    """An ``<img>`` of another site sends no Origin, and would run the cron handler."""
    assert refused(
        ("cdn-cgi", "handler", "scheduled"), method="GET", host="localhost", sec_fetch_site="cross-site"
    )


def test_a_link_from_another_site_opens_only_what_changes_nothing():
    link = {"host": "localhost", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    check(HEALTH, method="GET", **link)
    assert refused(HEALTH, method="POST", **link)
    assert refused(API, method="GET", **link)


@pytest.mark.parametrize(
    "changed",
    [{"sec_fetch_mode": "cors"}, {"sec_fetch_mode": "no-cors"}, {"method": "HEAD"}, {"path": HEALTH[:1]}],
)
def test_only_a_visit_to_a_page_is_a_link(changed):
    link = {"host": "localhost", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert refused(**{"path": HEALTH, "method": "GET", **link, **changed})


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_what_a_browser_does_not_call_cross_site_passes(site):
    check(host="localhost", sec_fetch_site=site, sec_fetch_mode="cors")


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ({"host": "evil"}, "The host 'evil' is not one of this session; use localhost or its address."),
        ({"host": "localhost", "origin": "null"}, "Requests from the origin 'null' are refused."),
        ({"host": "localhost", "sec_fetch_site": "cross-site"}, "Requests from other sites are refused."),
    ],
)
def test_a_refusal_says_why(refusal, words):
    with pytest.raises(RequestError) as caught:
        check(**refusal)
    assert (str(caught.value), caught.value.status) == (words, 403)


def test_the_real_clients_headers_pass():
    """As recorded: undici sends Sec-Fetch-Mode without a site."""
    check(host="localhost:8787", sec_fetch_mode="cors", accept="*/*")


@pytest.mark.parametrize(
    "client", [None, ("127.0.0.1", 1), ("::1", 1, 0, 0), ("::ffff:127.0.0.1", 1, 0, 0), ("", 0), ("", 1)]
)
def test_this_machine_may_speak_to_a_session(client):
    admit_this_machine({"client": client}, API)


@pytest.mark.parametrize(
    "client", [("192.168.1.5", 1), ("10.0.0.1", 1), ("2001:db8::1", 1, 0, 0), ("::ffff:8.8.8.8", 1)]
)
def test_other_machines_may_not(client):
    with pytest.raises(RequestError, match="pywrangler serve"):
        admit_this_machine({"client": client}, API)


def test_other_machines_reach_the_worker_and_not_the_api(tmp_path):
    async def fetch(request):
        return Response("hello")

    async def body(session):
        others = httpx.ASGITransport(create_app(session.host), client=("192.168.1.5", 1234))
        async with httpx.AsyncClient(transport=others, base_url="http://127.0.0.1:8787") as client:
            assert (await client.get("/")).text == "hello"
            for path in ("/client/v4/accounts/local/workflows", "/cdn-cgi/explorer/api/workflows"):
                assert (await client.get(path)).status_code == 403

    in_session(tmp_path, body, run=echo, fetch=fetch)
