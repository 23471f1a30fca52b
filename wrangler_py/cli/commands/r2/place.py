"""Which object an `r2 object` command is about, and speaking to its bucket."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn, TypeVar

import typer

from wrangler_py.cli.local import find_by_name
from wrangler_py.cli.stored import access
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.bindings.r2.bucket import R2Bucket
    from wrangler_py.cli.local import Local

T = TypeVar("T")
ObjectPath = Annotated[
    str,
    typer.Argument(
        metavar="BUCKET/KEY", help="The bucket, by name or binding, and the key.", show_default=False
    ),
]


class Place(NamedTuple):
    """A bucket's name, and a key in it."""

    bucket: str
    key: str


def find_place(local: "Local", path: str) -> Place:
    """Return what ``BUCKET/KEY`` names; raise UserError if the configuration has no such bucket."""
    name, slash, key = path.partition("/")
    if not (name and slash and key):
        raise UserError(
            f"The object path must be in the form of {{bucket}}/{{key}}: got '{path}'.",
            hint="For example: my-bucket/folder/file.txt",
        )
    buckets = local.config.resources.r2_buckets
    found = find_by_name(
        "bucket", name, buckets, lambda one: (one.bucket, one.binding), section="[[r2_buckets]]"
    )
    return Place(found.bucket, key)


def with_bucket(
    local: "Local", bucket: str, work: "Callable[[R2Bucket], Awaitable[T]]", *, reads: bool = False
) -> T:
    """Open a bucket and return what ``work`` does with it; raise UserError with the reason why R2 refuses.

    With ``reads`` nothing in the bucket is written.

    SIGTERM ends it as Ctrl-C does, at once: what it had begun to write is removed.
    """
    from wrangler_py.bindings.failures import R2Error

    try:
        with _ended_by_signals():
            return asyncio.run(_use(local, bucket, work, reads=reads))
    except R2Error as error:
        raise UserError(error.message) from None


async def _use(local: "Local", bucket: str, work: "Callable[[R2Bucket], Awaitable[T]]", *, reads: bool) -> T:
    from wrangler_py.bindings.r2 import KIND
    from wrangler_py.bindings.r2.bucket import R2Bucket
    from wrangler_py.clock import SystemClock

    with access(reads=reads):
        opened = R2Bucket(bucket, local.place(KIND, bucket), SystemClock())
        try:
            return await work(opened)
        finally:
            opened.close()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Not by the event loop's own handler: that one waits, and a read from a pipe may take for ever."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt
