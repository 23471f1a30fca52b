"""Arguments and options that several commands share, and the decorator that gives a command its `Target`."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from wrangler_py.cli.target import Target

WHERE = "Which session or state"

WorkflowName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the workflow.", show_default=False)
]
InstanceId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="ID of the instance, or 'latest' for the newest one.", show_default=False
    ),
]
InstanceIdOrLatest = Annotated[str, typer.Argument(metavar="ID", help="ID of the instance.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's answer as JSON, and nothing else.")]


def _target_options(
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="Configuration file.",
            rich_help_panel=WHERE,
            show_default=False,
        ),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(
            "--env", "-e", metavar="NAME", help="Environment of the configuration.", rich_help_panel=WHERE
        ),
    ] = None,
    persist_to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Directory of the stored state (.wrangler/state).", rich_help_panel=WHERE
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=1,
            max=65535,
            help="Port of the session (found by itself).",
            rich_help_panel=WHERE,
        ),
    ] = None,
    ip: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address of the session (127.0.0.1).", rich_help_panel=WHERE),
    ] = None,
    cwd: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run as if started in this directory.", rich_help_panel=WHERE),
    ] = None,
    local: Annotated[bool, typer.Option("--local", hidden=True)] = False,
) -> None:
    """Hold the signature; ``--local`` is wrangler's and means nothing here."""


TARGET_PARAMETERS = inspect.signature(_target_options).parameters


def targeted(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options of `Target`, and hand it the target as its first argument."""

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        chosen = {name: arguments.pop(name) for name in TARGET_PARAMETERS}
        chosen.pop("local")
        command(Target(**chosen), **arguments)

    own = list(inspect.signature(command).parameters.values())[1:]
    run.__signature__ = inspect.Signature([*own, *TARGET_PARAMETERS.values()])  # type: ignore[attr-defined]
    run.__annotations__ = {
        **get_type_hints(command, include_extras=True),
        **get_type_hints(_target_options, include_extras=True),
    }
    del run.__wrapped__
    return run
