"""`_routes.json`: which paths reach functions."""

from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.runtime.pages.rules import _any


@given(st.text("/a*b", max_size=8), st.text("/ab", max_size=12))
def test_a_star_stands_for_any_text(pattern, path):
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), path) is not None
    assert _any((pattern,), path) == expected


def test_a_path_is_read_once_however_many_stars_there_are():
    began = time.process_time()
    assert not _any(("/*a" * 9 + "b",), "/" + "a" * 20_000)
    assert time.process_time() - began < 2
