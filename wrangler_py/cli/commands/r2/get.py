"""`pywrangler r2 object get`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.r2.place import ObjectPath, Place, find_place, with_bucket
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.bindings.r2.bucket import R2Bucket


@localized
def get(
    local: Local,
    *,
    path: ObjectPath,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="File to write (the key's last part).", show_default=False
        ),
    ] = None,
    pipe: Annotated[bool, typer.Option("--pipe", "-p", help="Write the object to stdout instead.")] = False,
) -> None:
    """Fetch an object from a bucket.

    Example: pywrangler r2 object get my-bucket/logo.png --pipe | file -
    """
    if file is not None and pipe:
        raise typer.BadParameter("Arguments file and pipe are mutually exclusive")
    place = find_place(local, path)
    if pipe:
        _fetch(local, place, sys.stdout.buffer)
        return
    target = file or _named_after(place.key)
    terminal.say(terminal.printable(f'Downloading "{place.key}" from "{place.bucket}".'))
    with _whole(target) as output:
        _fetch(local, place, output)
    terminal.say("Download complete.")


def _named_after(key: str) -> Path:
    name = key.rpartition("/")[2]
    if name in ("", ".", ".."):
        raise UserError(f"The key '{key}' does not end in the name of a file.", hint="Name one: --file FILE")
    return Path(name)


def _fetch(local: Local, place: Place, output: BinaryIO) -> None:
    async def copy(bucket: "R2Bucket") -> None:
        from wrangler_py.bindings.r2.objects import R2ObjectBody

        found = await bucket.get(place.key)
        if not isinstance(found, R2ObjectBody):
            raise UserError(
                "The specified key does not exist.",
                hint=f"Nothing was written; the bucket '{place.bucket}' has no '{place.key}'.",
            )
        async for chunk in found.body:
            output.write(chunk)
        output.flush()

    with_bucket(local, place.bucket, copy, reads=True)


@contextmanager
def _whole(target: Path) -> Iterator[BinaryIO]:
    """Write beside ``target``, which has its old contents until it has all of the new ones, or for ever."""
    target = Path(os.path.realpath(target))
    if target.exists() and not target.is_file():
        # A device or a pipe has no old contents; a folder says so.
        with _explained(target), target.open("wb") as output:
            yield output
        return
    partial = target.with_name(f".pywrangler-{os.getpid()}.part")
    try:
        with _explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("xb") as output:
                yield output
            partial.replace(target)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"Cannot write {target}: {error.strerror}.") from None
