"""`pywrangler r2 object delete`."""

from wrangler_py.cli import terminal
from wrangler_py.cli.commands.r2.place import ObjectPath, find_place, with_bucket
from wrangler_py.cli.local import Local
from wrangler_py.cli.options import localized


@localized
def delete(local: Local, *, path: ObjectPath) -> None:
    """Delete an object in a bucket; one that is not there is no error.

    Example: pywrangler r2 object delete my-bucket/logo.png
    """
    place = find_place(local, path)
    terminal.say(terminal.printable(f'Deleting object "{place.key}" from bucket "{place.bucket}".'))
    with_bucket(local, place.bucket, lambda bucket: bucket.delete(place.key))
    terminal.say("Delete complete.")
