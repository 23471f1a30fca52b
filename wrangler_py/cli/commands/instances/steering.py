"""What pause, resume, restart and terminate share: one call, one line."""

from typing import Any, NamedTuple

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.instances.chosen import chosen
from wrangler_py.cli.target import Target


class Order(NamedTuple):
    """A command to an instance: the API's ``verb``, wrangler's sign and word for it, and where it leads."""

    verb: str
    sign: str
    done: str
    #: Statuses that show that it took effect.
    leads_to: frozenset[str]


LIVE = frozenset({"queued", "running", "waiting"})
PAUSE = Order("pause", "⏸️", "paused", frozenset({"paused", "waitingForPause"}))
RESUME = Order("resume", "🔄", "resumed", LIVE)
RESTART = Order("restart", "🥷", "restarted", LIVE | {"complete", "errored"})
TERMINATE = Order("terminate", "🥷", "terminated", frozenset({"terminated"}))
#: Its steps are undone first: until they are, it runs or waits.
ROLL_BACK = Order("terminate", "🥷", "terminated", frozenset({"terminated"}) | LIVE)


def steer(
    target: Target, order: Order, name: str, instance_id: str, *, as_json: bool, **options: Any
) -> None:
    """Give ``order`` to the instance and say what came of it; without effect it is a warning, exit code 0."""
    with target.client() as client:
        instance_id = chosen(client, name, instance_id, quiet=as_json)
        answer = client.set_status(name, instance_id, {"status": order.verb, **options})
    if as_json:
        terminal.print_json(answer)
        return
    _show(order, f'The instance "{instance_id}" from {name}', answer["status"])


def _show(order: Order, instance: str, status: str) -> None:
    from wrangler_py.cli.screens import words

    if status not in order.leads_to:
        terminal.warn(f"{instance} could not be {order.done}: its status is {words.status(status)}.")
        return
    terminal.say(f"{order.sign} {instance} was {order.done} successfully")
    if order is ROLL_BACK and status != "terminated":
        terminal.say(f"{words.status(status)}: its steps are undone first.")
    if status == "waitingForPause":
        terminal.say(f"{words.status(status)}: the steps in flight finish first.")
