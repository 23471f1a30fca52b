"""`pywrangler workflows instances list`."""

from datetime import UTC, datetime, time
from typing import Annotated, Any

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.client import Page
from wrangler_py.cli.options import AsJson, WorkflowName, targeted
from wrangler_py.cli.target import Target
from wrangler_py.errors import UserError

HEADERS = ["Instance ID", "Version", "Created", "Modified", "Status"]
STACKS = [(0, 1), (2, 3), (4,)]
KEEP = (0, 1)
PER_PAGE = 25


@targeted
def list_instances(
    target: Target,
    *,
    name: WorkflowName,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only instances in this status.", show_default=False)
    ] = None,
    date_start: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only those created then or later (ISO 8601).")
    ] = None,
    date_end: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Only those created then or earlier; a day counts whole."),
    ] = None,
    page: Annotated[int, typer.Option(metavar="N", min=1, help="Which page to show.")] = 1,
    per_page: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Instances on a page.")
    ] = PER_PAGE,
    reverse: Annotated[bool, typer.Option("--reverse", help="Oldest first.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the instances of a workflow, newest first."""
    filters = {
        "status": _status(status),
        "date_start": _date(date_start, "--date-start", time.min),
        "date_end": _date(date_end, "--date-end", time.max),
    }
    direction = "asc" if reverse else "desc"
    with target.reader() as client:
        answer = client.instances(name, page=page, per_page=per_page, direction=direction, **filters)
    if as_json:
        terminal.print_json(answer.items)
    elif answer.items:
        _show(answer, page, per_page)
    else:
        terminal.warn(_nothing(name, page, filtered=any(filters.values())))


def _status(value: str | None) -> str | None:
    from wrangler_py.cli.screens.words import FILTERS

    if value is None or value in FILTERS:
        return value
    raise UserError(
        f'Looks like you have provided a invalid status "{value}". Valid statuses are: {", ".join(FILTERS)}'
    )


def _date(value: str | None, option: str, at: time) -> str | None:
    """Return the API's form of a date: without a time it means ``at`` of that day, without a zone UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise UserError(
            f'Looks like you have provided an invalid date "{value}" for {option}.',
            hint="Give an ISO 8601 date or timestamp, for example 2026-01-01 or 2026-01-01T13:00:00Z.",
        ) from error
    if len(value) <= len("2026-01-01"):
        moment = datetime.combine(moment, at)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nothing(name: str, page: int, *, filtered: bool) -> str:
    if page > 1:
        return f"No instances found on page {page}. Please try a smaller page number."
    if filtered:
        return f'No instances in workflow "{name}" matched the provided filters.'
    return (
        f'There are no instances in workflow "{name}". '
        f'You can trigger it with "pywrangler workflows trigger {name}"'
    )


def _show(answer: Page, page: int, per_page: int) -> None:
    from wrangler_py.cli.screens import tables, words

    terminal.say(f"Showing {words.counted(len(answer.items), 'instance')} from page {page}:")
    console = terminal.screen()
    rows = [_row(item) for item in answer.items]
    console.print(tables.table(console, HEADERS, rows, tables.Narrow(STACKS, KEEP)))
    total = answer.info.get("total_count") or 0
    if total > page * per_page:
        terminal.say(f"{words.counted(total, 'instance')} in all; the next page: --page {page + 1}")


def _row(item: dict[str, Any]) -> list[str]:
    from wrangler_py.cli.screens import times, words

    dates = [times.local(item.get("created_on")), times.local(item.get("modified_on"))]
    return [item["id"], item.get("version_id") or words.MISSING, *dates, words.status(item.get("status"))]
