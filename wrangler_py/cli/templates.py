"""The project templates that ship with pywrangler: where they are, what they are, how one becomes a project.

A template is a folder that is a working project itself. Wherever its files say ``my-worker``, a new project
says its own name. The first line after the heading of its README describes it. ``gitignore`` is called so
because packaging tools would drop, or obey, a file named ``.gitignore``; ``dev.vars``, because that file names
``.dev.vars``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from wrangler_py.errors import UserError

DEFAULT = "workflows-starter"
PLACEHOLDER = "my-worker"
RENAMED = {"gitignore": ".gitignore", "dev.vars": ".dev.vars"}
#: What running a template's own tests in place leaves behind.
LEFTOVERS = frozenset({"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".wrangler", ".venv"})
#: What may already be in the folder of a new project.
HARMLESS = frozenset({".git", ".venv", "venv", ".idea", ".vscode", ".DS_Store"})
#: Where a README says what to enter: blocks of commands, each after a line of words, or none.
RUN_IT = "\n## Run it\n"
_BLOCK = re.compile(r"(?:([^\n]*)\n\n)?```sh\n(.*?)\n```\n", re.DOTALL)
#: Cloudflare's rule for the name of a Worker.
LONGEST_NAME = 63


class Step(NamedTuple):
    """Commands to enter in one terminal, and the words before them."""

    lead: str
    commands: list[str]


class Template(NamedTuple):
    """A template's name and folder."""

    name: str
    path: Path

    @property
    def description(self) -> str:
        """The first line of text in its README."""
        lines = (self.path / "README.md").read_text(encoding="utf-8").splitlines()
        return next((line for line in lines if line and not line.startswith("#")), "")

    def first_steps(self) -> list[Step]:
        """Return what its README says to do under "Run it", up to what is done beside the running session."""
        text = (self.path / "README.md").read_text(encoding="utf-8")
        section = text.partition(RUN_IT)[2].partition("\n## ")[0]
        steps: list[Step] = []
        for lead, commands in _BLOCK.findall(section):
            is_another_way = steps and lead.lower().startswith("or ")
            if is_another_way or (len(steps) > 1 and _starts_session(steps[-2])):
                break
            steps.append(Step(lead, commands.splitlines()))
        return steps


def templates() -> list[Template]:
    """Return the templates there are, by name."""
    folders = (path for path in _home().iterdir() if (path / "wrangler.toml").is_file())
    return [Template(path.name, path) for path in sorted(folders)]


def _home() -> Path:
    """The folder of the templates: in the wheel inside the package, in a checkout beside it."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_templates"
    return shipped if shipped.is_dir() else package.parent / "templates"


def _starts_session(step: Step) -> bool:
    return any(re.search(r"pywrangler (pages )?dev\b", command) for command in step.commands)


def find_template(name: str) -> Template:
    """Return the template of that name. Raises UserError that lists those there are."""
    known = {template.name: template for template in templates()}
    if name not in known:
        names = ", ".join(known)
        raise UserError(
            f"There is no template '{name}'.", hint=f"Templates: {names} (pywrangler init --list)"
        )
    return known[name]


def project_name(folder: Path) -> str:
    """Return the Worker's name for a project in ``folder``: its own, in the letters that a Worker's may have.

    Raises UserError if nothing is left of it or too much.
    """
    name = re.sub(r"[^a-z0-9-]+", "-", folder.name.lower()).strip("-")
    if name and len(name) <= LONGEST_NAME:
        return name
    why = f"is longer than {LONGEST_NAME} characters" if name else "has no letter or digit from a-z and 0-9"
    raise UserError(
        f"The folder's name '{folder.name}' cannot name a Worker: it {why}.",
        hint="Choose another folder, for example: pywrangler init my-app",
    )


def create_project(template: Template, folder: Path, name: str) -> list[Path]:
    """Write ``template`` into ``folder`` as the project ``name``; return the new files, relative to it.

    Raises UserError, and writes nothing, if the folder holds anything already or cannot be made.
    """
    _refuse_occupied(folder)
    try:
        return [_write(template, source, folder, name) for source in _sources(template.path)]
    except OSError as error:
        raise UserError(f"Cannot write {error.filename or folder}: {error.strerror}.") from error


def _refuse_occupied(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, not a folder.", hint="Choose another name for the project.")
    try:
        present = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise UserError(f"Cannot read {folder}: {error.strerror}.") from error
    occupying = [name for name in present if name not in HARMLESS]
    if occupying:
        raise UserError(
            f"The folder {folder} is not empty: it holds {', '.join(occupying[:3])}"
            + (f" and {len(occupying) - 3} more." if len(occupying) > 3 else "."),
            hint="Choose a new folder, for example: pywrangler init my-app",
        )


def _sources(root: Path) -> list[Path]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return [path for path in files if not LEFTOVERS.intersection(path.relative_to(root).parts)]


def _write(template: Template, source: Path, folder: Path, name: str) -> Path:
    relative = source.relative_to(template.path)
    relative = relative.with_name(RENAMED.get(relative.name, relative.name))
    target = folder / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes().replace(PLACEHOLDER.encode(), name.encode()))
    return relative
