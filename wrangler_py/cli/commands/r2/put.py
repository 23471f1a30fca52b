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
from wrangler_py.cli.commands.r2.place import ObjectPath, Place, find_place, with_bucket
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import AsJson, localized
from wrangler_py.errors import UserError

_CHUNK = 4 << 20
_TURN_S = 0.2


def _option(*names: str, metavar: str, help: str) -> Any:  # noqa: A002 - Typer's word
    return typer.Option(*names, metavar=metavar, help=help, show_default=False)


FileToUpload = Annotated[Path | None, _option("--file", "-f", metavar="FILE", help="File to upload.")]
FromPipe = Annotated[bool, typer.Option("--pipe", "-p", help="Upload what comes from stdin.")]
ContentType = Annotated[
    str | None, _option("--content-type", "--ct", metavar="TYPE", help="MIME type of the object.")
]
ContentDisposition = Annotated[
    str | None,
    _option("--content-disposition", "--cd", metavar="TEXT", help="How it is to be presented."),
]
ContentEncoding = Annotated[
    str | None, _option("--content-encoding", "--ce", metavar="NAME", help="How it is encoded, as gzip.")
]
ContentLanguage = Annotated[
    str | None, _option("--content-language", "--cl", metavar="TAG", help="Its language, as en-GB.")
]
CacheControl = Annotated[
    str | None, _option("--cache-control", "--cc", metavar="TEXT", help="How it may be cached.")
]
Expires = Annotated[
    str | None,
    _option("--expires", metavar="DATE", help="When it is stale: HTTP date, ISO 8601, or ms since 1970."),
]
StorageClass = Annotated[
    str | None, _option("--storage-class", "-s", metavar="NAME", help="Standard or InfrequentAccess.")
]


@localized
def put(
    local: Local,
    *,
    path: ObjectPath,
    file: FileToUpload = None,
    pipe: FromPipe = False,
    content_type: ContentType = None,
    content_disposition: ContentDisposition = None,
    content_encoding: ContentEncoding = None,
    content_language: ContentLanguage = None,
    cache_control: CacheControl = None,
    expires: Expires = None,
    storage_class: StorageClass = None,
    as_json: AsJson = False,
) -> None:
    """Create an object in a bucket.

    Example: pywrangler r2 object put my-bucket/logo.png --file logo.png --content-type image/png
    """
    _demand_one(file, pipe=pipe)
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
        text = f'Creating object "{place.key}"{kind} in bucket "{place.bucket}".'
        terminal.say(terminal.printable(text))
    stored = _upload(local, place, file, {"httpMetadata": http, "storageClass": storage_class})
    if as_json:
        terminal.print_json(stored)
    else:
        terminal.say("Upload complete.")


def _demand_one(file: Path | None, *, pipe: bool) -> None:
    if file is not None and pipe:
        raise typer.BadParameter("Arguments file and pipe are mutually exclusive")
    if file is None and not pipe:
        raise typer.BadParameter("Either the --file or --pipe options are required.")


def _upload(local: Local, place: Place, file: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    with _source(file) as source:
        stored = with_bucket(
            local, place.bucket, lambda bucket: bucket.put(place.key, _chunks(source), options)
        )
    assert stored is not None
    return {"bucket": place.bucket, "key": stored.key, "size": stored.size, "etag": stored.etag}


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
