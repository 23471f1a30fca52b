"""`pywrangler deploy`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wrangler_py.cli import terminal
from wrangler_py.cli.options import Message, RemoteTarget, RemoteToken, configured
from wrangler_py.cli.target import Target
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.cli.bundling import Files
    from wrangler_py.cli.remote import Remote
    from wrangler_py.config import Config

Tag = Annotated[str | None, typer.Option(metavar="TEXT", help="A tag of the version.")]
Var = Annotated[
    list[str] | None, typer.Option(metavar="NAME:VALUE", help="A variable, before the configuration's.")
]
SecretsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Secrets to set, as JSON or NAME=value lines; others stay as they are."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be uploaded, and upload nothing.")]


@configured
def deploy(
    where: Target,
    *,
    target: RemoteTarget = None,
    token: RemoteToken = None,
    message: Message = None,
    tag: Tag = None,
    var: Var = None,
    secrets_file: SecretsFile = None,
    dry_run: DryRun = False,
) -> None:
    """Deploy this Worker: to a `pywrangler serve`, or to Cloudflare with `--target cloudflare`.

    It is started before it takes over; what cannot start changes nothing. Instances end on the version that began them.
    """
    from wrangler_py.cli import bundling
    from wrangler_py.cli.remote import open_remote
    from wrangler_py.config.upload import to_metadata

    config = where.load_config()
    files = bundling.collect(config)
    metadata = to_metadata(config, bundling.main_module(config), message=message, tag=tag)
    _add(metadata, "plain_text", _variables(var or []))
    _add(metadata, "secret_text", _secrets(secrets_file))
    _show_upload(config, files)
    if dry_run:
        terminal.say("--dry-run: exiting now.")
        return
    _deploy(open_remote(config, target, token), config, metadata, files)


def _deploy(remote: Remote, config: Config, metadata: dict[str, Any], files: Files) -> None:
    from wrangler_py.cli import bundling, release

    if remote.is_cloudflare:
        _warn_of_cloudflare(config, bundling.gzip_size(files))
    began = time.monotonic()
    version = release.upload(remote, config, metadata, files)
    terminal.say(f"Uploaded {config.name} ({time.monotonic() - began:.2f} sec)")
    began = time.monotonic()
    lines = list(release.put_triggers(remote, config))
    terminal.say(f"Deployed {config.name} triggers ({time.monotonic() - began:.2f} sec)")
    for line in lines:
        terminal.say(f"  {line}")
    terminal.say(f"Current Version ID: {version}")


def _warn_of_cloudflare(config: Config, gzipped: int) -> None:
    from wrangler_py.cli import bundling

    if gzipped > bundling.FREE_GZIP_BYTES:
        terminal.warn("More than 3 MiB compressed: Cloudflare's free plan will refuse it.")
    if config.resources.consumers:
        terminal.warn("Queue consumers are set by Cloudflare's own tool: npx wrangler queues consumer add")


def _show_upload(config: Config, files: Files) -> None:
    from wrangler_py.cli import bundling
    from wrangler_py.runtime.inventory import list_bindings

    size, packed = bundling.size_of(files), bundling.gzip_size(files)
    terminal.say(f"Total Upload: {bundling.kib(size)} / gzip: {bundling.kib(packed)}")
    lines = [line for line in list_bindings(config) if line.kind != "Secret"]
    if lines:
        terminal.say("Your worker has access to the following bindings:")
    for kind in dict.fromkeys(line.kind for line in lines):
        terminal.say(f"- {kind}:")
        for line in lines:
            if line.kind == kind:
                terminal.say(f"  - {line.name}: {line.detail}")


def _add(metadata: dict[str, Any], kind: str, values: dict[str, str]) -> None:
    """Give the metadata text bindings, in the place of what is called the same."""
    kept = [one for one in metadata["bindings"] if one["name"] not in values]
    metadata["bindings"] = [
        *kept,
        *({"name": name, "type": kind, "text": text} for name, text in values.items()),
    ]


def _variables(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        name, colon, value = one.partition(":")
        if not colon or not name.isidentifier():
            raise typer.BadParameter(f"{one!r} is not NAME:VALUE", param_hint="--var")
        found[name] = value
    return found


def _secrets(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The secrets cannot be read from {path}: {error}") from None
    if text.lstrip().startswith("{"):
        return _secrets_of_json(path, text)
    from wrangler_py.config.dotenv import expand, read_dotenv

    return expand(read_dotenv(text))


def _secrets_of_json(path: Path, text: str) -> dict[str, str]:
    import msgspec

    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        # Not the text around it: it may be a secret.
        raise UserError(f"{path} is not a JSON object of texts: {error}") from None
