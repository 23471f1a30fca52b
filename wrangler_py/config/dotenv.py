"""``.dev.vars`` and ``.env``: one ``NAME=value`` a line (wrangler's own rules: quotes, ``export``, comments)."""

from __future__ import annotations

import re
from pathlib import Path

_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.]*)[ \t]*=[ \t]*"""
    r"""("(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`|[^#\n]*)[ \t]*(?:\#.*)?$""",
    re.MULTILINE,
)
_ESCAPES = {"\\n": "\n", "\\r": "\r", "\\t": "\t", '\\"': '"', "\\\\": "\\"}


def read_dotenv(text: str) -> dict[str, str]:
    """Return the variables of a dotenv text; what does not look like one is passed over, as wrangler does."""
    return {match[1]: _unquote(match[2].strip()) for match in _LINE.finditer(text)}


def _unquote(raw: str) -> str:
    if len(raw) >= 2 and raw[0] == raw[-1] and raw[0] in "\"'`":
        inner = raw[1:-1]
        return re.sub(r"\\.", lambda match: _ESCAPES.get(match[0], match[0]), inner) if raw[0] == '"' else inner
    return raw


def secret_files(root: Path, env_name: str | None) -> list[Path]:
    """Return the files that hold secrets, the last one winning: ``.dev.vars[.env]`` if there is one, else ``.env`` files."""
    if env_name and (named := root / f".dev.vars.{env_name}").is_file():
        return [named]
    if (plain := root / ".dev.vars").is_file():
        return [plain]
    names = [".env", *([f".env.{env_name}"] if env_name else []), ".env.local"]
    names += [f".env.{env_name}.local"] if env_name else []
    return [root / name for name in names if (root / name).is_file()]
