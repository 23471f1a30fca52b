"""What a worker writes to the terminal: whole lines, the user's own with the instance and step they came from."""

from __future__ import annotations

import io
import sys
import threading
from typing import Any, TextIO

from wrangler_py.engine.instance.place import StepPlace, current_instance, current_step
from wrangler_py.runtime.style import Style, paint
from wrangler_py.serde import valid

#: Ids longer than this are shown by their beginning.
LONG_ID, ID_START = 16, 4
#: Unfinished lines kept, and characters of each, before they are written as they are.
MAX_PARTIALS, MAX_PARTIAL = 256, 65_536


def shown_id(instance_id: str) -> str:
    """Return an instance id short enough for a line: ``3f2a…`` for a UUID, the user's own and a schedule's in full."""
    is_whole = len(instance_id) <= LONG_ID or " " in instance_id
    return instance_id if is_whole else f"{instance_id[:ID_START]}…"


def shown_step(display: str) -> str:
    """Return a step's display name without the count of a first one: ``charge-1`` is ``charge``."""
    return display.removesuffix("-1")


def current_place() -> StepPlace | None:
    """Return the instance and step the running code belongs to, None outside of instances."""
    return current_step.get() or current_instance.get()


class Console:
    """Both streams of the process. Lines of several threads do not mix, and while a debugger talks, others wait.

    ``label``, the name of the Worker if there are several, stands before each line.
    """

    def __init__(self, out: TextIO, err: TextIO, *, colour: bool = False, label: str = "") -> None:
        self.out, self.err, self.colour = out, err, colour
        self._label = paint(f"[{label}]", Style.DIM, colour=colour) + " " if label else ""
        self._lock = threading.RLock()
        self._talker: int | None = None
        self._held: list[tuple[TextIO, str, bool]] = []
        self._unfinished: TextIO | None = None

    def line(self, text: str) -> None:
        """Write a line of pywrangler to standard output."""
        self.write(self.out, text + "\n")

    def write(self, stream: TextIO, text: str, *, own_line: bool = True) -> None:
        """Write ``text`` now; ``own_line``: on a line of its own, whatever stands there already."""
        with self._lock:
            if self._talker not in (None, threading.get_ident()):
                self._held.append((stream, text, own_line))
                return
            if own_line and self._unfinished is not None:
                self._put(self._unfinished, "\n")
                self._unfinished = None
            self._put(stream, self._labelled(text))
            self._unfinished = None if text.endswith("\n") else stream

    def hold(self) -> None:
        """Keep back what other threads write: the calling one talks with the user."""
        with self._lock:
            self._talker = threading.get_ident()

    def release(self) -> None:
        """Write what was kept back."""
        with self._lock:
            self._talker = None
            held, self._held = self._held, []
            for stream, text, own_line in held:
                self.write(stream, text, own_line=own_line)

    def _labelled(self, text: str) -> str:
        if not self._label:
            return text
        *lines, rest = text.split("\n")
        marked = [*(f"{self._label}{line}\n" for line in lines), f"{self._label}{rest}" if rest else ""]
        return "".join(marked) if self._unfinished is None else "".join(marked).removeprefix(self._label)

    def _put(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(_written_out(stream, text))
            stream.flush()
        except (OSError, ValueError):
            # The terminal or the pipe is gone; the work goes on.
            return

    def install(self) -> None:
        """Send what user code prints through here."""
        sys.stdout = UserStream(self, self.out)
        sys.stderr = UserStream(self, self.err)

    def finish(self) -> None:
        """Write what is still an unfinished line."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, UserStream):
                stream.finish()


def _written_out(stream: TextIO, text: str) -> str:
    r"""Return ``text`` with what the stream's encoding has no bytes for written out: a print must not be lost."""
    text, encoding = valid(text), stream.encoding or "utf-8"
    try:
        text.encode(encoding, stream.errors or "strict")
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


class UserStream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of user code: inside an instance every line begins with where it comes from."""

    def __init__(self, console: Console, stream: TextIO) -> None:
        self._console, self._stream = console, stream
        self._partial: dict[StepPlace, str] = {}
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the stream's encoding."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """Return how the stream treats what it cannot encode."""
        return self._stream.errors

    @property
    def buffer(self) -> Any:
        """Return the stream for bytes; what is written there gets no prefix."""
        return self._stream.buffer

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return True if it is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str, /) -> int:
        """Write text; inside an instance its last, unfinished line waits for its end."""
        place = current_place()
        if place is None:
            self._console.write(self._stream, text, own_line=False)
        else:
            self._write_lines(place, text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what can be written, is."""

    def finish(self) -> None:
        """Write all unfinished lines."""
        with self._lock:
            left, self._partial = self._partial, {}
        for place, text in left.items():
            self._emit(place, [text])

    def _write_lines(self, place: StepPlace, text: str) -> None:
        with self._lock:
            *lines, rest = (self._partial.pop(place, "") + text).split("\n")
            if len(rest) > MAX_PARTIAL:
                lines.append(rest)
            elif rest:
                self._partial[place] = rest
            overflow = next(iter(self._partial)) if len(self._partial) > MAX_PARTIALS else None
            oldest = self._partial.pop(overflow) if overflow is not None else ""
        if overflow is not None:
            self._emit(overflow, [oldest])
        self._emit(place, lines)

    def _emit(self, place: StepPlace, lines: list[str]) -> None:
        if lines:
            prefix = paint(_prefix(place), Style.DIM, colour=self._console.colour)
            self._console.write(self._stream, "".join(f"{prefix} {line}\n" for line in lines))


def _prefix(place: StepPlace) -> str:
    parts = [place.workflow, shown_id(place.instance_id), shown_step(place.step)]
    return f"[{' '.join(part for part in parts if part)}]"
