"""What an upload takes over from the version before it: what it asks to keep, and what other calls have set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wrangler_py.config.upload import OWN, Binding, Metadata, read_metadata
from wrangler_py.errors import RequestError

#: The type of a binding that is to stay what it was.
INHERIT = "inherit"
#: Cloudflare's number for one that never was.
NOTHING_TO_INHERIT = 10057


def inherit(metadata: Mapping[str, Any], before: Sequence[Binding]) -> dict[str, Any]:
    """Return ``metadata`` with the bindings that it inherits from, or keeps of, those of the version ``before``.

    Raises:
        RequestError: 400, it cannot be read, or there is none of a name that is to be inherited.
    """
    read = read_metadata(metadata)
    known = {binding["name"]: binding for binding in before}
    named = [_named(one, known) for one in read.bindings]
    return {**metadata, "bindings": [*named, *_kept(read, before)]}


def _named(binding: Binding, known: Mapping[str, Binding]) -> Binding:
    if binding.get("type") != INHERIT:
        return binding
    name = str(binding.get("old_name", binding.get("name")))
    if name not in known:
        raise RequestError(
            400,
            f"metadata.bindings: {name!r} is to be inherited, and the version before has none",
            number=NOTHING_TO_INHERIT,
        )
    return {**known[name], "name": binding.get("name")}


def _kept(read: Metadata, before: Sequence[Binding]) -> Iterator[Binding]:
    taken = [binding.get("name") for binding in read.bindings]
    return (one for one in before if one["type"] in read.keep_bindings and one["name"] not in taken)


def keep_settings(metadata: Mapping[str, Any], config: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Give ``config`` the crons and queue consumers of ``before``, unless they came along with the upload.

    On Cloudflare they are set by calls of their own, and stay what they are when code is uploaded.
    """
    if OWN in metadata:
        return
    if "triggers" in before:
        config["triggers"] = before["triggers"]
    if consumers := before.get("queues", {}).get("consumers"):
        config.setdefault("queues", {})["consumers"] = consumers
