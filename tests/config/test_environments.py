"""Environments: what they take over from the top level, what not, and what is said about it."""

from tests.config.samples import HEAD, WORKFLOW, found, only

ENV = f"{HEAD}[vars]\nA = 1\nB = 2\n{WORKFLOW}[triggers]\ncrons = ['0 1 * * *']\n[env.prod]\n"


def test_triggers_are_inherited_and_vars_and_workflows_are_not(project):
    config = project(ENV + "[env.prod.vars]\nA = 3\n", env="prod").config
    assert (config.name, config.env_name) == ("app-prod", "prod")
    assert (config.vars, config.workflows, config.crons) == ({"A": 3}, (), ("0 1 * * *",))


def test_each_thing_left_behind_is_warned_about(project):
    loaded = project(ENV + "[env.prod.vars]\nA = 3\n", env="prod")
    assert [message.split()[0] for _, _, message in found(loaded)] == ['"workflows"', '"vars.B"']
    loaded = project(ENV, env="prod")
    assert [message.split()[0] for _, _, message in found(loaded)] == ['"vars"', '"workflows"']


def test_the_own_value_wins_and_its_errors_stand_in_the_environment(project):
    assert project(ENV + 'compatibility_date = "2025-01-01"\n', env="prod").config.global_handlers
    item = only(project(ENV + "compatibility_flags = 3\n", env="prod"), "error")
    assert item.line == len(ENV.splitlines()) + 1


def test_an_environment_may_have_its_own_name(project):
    assert project(ENV + 'name = "other"\n', env="prod").config.name == "other"


def test_without_an_environment_the_top_level_counts(project):
    config = project(ENV).config
    assert (config.name, config.vars, config.env_name) == ("app", {"A": 1, "B": 2}, None)


def test_an_empty_name_means_the_top_level(project):
    loaded = project(ENV, env="")
    assert (loaded.config.name, loaded.config.env_name, found(loaded)) == ("app", None, [])


def test_an_unknown_environment_is_an_error_with_those_there_are(project):
    loaded = project(ENV, env="prd")
    assert loaded.config is None
    assert only(loaded, "error").hint == "there are: prod"


def test_in_a_file_without_environments_any_name_will_do(project):
    loaded = project(HEAD, env="prod")
    assert "prod" in only(loaded, "warning").message
    assert loaded.config.name == "app-prod"


def test_there_too_variables_are_left_behind(project):
    assert project(HEAD + "[vars]\nA = 1\n", env="prod").config.vars == {}


def test_an_environments_name_must_fit_into_the_workers(project):
    assert "app-a b" in only(project(HEAD, env="a b"), "error").message


def test_a_key_of_the_top_level_has_no_effect_inside(project):
    loaded = project(HEAD + "[env.prod.dev]\nport = 1\n", env="prod")
    assert loaded.config.dev.port == 8787
    assert "no effect" in only(loaded, "warning").message


def test_unknown_keys_of_every_environment_are_warned_about(project):
    item = only(project(HEAD + "[env.prod]\nroutess = []\n"), "warning")
    assert (item.line, item.hint) == (6, 'did you mean "routes"?')
