"""The typed ``Env`` that `pywrangler types` writes: what a configuration puts on ``env``, for type checkers.

It is a stub file, which Python never imports and Cloudflare never sees. Its first line holds a hash of what follows it
as we wrote it: a formatter may change the rest, and we still see whether the configuration says something new.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.registry import declared

if TYPE_CHECKING:
    from wrangler_py.config import Config

#: Module and class of what is bound, by its kind in the banner.
CLASSES = {
    "D1 Database": ("wrangler_py.bindings.d1.database", "D1Database"),
    "Durable Object": ("wrangler_py.bindings.durable.namespace", "Namespace"),
    "KV Namespace": ("wrangler_py.bindings.kv.namespace", "KvNamespace"),
    "Queue": ("wrangler_py.bindings.queues.producer", "QueueProducer"),
    "R2 Bucket": ("wrangler_py.bindings.r2.bucket", "R2Bucket"),
    "Send Email": ("wrangler_py.bindings.email.binding", "SendEmail"),
    "Worker": ("wrangler_py.bindings.service", "ServiceBinding"),
    "Workflow": ("wrangler_py.bindings.workflow", "WorkflowBinding"),
}
_HEADER = "# Written by `pywrangler types`; run it again when the configuration changes. Hash: {}"
_HASH = re.compile(re.escape(_HEADER).replace(r"\{\}", "([0-9a-f]{16})"))
_SEPARATOR = re.compile(r"[\W_]+")
#: Characters of a text that is still worth a ``Literal``.
_LITERAL = 80


def env_stub(config: Config, others: Sequence[Config] = (), *, strict_vars: bool = True) -> str:
    """Return the stub of a configuration, header first.

    Args:
        config: the environment whose bindings count.
        others: the configuration's other environments; a variable may have the value of any of them.
        strict_vars: a text is a ``Literal`` of its values, not any ``str``.
    """
    body = _Writer(strict_vars=strict_vars).body(config, others)
    return f"{_HEADER.format(_digest(body))}\n{body}"


def hash_of(stub: str) -> str | None:
    """Return the hash in a stub's first line, or None if it is no file of ours."""
    found = _HASH.match(stub)
    return None if found is None else found[1]


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


class _Writer:
    """Collects what the lines of ``Env`` need above them: imports, and a class for each JSON object."""

    def __init__(self, *, strict_vars: bool) -> None:
        self._strict_vars = strict_vars
        self._typing: set[str] = set()
        self._imports: set[tuple[str, str]] = set()
        self._objects: dict[str, list[str]] = {}

    def body(self, config: Config, others: Sequence[Config]) -> str:
        """Return all lines but the header."""
        env = _write_class("Env", list(self._lines(config, others)))
        objects = [_write_class(f"{name}(dict[str, Any])", lines) for name, lines in self._objects.items()]
        typing = f"from typing import {', '.join(sorted(self._typing))}" if self._typing else ""
        imports = "\n".join(f"from {module} import {name}" for module, name in sorted(self._imports))
        return "\n\n".join(filter(None, [typing, imports, *objects, env])) + "\n"

    def _lines(self, config: Config, others: Sequence[Config]) -> Iterator[str]:
        """Yield the attributes in the order of the banner: bindings, variables, secrets."""
        for one in declared(config):
            yield _attribute(one.name, self._binding(one.kind), one.detail)
        secrets = config.secrets if config.required_secrets is None else config.required_secrets
        for name in config.vars:
            if name not in secrets:
                values = [each.vars[name] for each in (config, *others) if name in each.vars]
                yield _attribute(name, self._variable(name, values))
        for name in secrets:
            yield _attribute(name, "str", "secret")

    def _binding(self, kind: str) -> str:
        self._imports.add(CLASSES[kind])
        return CLASSES[kind][1]

    def _variable(self, name: str, values: Sequence[Any]) -> str:
        texts = list(dict.fromkeys(value for value in values if isinstance(value, str)))
        if not self._strict_vars or not texts or any(len(text) > _LITERAL for text in texts):
            return self._union(name, values)
        literal = f"{self._of_typing('Literal')}[{', '.join(map(_quoted, texts))}]"
        return " | ".join([literal, *self._types(name, [one for one in values if not isinstance(one, str)])])

    def _union(self, name: str, values: Iterable[Any]) -> str:
        return " | ".join(self._types(name, values)) or self._of_typing("Any")

    def _types(self, name: str, values: Iterable[Any]) -> list[str]:
        return list(dict.fromkeys(self._type(name, value) for value in values))

    def _type(self, name: str, value: Any) -> str:
        match value:
            case None:
                return "None"
            case list():
                return f"list[{self._union(name, value)}]"
            case dict():
                return self._object(name, value)
            case _:
                return type(value).__name__

    def _object(self, name: str, value: Mapping[str, Any]) -> str:
        """Return the name of a class with these entries as attributes; values of the same shape share one."""
        title = "_" + "".join(part.capitalize() for part in _SEPARATOR.split(name))
        kinds = {key: self._type(f"{name}_{key}", item) for key, item in value.items()}
        lines = [_attribute(key, kind, taken=dict) for key, kind in kinds.items()]
        while self._objects.get(title, lines) != lines:
            title += "_"
        self._objects[title] = lines
        self._of_typing("Any")
        return title

    def _of_typing(self, name: str) -> str:
        self._typing.add(name)
        return name


def _write_class(head: str, lines: Sequence[str]) -> str:
    is_empty = all(line.lstrip().startswith("#") for line in lines)
    return "\n".join([f"class {head}:", *lines, *(["    ..."] if is_empty else [])])


def _attribute(name: str, kind: str, comment: str = "", *, taken: object = None) -> str:
    """Return the line of an attribute, or a comment if it cannot be one: ``taken`` has it, or it is no name."""
    if not name.isidentifier() or keyword.iskeyword(name) or hasattr(taken, name):
        return f"    # {_quoted(name)} can be read as [{_quoted(name)}] only"
    return f"    {name}: {kind}" + (f"  # {' '.join(comment.split())}" if comment else "")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
