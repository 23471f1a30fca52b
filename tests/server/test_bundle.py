"""Uploads are not trusted: what their names, sizes and metadata may be, and what becomes of them on disk."""

from __future__ import annotations

import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.errors import RequestError
from wrangler_py.sdk.web.blob import File
from wrangler_py.sdk.web.forms import FormData, serialise
from wrangler_py.server import bundle
from wrangler_py.server.bundle import Bundle, check_script, read_bundle, write_bundle

METADATA = {"main_module": "entry.py", "bindings": []}


def uploaded(files, metadata=METADATA):
    form = FormData()
    if metadata is not None:
        form.append("metadata", json.dumps(metadata))
    for name, content in files:
        form.append(name, File([content], name))
    return read_bundle(*serialise(form))


def refused(files, metadata=METADATA):
    with pytest.raises(RequestError) as caught:
        uploaded(files, metadata)
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py", "a/../../evil.py", "/etc/passwd", "a//b.py", "./a.py", "a/./b.py", "..", ".", "a/",
        "..\\evil.py", "C:evil.py", "a\x00b.py", "a\nb.py", "x" * 600,
        ".dev.vars", ".env", "pkg/.hidden.py", "wrangler.json", "wrangler.toml", "pkg/wrangler.jsonc",
    ],
)  # fmt: skip
def test_names_that_are_not_taken(name):
    assert refused([("entry.py", b""), (name, b"x")]).status == 400


def test_every_bad_name_is_told_at_once():
    error = refused([("../a", b""), ("../b", b""), ("ok.py", b"")])
    assert "../a" in str(error.problems)
    assert "../b" in str(error.problems)


def test_names_that_cannot_be_side_by_side():
    assert "a file and a folder" in str(refused([("a.py", b""), ("a.py/b.py", b"")]).problems)
    assert "differ by case" in str(refused([("a.py", b""), ("A.py", b"")]).problems)
    assert "twice" in str(refused([("a.py", b"1"), ("a.py", b"2")]).problems)


def test_too_many_files(monkeypatch):
    monkeypatch.setattr(bundle, "MAX_FILES", 2)
    assert refused([("a.py", b""), ("b.py", b""), ("c.py", b"")]).status == 413


@pytest.mark.parametrize("text", ["", "[]", "{", "1", '{"a":' * 5000])
def test_metadata_that_is_none(text):
    form = FormData()
    form.append("metadata", text)
    with pytest.raises(RequestError, match=r"^|metadata"):
        read_bundle(*serialise(form))


def test_no_metadata_and_no_form():
    assert "metadata" in str(refused([("a.py", b"")], None).problems)
    with pytest.raises(RequestError):
        read_bundle(b"not a form", "text/plain")
    with pytest.raises(RequestError):
        read_bundle(b"--x\r\n", "multipart/form-data; boundary=y")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a.b", ".staging", "x" * 64, "a b", "-a"])
def test_names_of_scripts_become_names_of_folders(name):
    with pytest.raises(RequestError):
        check_script(name)


NAMES = st.text("abcdef", min_size=1, max_size=4).map(lambda name: name + ".py")
FILES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=50), max_size=6
)


@given(FILES)
def test_what_is_taken_is_on_disk_below_its_folder(tmp_path_factory, files):
    """Whatever is accepted comes out as it was, and never beside the folder it is for."""
    try:
        found = uploaded(files.items())
    except RequestError:
        return
    root = tmp_path_factory.mktemp("bundle")
    inner = root / "inner"
    inner.mkdir()
    write_bundle(found, {"name": "a"}, inner)
    written = {path.relative_to(inner).as_posix(): path for path in inner.rglob("*") if path.is_file()}
    assert set(written) == {*files, "wrangler.json"}
    assert {name: written[name].read_bytes() for name in files} == files
    assert [path.name for path in root.iterdir()] == ["inner"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written.values()} == {0o600}


def test_the_version_is_what_it_is_made_of():
    """Neither the order of files nor a note changes it; a byte, a name or the configuration does."""
    one = Bundle({"annotations": {"workers/message": "a"}}, {"a.py": b"1", "b.py": b"2"})
    same = Bundle({}, {"b.py": b"2", "a.py": b"1"})
    assert one.version_id({"x": 1, "y": 2}) == same.version_id({"y": 2, "x": 1})
    others = [
        Bundle({}, {"a.py": b"1", "b.py": b"3"}).version_id({"x": 1}),
        Bundle({}, {"a.py": b"1", "c.py": b"2"}).version_id({"x": 1}),
        Bundle({}, {"a.py": b"1b.py", "": b"2"}).version_id({"x": 1}),
        one.version_id({"x": 1}),
        one.version_id({"x": 2}),
    ]
    assert len(set(others)) == len(others)
