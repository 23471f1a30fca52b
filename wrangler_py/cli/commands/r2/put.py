"""`pywrangler r2 object put`."""

import os
import select
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.r2.place import ObjectPath, find_place, with_bucket
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import AsJson, localized
from wrangler_py.errors import UserError

_CHUNK = 4 << 20
_TURN_S = 0.2


@localized
def put(
    local: Local,
    *,
    path: ObjectPath,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="File to upload.", show_default=False),
    ] = None,
    pipe: Annotated[bool, typer.Option("--pipe", "-p", help="Upload what comes from stdin.")] = False,
    content_type: Annotated[
        str | None, typer.Option("--content-type", "--ct", metavar="TYPE", help="MIME type of the object.")
    ] = None,
    content_disposition: Annotated[
        str | None,
        typer.Option("--content-disposition", "--cd", metavar="TEXT", help="How it is to be presented."),
    ] = None,
    content_encoding: Annotated[
        str | None,
        typer.Option("--content-encoding", "--ce", metavar="NAME", help="How it is encoded, as gzip."),
    ] = None,
    content_language: Annotated[
        str | None, typer.Option("--content-language", "--cl", metavar="TAG", help="Its language, as en-GB.")
    ] = None,
    cache_control: Annotated[
        str | None, typer.Option("--cache-control", "--cc", metavar="TEXT", help="How it may be cached.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="When it is stale: HTTP date, ISO 8601, or ms since 1970."),
    ] = None,
    storage_class: Annotated[
        str | None,
        typer.Option("--storage-class", "-s", metavar="NAME", help="Standard or InfrequentAccess."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an object in a bucket.

    Example: pywrangler r2 object put my-bucket/logo.png --file logo.png --content-type image/png
    """
    if file is not None and pipe:
        raise typer.BadParameter("Arguments file and pipe are mutually exclusive")
    if file is None and not pipe:
        raise typer.BadParameter("Either the --file or --pipe options are required.")
    place = find_place(local, path)
    http = {
        "contentType": content_type,
        "contentDisposition": content_disposition,
        "contentEncoding": content_encoding,
        "contentLanguage": content_language,
        "cacheControl": cache_control,
        "cacheExpiry": None if expires is None else _read_expiry(expires),
    }
    if not as_json:
        kind = "" if storage_class is None else f" with {storage_class} storage class"
        _say(f'Creating object "{place.key}"{kind} in bucket "{place.bucket}".')
    with _source(file) as source:
        options = {"httpMetadata": http, "storageClass": storage_class}
        stored = with_bucket(
            local, place.bucket, lambda bucket: bucket.put(place.key, _chunks(source), options)
        )
    assert stored is not None
    if as_json:
        terminal.print_json(
            {"bucket": place.bucket, "key": stored.key, "size": stored.size, "etag": stored.etag}
        )
    else:
        terminal.say("Upload complete.")


def _source(file: Path | None) -> BinaryIO:
    if file is None:
        return sys.stdin.buffer
    try:
        return file.open("rb")
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}.") from None


async def _chunks(source: BinaryIO) -> AsyncIterator[bytes]:
    """Nothing else goes on in this process, so that a read may wait."""
    try:
        while chunk := _read(source.fileno()):
            yield chunk
    except OSError as error:
        raise UserError(f"Cannot read {source.name}: {error.strerror}.") from None


def _read(descriptor: int) -> bytes:
    """Wait in short turns: a signal that comes just before a call that blocks would have to wait for its end."""
    while not select.select([descriptor], [], [], _TURN_S)[0]:
        pass
    return os.read(descriptor, _CHUNK)


def _read_expiry(text: str) -> Any:
    from email.utils import parsedate_to_datetime

    if text.isdecimal():
        return int(text)
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    raise typer.BadParameter(f"--expires: '{text}' is not a date.")


def _say(text: str) -> None:
    terminal.say(terminal.printable(text))
