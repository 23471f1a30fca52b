"""Tracebacks as a user reads them: their own frames, paths relative to the project, and nothing of ours."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

from wrangler_py.runtime.project import is_user_file

#: Frames shown at most; a recursion without end has a thousand.
MAX_FRAMES = 20
CAUSED = "which caused:"
#: Exceptions of a group shown at most.
MAX_MEMBERS = 15


def readable(error: BaseException, roots: tuple[Path, ...]) -> str:
    """Return the traceback of ``error`` restricted to files under ``roots``, with what caused it first.

    A SyntaxError shows the line and a caret. The last line is ``Type: message``.
    """
    return f"\n{CAUSED}\n".join(_whole(each, roots) for each in _chain(error))


def summary(error: BaseException) -> str:
    """Return ``Type: message`` on one line."""
    return traceback.format_exception_only(error)[-1].strip().splitlines()[0]


def _chain(error: BaseException) -> list[BaseException]:
    """Return ``error`` behind everything that led to it, oldest first."""
    chain, seen = [error], {id(error)}
    while (before := _before(chain[-1])) is not None and id(before) not in seen:
        chain.append(before)
        seen.add(id(before))
    return chain[::-1]


def _before(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def _whole(error: BaseException, roots: tuple[Path, ...]) -> str:
    """Return an error with the exceptions of a group behind it, indented."""
    texts = [_one(error, roots)]
    if isinstance(error, BaseExceptionGroup):
        for number, member in enumerate(error.exceptions[:MAX_MEMBERS], 1):
            texts += [
                f"  exception {number} of {len(error.exceptions)}:",
                indent(readable(member, roots), "    "),
            ]
    return "\n".join(texts)


def _one(error: BaseException, roots: tuple[Path, ...]) -> str:
    frames = list(_user_frames(error, roots))[-MAX_FRAMES:]
    lines = (
        ["Traceback of your code (most recent call last):\n", *traceback.format_list(frames)]
        if frames
        else []
    )
    return "".join([*lines, *_last_lines(error, roots)]).rstrip()


def _user_frames(error: BaseException, roots: tuple[Path, ...]) -> Iterator[traceback.FrameSummary]:
    for frame in traceback.extract_tb(error.__traceback__):
        if is_user_file(frame.filename, roots):
            yield traceback.FrameSummary(
                _shown(frame.filename, roots), frame.lineno, frame.name, lookup_line=False, line=frame.line
            )


def _last_lines(error: BaseException, roots: tuple[Path, ...]) -> list[str]:
    lines = traceback.format_exception_only(error)
    if isinstance(error, SyntaxError) and error.filename:
        lines = [line.replace(error.filename, _shown(error.filename, roots)) for line in lines]
    return lines


def _shown(filename: str, roots: tuple[Path, ...]) -> str:
    """Return a path relative to the outermost root that holds it."""
    for root in roots:
        if Path(filename).is_relative_to(root):
            return str(Path(filename).relative_to(root))
    return filename
