"""The tree of commands. A command's module is imported when it is run or listed by ``--help``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from wrangler_py import __version__
from wrangler_py.cli import terminal
from wrangler_py.cli.failures import FAILED, leave, show_lost

COMMANDS = "wrangler_py.cli.commands"


class LazyGroup(TyperGroup):
    """A group that knows where its commands are: ``name -> module:function``, or a Typer for a group."""

    #: In the order of ``--help``.
    members: ClassVar[dict[str, str | typer.Typer]] = {}
    #: Other spellings that work and are not shown.
    aliases: ClassVar[dict[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class's signature
        """Return the names ``--help`` shows."""
        return list(self.members)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return the command of that name, imported now, or None."""
        name = self.aliases.get(cmd_name, cmd_name)
        if name not in self.commands and name in self.members:
            self.commands[name] = _load(name, self.members[name])
        return self.commands.get(name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a mistyped one is answered with the nearest name there is."""
        if self.get_command(ctx, args[0]) is None:
            self.commands = {name: self.get_command(ctx, name) for name in self.members}
        return super().resolve_command(ctx, args)


def _load(name: str, member: str | typer.Typer) -> Any:
    if isinstance(member, typer.Typer):
        command = typer.main.get_command(member)
    else:
        module, _, function = member.partition(":")
        single = _typer()
        single.command(name)(getattr(import_module(f"{COMMANDS}.{module}"), function))
        command = typer.main.get_command(single)
    command.name = name
    return command


def _typer(group: type[LazyGroup] | None = None) -> typer.Typer:
    return typer.Typer(
        cls=group,
        no_args_is_help=group is not None,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _group(cls: type[LazyGroup], text: str) -> typer.Typer:
    """Return a group; its callback does nothing but tell Typer that it is one: its commands come later."""
    made = _typer(cls)
    made.callback(help=text)(lambda: None)
    return made


class InstancesGroup(LazyGroup):
    """`pywrangler workflows instances`."""

    members: ClassVar = {
        "list": "instances.list:list_instances",
        "describe": "instances.describe:describe",
        "watch": "instances.watch:watch",
        "send-event": "instances.send_event:send_event",
        "pause": "instances.pause:pause",
        "resume": "instances.resume:resume",
        "restart": "instances.restart:restart",
        "terminate": "instances.terminate:terminate",
        "terminate-all": "instances.terminate_all:terminate_all",
        "delete": "instances.delete:delete",
    }


class WorkflowsGroup(LazyGroup):
    """`pywrangler workflows`."""

    members: ClassVar = {
        "list": "workflows.list:list_workflows",
        "describe": "workflows.describe:describe",
        "trigger": "workflows.trigger:trigger",
        "delete": "workflows.delete:delete",
        "diagram": "workflows.diagram:diagram",
        "instances": _group(InstancesGroup, "Look at and steer the instances of a workflow."),
    }
    aliases: ClassVar = {"instance": "instances"}


class KvKeyGroup(LazyGroup):
    """`pywrangler kv key`."""

    members: ClassVar = {
        "put": "kv.put:put",
        "get": "kv.get:get",
        "list": "kv.list:list_keys",
        "delete": "kv.delete:delete",
    }


class KvGroup(LazyGroup):
    """`pywrangler kv`."""

    members: ClassVar = {"key": _group(KvKeyGroup, "Read and write single keys of a namespace.")}


class D1MigrationsGroup(LazyGroup):
    """`pywrangler d1 migrations`."""

    members: ClassVar = {
        "create": "d1.migrations.create:create",
        "list": "d1.migrations.list:list_migrations",
        "apply": "d1.migrations.apply:apply",
    }


class D1Group(LazyGroup):
    """`pywrangler d1`."""

    members: ClassVar = {
        "list": "d1.list:list_databases",
        "execute": "d1.execute:execute",
        "migrations": _group(D1MigrationsGroup, "Change the tables of a database, step by step."),
    }


class R2ObjectGroup(LazyGroup):
    """`pywrangler r2 object`."""

    members: ClassVar = {
        "put": "r2.put:put",
        "get": "r2.get:get",
        "delete": "r2.delete:delete",
    }


class R2Group(LazyGroup):
    """`pywrangler r2`."""

    members: ClassVar = {"object": _group(R2ObjectGroup, "Read and write single objects of a bucket.")}


class PagesGroup(LazyGroup):
    """`pywrangler pages`."""

    members: ClassVar = {"dev": "pages.dev:dev"}


class QueuesGroup(LazyGroup):
    """`pywrangler queues`."""

    members: ClassVar = {
        "list": "queues.list:list_queues",
        "info": "queues.info:info",
        "send": "queues.send:send",
        "purge": "queues.purge:purge",
    }


class VersionsGroup(LazyGroup):
    """`pywrangler versions`."""

    members: ClassVar = {"list": "versions.list:list_versions"}


class DeploymentsGroup(LazyGroup):
    """`pywrangler deployments`."""

    members: ClassVar = {"list": "deployments.list:list_deployments"}


class TokensGroup(LazyGroup):
    """`pywrangler tokens`."""

    members: ClassVar = {
        "create": "tokens.create:create",
        "list": "tokens.list:list_tokens",
        "revoke": "tokens.revoke:revoke",
    }


class RootGroup(LazyGroup):
    """`pywrangler`. The one place where failures of commands become messages and exit codes."""

    members: ClassVar = {
        "init": "init:init",
        "dev": "dev:dev",
        "serve": "serve:serve",
        "deploy": "deploy:deploy",
        "rollback": "rollback:rollback",
        "versions": _group(VersionsGroup, "Look at the versions that were deployed."),
        "deployments": _group(DeploymentsGroup, "Look at which version was active when."),
        "tokens": _group(TokensGroup, "Say who may speak to the API of a `pywrangler serve`."),
        "pages": _group(PagesGroup, "Run a Pages project: static files and functions."),
        "types": "types:types",
        "workflows": _group(WorkflowsGroup, "List, trigger and look at workflows and their instances."),
        "kv": _group(KvGroup, "Look at and change what Workers KV keeps."),
        "d1": _group(D1Group, "Query D1 databases, and apply their migrations."),
        "r2": _group(R2Group, "Look at and change what R2 buckets hold."),
        "queues": _group(QueuesGroup, "Look at queues, send messages to them, and empty them."),
    }
    aliases: ClassVar = {"workflow": "workflows"}

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Typer's own exceptions (usage, exit) pass."""
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            if _is_typers(error):
                raise
            leave(error, verbose=bool(ctx.params.get("verbose")))


def _is_typers(error: BaseException) -> bool:
    """True for exits, usage errors and a closed pipe: Typer handles them. Newer ones have click inside."""
    origin = type(error).__module__.partition(".")[0]
    return origin in {"typer", "click"} or isinstance(error, BrokenPipeError)


def _show_version(asked: bool) -> None:
    if asked:
        terminal.say(__version__)
        raise typer.Exit


app = _typer(RootGroup)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-v", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show tracebacks of errors that are pywrangler's own.")
    ] = False,
) -> None:
    """Cloudflare Workflows for Python, on your own machine.

    Start with `pywrangler init my-app`, then `pywrangler dev` in that folder.
    """


def run() -> None:
    """Run the command line of this process and exit."""
    terminal.prepare()
    code: Any = FAILED
    try:
        app(prog_name="pywrangler")
    except SystemExit as end:
        code = end.code
    except OSError as error:  # Typer writes help outside of any command.
        if error is not terminal.lost_output():
            raise
    if (lost := terminal.lost_output()) is not None:
        show_lost(lost)
        code = code or FAILED
    sys.exit(code)
