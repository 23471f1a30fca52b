"""Tables and labelled lines that lose nothing in a narrow terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Rows = list[list[str]]


class Line(NamedTuple):
    """``label: value``; ``style`` is Rich's, for the value."""

    label: str
    value: str
    style: str = ""


def table(console: Console, headers: list[str], rows: Rows, *, stacks: Sequence[Sequence[int]] = ()) -> Table:
    """Return a table of ``rows``.

    Where it does not fit the console, the columns that ``stacks`` names together become one, their values
    below each other; what is then still too wide is folded, never cut.
    """
    whole = _table(headers, rows)
    if not stacks or fits(console, whole):
        return whole
    return _table(_stack(headers, stacks), [_stack(row, stacks) for row in rows])


def fits(console: Console, wide: Table) -> bool:
    """Return True if no cell of ``wide`` has to be folded."""
    from rich.measure import Measurement

    return Measurement.get(console, console.options.update(max_width=100_000), wide).maximum <= console.width


def _table(headers: Iterable[str], rows: Rows) -> Table:
    from rich import box
    from rich.table import Table

    made = Table(box=box.SQUARE, show_lines=True, header_style="bold")
    for header in headers:
        made.add_column(header, overflow="fold")
    for row in rows:
        made.add_row(*row)
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
