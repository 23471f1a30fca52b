from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.sdk.web.headers import Headers


def test_names_have_no_case() -> None:
    headers = Headers({"Content-Type": "text/html"})
    assert headers["CONTENT-TYPE"] == headers.get("content-type") == "text/html"
    assert "Content-type" in headers
    assert list(headers) == ["content-type"]


def test_a_missing_name_is_none_not_an_error() -> None:
    """Cloudflare's request.headers is an HTTPMessage, which answers so; Workers count on it."""
    headers = Headers()
    assert headers["x"] is None
    assert headers.get("x", "default") == "default"
    assert headers.get_all("x") is None
    assert headers.get_all("x", []) == []


@pytest.mark.parametrize("pairs", [[("accept", "a"), ("Accept", "b")], (["accept", "a"], ["accept", "b"])])
def test_values_of_one_name_are_joined_by_a_comma(pairs: list[tuple[str, str]]) -> None:
    assert list(Headers(pairs).items()) == [("accept", "a, b")]


def test_cookies_are_joined_by_a_semicolon() -> None:
    assert Headers([("cookie", "a=1"), ("cookie", "b=2")])["cookie"] == "a=1; b=2"


def test_set_cookie_keeps_each_value_apart() -> None:
    headers = Headers([("set-cookie", "a=1"), ("x", "y"), ("Set-Cookie", "b=2, 3")])
    assert headers.get_all("set-cookie") == headers.getSetCookie() == ["a=1", "b=2, 3"]
    assert list(headers.items()) == [("set-cookie", "a=1"), ("x", "y"), ("set-cookie", "b=2, 3")]
    assert list(headers.values()) == ["a=1", "y", "b=2, 3"]
    assert list(Headers(headers).items()) == list(headers.items())


def test_setting_replaces_every_value_in_place() -> None:
    headers = Headers([("set-cookie", "a"), ("x", "y"), ("set-cookie", "b")])
    headers["Set-Cookie"] = "c"
    assert list(headers.items()) == [("set-cookie", "c"), ("x", "y")]


def test_deleting_is_silent_about_a_missing_name() -> None:
    headers = Headers({"a": "1"})
    headers.delete("b")
    del headers["A"]
    assert not headers
    assert len(headers) == 0


def test_pop_and_setdefault_know_that_a_missing_name_reads_as_none() -> None:
    headers = Headers({"a": "1"})
    assert headers.setdefault("b", "2") == "2"
    assert headers.setdefault("a", "9") == "1"
    assert headers.pop("a") == "1"
    assert headers.pop("a", "gone") == "gone"
    assert dict(headers) == {"b": "2"}


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0b"])
def test_a_value_cannot_smuggle_another_header(value: str) -> None:
    with pytest.raises(TypeError, match="Invalid header value"):
        Headers({"x": value})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "a\n"])
def test_a_name_must_be_a_token(name: str) -> None:
    with pytest.raises(TypeError, match="Invalid header name"):
        Headers({name: "x"})


def test_values_are_text_without_spaces_around() -> None:
    assert Headers({"x": " 1 ", "n": 3}) == {"x": "1", "n": "3"}


@pytest.mark.parametrize("wrong", ["a: b", 3, b"a"])
def test_headers_are_a_mapping_or_pairs(wrong: object) -> None:
    with pytest.raises(TypeError, match=f"not {type(wrong).__name__}"):
        Headers(wrong)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from(["A", "a", "b", "Cookie", "set-cookie"]), st.sampled_from("xyz"))))
def test_headers_made_at_once_are_those_appended_one_by_one(pairs: list[tuple[str, str]]) -> None:
    headers = Headers()
    for name, value in pairs:
        headers.append(name, value)
    assert list(Headers(pairs).items()) == list(headers.items())
