"""A path and a method find one handler, or a refusal that says what there is."""

from __future__ import annotations

import pytest

from wrangler_py.errors import RequestError
from wrangler_py.server.asgi import raw_path, segments
from wrangler_py.server.routing import Router, routes


async def one(call): ...


async def two(call): ...


ROUTER = Router(
    routes("api", None, {"POST things/batch": one, "GET things/{id}": two, "DELETE things/{id}": one})
)


def test_variable_segments_are_given():
    route, parts = ROUTER.find("GET", ("api", "things", "a/b"))
    assert (route.handler, parts) == (two, {"id": "a/b"})


def test_a_fixed_segment_hides_no_other_method():
    route, parts = ROUTER.find("GET", ("api", "things", "batch"))
    assert (route.handler, parts) == (two, {"id": "batch"})


def test_head_is_answered_as_get():
    assert ROUTER.find("HEAD", ("api", "things", "x"))[0].handler is two


def test_a_wrong_method_names_the_right_ones():
    with pytest.raises(RequestError) as caught:
        ROUTER.find("PUT", ("api", "things", "x"))
    assert (caught.value.status, caught.value.allow) == (405, "DELETE, GET, HEAD, OPTIONS")
    assert Router(routes("api", None, {"POST things": one})).allowed(("api", "things")) == "OPTIONS, POST"


@pytest.mark.parametrize(
    "path", [(), ("api",), ("api", "things"), ("api", "others", "x"), ("api", "things", "x", "y")]
)
def test_an_unknown_path_is_404(path):
    with pytest.raises(RequestError) as caught:
        ROUTER.find("GET", path)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/", ()),
        ("/a/b/", ("a", "b")),
        ("/a%2Fb/%C3%A9", ("a/b", "é")),
        ("/%63dn-cgi", ("cdn-cgi",)),
        ("//cdn-cgi", ("", "cdn-cgi")),
    ],
)
def test_segments_are_split_before_they_are_decoded(path, wanted):
    assert segments(path) == wanted


def test_a_server_without_raw_path():
    assert raw_path({"path": "/a b/é"}) == "/a%20b/%C3%A9"
