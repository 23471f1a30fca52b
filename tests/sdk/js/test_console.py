from __future__ import annotations

import pytest

from wrangler_py.sdk.js import console


def test_lines_go_where_their_level_belongs(capsys: pytest.CaptureFixture[str]) -> None:
    console.log("a", 1, None)
    console.info({"ä": [1]})
    console.debug("d")
    console.warn("w")
    console.error(ValueError("bad"))
    out, err = capsys.readouterr()
    assert out == 'a 1 None\n{"ä": [1]}\nd\n'
    assert err == "w\nbad\n"
