"""The project's source files, parsed, and what a name in one of them stands for."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
#: Names of an import are followed through so many modules.
_FAR = 20


class Module(NamedTuple):
    """A parsed file: ``name`` as it is imported, ``is_package`` for an ``__init__.py``, and its top level by name."""

    name: str
    is_package: bool
    names: dict[str, ast.stmt]


class Found(NamedTuple):
    """What a name stands for, and in which module that is."""

    module: Module
    statement: ast.stmt


_EMPTY = Module("", is_package=False, names={})


class Modules:
    """The modules below one folder. What is not there, installed packages for one, is an empty module."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._parsed: dict[str, Module] = {}

    def module_of(self, path: Path) -> Module:
        """Return the module in the file ``path``, at the top of the folder."""
        return self.module(path.stem)

    def module(self, name: str) -> Module:
        """Return a module by its dotted name."""
        if name not in self._parsed:
            self._parsed[name] = self._parse(name)
        return self._parsed[name]

    def _parse(self, name: str) -> Module:
        parts = name.split(".")
        if not all(part.isidentifier() or len(parts) == 1 for part in parts):
            return _EMPTY
        place = self._root.joinpath(*parts)
        for path, is_package in ((place / "__init__.py", True), (place.with_name(f"{place.name}.py"), False)):
            try:
                tree = ast.parse(path.read_bytes())
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            return Module(name, is_package, _top_level(tree.body))
        return _EMPTY

    def find(self, module: Module, name: str) -> Found | None:
        """Return the definition that ``name`` stands for in a module, wherever it was imported from."""
        for _ in range(_FAR):
            statement = module.names.get(name)
            if statement is None:
                return None
            if not isinstance(statement, ast.ImportFrom):
                return Found(module, statement)
            origin = next(one.name for one in statement.names if (one.asname or one.name) == name)
            module, name = self._origin(module, statement), origin
        return None

    def named(self, module: Module, path: str) -> Found | None:
        """Return what ``name`` or ``module.name``, written in a module, stands for."""
        # ``import shop.mail`` gives the name ``shop.mail``, as far as we are concerned.
        alias, _, name = path.rpartition(".")
        return self._member(module, alias, name) if alias else self.find(module, name)

    def _member(self, module: Module, alias: str, name: str) -> Found | None:
        statement = module.names.get(alias)
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            return None
        origin = next(one.name for one in statement.names if (one.asname or one.name) == alias)
        if isinstance(statement, ast.Import):
            return self.find(self.module(origin), name)
        package = self._origin(module, statement).name
        return self.find(self.module(f"{package}.{origin}" if package else origin), name)

    def find_class(self, module: Module, name: str) -> tuple[Module, ast.ClassDef] | None:
        """Return a class by name, and the module that defines it."""
        found = self.find(module, name)
        return (
            (found.module, found.statement) if found and isinstance(found.statement, ast.ClassDef) else None
        )

    def method(self, module: Module, owner: ast.ClassDef, name: str) -> tuple[Module, Function] | None:
        """Return a method of a class or of its bases, and the module that defines it."""
        return self._method(module, owner, name, _FAR)

    def _method(
        self, module: Module, owner: ast.ClassDef, name: str, far: int
    ) -> tuple[Module, Function] | None:
        for statement in owner.body:
            if isinstance(statement, Function) and statement.name == name:
                return module, statement
        for base in owner.bases if far else ():
            found = self.named(module, dotted(base))
            if found and isinstance(found.statement, ast.ClassDef):
                inherited = self._method(found.module, found.statement, name, far - 1)
                if inherited:
                    return inherited
        return None

    def _origin(self, module: Module, statement: ast.ImportFrom) -> Module:
        if not statement.level:
            return self.module(statement.module or "")
        above = module.name.split(".") if module.name else []
        up = statement.level - module.is_package
        package = above[: len(above) - up] if up else above
        return self.module(".".join([*package, *([statement.module] if statement.module else [])]))


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` as text, and an empty one for any other expression."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=owner, attr=name):
            path = dotted(owner)
            return f"{path}.{name}" if path else ""
    return ""


def _top_level(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Return the statements that give names, later ones instead of earlier; ``if`` and ``try`` are looked into."""
    names: dict[str, ast.stmt] = {}
    for statement in body:
        for name in _names_of(statement):
            names[name] = statement
        if isinstance(statement, ast.If | ast.Try):
            for inner in (statement.body, statement.orelse, getattr(statement, "finalbody", [])):
                names = {**_top_level(inner), **names}
    return names


def _names_of(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Import() | ast.ImportFrom():
            return [one.asname or one.name for one in statement.names]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            return [name]
        case _:
            return []
