"""Tables and labelled lines that lose nothing in a narrow terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wrangler_py.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Rows = list[list[str]]
#: Characters that a column needs at least.
READABLE = 10


class Line(NamedTuple):
    """``label: value``; ``style`` is Rich's, for the value."""

    label: str
    value: str
    style: str = ""


class Narrow(NamedTuple):
    """How a table becomes narrower: which columns are put together, and which of those are folded last."""

    stacks: Sequence[Sequence[int]]
    keep: Sequence[int] = ()


def table(console: Console, headers: list[str], rows: Rows, narrow: Narrow | None = None) -> Table:
    """Return a table of ``rows``.

    Where it does not fit the console, the columns that ``narrow`` stacks become one, their values below each
    other; what is then still too wide is folded, never cut.
    """
    whole = _table(headers, rows)
    if narrow is None or fits(console, whole):
        return whole
    stacked = _table(_stack(headers, narrow.stacks), [_stack(row, narrow.stacks) for row in rows])
    _keep_whole(console, stacked, narrow.keep)
    return stacked


def _keep_whole(console: Console, stacked: Table, keep: Sequence[int]) -> None:
    """Fix the widths of the columns ``keep``, so that others are folded, as long as they stay readable."""
    from rich.measure import Measurement

    borders = 3 * len(stacked.columns) + 1
    left, others = console.width - borders, len(stacked.columns)
    for column in (stacked.columns[number] for number in keep):
        widest = max(Measurement.get(console, console.options, cell).maximum for cell in column.cells)
        if left - widest >= READABLE * (others - 1):
            column.width, left, others = widest, left - widest, others - 1


def fits(console: Console, wide: Table) -> bool:
    """Return True if no cell of ``wide`` has to be folded."""
    from rich.measure import Measurement

    return Measurement.get(console, console.options.update(max_width=100_000), wide).maximum <= console.width


def _table(headers: Iterable[str], rows: Rows) -> Table:
    from rich import box
    from rich.table import Table

    made = Table(box=box.SQUARE, show_lines=True, header_style="bold")
    for header in headers:
        made.add_column(printable(header), overflow="fold")
    for row in rows:
        made.add_row(*(printable(cell) for cell in row))
    return made


def _stack(cells: list[str], stacks: Sequence[Sequence[int]]) -> list[str]:
    return ["\n".join(cells[column] for column in together) for together in stacks]


def labelled(lines: list[Line], *, indent: str = "") -> Text:
    """Return the lines with their values in one column; a long value is left to the terminal to wrap."""
    from rich.text import Text

    width = max(len(line.label) for line in lines) + len(":  ")
    text = Text(no_wrap=True, overflow="ignore", end="")
    for line in lines:
        text.append(f"{indent}{line.label + ':':<{width}}", style="bold")
        text.append(f"{line.value}\n", style=line.style)
    return text
