"""Whatever is in a file, reading it ends with a configuration or with a problem that can be shown."""

import pytest

from tests.config.samples import HEAD, only
from wrangler_py import config as configuration

TOML = [
    b"",
    b"  \n# nothing\n",
    b"\xff\xfe",
    b"name = \n",
    b"x = " + b"[" * 3000,
    b"[" + b".".join([b"a"] * 3000) + b"]",
    b"x = " + b"1" * 5000,
    b"name = 0x" + b"f" * 5000,
    b"a = 1\rb = 2",
]
JSON = [
    b"",
    b"// x",
    b"null",
    b"{}",
    b"[1]",
    b'{"a": }',
    b'{"name": "\\ud800"}',
    b'{"\\udfff": 1}',
    b"{" * 3000,
    b'{"a":' * 3000,
    b'{"a":' + b"1" * 5000,
    b'{"vars":{"a":1e999}}',
]


@pytest.mark.parametrize(
    ("name", "text"), [("wrangler.toml", one) for one in TOML] + [("wrangler.jsonc", one) for one in JSON]
)
def test_a_broken_file_is_diagnosed(project, name, text):
    loaded = project(text, name)
    assert loaded.config is None
    assert loaded.diagnostics.errors
    assert all(item.line for item in loaded.diagnostics.errors)
    loaded.diagnostics.render().encode()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'name = "a"\nmain = "\xff"\n', (2, 9)),
        (b'name = "a"\nmain = ]\n', (2, 8)),
        (b'name = "a"\nmain = ', (2, 8)),
        (b'name = "a"\nx = ' + b"1" * 5000, (2, 5)),
    ],
)
def test_what_breaks_a_file_has_its_place(project, text, place):
    item = only(project(text), "error")
    assert (item.line, item.column) == place


def test_missing_files_and_folders_are_diagnosed(tmp_path):
    (tmp_path / "wrangler.toml").mkdir()
    for path in (tmp_path / "wrangler.toml", tmp_path / "gone.toml"):
        loaded = configuration.load(path)
        assert loaded.config is None
        assert path.name in loaded.diagnostics.render()


def test_a_byte_order_mark_and_crlf_do_not_matter(project):
    loaded = project(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode() + b"made_up = 1\r\n")
    item = only(loaded, "warning")
    assert (item.line, item.column) == (5, 1)
    assert loaded.config is not None


def test_a_problem_stands_at_the_last_part_of_a_dotted_key(project):
    item = only(project(f"dev.port = 70000\n{HEAD}"), "error")
    assert (item.line, item.column) == (1, 5)
