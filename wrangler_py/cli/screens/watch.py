"""`instances watch`: live in a terminal, a line a change in a pipe, a document a change as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from wrangler_py.cli import terminal
from wrangler_py.cli.screens import times, words
from wrangler_py.clock import SystemClock

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

    from wrangler_py.clock import Clock


class View(Protocol):
    """A place where the states of an instance are shown; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, detail: dict[str, Any]) -> None:
        """Show a state."""
        ...


def chosen_view(workflow: str, *, as_json: bool) -> View:
    """Return the view that fits stdout."""
    import sys

    if as_json:
        return JsonView()
    if terminal.is_plain(sys.stdout):
        return LineView(workflow)
    return LiveView(workflow, terminal.screen())


class _Open:
    """What needs neither opening nor closing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class JsonView(_Open):
    """One JSON document a line, for each state that differs from the one before."""

    def __init__(self) -> None:
        self._last: dict[str, Any] | None = None

    def show(self, detail: dict[str, Any]) -> None:
        """Print it if it is new."""
        if detail != self._last:
            terminal.print_json(detail, indent=None)
            self._last = detail


class LineView(_Open):
    """A line for each step, and for the instance, whose state changed."""

    def __init__(self, workflow: str) -> None:
        self._workflow = workflow
        self._said: dict[int, str] = {}
        self._status = ""

    def show(self, detail: dict[str, Any]) -> None:
        """Print what is new."""
        is_final = detail["status"] in words.FINAL
        if not is_final:
            self._show_status(detail)
        for number, step in enumerate(detail["steps"]):
            self._show_step(number, step)
        if is_final:
            self._show_status(detail)

    def _show_status(self, detail: dict[str, Any]) -> None:
        text = words.status(detail["status"])
        if detail["status"] in words.FINAL and detail.get("error"):
            text += f": {words.error(detail['error'])}"
        if text != self._status:
            self._status = text
            terminal.say(f"{self._workflow} {detail['id']}  {text}")

    def _show_step(self, number: int, step: dict[str, Any]) -> None:
        text = f"{label(step)}  {state(step)}"
        if self._said.get(number) != text:
            self._said[number] = text
            terminal.say(f"  {text}")


class LiveView:
    """A screen that redraws itself: steps appear, sleeps count down, retries show when they start."""

    def __init__(self, workflow: str, console: Console, clock: Clock | None = None) -> None:
        from rich.live import Live

        self._workflow = workflow
        self._console = console
        self._clock = clock or SystemClock()
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, detail: dict[str, Any]) -> None:
        """Draw it; an instance that has ended is drawn with all its steps, which then scroll."""
        is_final = detail["status"] in words.FINAL
        self._live.vertical_overflow = "visible" if is_final else "crop"
        self._live.update(self._whole(detail) if is_final else self._fitting(detail), refresh=True)

    def _whole(self, detail: dict[str, Any]) -> RenderableType:
        return drawing(self._workflow, detail, self._clock.now())

    def _fitting(self, detail: dict[str, Any]) -> RenderableType:
        """Return the drawing with as many of the last steps as the terminal has lines for."""
        rows, room = max(1, self._console.height - 2), self._console.height - 1
        while True:
            picture = drawing(self._workflow, detail, self._clock.now(), rows)
            excess = len(self._console.render_lines(picture)) - room
            if excess <= 0 or rows == 1:
                return picture
            rows = max(1, rows - excess)


def drawing(workflow: str, detail: dict[str, Any], now_ms: int, rows: int | None = None) -> RenderableType:
    """Return the live picture, with the last ``rows`` steps."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    steps = detail["steps"]
    hidden = 0 if rows is None else max(0, len(steps) - rows)
    grid = Table.grid(padding=(0, 2, 0, 0))
    for step in steps[hidden:]:
        sign, _, name = label(step).partition(" ")
        grid.add_row(Text(f"  {sign}"), Text(name), Text(state(step, now_ms), style=_colour(step)))
    parts: list[RenderableType] = [_title(workflow, detail, now_ms)]
    if hidden:
        parts.append(Text(f"  ({words.counted(hidden, 'earlier step')})", style="dim"))
    return Group(*parts, grid, *_ending(detail))


def _title(workflow: str, detail: dict[str, Any], now_ms: int) -> RenderableType:
    from rich.text import Text

    title = Text.assemble((workflow, "bold"), f" {detail['id']}  ")
    title.append(words.status(detail["status"]), style=words.COLOURS.get(detail["status"], ""))
    if detail.get("start"):
        title.append(f"  {times.between(detail['start'], detail.get('end'), now_ms)}", style="dim")
    return title


def _ending(detail: dict[str, Any]) -> list[RenderableType]:
    from rich.text import Text

    lines = [Text(f"⚠ {warning}", style="yellow") for warning in detail.get("warnings") or []]
    if detail.get("error"):
        lines.append(Text(words.error(detail["error"]), style="red"))
    return list(lines)


def label(step: dict[str, Any]) -> str:
    """Return a step's sign and name."""
    sign = words.step_type(step["type"])
    return f"{sign.split(' ')[0]} {step['name']}" if "name" in step else sign


def state(step: dict[str, Any], now_ms: int | None = None) -> str:
    """Return what a step is doing; without the time, in words that do not change while time passes."""
    if step["type"] == "termination":
        return ""
    if "attempts" in step:
        return _do_state(step, now_ms)
    return _pause_state(step, now_ms)


def _do_state(step: dict[str, Any], now_ms: int | None) -> str:
    tries = step["attempts"]
    if step["success"] is not None or not tries:
        return _outcome(step, words.attempt(step["success"]))
    last = tries[-1]
    if last.get("success") is False:
        text = f"❌ attempt {len(tries)}{_of(step)} failed: {words.error(last.get('error'))}"
        return f"{text}; {_when('next', step['retry_at'], now_ms)}" if step.get("retry_at") else text
    return f"{words.attempt(None)}{_ordinal(step)}{_so_far(last['start'], now_ms)}"


def _ordinal(step: dict[str, Any]) -> str:
    count = len(step["attempts"])
    return f" (attempt {count}{_of(step)})" if count > 1 else ""


def _of(step: dict[str, Any]) -> str:
    """``/6`` where the retries are limited."""
    limit = ((step.get("config") or {}).get("retries") or {}).get("limit")
    return f"/{limit + 1}" if isinstance(limit, int) else ""


def _pause_state(step: dict[str, Any], now_ms: int | None) -> str:
    if step["finished"]:
        return _outcome(step, "❌ Error" if step.get("error") else "✅ Success")
    what = "wakes" if step["type"] == "sleep" else f'waits for "{step.get("event_type", "")}", gives up'
    return _when(what, step["end"], now_ms) if step.get("end") else what


def _outcome(step: dict[str, Any], word: str) -> str:
    text = f"{word} after {times.between(step['start'], step['end'], 0)}" if step.get("end") else word
    return f"{text}: {words.error(step['error'])}" if step.get("error") else text


def _when(what: str, instant: str, now_ms: int | None) -> str:
    if now_ms is None:
        return f"{what} at {times.local(instant)}"
    return f"{what} in {times.countdown(instant, now_ms)}"


def _so_far(start: str, now_ms: int | None) -> str:
    return "" if now_ms is None else f" {times.duration(now_ms - times.milliseconds(start))}"


def _colour(step: dict[str, Any]) -> str:
    if step.get("error") or step.get("success") is False:
        return "red"
    if step.get("success") or step.get("finished"):
        return "green"
    return "yellow" if step.get("retry_at") else "cyan"
