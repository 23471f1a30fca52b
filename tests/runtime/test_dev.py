"""The flags of `pywrangler dev`."""

from __future__ import annotations

import pytest

from tests.runtime.conftest import CONFIG, ENTRY

GREETING = ENTRY.replace('"one"', "self.env.GREETING")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--var", "nothing"), "is not KEY:VALUE"),
        (("--log-level", "loud"), "is not one of debug, info, log, warn, error, none"),
        (("--hibernate-after", "soon"), "is not a duration"),
        (("--port", "70000"), "70000"),
    ],
)
def test_wrong_usage_is_named_and_ends_with_2(dev, arguments, reason):
    session = dev(*arguments)
    assert session.wait() == 2
    assert reason in " ".join(session.output.replace("│", " ").split())
    assert "Traceback" not in session.output


def test_variables_and_environments_reach_the_worker(dev, project):
    project.write(
        "wrangler.toml", CONFIG + '[vars]\nGREETING = "file"\n[env.other.vars]\nGREETING = "other"\n'
    )
    project.write("src/entry.py", GREETING)
    session = dev("--env", "other").ready()
    assert session.get() == (200, "other")
    session.stop()
    session = dev("--var", "GREETING:flag: with colon").ready()
    assert session.get() == (200, "flag: with colon")


def test_a_configuration_elsewhere_and_a_state_elsewhere(dev, project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (project.root / "wrangler.toml").rename(project.root / "other.toml")
    session = dev("--config", "other.toml", "--persist-to", str(elsewhere)).ready()
    assert session.get() == (200, "one")
    assert (elsewhere / "workflows.sqlite").exists()
    assert not project.state.exists()


def test_scheduled_runs_by_a_visit_if_asked_for(dev, project):
    scheduled = (
        "    async def scheduled(self, controller, env, ctx):\n        print('ran', controller.cron)\n"
    )
    project.write("src/entry.py", ENTRY + scheduled)
    session = dev("--test-scheduled").ready()
    assert session.get("/__scheduled?cron=5+4+*+*+*")[0] == 200
    session.wait_for(r"ran 5 4 \* \* \*")
    session.stop()
    session = dev().ready()
    assert session.get("/__scheduled") == (200, "one")


def test_a_quiet_session_says_where_it_listens_and_nothing_else_of_its_own(dev, project):
    project.write("src/entry.py", ENTRY.replace("return Response", 'print("mine")\n        return Response'))
    session = dev("--log-level", "none").ready()
    assert session.get() == (200, "one")
    session.wait_for("mine")
    session.stop()
    assert session.output.rstrip().endswith("mine")
