"""Text of users on its way to disk and to terminals."""

from __future__ import annotations

import re

from wrangler_py.serde.refusals import type_name

#: Characters that play tricks on a terminal: control characters but line feed and tab, separators and directions that
#: reorder a line, and halves of surrogate pairs. Joiners stay: Persian, Hindi and many emoji are written with them.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def valid(text: str) -> str:
    r"""Return ``text`` as valid Unicode: half of a surrogate pair is written out, as ``\ud800``."""
    return text.encode("utf-8", "backslashreplace").decode()


def visible(text: str) -> str:
    r"""Return ``text`` with what would steer a terminal written out, as ``\x1b``; user data plays no tricks."""
    return text if text.isprintable() else _HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_json(text: str) -> str:
    r"""Return JSON that means the same, with what would steer a terminal in JSON's own escapes, as ``\u009b``."""
    return text if text.isprintable() else _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def show(value: object, limit: int = 200) -> str:
    """Return ``repr(value)`` for a message: valid, at most ``limit`` characters, also where a user's method raises."""
    try:
        text = valid(str.__str__(repr(value)))
    except Exception:  # noqa: BLE001 - a method of the user's class
        text = f"<{type_name(value)}>"
    return text if len(text) <= limit else f"{text[:limit]}..."
