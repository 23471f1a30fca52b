"""`pywrangler init`: a new project that works, and nothing overwritten."""

import json
import tomllib

import pytest

from wrangler_py.cli.templates import templates


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_init_makes_a_project_and_tells_the_next_commands(alone, here):
    result = alone("init", "my-app")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == [
        "",
        "Next:",
        "  cd my-app",
        "  pywrangler dev",
        "and in another terminal:",
        '  pywrangler workflows trigger workflows-starter \'{"hello":"world"}\'',
        "  pywrangler workflows instances watch workflows-starter latest",
        "  pywrangler workflows instances describe workflows-starter latest",
    ]
    assert {"wrangler.toml", "src/entry.py", "README.md", ".gitignore"} <= everything(here / "my-app")


def test_the_project_has_its_folders_name_and_the_workflow_keeps_its_own(alone, here):
    alone("init", "My_App")
    document = tomllib.loads((here / "My_App" / "wrangler.toml").read_text())
    assert document["name"] == "my-app"
    assert document["workflows"][0]["name"] == "workflows-starter"
    assert (here / "My_App" / "README.md").read_text().startswith("# my-app\n")


def test_without_a_folder_the_current_one_is_used_and_no_cd_is_told(alone, here, monkeypatch):
    (here / "shop").mkdir()
    monkeypatch.chdir(here / "shop")
    result = alone("init")
    assert result.exit_code == 0
    assert "cd " not in result.stdout
    assert tomllib.loads((here / "shop" / "wrangler.toml").read_text())["name"] == "shop"


def test_a_folder_with_something_in_it_is_refused_and_left_alone(alone, here):
    (here / "my-app").mkdir()
    (here / "my-app" / "precious.txt").write_text("mine")
    result = alone("init", "my-app")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not empty: it holds precious.txt." in result.stderr
    assert "pywrangler init my-app" in result.stderr
    assert everything(here / "my-app") == {"precious.txt"}


def test_a_fresh_repository_counts_as_empty(alone, here):
    (here / "my-app" / ".git").mkdir(parents=True)
    assert alone("init", "my-app").exit_code == 0


def test_a_file_in_the_way_is_told(alone, here):
    (here / "my-app").write_text("")
    assert "is a file, not a folder" in alone("init", "my-app").stderr


@pytest.mark.parametrize(("name", "reason"), [("???", "no letter or digit"), ("a" * 64, "longer than 63")])
def test_a_folder_that_cannot_name_a_worker_is_refused(alone, here, name, reason):
    result = alone("init", name)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert not (here / name).exists()


def test_a_folder_with_blanks_is_quoted_in_the_next_command(alone, here):
    assert "  cd 'my app'\n" in alone("init", "my app").stdout


def test_an_unknown_template_is_told_with_those_there_are(alone, here):
    result = alone("init", "my-app", "--template", "nope")
    assert result.exit_code == 1
    assert "There is no template 'nope'." in result.stderr
    assert "workflows-starter" in result.stderr
    assert not (here / "my-app").exists()


def test_the_list_shows_each_template_on_one_line(alone):
    lines = alone("init", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [template.name for template in templates()]
    assert all(template.description for template in templates())
    assert json.loads(alone("init", "--list", "--json").stdout)[0].keys() == {"name", "description"}


def test_json_tells_what_was_made(alone, here):
    made = json.loads(alone("init", "my-app", "--json").stdout)
    assert made["name"] == "my-app"
    assert made["directory"] == str(here / "my-app")
    assert set(made["files"]) == everything(here / "my-app")


def test_leftovers_of_running_a_template_in_place_are_not_copied(alone, here):
    alone("init", "my-app")
    assert not [path for path in everything(here / "my-app") if "__pycache__" in path or ".wrangler" in path]


@pytest.mark.parametrize("template", templates(), ids=lambda template: template.name)
def test_a_template_imports_nothing_that_cloudflare_does_not_have(template):
    for path in (template.path / "src").rglob("*.py"):
        assert "wrangler_py" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("template", templates(), ids=lambda one: one.name)
def test_every_template_tells_how_to_start_it_and_what_to_do_then(template):
    *before, session, after = template.first_steps()
    assert any(" dev" in command for command in session.commands)
    assert all(len(step.lead) <= 80 for step in (*before, session, after))
    assert all(step.lead and step.commands for step in (*before, after))
