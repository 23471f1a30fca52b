from __future__ import annotations

import pytest

from wrangler_py.sdk.web.urls import URL, URLSearchParams


def test_a_url_comes_apart() -> None:
    url = URL("https://user:pw@Example.com:8443/a/b%20c?x=1&y=2#top")
    parts = (
        url.protocol,
        url.username,
        url.password,
        url.hostname,
        url.port,
        url.pathname,
        url.search,
        url.hash,
    )
    assert parts == ("https:", "user", "pw", "example.com", "8443", "/a/b%20c", "?x=1&y=2", "#top")
    assert url.host == "example.com:8443"
    assert url.origin == "https://example.com:8443"


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("http://a", "http://a/"),
        ("HTTPS://A.example:443/x", "https://a.example/x"),
        ("http://a/x y?q=ä", "http://a/x%20y?q=%C3%A4"),
        ("http://a/b/../c/./d", "http://a/c/d"),
        ("http://[::1]:8787/", "http://[::1]:8787/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://a/?already=%20%2F", "http://a/?already=%20%2F"),
    ],
)
def test_a_url_has_a_normal_form(given: str, normal: str) -> None:
    assert URL(given).href == str(URL(given)) == URL(normal).toString() == normal


@pytest.mark.parametrize("wrong", ["", "/path", "example.com", "http://", "http://a:port/", "http://[::1/"])
def test_a_url_is_absolute(wrong: str) -> None:
    with pytest.raises(TypeError, match="Invalid URL"):
        URL(wrong)
    assert not URL.canParse(wrong)


def test_a_relative_url_needs_a_base() -> None:
    assert URL.new("../c?d", "http://a/b/x/y").href == "http://a/b/c?d"


def test_parts_can_be_set() -> None:
    url = URL("http://a/b?c#d")
    url.pathname, url.search, url.hash = "x y", "?e=f", ""
    assert url.href == "http://a/x%20y?e=f"


def test_changing_the_parameters_changes_the_url() -> None:
    url = URL("http://a/?x=1&y=2")
    params = url.searchParams
    params.set("x", "a b")
    params.append("z", 3)
    params.delete("y")
    assert url.href == "http://a/?x=a+b&z=3"
    assert url == URL(url)
    assert len({url, URL(url)}) == 1


@pytest.mark.parametrize("init", ["?a=1&b=&a=2", [("a", "1"), ("b", ""), ("a", "2")]])
def test_parameters_keep_repeated_and_empty_names(init: object) -> None:
    params = URLSearchParams.new(init)  # type: ignore[arg-type]
    assert params.get("a") == "1"
    assert params.getAll("a") == ["1", "2"]
    assert params.has("b")
    assert params.get("c") is None
    assert str(params) == "a=1&b=&a=2"
    assert list(params.entries()) == [("a", "1"), ("b", ""), ("a", "2")]
