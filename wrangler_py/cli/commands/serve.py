"""`pywrangler serve`: runs what is deployed to it, for as long as the machine does."""

from pathlib import Path
from typing import Annotated

import typer

from wrangler_py.cli.commands.dev import Level, read_level

FORMATS = ("text", "json")
PLANS = ("paid", "free")
MIB = 1024 * 1024

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Ip = Annotated[str, typer.Option(help="Address to listen on.")]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Processes of each version of each script.")]
PersistTo = Annotated[Path | None, typer.Option(help="Directory of the stored state (.wrangler/state).")]
Default = Annotated[
    str | None, typer.Option(metavar="SCRIPT", help="Script of requests whose host names none.")
]
AllowedHosts = Annotated[
    list[str] | None, typer.Option("--allowed-host", metavar="NAME", help="Another name the API answers to.")
]
LogFormat = Annotated[str, typer.Option(metavar="|".join(FORMATS), help="Lines for people, or for programs.")]
Grace = Annotated[float, typer.Option(min=0, max=3600, help="Seconds for what is in flight when it ends.")]
MaxBody = Annotated[int, typer.Option(min=1, metavar="MIB", help="Largest request body to a Worker, in MiB.")]
EnforceLimits = Annotated[
    bool, typer.Option("--enforce-limits", help="Apply creation rate and daily caps too.")
]
PlanName = Annotated[
    str, typer.Option("--plan", metavar="|".join(PLANS), help="Whose limits hold for all scripts.")
]


def serve(  # noqa: PLR0917 - Typer reads the options from it
    port: Port = 8787,
    ip: Ip = "127.0.0.1",
    workers: Workers = 1,
    persist_to: PersistTo = None,
    default: Default = None,
    allowed_host: AllowedHosts = None,
    log_level: Level = "log",
    log_format: LogFormat = "text",
    grace: Grace = 8.0,
    max_body: MaxBody = 100,
    enforce_limits: EnforceLimits = False,
    plan: PlanName = "paid",
) -> None:
    """Run the Workers deployed here, each version in processes of its own, until it is told to end.

    Deploy to it with `pywrangler deploy`. SIGTERM lets steps and requests in flight finish; instances go on at the next
    start. Who speaks to its API needs a token: `pywrangler tokens create NAME`.
    """
    _check("--log-format", log_format, FORMATS)
    _check("--plan", plan, PLANS)
    from wrangler_py.runtime.fleet.supervisor import run
    from wrangler_py.runtime.options import ServeOptions

    raise typer.Exit(
        run(
            ServeOptions(
                state_dir=(persist_to or Path(".wrangler", "state")).absolute(),
                ip=ip,
                port=port,
                workers=workers,
                default=default,
                allowed_hosts=tuple(allowed_host or ()),
                grace=grace,
                max_body=max_body * MIB,
                log_level=read_level(log_level),
                log_format="json" if log_format == "json" else "text",
                enforce_limits=enforce_limits,
                plan="free" if plan == "free" else "paid",
            )
        )
    )


def _check(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise typer.BadParameter(f"{given!r} is not one of {', '.join(known)}", param_hint=option)
