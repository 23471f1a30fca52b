from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.sdk.web import forms
from wrangler_py.sdk.web.blob import Blob, File
from wrangler_py.sdk.web.forms import FormData, _parameters

BINARY = bytes(range(256)) * 3 + b"\r\n--boundary\r\n\r\n\n\r--\r\n"


def round_trip(form: FormData) -> FormData:
    return forms.parse(*forms.serialise(form))


def content(form: FormData) -> list[tuple[object, ...]]:
    return [
        (name, value.name, value.content_type, value.content()) if isinstance(value, File) else (name, value)
        for name, value in form.items()
    ]


def test_files_come_back_byte_for_byte() -> None:
    form = FormData({"text": "ä\r\nb"})
    form.append("file", Blob(BINARY, "application/x-thing"), filename='a "b"\r\n.bin')
    form.append("file", File(b"", "empty"))
    assert content(round_trip(form)) == [
        ("text", "ä\r\nb"),
        ("file", 'a "b"\r\n.bin', "application/x-thing", BINARY),
        ("file", "empty", "application/octet-stream", b""),
    ]


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_characters="%\r\n", exclude_categories=["Cs"])), st.binary())
    )
)
def test_whatever_the_names_and_bytes_are(fields: list[tuple[str, bytes]]) -> None:
    form = FormData()
    for name, data in fields:
        form.append(name, Blob(data, "a/b"), filename=name)
    assert content(round_trip(form)) == [(name, name, "a/b", data) for name, data in fields]


def test_line_ends_in_text_become_crlf() -> None:
    """As the standard has it, so that forms read the same whatever wrote them."""
    assert round_trip(FormData({"a": "1\n2\r3"}))["a"] == "1\r\n2\r\n3"


def test_what_other_programs_write_is_read() -> None:
    data = (
        b"a preamble\r\n--x y\r\n"
        b'Content-Disposition: form-data; name="esc\\"aped"\r\n\r\none\r\n--x y  \r\n'
        b"content-disposition: form-data; name=bare; filename=f.txt\r\n\r\n--x y?\r\n--x y--\r\nepilogue"
    )
    form = forms.parse(data, 'Multipart/Form-Data; charset=x; boundary="x y"')
    assert content(form) == [('esc"aped', "one"), ("bare", "f.txt", "text/plain", b"--x y?")]


def test_a_windows_path_keeps_its_backslashes() -> None:
    data = b'--b\r\nContent-Disposition: form-data; name="f"; filename="C:\\dir\\f.txt"\r\n\r\n.\r\n--b--\r\n'
    file = forms.parse(data, "multipart/form-data; boundary=b")["f"]
    assert file.name == "C:\\dir\\f.txt"


def test_an_empty_form_comes_back_empty() -> None:
    assert len(round_trip(FormData())) == 0


def test_urlencoded_fields_keep_order_repeats_and_empty_values() -> None:
    form = forms.parse(b"a=1&b=&a=%C3%A4+%2B", "application/x-www-form-urlencoded;charset=utf-8")
    assert list(form.items()) == [("a", "1"), ("b", ""), ("a", "ä +")]


@pytest.mark.parametrize(
    ("data", "content_type", "problem"),
    [
        (b"", "text/plain", "not a form"),
        (b"", "", "not a form"),
        (b"", "multipart/form-data", "no boundary"),
        (b"", "multipart/form-data; boundary=b", "before its closing boundary"),
        (
            b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\ncut of",
            "multipart/form-data; boundary=b",
            "closing",
        ),
        (
            b"--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--",
            "multipart/form-data; boundary=b",
            "no form-data name",
        ),
        (b"--b\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b", "no form-data name"),
    ],
)
def test_what_is_no_form_is_a_type_error(data: bytes, content_type: str, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        forms.parse(data, content_type)


def test_a_form_is_a_mapping_of_names_to_values() -> None:
    form = FormData({"a": 1})
    form.append("a", "2")
    assert (form["a"], form.get_all("a"), form["missing"], "a" in form) == ("1", ["1", "2"], None, True)
    form["a"] = "3"
    assert list(form.items()) == [("a", "3")]
    form.delete("a")
    assert list(form.keys()) == []


async def test_a_blob_becomes_a_file_called_blob() -> None:
    form = FormData({"a": Blob("x", "t/u")})
    assert (form["a"].name, form["a"].content_type, await form["a"].text()) == ("blob", "t/u", "x")


def test_a_field_has_one_value() -> None:
    with pytest.raises(TypeError, match="append"):
        FormData()["a"] = ["1", "2"]  # type: ignore[assignment]


def test_a_file_name_goes_with_a_blob() -> None:
    with pytest.raises(TypeError, match="goes with a Blob, not with str"):
        FormData().append("a", "text", filename="f")


@pytest.mark.parametrize("unit", [';a="x', '" ', "; ", ";a", '"', ";a=b ", ';a="" '])
def test_parameters_of_a_header_are_read_once(unit):
    """Each quote that is not closed was once looked for up to the end: hours, for a header of a megabyte."""
    began = time.process_time()
    list(_parameters(unit * 30_000))
    assert time.process_time() - began < 2


def test_a_quote_that_is_never_closed_begins_a_plain_value():
    assert list(_parameters('form-data; a="x; b=y; c="z"')) == [("a", 'x; b=y; c="z')]
    assert list(_parameters('form-data; a="x; b=y')) == [("a", '"x'), ("b", "y")]
