"""Secrets come from the files that wrangler takes, read as wrangler reads them."""

import pytest

from tests.config.samples import HEAD, only
from wrangler_py.config.dotenv import expand, read_dotenv


@pytest.mark.parametrize(
    ("files", "env", "expected"),
    [
        ({".dev.vars": "A=1", ".env": "B=2"}, None, {"A": "1"}),
        ({".dev.vars": "A=1", ".dev.vars.prod": "A=2"}, "prod", {"A": "2"}),
        ({".dev.vars": "A=1", ".dev.vars.prod": "B=2"}, None, {"A": "1"}),
        ({".dev.vars": "A=1", ".env.prod": "A=2"}, "prod", {"A": "1"}),
        ({".dev.vars": "H=x\nU=$H"}, None, {"H": "x", "U": "$H"}),
        ({".env": "H=x\nU=http://$H/${H}/${N:-d}"}, None, {"H": "x", "U": "http://x/x/d"}),
        ({".env": "H=x", ".env.local": "H=y\nU=$H"}, None, {"H": "y", "U": "y"}),
        (
            {
                ".env": "A=1\nB=1\nC=1\nD=1",
                ".env.local": "B=2\nC=2\nD=2",
                ".env.prod": "C=3\nD=3",
                ".env.prod.local": "D=4",
            },
            "prod",
            {"A": "1", "B": "2", "C": "3", "D": "4"},
        ),
        ({".env": "A=1", ".env.local": "B=2", ".env.prod": "C=3"}, None, {"A": "1", "B": "2"}),
    ],
)
def test_which_files_count_and_which_wins(project, files, env, expected):
    for name, text in files.items():
        (project.root / name).write_text(text)
    assert dict(project(HEAD + "[env.prod]\n", env=env).config.secrets) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# c\n\nexport A = 1 # c\n", {"A": "1"}),
        ("A='x # y'", {"A": "x # y"}),
        ("A=\"l\\nm\"\nB='l\\nm'", {"A": "l\nm", "B": "l\\nm"}),
        ("A=`q`", {"A": "q"}),
        ("A=\nB=1", {"A": "", "B": "1"}),
        ("A: y", {"A": "y"}),
        ('A="two\nlines"\nB=1', {"A": "two\nlines", "B": "1"}),
        ("A=a#b", {"A": "a"}),
        ("A=a b ", {"A": "a b"}),
        ('A="open', {"A": '"open'}),
        ("nothing\nA=1", {"A": "1"}),
        ("A.B-C=1", {"A.B-C": "1"}),
        ("A=1\nA=2", {"A": "2"}),
    ],
)
def test_lines_are_read_as_wrangler_reads_them(text, expected):
    assert read_dotenv(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$A-${A}", "x-x"),
        ("\\$A", "$A"),
        ("${N:-d}${N-e}", "de"),
        ("${A:-d}", "x"),
        ("${E:-d}", "d"),
        ("${N:-${A}}", "x"),
        ("$N.", "."),
        ("${A", "${A"),
        ("$LATER", ""),
        ("a$ b$1", "a$ b$1"),
    ],
)
def test_a_reference_becomes_the_earlier_variable_or_its_default_or_nothing(value, expected):
    assert expand({"A": "x", "E": "", "V": value, "LATER": "y"})["V"] == expected


def test_a_folder_named_dotenv_is_no_secrets_file(project):
    (project.root / ".env").mkdir()
    assert project(HEAD).config.secrets == {}


def test_a_byte_order_mark_and_crlf_do_not_matter(project):
    (project.root / ".dev.vars").write_bytes(b"\xef\xbb\xbfA=1\r\nB='2'\r\n")
    assert project(HEAD).config.secrets == {"A": "1", "B": "2"}


def test_what_cannot_be_read_is_reported_against_that_file(project):
    (project.root / ".dev.vars").write_bytes(b"A=1\nB=\xff")
    item = only(project(HEAD), "error")
    assert (item.path.name, item.line, item.column) == (".dev.vars", 2, 3)


def test_variables_win_over_vars_and_secrets(project):
    (project.root / ".dev.vars").write_text("A=secret\nS=1\n")
    config = project(HEAD + "[vars]\nA = 1\n", variables={"A": "x"}).config
    assert (config.vars, config.secrets) == ({"A": "x"}, {"S": "1"})
