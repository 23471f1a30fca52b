"""``[secrets] required``: which secrets there may be, whatever stands in the files (Wrangler docs, "secrets")."""

import pytest

from tests.config.samples import HEAD, found, only

REQUIRED = '[secrets]\nrequired = ["KEY", "TOKEN"]\n'


def test_only_required_secrets_are_taken(project):
    (project.root / ".dev.vars").write_text("KEY=1\nTOKEN=2\nOTHER=3\n")
    loaded = project(HEAD + REQUIRED)
    assert loaded.config.secrets == {"KEY": "1", "TOKEN": "2"}
    assert loaded.config.required_secrets == ("KEY", "TOKEN")
    assert found(loaded) == []


def test_a_missing_one_is_a_warning_that_names_it(project):
    (project.root / ".dev.vars").write_text("KEY=1\n")
    item = only(project(HEAD + REQUIRED), "warning")
    assert (item.message, item.line) == ("the required secrets TOKEN have no value", 6)


def test_one_given_on_the_command_line_is_not_missing(project):
    loaded = project(HEAD + REQUIRED, variables={"KEY": "a", "TOKEN": "b"})
    assert (loaded.config.vars, loaded.config.secrets, found(loaded)) == ({"KEY": "a", "TOKEN": "b"}, {}, [])


def test_each_environment_asks_for_its_own(project):
    (project.root / ".dev.vars").write_text("KEY=1\nOTHER=2\n")
    text = HEAD + REQUIRED + '[env.prod]\nsecrets = { required = ["OTHER"] }\n'
    assert project(text, env="prod").config.secrets == {"OTHER": "2"}


@pytest.mark.parametrize("value", ["3", '"KEY"', "[1]", '[""]'])
def test_a_wrong_list_is_an_error(project, value):
    only(project(f"{HEAD}[secrets]\nrequired = {value}\n"), "error")


def test_without_the_section_every_secret_of_the_files_counts(project):
    (project.root / ".env").write_text("A=1\nB=2\n")
    config = project(HEAD).config
    assert (config.secrets, config.required_secrets) == ({"A": "1", "B": "2"}, None)
