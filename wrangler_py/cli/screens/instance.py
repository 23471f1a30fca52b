"""`instances describe`: the picture in the docs' guide, section 6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrangler_py.cli.screens import times, words
from wrangler_py.cli.screens.tables import Line, fits, labelled, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Step = dict[str, Any]
#: What the end of an unfinished step is, by its type.
PLANNED = {"sleep": "Wakes At", "waitForEvent": "Times Out At"}


@dataclass(frozen=True)
class Picture:
    """What to show: ``output_limit`` in characters, None for steps without output."""

    workflow: str
    now_ms: int
    output_limit: int | None = 5000

    def print(self, console: Console, detail: dict[str, Any]) -> None:
        """Write the instance, then each of its steps."""
        console.print(labelled(self.head(detail)), soft_wrap=True, end="")
        stack(console, detail.get("error"))
        console.print("Steps:", style="bold")
        for step in detail["steps"]:
            console.print()
            console.print(labelled(self.step(step), indent="  "), soft_wrap=True, end="")
            if step.get("attempts"):
                console.print(attempts(console, step, self.now_ms))
            for one in (*step.get("attempts", ()), step):
                stack(console, one.get("error"))

    def head(self, detail: dict[str, Any]) -> list[Line]:
        """Return the lines about the instance itself."""
        lines = [
            Line("Workflow Name", self.workflow),
            Line("Instance Id", detail["id"]),
            Line("Version Id", detail.get("versionId") or words.MISSING),
            Line("Status", words.status(detail["status"]), words.COLOURS.get(detail["status"], "")),
            Line("Trigger", words.trigger((detail.get("trigger") or {}).get("source"))),
            *self._schedule(detail.get("schedule")),
            Line("Queued", times.local(detail["queued"])),
        ]
        return lines + self._course(detail) + self._result(detail)

    def _schedule(self, schedule: dict[str, Any] | None) -> list[Line]:
        """What created the instance by itself, and for which minute."""
        if not schedule:
            return []
        return [Line("Schedule", f"{schedule['cron']} ({times.local_at(schedule['scheduledTime'])})")]

    def _course(self, detail: dict[str, Any]) -> list[Line]:
        lines: list[Line] = []
        if detail.get("success") is not None:
            lines.append(Line("Success", words.success(detail["success"])))
        return lines + self._period(detail)

    def _period(self, record: dict[str, Any], *, finished: bool = True) -> list[Line]:
        """Start, end and duration; ``finished`` false means that the end is only planned."""
        start, end = record.get("start"), record.get("end") if finished else None
        if start is None:
            return []
        lines = [Line("Start", times.local(start))]
        if end is not None:
            lines.append(Line("End", times.local(end)))
        return [*lines, Line("Duration", times.between(start, end, self.now_ms))]

    def _result(self, detail: dict[str, Any]) -> list[Line]:
        lines: list[Line] = []
        last = last_successful(detail["steps"])
        if last:
            lines.append(Line("Last Successful Step", last))
        if detail.get("error"):
            lines.append(Line("Error", words.error(detail["error"]), "red"))
        if detail.get("rollback"):
            lines.append(rollback(detail["rollback"]))
        if detail.get("output") is not None:
            lines.append(Line("Output", words.output(detail["output"], self.output_limit)))
        return lines + [Line("Warning", warning, "yellow") for warning in detail.get("warnings") or []]

    def step(self, step: Step) -> list[Line]:
        """Return the lines about one step."""
        kind = Line("Type", words.step_type(step["type"]))
        if step["type"] == "termination":
            return [kind, Line("Trigger", (step.get("trigger") or {}).get("source") or words.MISSING)]
        body = self._do(step) if "attempts" in step else self._pause(step)
        return [Line("Name", step["name"]), kind, *body]

    def _do(self, step: Step) -> list[Line]:
        lines = [*self._period(step), Line("Success", words.success(step["success"]))]
        if step.get("retry_at"):
            lines.append(self._at("Retries At", step["retry_at"]))
        if step["success"] and step["type"] != "rollback" and self.output_limit is not None:
            lines.append(Line("Output", words.output(step.get("output"), self.output_limit)))
        return lines

    def _pause(self, step: Step) -> list[Line]:
        """Return the lines of a sleep or of a wait for an event."""
        lines = self._period(step, finished=step["finished"])
        if step.get("event_type"):
            lines.append(Line("Event Type", step["event_type"]))
        if not step["finished"] and step.get("end"):
            lines.append(self._at(PLANNED.get(step["type"], "Until"), step["end"]))
        if step.get("error"):
            lines.append(Line("Error", words.error(step["error"]), "red"))
        elif "output" in step and step["finished"] and self.output_limit is not None:
            lines.append(Line("Output", words.output(step["output"], self.output_limit)))
        return lines

    def _at(self, label: str, instant: str) -> Line:
        return Line(label, f"{times.local(instant)} ({times.from_now(instant, self.now_ms)})", "yellow")


def stack(console: Console, error: dict[str, Any] | None) -> None:
    """Write the user's frames of an error, if the answer has them here: each stack stands in it once."""
    lines = words.stack(error)
    if lines:
        console.print("".join(f"    {line}\n" for line in lines), style="dim", soft_wrap=True, end="")


def rollback(outcome: dict[str, Any]) -> Line:
    """Return the line that says how the rollbacks of an instance ended."""
    if outcome["outcome"] == "complete":
        return Line("Rollback", words.attempt(True))
    return Line("Rollback", f"{words.attempt(False)} {words.error(outcome.get('error'))}".rstrip(), "red")


def last_successful(steps: list[Step]) -> str | None:
    """Return the name of the last step that ended well."""
    for step in reversed(steps):
        if step["type"] == "rollback":
            continue
        if step.get("success") or (step.get("finished") and not step.get("error")):
            return str(step["name"])
    return None


def attempts(console: Console, step: Step, now_ms: int) -> Table:
    """Return the table of a step's attempts; too wide, it loses the day, which the step's own lines show."""
    whole = _attempts(console, step, now_ms, short=False)
    if fits(console, whole) or not _on_one_day(step):
        return whole
    return _attempts(console, step, now_ms, short=True)


def _on_one_day(step: Step) -> bool:
    tries = step["attempts"]
    return all(times.same_day(step["start"], at) for one in tries for at in (one["start"], one["end"]))


def _attempts(console: Console, step: Step, now_ms: int, *, short: bool) -> Table:
    headers = ["Start", "End", "Duration", "State"]
    rows = [_attempt(one, now_ms, short=short) for one in step["attempts"]]
    if any(one.get("error") for one in step["attempts"]):
        headers.append("Error")
        for row, one in zip(rows, step["attempts"], strict=True):
            row.append(words.error(one.get("error")))
    return table(console, headers, rows)


def _attempt(one: dict[str, Any], now_ms: int, *, short: bool) -> list[str]:
    show = times.time_of_day if short else times.local
    end = show(one["end"]) if one.get("end") else ""
    length = times.between(one["start"], one.get("end"), now_ms)
    return [show(one["start"]), end, length, words.attempt(one.get("success"))]
