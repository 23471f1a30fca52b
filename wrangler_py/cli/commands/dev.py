"""`pywrangler dev`: a local session that reloads what is saved."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.runtime.options import LogLevel

LEVELS = ("debug", "info", "log", "warn", "error", "none")
ENGINE = "Engine"

ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config", "-c", help="Configuration file; several for several Workers.", show_default=False
    ),
]
Environment = Annotated[str | None, typer.Option("--env", "-e", help="Environment of the configuration.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on (8787); 0 takes a free one.")
]
Ip = Annotated[str | None, typer.Option(help="Address to listen on (127.0.0.1).")]
Variables = Annotated[
    list[str] | None, typer.Option(metavar="KEY:VALUE", help="A variable, before those of the configuration.")
]
PersistTo = Annotated[Path | None, typer.Option(help="Directory of the stored state (.wrangler/state).")]
Level = Annotated[str, typer.Option(metavar="|".join(LEVELS), help="How much to say.")]
TestScheduled = Annotated[
    bool, typer.Option("--test-scheduled", help="Run the scheduled handler on a visit of /__scheduled.")
]
NoReload = Annotated[bool, typer.Option("--no-reload", help="Do not load what is saved.")]
DebugPort = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Let an editor attach with debugpy on this port.")
]
HibernateAfter = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION", help="What waits longer leaves memory (10 seconds).", rich_help_panel=ENGINE
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse what Cloudflare's SDK lacks.", rich_help_panel=ENGINE)
]
EnforceLimits = Annotated[
    bool,
    typer.Option("--enforce-limits", help="Apply creation rate and daily caps too.", rich_help_panel=ENGINE),
]


def dev(  # noqa: PLR0917 - Typer reads the options from it
    config: ConfigFiles = None,
    env: Environment = None,
    port: Port = None,
    ip: Ip = None,
    var: Variables = None,
    persist_to: PersistTo = None,
    log_level: Level = "log",
    test_scheduled: TestScheduled = False,
    no_reload: NoReload = False,
    debug_port: DebugPort = None,
    hibernate_after: HibernateAfter = None,
    strict: Strict = False,
    enforce_limits: EnforceLimits = False,
) -> None:
    """Run the Worker and its workflows on this machine, and load again what is saved.

    Instances are stored and go on by themselves, whatever happens to the session. With several --config, the first
    Worker has the port and its folder the state; the others listen beside it and share that state.
    """
    serve(
        lambda: {
            "config": tuple(config) if config else (_find_config(),),
            "env": env,
            "ip": ip,
            "port": port,
            "variables": dict(map(_variable, var or ())),
            "persist_to": persist_to,
            "log_level": read_level(log_level),
            "hibernate_after_ms": None if hibernate_after is None else _milliseconds(hibernate_after),
            "strict": strict,
            "enforce_limits": enforce_limits,
            "reload": not no_reload,
            "debug_port": debug_port,
            "test_scheduled": test_scheduled,
        }
    )


def serve(read_options: Callable[[], dict[str, Any]]) -> NoReturn:
    """Run a session by the `DevOptions` that ``read_options`` gives, and exit as it does."""
    from wrangler_py.runtime.spawn import Child

    # Before anything else is imported: on a second core, the worker's imports cost nothing.
    with Child() as first:
        from wrangler_py.runtime.options import DevOptions
        from wrangler_py.runtime.supervisor import run

        given = read_options()
        config = tuple(map(_without_detours, given.pop("config")))
        raise typer.Exit(run(DevOptions(config=config, **given), first))


def _find_config() -> Path:
    from wrangler_py.config import find

    found = find(Path.cwd())
    if found is None:
        raise UserError(
            f"No wrangler.toml, wrangler.jsonc or wrangler.json in {Path.cwd()} or above it.",
            hint="Go to a project's folder, name one with --config, or make one: pywrangler init my-app",
        )
    return found


def _without_detours(path: Path) -> Path:
    """Return the path as the file watch will name it: of a folder, it knows only the real name."""
    return path.parent.resolve() / path.name


def _variable(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise typer.BadParameter(f"{text!r} is not KEY:VALUE", param_hint="--var")
    return name, value


def read_level(text: str) -> "LogLevel":
    """Return a level by wrangler's word for it; raise BadParameter if there is none."""
    from wrangler_py.runtime.options import LogLevel

    if text not in LEVELS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(LEVELS)}", param_hint="--log-level")
    return LogLevel(text)


def _milliseconds(text: str) -> int:
    """Return a duration such as ``10 seconds``, or a bare number of milliseconds."""
    from wrangler_py.engine.durations import parse_duration
    from wrangler_py.errors import InvalidArgumentError

    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except InvalidArgumentError as error:
        raise typer.BadParameter(str(error), param_hint="--hibernate-after") from None
