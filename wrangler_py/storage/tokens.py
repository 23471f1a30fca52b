"""The words of a user's SQL, as SQLite itself divides it."""

from __future__ import annotations

import re

#: A doubled quote inside a string makes two tokens side by side, which is all the same here.
TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
       |(?P<quoted>'[^']*(?:'|\Z)|"[^"]*(?:"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z))
       |(?P<end>;)
       |(?P<number>\?\d*)
       |(?P<named>[:@$]\w+)
       |(?P<word>[\w$]+)
       |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
