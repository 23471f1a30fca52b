"""JSON with comments is read as JSON is, every key has a place, and what is not JSON is refused at a place."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.config.shapes import SCALARS, nested, paths
from wrangler_py.config.jsonc import MalformedError, read_jsonc

DOCUMENTS = nested(
    st.one_of(st.none(), SCALARS, st.floats(allow_nan=False, allow_infinity=False)), st.text(max_size=5)
)


@settings(max_examples=150)
@given(DOCUMENTS, st.sampled_from([None, 2]), st.booleans())
def test_json_is_read_as_json_and_every_key_has_its_place(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    read, places = read_jsonc(text)
    assert read == json.loads(text)
    for path in paths(value):
        if isinstance(path[-1], str):
            assert text[places[path] :].startswith(json.dumps(path[-1], ensure_ascii=ascii_only))


def test_comments_and_trailing_commas_pass():
    text = '{ // one\n "a": [1, /* two\n */ 2,], "b // no": "/* no */", }  // end'
    value, places = read_jsonc(text)
    assert value == {"a": [1, 2], "b // no": "/* no */"}
    assert text[places["a", 1] :].startswith("2")


@settings(max_examples=200)
@given(st.text(st.sampled_from('{}[]",:/*1-.eEtruefalsn \n\\u'), max_size=25))
def test_it_fails_only_with_a_place(text):
    offset = None
    try:
        read_jsonc(text)
    except MalformedError as problem:
        offset = problem.offset
    assert offset is None or 0 <= offset <= len(text)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("[" * 5000, 100),
        ("1" * 5000, 0),
        ("true1", 4),
        ("nullx", 4),
        ("01", 1),
        ('{"a":1 "b":2}', 7),
        ("/* x", 0),
        ('{"a":1', 6),
        ("{a:1}", 1),
        ('{"a": }', 6),
        ('{"a":1,"a":2}', 7),
        ('["x', 1),
        ('["a\nb"]', 3),
    ],
)
def test_what_is_not_json_is_refused_where_it_stops_to_be_json(text, offset):
    with pytest.raises(MalformedError) as caught:
        read_jsonc(text)
    assert caught.value.offset == offset
