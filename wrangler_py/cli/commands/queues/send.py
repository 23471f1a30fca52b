"""`pywrangler queues send`."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.queues.known import QueueName, check, opened
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized
from wrangler_py.cli.payloads import parse_json
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.bindings.queues import QueueProducer


class ContentType(StrEnum):
    """What a body typed at a prompt can be."""

    JSON = "json"
    TEXT = "text"


@localized
def send(
    local: Local,
    *,
    name: QueueName,
    body: Annotated[
        str, typer.Argument(metavar="BODY", help="The message: JSON, or text.", show_default=False)
    ],
    content_type: Annotated[ContentType, typer.Option(help="What BODY is.")] = ContentType.JSON,
    delay: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", min=0, max=43_200, help="Deliver it so much later.", show_default=False
        ),
    ] = None,
) -> None:
    """Send a message to a queue; a running session delivers it, or the next one that is started."""
    from wrangler_py.bindings.queues import QueueProducer

    message = parse_json(body, "BODY") if content_type is ContentType.JSON else body
    with opened(local) as queues:
        check(local, queues, name)
        producer = QueueProducer(queues, name, _own_delay(local, name))
        _send(producer, message, {"contentType": content_type.value, "delaySeconds": delay})
    terminal.say(f"Sent a message to Queue '{name}'" + (f", to be delivered in {delay} s" if delay else ""))


def _own_delay(local: Local, queue: str) -> int:
    return next((one.delivery_delay for one in local.config.resources.producers if one.queue == queue), 0)


def _send(producer: "QueueProducer", body: Any, options: dict[str, Any]) -> None:
    from wrangler_py.bindings.failures import QueueError

    try:
        asyncio.run(producer.send(body, options))
    except QueueError as error:
        raise UserError(error.message) from None
