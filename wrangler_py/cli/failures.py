"""How a command ends when something went wrong: a line for the user, a hint, an exit code."""

from __future__ import annotations

import os
import traceback
from typing import NoReturn

import typer

from wrangler_py.cli.terminal import complain, lost_output, note, printable
from wrangler_py.errors import StoreUnavailableError, UserError, WorkerLoadError

FAILED = 1
INTERRUPTED = 130
REPORT = (
    "Please report it with the command you ran; set PYWRANGLER_DEBUG=1, or say `pywrangler --verbose ...`, "
    "to see the traceback."
)


def leave(error: BaseException, *, verbose: bool = False) -> NoReturn:
    """Show ``error`` on stderr and end the command with the exit code it stands for."""
    if isinstance(error, KeyboardInterrupt):
        raise typer.Exit(INTERRUPTED)
    if error is lost_output():
        pass  # The command line says so when it ends.
    elif isinstance(error, UserError):
        _show_mistake(error)
    elif isinstance(error, StoreUnavailableError):
        # A full disk, or a database damaged inside: the message says what to do, and it is no bug of ours.
        complain(str(error))
    else:
        _show_bug(error, verbose=verbose or bool(os.environ.get("PYWRANGLER_DEBUG")))
    raise typer.Exit(FAILED)


def show_lost(error: OSError) -> None:
    """Complain that the output of a command was lost; a reader that has gone, as `head` does, need not know."""
    if not isinstance(error, BrokenPipeError):
        complain(f"The output could not be written: {error.strerror or error}")


def _show_mistake(error: UserError) -> None:
    if isinstance(error, WorkerLoadError) and error.traceback:
        note(error.traceback.rstrip())
    complain(str(error), error.hint)


def _show_bug(error: BaseException, *, verbose: bool) -> None:
    if verbose:
        note("".join(traceback.format_exception(error)).rstrip())
    text = printable("".join(traceback.format_exception_only(error))).strip().splitlines()
    complain(f"This is a bug in pywrangler: {text[-1] if text else type(error).__name__}", REPORT)
