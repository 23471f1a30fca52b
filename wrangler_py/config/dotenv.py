"""``.dev.vars`` and ``.env``: one ``NAME=value`` a line, read as wrangler reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from wrangler_py.config.diagnostics import Diagnostics
from wrangler_py.config.source import read_text

_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([\w.-]+)(?:[ \t]*=|:(?=[ \t]))[ \t]*"""
    r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|[^#\n]*)[ \t]*(?:\#[^\n]*)?$""",
    re.MULTILINE | re.DOTALL,
)
#: ``\$``, ``${NAME}`` and ``${NAME:-default}`` (a default may hold one more pair of braces), ``$NAME``.
_REFERENCE = re.compile(r"\\\$|\$\{(\w+)(?::?-((?:[^{}]|\{[^{}]*\})*))?\}|\$([A-Za-z_]\w*)")


def read_dotenv(text: str) -> dict[str, str]:
    """Return the variables of a dotenv text; what does not look like one is passed over, as wrangler does."""
    return {match[1]: _unquote(match[2].strip()) for match in _LINE.finditer(text)}


def _unquote(raw: str) -> str:
    if len(raw) < 2 or raw[0] != raw[-1] or raw[0] not in "\"'`":
        return raw
    inner = raw[1:-1]
    return inner.replace("\\n", "\n").replace("\\r", "\r") if raw[0] == '"' else inner


def expand(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values with each ``$NAME`` replaced by the earlier variable, or by its default, or nothing."""
    found: dict[str, str] = {}
    for name, value in values.items():
        found[name] = _replace(value, found)
    return found


def _replace(text: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[0] == "\\$":
            return "$"
        return known.get(match[1] or match[3]) or _replace(match[2] or "", known)

    return _REFERENCE.sub(value, text)


def secret_files(root: Path, env_name: str | None) -> tuple[Path, ...]:
    """Return where secrets may stand, be there a file or not: ``.dev.vars`` files, then ``.env`` files."""
    return tuple(root / name for name in (*_dev_vars(env_name), *_dotenv(env_name)))


def read_secrets(root: Path, env_name: str | None, diagnostics: Diagnostics) -> dict[str, str]:
    """Return the secrets: those of ``.dev.vars.<env>``, else of ``.dev.vars``, else of all ``.env`` files together.

    As in wrangler, the files are never mixed with each other, and only ``.env`` files know ``${NAME}``.
    """
    for path in (root / name for name in _dev_vars(env_name)):
        if path.is_file():
            return read_dotenv(read_text(path, diagnostics) or "")
    found: dict[str, str] = {}
    for path in (root / name for name in _dotenv(env_name)):
        if path.is_file():
            found |= read_dotenv(read_text(path, diagnostics) or "")
    return expand(found)


def _dev_vars(env_name: str | None) -> tuple[str, ...]:
    """Return the names, the preferred one first."""
    return (f".dev.vars.{env_name}", ".dev.vars") if env_name else (".dev.vars",)


def _dotenv(env_name: str | None) -> tuple[str, ...]:
    """Return the names; a later file wins."""
    return (".env", ".env.local", *((f".env.{env_name}", f".env.{env_name}.local") if env_name else ()))
