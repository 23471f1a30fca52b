"""SQL text cut into statements, by the rules SQLite itself goes by: strings, comments and triggers may hold ``;``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from wrangler_py.storage.tokens import TOKEN

_State = Literal["start", "plain", "explain", "create", "trigger", "semicolon", "end"]
#: By state, where a word leads; "" is any other token. It is the automaton of SQLite's `sqlite3_complete`: the last
#: ``;`` of a trigger is the one behind an END that itself follows a ``;``.
#: (It reads a second EXPLAIN and the like otherwise: no statement has one.)
_AUTOMATON: dict[_State, dict[str, _State]] = {
    "start": {"EXPLAIN": "explain", "CREATE": "create", "": "plain"},
    "plain": {"": "plain"},
    "explain": {"CREATE": "create", "": "explain"},
    "create": {"TEMP": "create", "TEMPORARY": "create", "TRIGGER": "trigger", "": "plain"},
    "trigger": {"": "trigger"},
    "semicolon": {"END": "end", "": "trigger"},
    "end": {"": "trigger"},
}
_START: _State = "start"
#: Where a ``;`` does not end the statement.
_INSIDE = frozenset({"trigger", "semicolon"})
_BLANK = frozenset({"space", "comment", "end"})


def split(sql: str) -> list[str]:
    """Return the statements of ``sql`` without their ``;``, and without pieces that are comments only.

    A comment in front of a statement stays with it. Takes time in proportion to the length of the text.
    """
    return [sql[start:end] for start, end in _spans(sql)]


def is_blank(sql: str) -> bool:
    """Return True if SQLite finds no statement in a text: only space, comments and ``;``."""
    return all(token.lastgroup in _BLANK for token in TOKEN.finditer(sql))


def first_word(sql: str) -> str:
    """Return the word a text begins with, behind space and comments, in capitals; "" if it is no word."""
    first = next((token for token in TOKEN.finditer(sql) if token.lastgroup not in _BLANK), None)
    return first.group().upper() if first is not None and first.lastgroup == "word" else ""


def named_parameter(sql: str) -> str | None:
    """Return the first parameter like ``:name``, ``@name`` or ``$name``, or None."""
    found = (token.group() for token in TOKEN.finditer(sql) if token.lastgroup == "named")
    return next(found, None)


def offset_of(sql: str, wanted: str) -> int | None:
    """Return where, in bytes, the token ``wanted`` stands; None if it stands nowhere or more than once."""
    places = [token.start() for token in TOKEN.finditer(sql) if token.group() == wanted]
    return len(sql[: places[0]].encode()) if len(places) == 1 else None


def _spans(sql: str) -> Iterator[tuple[int, int]]:
    """Yield where each statement begins, with the comments in front of it, and where its last token ends.

    Space behind that is left out by tokens and not by characters: the newline that ends a text may be all there is
    of a comment that was never closed, and without it SQLite takes ``/*`` for two operators.
    """
    begin, end, state = -1, 0, _START
    for token in TOKEN.finditer(sql):
        kind = token.lastgroup
        if kind == "space":
            continue
        if begin < 0:
            begin = token.start()
        if kind == "end" and state not in _INSIDE:
            if state != _START:
                yield begin, end
            begin, state = -1, _START
        elif kind == "end":
            state = "semicolon"
        elif kind != "comment":
            state = _following(state, token.group() if kind == "word" else "")
        end = token.end()
    if state != _START:
        yield begin, end


def _following(state: _State, word: str) -> _State:
    ways = _AUTOMATON[state]
    return ways.get(word.upper(), ways[""])
