"""`pywrangler workflows list`."""

from typing import Annotated, Any

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.client import Page
from wrangler_py.cli.options import AsJson, targeted
from wrangler_py.cli.target import Target

HEADERS = ["Name", "Script name", "Class name", "Created", "Modified"]
STACKS = [(0,), (1, 2), (3, 4)]
KEEP = (2, 0)


@targeted
def list_workflows(
    target: Target,
    *,
    page: Annotated[int, typer.Option(metavar="N", min=1, help="Which page to show.")] = 1,
    per_page: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=100, help="Workflows on a page.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the workflows of this project."""
    with target.reader() as client:
        answer = client.workflows(page=page, per_page=per_page)
    if as_json:
        terminal.print_json(answer.items)
    elif answer.items:
        _show(answer, page)
    else:
        terminal.warn(_nothing(page))


def _nothing(page: int) -> str:
    if page > 1:
        return f"No Workflows found on page {page}. Please try a smaller page number."
    return "There are no Workflows in this project. Declare one under [[workflows]] in its configuration."


def _show(answer: Page, page: int) -> None:
    from wrangler_py.cli.screens import tables, words

    amount = words.counted(len(answer.items), "workflow")
    terminal.say(f"Showing last {amount}:" if page == 1 else f"Showing {amount} from page {page}:")
    console = terminal.screen()
    rows = [_row(item) for item in answer.items]
    console.print(tables.table(console, HEADERS, rows, tables.Narrow(STACKS, KEEP)))


def _row(item: dict[str, Any]) -> list[str]:
    from wrangler_py.cli.screens.times import local

    dates = [local(item.get("created_on")), local(item.get("modified_on"))]
    return [item["name"], item.get("script_name") or "", item.get("class_name") or "", *dates]
