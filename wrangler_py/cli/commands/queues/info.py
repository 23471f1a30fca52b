"""`pywrangler queues info`."""

from typing import Any

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.queues.known import Entry, QueueName, check, entry, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import AsJson, localized


@localized
def info(local: Local, *, name: QueueName, as_json: AsJson = False) -> None:
    """Show a queue: its producers, its consumer, and what it holds."""
    with opened(local, reads=True) as queues:
        check(local, queues, name)
        found = entry(local, queues, name)
    if as_json:
        terminal.print_json(found)
    else:
        _show(found)


def _show(found: Entry) -> None:
    from wrangler_py.cli.screens.tables import Line, labelled

    held = ", ".join(f"{found[key]} {word}" for key, word in _COUNTS.items())
    lines = [
        Line("Queue Name", found["queue"]),
        Line("Producers", ", ".join(found["producers"]) or "none in this project"),
        *_consumer_lines(found["consumer"]),
        Line("Messages", f"{found['messages']} ({held}), {found['bytes']} bytes"),
    ]
    terminal.screen().print(labelled(lines), soft_wrap=True, end="")


_COUNTS = {"waiting": "waiting", "delayed": "delayed", "in_flight": "in flight"}


def _consumer_lines(consumer: dict[str, Any] | None) -> list[Any]:
    from wrangler_py.cli.screens.tables import Line

    if consumer is None:
        return [Line("Consumer", "none in this project")]
    return [
        Line("Consumer", consumer["script"]),
        Line("Batches", f"{consumer['max_batch_size']} messages or {consumer['max_batch_timeout']} s, "
             f"{consumer['max_concurrency']} at a time"),
        Line("Retries", f"{consumer['max_retries']}, after {consumer['retry_delay']} s"),
        Line("Dead Letter Queue", consumer["dead_letter_queue"] or "none: messages are deleted"),
    ]  # fmt: skip
