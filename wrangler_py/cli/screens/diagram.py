"""`workflows diagram`: what a workflow does, as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from wrangler_py.engine.retry import DEFAULT_CONFIG
from wrangler_py.runtime.events import span

Node = dict[str, Any]
#: What runs at once, by when one goes on.
PARALLEL = {
    "all": "At once, all must succeed",
    "all_settled": "At once, until all have ended",
    "any": "At once, until one has succeeded",
    "race": "At once, until one has ended",
}
#: Blocks of `try`.
BLOCKS = {"try_block": "Try", "catch_block": "If it fails", "finally_block": "In the end"}
WAYS = {"loop": "🔁 Again and again", "if": "If", "try": "Guarded", "block": "In order"}
ENDS = {"break": "⏹ Leave the loop", "return": "⏹ End"}
#: Settings of a step that need not be told.
_DEFAULT = DEFAULT_CONFIG.shown


def tree_of(name: str, workflow: Node) -> Tree:
    """Return the tree of a workflow, ``{class_name, functions, nodes}`` as the API gives it."""
    head = Text.from_markup(f"[bold]{escape(name)}[/] ({escape(workflow['class_name'])})")
    tree = Tree(head, guide_style="dim")
    _grow(tree, workflow["nodes"])
    if not workflow["nodes"]:
        _add(tree, "[dim]no steps[/]")
    if workflow["functions"]:
        functions = _add(tree, "Functions")
        for function in workflow["functions"].values():
            _grow(_add(functions, f"[bold]{escape(function['name'])}[/]"), function["nodes"])
    return tree


def _grow(tree: Tree, nodes: list[Node]) -> None:
    for node in nodes:
        branch = _add(tree, _label(node))
        for label, inside in _parts(node):
            _grow(_add(branch, label) if label else branch, inside)


def _add(tree: Tree, markup: str) -> Tree:
    return tree.add(Text.from_markup(markup))


def _parts(node: Node) -> Iterator[tuple[str, list[Node]]]:
    """Give what is inside of a node, with a label of its own or none."""
    if "nodes" in node:
        yield "", node["nodes"]
    for way in node.get("branches", ()):
        yield f"[cyan]{escape(way['condition'] or 'else')}[/]", way["nodes"]
    for name, label in BLOCKS.items():
        if block := node.get(name):
            yield f"[cyan]{label}[/]", block["nodes"]


def _label(node: Node) -> str:
    kind = node["type"]
    if "name" in node:
        mark, note = _step(node)
        notes = "".join(f" · {one}" for one in (note, _course(node)) if one)
        return f"{mark} [bold]{escape(node['name'])}[/][dim]{notes}[/]"
    if kind == "parallel":
        return f"⇉ {PARALLEL[node['kind']]}"
    if kind == "switch":
        return f"By {escape(node['discriminant'])}"
    return ENDS[node["kind"]] if kind == "break" else WAYS[kind]


def _step(node: Node) -> tuple[str, str]:
    """Return the mark of what has a name, and a note."""
    match node["type"]:
        case "step_do":
            return "🎯", _settings(node["config"])
        case "step_sleep":
            return "💤", _duration(node["duration"])
        case "step_sleep_until":
            return "💤", f"until {escape(node['timestamp'])}"
        case "step_wait_for_event":
            options = node["options"]
            return "👀", f"{escape(options['event_type'])}, at most {_duration(options['timeout'])}"
        case _:
            return "→", "see below"


def _course(node: Node) -> str:
    """Say when a step that runs beside others is started and waited for."""
    if "starts" not in node:
        return ""
    end = f", awaited at {node['resolves']}" if "resolves" in node else ", not awaited"
    return f"starts at {node['starts']}{end}"


def _settings(config: Node) -> str:
    retries, said = config["retries"], []
    if retries["limit"] != _DEFAULT["retries"]["limit"]:
        said.append(f"retries {retries['limit']:g}")
    if config["timeout"] != _DEFAULT["timeout"]:
        said.append(f"timeout {_duration(config['timeout'])}")
    return ", ".join(said)


def _duration(value: float | str) -> str:
    """Return a duration as it was written, or what its milliseconds mean."""
    return escape(value) if isinstance(value, str) else span(value)
