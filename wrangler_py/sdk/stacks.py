"""The frames of an error that are the user's own, and what a person reads of them: CPython's form, causes first."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wrangler_py.serde import ErrorRecord

#: Frames kept of one error: a recursion without end has a thousand.
FIRST_FRAMES, LAST_FRAMES = 10, 40
_OURS = __package__.partition(".")[0]
_HEAD = "Traceback (most recent call last):"
_CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"


def user_traceback(trace: TracebackType | None) -> str:
    """Return a traceback without the frames of pywrangler and asyncio, "" if there are no others."""
    frames = [frame for frame in traceback.extract_tb(_first_user_frame(trace)) if _is_user(frame.filename)]
    if not frames:
        return ""
    lines = traceback.format_list(frames)
    if len(lines) > FIRST_FRAMES + LAST_FRAMES:
        left_out = len(lines) - FIRST_FRAMES - LAST_FRAMES
        lines[FIRST_FRAMES:-LAST_FRAMES] = [f"  [{left_out} frames left out]\n"]
    return "".join([f"{_HEAD}\n", *lines])


def _first_user_frame(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and not _is_user(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


@functools.cache
def _is_user(filename: str) -> bool:
    parts = filename.replace("\\", "/").split("/")
    return _OURS not in parts[-4:-1] and "asyncio" not in parts[-2:-1] and not filename.startswith("<frozen")


def stack_of(error: ErrorRecord) -> str:
    """Return what CPython prints of an error: its causes, frames, text and notes, and the members of a group.

    An error without any frame of the user, alone or among its causes and members, has none: "".
    """
    return "".join(_lines(error)) if _has_frames(error) else ""


def _has_frames(error: ErrorRecord) -> bool:
    others = (error.cause, error.context, *error.members)
    return bool(error.traceback) or any(_has_frames(other) for other in others if other is not None)


def _lines(error: ErrorRecord) -> Iterator[str]:
    for before, between in ((error.cause, _CAUSED), (error.context, _DURING)):
        if before is not None:
            yield from (*_lines(before), between)
    if error.members:
        yield from _group(error)
    else:
        yield from (error.traceback, *_text(error))


def _text(error: ErrorRecord) -> Iterator[str]:
    yield f"{error.name}: {error.message}".rstrip(": ") + "\n"
    yield from (f"{note}\n" for note in error.notes)


def _group(group: ErrorRecord) -> Iterator[str]:
    own = group.traceback.replace(_HEAD, f"Exception Group {_HEAD}", 1)
    yield from _indented((own, *_text(group)), "  | ", first="  + " if own else "  | ")
    for number, member in enumerate(group.members, 1):
        yield f"  {'+-+' if number == 1 else '  +'}---------------- {number} ----------------\n"
        yield from _indented(_lines(member), "    | ")
    yield "    +------------------------------------\n"


def _indented(texts: Iterator[str] | tuple[str, ...], margin: str, first: str = "") -> Iterator[str]:
    for line in "".join(texts).splitlines():
        yield f"{first or margin}{line}\n"
        first = ""
