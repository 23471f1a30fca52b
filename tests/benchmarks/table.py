"""One line of the benchmark table, and the table."""

from __future__ import annotations

from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Result(NamedTuple):
    """What was measured, the ceiling beside it, their ratio, and what we aim at."""

    name: str
    measured: str
    ceiling: str
    ratio: str
    target: str


def show(results: list[Result]) -> None:
    """Print the results as a table."""
    table = Table("benchmark", "measured", "raw ceiling", "ratio", "target")
    for result in results:
        table.add_row(*result)
    Console(width=130).print(table)
