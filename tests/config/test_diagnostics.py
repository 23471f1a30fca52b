"""Problems are told all at once, in the order of the file, as text that a terminal can take."""

from pathlib import Path

import pytest

from wrangler_py.config.diagnostics import Diagnostics, printable, suggest
from wrangler_py.config.positions import Position
from wrangler_py.errors import ConfigError


def test_a_problem_is_one_line_with_its_place_and_hint():
    diagnostics = Diagnostics()
    diagnostics.add("error", "it is wrong", Path("/x/wrangler.toml"), Position(7, 2), "mend it")
    diagnostics.add("warning", "it is odd", Path("/x/wrangler.toml"))
    assert diagnostics.render() == "✘ wrangler.toml:7:2  it is wrong (mend it)\n▲ wrangler.toml  it is odd"


def test_without_an_error_nothing_is_raised():
    diagnostics = Diagnostics()
    diagnostics.add("warning", "it is odd", Path("wrangler.toml"))
    diagnostics.raise_for_errors()


def test_the_error_tells_the_warnings_too():
    diagnostics = Diagnostics()
    diagnostics.add("warning", "it is odd", Path("wrangler.toml"))
    diagnostics.add("error", "it is wrong", Path("wrangler.toml"))
    with pytest.raises(ConfigError, match="has 2 problems") as caught:
        diagnostics.raise_for_errors()
    assert "it is odd" in str(caught.value)
    assert "it is wrong" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a é ✘", "a é ✘"), ("\x1b[31m", "\\x1b[31m"), ("a\nb", "a\\nb"), ("\ud800\u202e", "\\ud800\\u202e")],
)
def test_what_has_no_picture_is_spelled_out(text, shown):
    assert printable(text) == shown
    diagnostics = Diagnostics()
    diagnostics.add("error", text, Path(text), hint=text)
    assert diagnostics.render() == f"✘ {shown}  {shown} ({shown})"


def test_a_near_word_is_suggested_and_a_far_one_is_not():
    assert suggest("clas_name", ["name", "class_name"]) == 'did you mean "class_name"?'
    assert suggest("zzz", ["name", "class_name"]) is None
