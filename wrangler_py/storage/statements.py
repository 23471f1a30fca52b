"""SQL text cut into statements, by the rules SQLite itself goes by: strings, comments and triggers may hold ``;``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wrangler_py.storage.tokens import TOKEN

_EMPTY = re.compile(r"(?:\s+|;|--[^\n]*|/\*.*?(?:\*/|\Z))*\Z", re.DOTALL)
_TRIGGER = re.compile(r"(?:EXPLAIN )?(?:QUERY PLAN )?CREATE (?:TEMP |TEMPORARY )?TRIGGER\b")
#: As many words as `_TRIGGER` may need.
_HEAD = 6


def split(sql: str) -> list[str]:
    """Return the statements of ``sql`` without their ``;``, and without pieces that are comments only."""
    pieces = (sql[start:end].strip() for start, end in _spans(sql))
    return [piece for piece in pieces if not is_empty(piece)]


def is_empty(sql: str) -> bool:
    """Say whether nothing but space and comments is there."""
    return _EMPTY.match(sql) is not None


def named_parameter(sql: str) -> str | None:
    """Return the first parameter like ``:name``, ``@name`` or ``$name``, or None."""
    found = (token.group() for token in TOKEN.finditer(sql) if token.lastgroup == "named")
    return next(found, None)


def offset_of(sql: str, wanted: str) -> int | None:
    """Return where, in bytes, the token ``wanted`` stands; None if it stands nowhere or more than once."""
    places = [token.start() for token in TOKEN.finditer(sql) if token.group() == wanted]
    return len(sql[: places[0]].encode()) if len(places) == 1 else None


def _spans(sql: str) -> Iterator[tuple[int, int]]:
    start, seen = 0, list[str]()
    for token in TOKEN.finditer(sql):
        if token.lastgroup == "space":
            continue
        if token.lastgroup == "end" and _may_end(seen):
            yield start, token.start()
            start, seen = token.end(), []
        else:
            # The head tells a trigger, the last two tell where it ends; what is between need not be kept.
            seen = [*seen[:_HEAD], *seen[_HEAD:][-1:], token.group().upper()]
    yield start, len(sql)


def _may_end(seen: list[str]) -> bool:
    """A trigger's last ``;`` is the one behind an END that itself follows a ``;`` (SQLite, `sqlite3_complete`)."""
    return not _TRIGGER.match(" ".join(seen[:_HEAD])) or seen[-2:] == [";", "END"]
