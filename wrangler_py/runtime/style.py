"""Colours, where they are wanted."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TextIO


class Style(StrEnum):
    """Codes of a terminal's ways to write."""

    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


def wants_colour(stream: TextIO) -> bool:
    """Return True for a terminal whose owner has not asked for plain text (``NO_COLOR``, ``CI``, ``TERM=dumb``)."""
    asked_plain = os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not asked_plain


def paint(text: str, *styles: Style, colour: bool) -> str:
    """Return ``text`` in the given styles if ``colour``, else as it is."""
    return f"\x1b[{';'.join(styles)}m{text}\x1b[0m" if colour and styles else text
