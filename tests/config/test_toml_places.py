"""The place of a key in a TOML text is where its text is, whatever the shape of the file."""

import pytest
import tomli
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.config.shapes import KEYS, SCALARS, nested, paths
from wrangler_py.config.toml_places import find_places


@settings(max_examples=150)
@given(st.dictionaries(KEYS, nested(SCALARS, KEYS), max_size=5), st.booleans())
def test_every_key_and_element_has_a_place(data, multiline):
    text = tomli_w.dumps(data, multiline_strings=multiline)
    assert set(paths(tomli.loads(text))) <= set(find_places(text))


@settings(max_examples=150)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), nested(SCALARS, KEYS), max_size=5))
def test_at_the_place_of_a_key_stands_its_text(data):
    text = tomli_w.dumps(data)
    places = find_places(text)
    for path in paths(tomli.loads(text)):
        if len(path) == 1 and not isinstance(data[path[0]], list):
            assert text[places[path] :].startswith(path[0])


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ('a = """x\n[b]\n"""\nc = 1\n', ("c",), "c"),
        ("a = '''x = 1\n''' # [no]\nc = 1\n", ("c",), "c"),
        ('a = """x""""\nc = 1\n', ("c",), "c"),
        ("when = 1979-05-27 07:32:00\nc = 1\n", ("c",), "c"),
        ("t = { a = 1, b.c = 2 }\n", ("t", "b", "c"), "c"),
        ("x.y.z = 1\n", ("x", "y", "z"), "z"),
        ("x . y = 1\n", ("x", "y"), "y"),
        ('"a.b" = 1\nc = 2\n', ("a.b",), '"a.b"'),
        ('"\\u0061" = 1\n', ("a",), '"\\u0061"'),
        ("[[w]]\nn = 1\n[[w]]\nn = 2\n[w.limits]\nsteps = 3\n", ("w", 1, "limits", "steps"), "steps"),
        ("[[w]]\nn = 1\n[[w]]\nn = 2\n", ("w", 1), "[[w]]\nn = 2"),
        ("[env.a.vars]\nK = 1\n", ("env", "a"), "a"),
        ("[[env.a.w]]\nn = 1\n[[env.a.w]]\nn = 2\n", ("env", "a", "w", 1, "n"), "n = 2"),
        ("l = [ # one\n 1,\n {k = 2},\n]\n", ("l", 1, "k"), "k"),
        ("a = 1\r\nb = 2\r\n", ("b",), "b"),
        ('k = ["]", "#"]\nc = 1\n', ("c",), "c"),
    ],
)
def test_the_place_of_a_key(text, path, expected):
    assert tomli.loads(text)
    assert text[find_places(text)[path] :].startswith(expected)
