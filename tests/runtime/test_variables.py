"""Variables and secrets as the Worker's code finds them (Workers docs, "Environment variables", "Secrets")."""

from __future__ import annotations

import json

from tests.support.session import HEAD

CODE = """
import json
from workers import Response, WorkerEntrypoint, env


class Default(WorkerEntrypoint):
    async def fetch(self):
        settings = self.env.SETTINGS
        return Response(json.dumps({
            "attribute": settings.urls[0].host, "key": settings["urls"][0]["host"],
            "copy": dict(settings), "types": [type(one).__name__ for one in self.env.MANY],
            "text": self.env.NAME, "imported": env.NAME, "secret": self.env.TOKEN,
        }))
"""
VARS = """
SETTINGS = { urls = [{ host = "a.example", port = 1 }], on = true }
MANY = ["a", 1, 1.5, true, { a = 1 }]
NAME = "from the file"
"""


def answer(session):
    status, text = session.get()
    assert status == 200, text
    return json.loads(text)


def test_json_is_read_by_attribute_and_by_key_and_command_line_wins(dev, project):
    project.write("wrangler.toml", f"{HEAD}[vars]\n{VARS}")
    project.write("src/entry.py", CODE)
    project.write(".dev.vars", 'NAME=from secrets\nTOKEN="with # and = in it"\n')
    session = dev("--var", "TOKEN:a:b").ready()
    assert answer(session) == {
        "attribute": "a.example",
        "key": "a.example",
        "copy": {"urls": [{"host": "a.example", "port": 1}], "on": True},
        "types": ["str", "int", "float", "bool", "Record"],
        "text": "from secrets",
        "imported": "from secrets",
        "secret": "a:b",
    }
    assert "with # and" not in session.output


def test_an_environment_has_its_own_files_and_a_saved_file_counts_at_once(dev, project):
    project.write("wrangler.toml", f"{HEAD}[vars]\n{VARS}[env.staging.vars]\n{VARS}")
    project.write("src/entry.py", CODE)
    project.write(".dev.vars", "TOKEN=for everybody\n")
    project.write(".dev.vars.staging", "TOKEN=for staging\n")
    session = dev("--env", "staging").ready()
    assert answer(session)["secret"] == "for staging"
    project.write(".dev.vars.staging", "TOKEN=changed\n")
    session.wait_for("Reloaded|reloaded|Updated")
    assert answer(session)["secret"] == "changed"
