"""The diagram of a workflow: what its code does, read from the source without running it.

    nodes      what a diagram is made of
    modules    the project's source files, parsed; what a name in one of them stands for
    texts      names, durations and settings as a diagram shows them
    values     what an expression may stand for: a coroutine, a task, a step
    frame      the state of reading one function
    calls, expressions, statements   the code of one function -> nodes, each built on the one before
    reader     a class: its `run()`, and the functions that calls lead to

The shapes are those of Cloudflare's API, ``GET /workflows/{name}/versions/{id}/graph``.
"""

from __future__ import annotations

from pathlib import Path

from wrangler_py.diagram.modules import Modules
from wrangler_py.diagram.nodes import Graph
from wrangler_py.diagram.reader import TooLargeError, read_workflow

__all__ = ["Graph", "draw"]


def draw(main: Path, class_name: str) -> Graph | None:
    """Return the diagram of the class ``class_name`` that the module in file ``main`` has; None if it has none.

    Nothing is run. Files that cannot be read or parsed, and code of other projects, count as empty. A class that is
    nested too deep to follow, or whose diagram would have no end, has none either.
    """
    modules = Modules(main.parent)
    found = modules.find_class(modules.module_of(main), class_name)
    try:
        return None if found is None else Graph(read_workflow(modules, *found))
    except (RecursionError, TooLargeError):
        return None
