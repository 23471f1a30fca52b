"""An uploaded script: read from a multipart body, and written as a folder. Nothing in it is trusted."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from wrangler_py.errors import RequestError
from wrangler_py.storage.deployments import CONFIG_FILE
from wrangler_py.storage.private import make_folder, opener

if TYPE_CHECKING:
    from wrangler_py.sdk.web.forms import FormData

#: Cloudflare's limits of a Worker (docs of Workers, "Limits"): 64 MB before compression. Bodies are taken as they are
#: sent, never unpacked: what is small on the wire and large in memory does not exist here.
MAX_BYTES = 64 * 1024 * 1024
MAX_FILES = 5_000
MAX_NAME = 512
METADATA = "metadata"
_SCRIPT = re.compile(r"[a-z0-9_][a-z0-9_-]{0,62}", re.IGNORECASE)


class Bundle(msgspec.Struct, frozen=True):
    """``files`` by their path with slashes, relative to the folder they are to be in."""

    metadata: Mapping[str, Any]
    files: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))

    def version_id(self, config: Mapping[str, Any]) -> str:
        """Return the id of what it is: the same files and configuration have the same one."""
        digest = hashlib.sha256(msgspec.json.encode(config, order="sorted"))
        for name in sorted(self.files):
            digest.update(b"\0" + name.encode() + b"\0" + hashlib.sha256(self.files[name]).digest())
        return str(uuid.UUID(bytes=digest.digest()[:16], version=5))


def check_script(name: str) -> str:
    """Return the name of a script; raise RequestError (400) if it is not one: it becomes the name of a folder."""
    if not _SCRIPT.fullmatch(name):
        raise RequestError(
            400, f"{name!r} is not a name for a script: letters, digits, - and _, up to 63 of them."
        )
    return name


def read_bundle(body: bytes, content_type: str) -> Bundle:
    """Return the upload in a multipart body.

    Raises:
        RequestError: 400, naming every problem; 413, too many or too large files.
    """
    from wrangler_py.sdk.web.forms import parse

    try:
        form = parse(body, content_type)
    except TypeError as error:
        raise RequestError(400, f"The upload cannot be read: {error}") from None
    files = _files(form)
    return Bundle(_metadata(form), files)


def _metadata(form: FormData) -> Mapping[str, Any]:
    found = form.get(METADATA)
    if found is None:
        raise RequestError(400, "The upload has no part called metadata.")
    try:
        text = found if isinstance(found, str) else found.content()
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestError(400, f"metadata: {error}") from None


def _files(form: FormData) -> dict[str, bytes]:
    from wrangler_py.sdk.web.blob import Blob

    files: dict[str, bytes] = {}
    problems = []
    for name, value in form.items():
        if name == METADATA:
            continue
        if (problem := _problem(name)) or name in files:
            problems.append(problem or f"{name!r} is there twice")
            continue
        files[name] = value.content() if isinstance(value, Blob) else value.encode()
    problems += _clashes(files)
    if problems:
        raise RequestError(400, *problems)
    if len(files) > MAX_FILES:
        raise RequestError(413, f"The upload has {len(files)} files; {MAX_FILES} are the most.")
    return files


def _problem(name: str) -> str | None:
    """Say what is wrong with the path of a file, if something is."""
    parts = name.split("/")
    if not name or len(name) > MAX_NAME or not name.isprintable() or "\\" in name or ":" in name:
        return f"{name[:MAX_NAME]!r} is not a path for a file"
    if any(part in {"", ".", ".."} for part in parts):
        return f"{name!r} leads out of the bundle"
    if parts[-1] in {CONFIG_FILE, "wrangler.jsonc", "wrangler.toml"} or any(
        part.startswith(".") for part in parts
    ):
        return f"{name!r} may not be uploaded"
    return None


def _clashes(files: Mapping[str, bytes]) -> list[str]:
    """Say which paths cannot be side by side: a file where another one needs a folder, or names that differ by case."""
    folders = {
        "/".join(parts[:count]) for parts in (n.split("/") for n in files) for count in range(1, len(parts))
    }
    found = [f"{name!r} is a file and a folder" for name in files if name in folders]
    lowered = {name.lower(): name for name in files}
    return found + [
        f"{name!r} and {lowered[name.lower()]!r} differ by case only"
        for name in files
        if lowered[name.lower()] != name
    ]


def write_bundle(bundle: Bundle, config: Mapping[str, Any], folder: Path) -> None:
    """Write the files and the configuration; when it returns they are on disk, past a loss of power too."""
    everything = {**bundle.files, CONFIG_FILE: msgspec.json.format(msgspec.json.encode(config), indent=2)}
    folders = {folder}
    for name, content in everything.items():
        path = folder / name
        make_folder(path.parent)
        folders.update(parent for parent in path.parents if parent.is_relative_to(folder))
        with open(path, "xb", opener=opener) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    for one in folders:
        sync_folder(one)


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files that `write_bundle` has written, without the configuration.

    What Python itself keeps there, compiled modules, is none of them.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path != folder / CONFIG_FILE:
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
