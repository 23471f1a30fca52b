"""The words of a user's SQL, divided as SQLite's tokenizer divides them (its `tokenize.c`).

Each expression below takes whatever it has looked at, also where a quote or a comment is never closed. So reading a
text takes time in proportion to its length, whatever it contains.
"""

from __future__ import annotations

import re

#: The characters that a name may contain, inside of a character class: SQLite takes every character beyond ASCII.
NAME_CHARACTERS = r"A-Za-z0-9_$\x80-\U0010ffff"

#: A doubled quote inside a string makes two tokens side by side, which is the same for all who ask. ``/*`` at the very
#: end of a text is no comment. A byte order mark is space wherever a token may begin.
TOKEN = re.compile(
    rf"""(?P<space>\ufeff|[ \t\n\f\r][ \t\n\v\f\r]*)
       |(?P<comment>--[^\n]*|/\*(?:.*?\*/|.+))
       |(?P<quoted>'[^']*(?:'|\Z)|"[^"]*(?:"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z))
       |(?P<end>;)
       |(?P<number>\?[0-9]*)
       |(?P<named>[:@$](?:[{NAME_CHARACTERS}]|::)+(?:\([^ \t\n\v\f\r)]*\)?)?)
       |(?P<word>[{NAME_CHARACTERS}]+)
       |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
