"""Arguments and options that several commands share, and the decorator that gives a command its `Target`."""

import functools
import inspect
from collections.abc import Callable, Mapping
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
RemoteTarget = Annotated[
    str | None,
    typer.Option(
        metavar="URL|cloudflare",
        help="A `pywrangler serve` ($PYWRANGLER_TARGET, else http://127.0.0.1:8787), or Cloudflare.",
        show_default=False,
    ),
]
RemoteToken = Annotated[
    str | None, typer.Option(metavar="TOKEN", help="Its token ($PYWRANGLER_TOKEN).", show_default=False)
]
Message = Annotated[str | None, typer.Option(metavar="TEXT", help="A note, shown in the lists of versions.")]
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


_HINTS = get_type_hints(_target_options, include_extras=True)
TARGET_PARAMETERS = inspect.signature(_target_options).parameters


#: What only a session has: commands that read stored state themselves do without.
_OF_A_SESSION = ("port", "ip")
LOCAL_PARAMETERS = {
    name: parameter for name, parameter in TARGET_PARAMETERS.items() if name not in _OF_A_SESSION
}


def targeted(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options of `Target`, and hand it the target as its first argument."""
    return _with_options(command, TARGET_PARAMETERS, lambda target: target)


#: What finds a configuration, for commands that look at nothing else.
CONFIG_PARAMETERS = {name: TARGET_PARAMETERS[name] for name in ("config", "env", "cwd", "local")}


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options that find a configuration, and hand it the target as its first argument."""
    return _with_options(command, CONFIG_PARAMETERS, lambda target: target)


def localized(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options that find a project, and hand it the `Local` as its first argument."""

    def find(target: Target) -> Any:
        from wrangler_py.cli.local import open_local

        return open_local(target)

    return _with_options(command, LOCAL_PARAMETERS, find)


def _with_options(
    command: Callable[..., None],
    parameters: Mapping[str, inspect.Parameter],
    make: Callable[[Target], Any],
) -> Callable[..., None]:
    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        chosen = {name: arguments.pop(name) for name in parameters}
        chosen.pop("local")
        command(make(Target(**chosen)), **arguments)

    # Resolved: a module whose annotations are texts would leave Typer without them.
    hints = get_type_hints(command, include_extras=True)
    own = [one.replace(annotation=hints[one.name]) for one in _own_parameters(command)]
    run.__signature__ = inspect.Signature([*own, *parameters.values()])  # type: ignore[attr-defined]
    run.__annotations__ = {
        **hints,
        **{name: hint for name, hint in _HINTS.items() if name in parameters},
    }
    del run.__wrapped__
    return run


def _own_parameters(command: Callable[..., None]) -> list[inspect.Parameter]:
    return list(inspect.signature(command).parameters.values())[1:]
