"""`pywrangler pages dev`: a site of static files and functions, on this machine."""

from pathlib import Path
from typing import Annotated, Any

import typer

from wrangler_py.cli.commands.dev import (
    ConfigFiles,
    Environment,
    Ip,
    Level,
    NoReload,
    PersistTo,
    Port,
    read_level,
    serve,
)
from wrangler_py.errors import UserError

BINDINGS = "Bindings, beside those of the configuration"


def _repeated(metavar: str, short: str, long: str, help_text: str) -> Any:
    return typer.Option(
        long, short, metavar=metavar, help=help_text, rich_help_panel=BINDINGS, show_default=False
    )


Directory = Annotated[
    Path | None,
    typer.Argument(
        metavar="DIR",
        help="Folder of the static files (pages_build_output_dir of the configuration).",
        show_default=False,
    ),
]
Variables = Annotated[list[str] | None, _repeated("KEY=VALUE", "-b", "--binding", "A variable.")]
Services = Annotated[
    list[str] | None, _repeated("NAME=WORKER[#CLASS]", "-s", "--service", "A service binding.")
]
Namespaces = Annotated[list[str] | None, _repeated("NAME[=ID]", "-k", "--kv", "A KV namespace.")]
Databases = Annotated[list[str] | None, _repeated("NAME[=ID]", "-d", "--d1", "A D1 database.")]
Buckets = Annotated[list[str] | None, _repeated("NAME[=BUCKET]", "-r", "--r2", "An R2 bucket.")]
Objects = Annotated[
    list[str] | None, _repeated("NAME=CLASS@WORKER", "-o", "--do", "A Durable Object of a Worker.")
]
CompatibilityDate = Annotated[
    str | None, typer.Option(metavar="DATE", help="As in the configuration.", show_default=False)
]


def dev(  # noqa: PLR0917 - Typer reads the options from it
    directory: Directory = None,
    config: ConfigFiles = None,
    env: Environment = None,
    port: Port = None,
    ip: Ip = None,
    binding: Variables = None,
    service: Services = None,
    kv: Namespaces = None,
    d1: Databases = None,
    r2: Buckets = None,
    do: Objects = None,
    compatibility_date: CompatibilityDate = None,
    persist_to: PersistTo = None,
    log_level: Level = "log",
    no_reload: NoReload = False,
) -> None:
    """Serve the static files in DIR, and before them the functions in the folder `functions`.

    Without a configuration file the options say it all. Further --config files are Workers of the same session, which
    the functions reach by service bindings; those of other sessions are found by themselves.

    Example: pywrangler pages dev public --service WORKFLOWS=my-workflows
    """
    serve(
        lambda: {
            "config": tuple(config) if config else (_find_config(has_directory=directory is not None),),
            "env": env,
            "ip": ip,
            "port": port,
            "persist_to": persist_to,
            "log_level": read_level(log_level),
            "reload": not no_reload,
            "overrides": {
                **_directory(directory),
                **_lists(service=service, kv=kv, d1=d1, r2=r2),
                **_objects(do),
                **({"vars": dict(_pair(one, "--binding") for one in binding)} if binding else {}),
                **({"compatibility_date": compatibility_date} if compatibility_date else {}),
            },
        }
    )


def _find_config(*, has_directory: bool) -> Path:
    """Return the project's configuration, which need not be there if the command line names the folder."""
    from wrangler_py.config import FILE_NAMES, find

    found = next(filter(Path.is_file, (Path.cwd() / name for name in FILE_NAMES)), None)
    if found is None and not has_directory:
        found = find(Path.cwd())
    if found is not None:
        return found
    if not has_directory:
        raise UserError(
            "Which folder has the static files? There is no configuration here that says it.",
            hint="Name it: pywrangler pages dev public, or set pages_build_output_dir in wrangler.toml",
        )
    return Path.cwd() / "wrangler.toml"


def _directory(given: Path | None) -> dict[str, Any]:
    if given is None:
        return {}
    if not given.is_dir():
        raise UserError(f"There is no folder {given}.", hint="Name the folder of the static files.")
    return {"pages_build_output_dir": str(given.absolute())}


def _lists(**options: list[str] | None) -> dict[str, Any]:
    """Return the entries that ``--service``, ``--kv``, ``--d1`` and ``--r2`` stand for."""
    return {
        section: [read(one) for one in options[name] or ()]
        for name, (section, read) in _SECTIONS.items()
        if options[name]
    }


def _service(text: str) -> dict[str, str]:
    name, target = _pair(text, "--service")
    service, hash_sign, entrypoint = target.partition("#")
    entry = {"binding": name, "service": service}
    return entry | {"entrypoint": entrypoint} if hash_sign else entry


def _named(key: str) -> Any:
    def read(text: str) -> dict[str, str]:
        name, equals, value = text.partition("=")
        return {"binding": name, key: value} if equals else {"binding": name}

    return read


def _objects(given: list[str] | None) -> dict[str, Any]:
    entries = []
    for text in given or ():
        name, target = _pair(text, "--do")
        class_name, at, script = target.partition("@")
        if not at:
            raise typer.BadParameter(f"{text!r} is not NAME=CLASS@WORKER", param_hint="--do")
        entries.append({"name": name, "class_name": class_name, "script_name": script})
    return {"durable_objects": {"bindings": entries}} if entries else {}


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    return name, value


_SECTIONS = {
    "service": ("services", _service),
    "kv": ("kv_namespaces", _named("id")),
    "d1": ("d1_databases", _named("database_id")),
    "r2": ("r2_buckets", _named("bucket_name")),
}
