"""A section becomes a configuration; each wrong value is one error at its line."""

import datetime as dt

import pytest

from tests.config.samples import HEAD, only, without
from wrangler_py import config as configuration
from wrangler_py.config.model import DevConfig, LimitsConfig

TABLES = '[dev]\nip = "::1"\nport = 0\nstrict = true\n[limits]\nplan = "free"\nenforce = true\n'


def test_tables_and_their_defaults(project):
    config = project(HEAD + TABLES).config
    assert (config.dev, config.limits) == (DevConfig("::1", 0, True), LimitsConfig("free", True))
    config = project(HEAD).config
    assert (config.dev, config.limits) == (DevConfig("127.0.0.1", 8787, False), LimitsConfig("paid", False))


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ('compatibility_date = "2026-02-30"', "2026-02-30"),
        ('compatibility_date = "20260301"', "20260301"),
        ("compatibility_date = 2026-03-01T00:00:00Z", "compatibility_date"),
        ("compatibility_flags = 'x'", "compatibility_flags"),
        ('main = "gone.py"', "gone.py"),
        ('main = "src"', "src"),
        ('main = "\\u0000.py"', "main"),
        (f'main = "{"x" * 5000}.py"', "main"),
        ('main = ""', "main"),
        ('name = ""', "name"),
        ('name = "My App"', "My App"),
        ("name = 3", "name"),
        ("vars = 3", "vars"),
        ("vars = { D = 2020-01-01 }", "D"),
        ("vars = { N = nan }", "N"),
        ("vars = { N = { x = [inf] } }", "N.x.0"),
        ("vars = { N = 9223372036854775808 }", '"N"'),
        ("dev = { port = 70000 }", "port"),
        ("dev = { port = true }", "port"),
        ('dev = { strict = "yes" }', "strict"),
        ('dev = { ip = "" }', "ip"),
        ('limits = { plan = "gold" }', "plan"),
        ("limits = { plan = [] }", "plan"),
        ('triggers = { crons = ["61 * * * *"] }', "61"),
        ('triggers = { crons = ["* * * *"] }', "five"),
        ('triggers = { crons = "* * * * *" }', "crons"),
        ("triggers = { crons = [1] }", "1"),
        ("workflows = 3", "workflows"),
        ("workflows = [3]", "workflow"),
        ("env = 3", "env"),
        ("env = { a = 3 }", "a"),
    ],
)
def test_a_wrong_value_is_one_error_at_its_line(project, extra, words):
    loaded = project(f"{extra}\n{without(HEAD, extra.split()[0])}")
    assert loaded.config is None
    item = only(loaded, "error")
    assert item.line == 1
    assert words in item.message
    assert "\n" not in item.message


def test_a_date_may_be_written_without_quotes(project):
    quoted, bare = project(HEAD), project(HEAD.replace('"2026-03-01"', "2026-03-01"))
    assert bare.config.compatibility_date == quoted.config.compatibility_date == dt.date(2026, 3, 1)


def test_null_is_no_value(project):
    config = project('{"main": "src/entry.py", "vars": null, "dev": {"port": null}}', "wrangler.json").config
    assert (config.vars, config.dev.port) == ({}, 8787)


@pytest.mark.parametrize(("folder", "name"), [("shop", "shop"), ("My App!", "my-app"), ("店", "worker")])
def test_a_worker_without_a_name_is_called_as_its_folder(tmp_path, folder, name):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "wrangler.toml").write_text("account_id = 'x'\n")
    assert configuration.load(tmp_path / folder / "wrangler.toml").config.name == name


@pytest.mark.parametrize(
    ("flags", "date", "implicit", "handlers"),
    [
        ([], "2025-08-13", False, True),
        ([], "2025-08-14", False, False),
        ([], "2026-02-24", False, False),
        ([], "2026-02-25", True, False),
        (["no_python_workflows_implicit_dependencies"], "2026-03-01", False, False),
        (["python_workflows_implicit_dependencies"], "2025-09-01", True, False),
        (["disable_python_no_global_handlers"], "2026-03-01", True, True),
    ],
)
def test_date_and_flags_decide_the_modes(project, flags, date, implicit, handlers):
    head = f'name="a"\nmain="src/entry.py"\ncompatibility_date="{date}"\n'
    config = project(f"{head}compatibility_flags={['python_workers', *flags]}\n").config
    assert (config.implicit_dependencies, config.global_handlers) == (implicit, handlers)
