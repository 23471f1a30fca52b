"""The console: plain text into pipes, colours and live screens into terminals.

Every line of a command passes through here, and none of them steers the terminal: text of users is written out.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer as Buffer
    from rich.console import Console

#: Wider than any table: what goes into a pipe is never folded.
UNLIMITED = 100_000


def is_plain(stream: TextIO) -> bool:
    """Return True if ``stream`` gets neither colours nor live screens (rest-and-cli, section 6)."""
    environment = os.environ
    unwanted = environment.get("NO_COLOR") or environment.get("CI") or environment.get("TERM") == "dumb"
    return bool(unwanted) or not stream.isatty()


def prepare() -> None:
    """Make the standard streams take every character, and Typer's help as plain as our own screens."""
    # Both are None where the caller has closed them, as `>&-` does.
    sys.stdout = _remembering(sys.stdout) if sys.stdout else _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if os.environ.get("CI"):
        os.environ.setdefault("_TYPER_FORCE_DISABLE_TERMINAL", "1")


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _remembering(stream: TextIO) -> TextIO:
    """Return standard output anew, so that `lost_output` knows of all that is written to it, text and bytes."""
    if not isinstance(stream, io.TextIOWrapper):  # Something that stands for it, in a notebook for example.
        return stream
    raw: Any = getattr(stream.buffer, "raw", stream.buffer)  # Python's option -u leaves the buffer out.
    return io.TextIOWrapper(
        _Output(raw),
        stream.encoding,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Output(io.BufferedWriter):
    """The bytes of standard output. Remembers why they could not be written, of a full disk for example."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__(raw)
        self.failure: OSError | None = None

    def write(self, data: Buffer) -> int:
        with self._remembered():
            return super().write(data)

    def flush(self) -> None:
        with self._remembered():
            super().flush()

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            # The rest of the buffer would fail again, with a traceback, when the interpreter ends.
            with contextlib.suppress(OSError, ValueError), _nowhere() as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            raise


def lost_output() -> OSError | None:
    """Return why something that was printed could not be written, None if all was."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    output = getattr(sys.stdout, "buffer", None)
    return output.failure if isinstance(output, _Output) else None


def screen(stream: TextIO | None = None) -> Console:
    """Return the Rich console for ``stream`` (stdout). Text is literal: data may hold ``[``, ``:x:`` and escapes."""
    from wrangler_py.cli.console import LiteralConsole

    stream = stream or sys.stdout
    plain = is_plain(stream)
    return LiteralConsole(
        file=stream,
        color_system=None if plain else "auto",
        force_terminal=False if plain else None,
        width=None if stream.isatty() else UNLIMITED,
        markup=False,
        highlight=False,
        emoji=False,
    )


def say(text: str) -> None:
    """Write a line to stdout."""
    typer.echo(printable(text))


def note(text: str) -> None:
    """Write a line for the person to stderr, beside what stdout is for."""
    typer.echo(printable(text), err=True)


def warn(text: str) -> None:
    """Write a warning to stderr; the exit code stays 0."""
    typer.echo(f"{_badge('▲ [WARNING]', 'yellow')} {printable(text)}", err=True)


def complain(text: str, hint: str | None = None) -> None:
    """Write an error to stderr, and on a line of its own what to do next."""
    typer.echo(f"{_badge('✘ [ERROR]', 'red')} {printable(text)}", err=True)
    if hint:
        typer.echo(f"  {printable(hint)}", err=True)


def print_json(value: Any, *, indent: int | None = 4) -> None:
    """Write ``value`` as JSON: what every ``--json`` prints. JSON's own escapes hide what would steer the terminal."""
    import json

    from wrangler_py.serde import visible_json

    typer.echo(visible_json(json.dumps(value, indent=indent, ensure_ascii=False)))


def printable(text: str) -> str:
    """Return ``text`` with what would steer the terminal shown as escapes."""
    if text.replace("\n", "").isprintable():
        return text
    from wrangler_py.serde import visible

    return visible(text)


def _badge(text: str, colour: str) -> str:
    return text if is_plain(sys.stderr) else typer.style(text, fg=colour, bold=True)
