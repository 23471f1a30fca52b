"""Puts a fault into this process: into functions that are loaded already, or into what is still to be loaded."""

from __future__ import annotations

import gc
import importlib.abc
import importlib.util
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

#: A function by its file's name, its qualified name and its first line.
_Place = tuple[str, str, int]


# what is loaded -------------------------------------------------------------------------------------------------------


class Functions:
    """Every function of the package that this process holds."""

    def __init__(self, package: str) -> None:
        self._found = defaultdict[_Place, list[FunctionType]](list)
        for thing in gc.get_objects():
            if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(package):
                self._found[_place(thing.__code__)].append(thing)

    def change(self, path: Path, old: str, new: str) -> bool:
        """Give the functions of a file the code of another text; False if more than functions' code differs."""
        pairs = _changed(_compiled(path, old), _compiled(path, new))
        if pairs is None or not pairs or not self._found[_place(pairs[0][0])]:
            return False
        for before, after in pairs:
            for function in self._found[_place(before)]:
                if function.__code__.co_freevars != after.co_freevars:
                    return False
                function.__code__ = after
        return True


def _compiled(path: Path, source: str) -> CodeType:
    return compile(source, str(path), "exec", dont_inherit=True)


def _place(code: CodeType) -> _Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _changed(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """Return functions that differ, outer ones first; None if what runs at import differs."""
    if old.co_flags & CO_OPTIMIZED:
        return [*_inside(old, new)]
    if _own(old) != _own(new):
        return None
    found = []
    for before, after in zip(_codes(old), _codes(new), strict=True):
        if before != after:
            pairs = _changed(before, after)
            if pairs is None:
                return None
            found += pairs
    return found


def _inside(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    yield old, new
    if len(_codes(old)) == len(_codes(new)):
        for before, after in zip(_codes(old), _codes(new), strict=True):
            if before != after:
                yield from _inside(before, after)


def _codes(code: CodeType) -> list[CodeType]:
    return [one for one in code.co_consts if isinstance(one, CodeType)]


def _own(code: CodeType) -> tuple[object, ...]:
    """Return what a module's or a class's own code is, without the functions in it."""
    constants = [(type(one), one) for one in code.co_consts if not isinstance(one, CodeType)]
    return code.co_code, code.co_names, constants


def change_sql(path: Path, source: str) -> None:
    """Put statements of a changed file in the place of those that were loaded."""
    from wrangler_py.storage.sql import load_queries  # Nothing of the package before the forks.

    package = ".".join(path.parents[1].relative_to(Path(__file__).parents[2]).parts)
    before = load_queries(package)
    read_instead(path, source)
    after = load_queries(package)
    for name, module in [*sys.modules.items()]:
        queries = getattr(module, "_Q", None) if name.startswith("wrangler_py.storage") else None
        if queries == before:
            queries.update(after)


# what is not ----------------------------------------------------------------------------------------------------------


def read_instead(path: Path, source: str) -> None:
    """Make this process read another text where it would read a file."""
    read = Path.read_text
    Path.read_text = lambda self, *args, **more: (  # type: ignore[method-assign]
        source if self == path else read(self, *args, **more)
    )


def load_instead(root: Path, path: Path, source: str) -> None:
    """Make this process load a module, or a file of statements, from another text."""
    if path.suffix != ".py":
        read_instead(path, source)
        return
    parts = path.relative_to(root).with_suffix("").parts
    sys.meta_path.insert(0, _Loader(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path, source))


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Loads one module from another text than its file's."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self._module, self._path, self._source = module, path, source

    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._module:
            return None
        is_package = self._path.name == "__init__.py"
        return importlib.util.spec_from_file_location(
            name,
            self._path,
            loader=self,
            submodule_search_locations=[str(self._path.parent)] if is_package else None,
        )

    def get_source(self, fullname: str) -> str:
        return self._source

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def is_package(self, fullname: str) -> bool:
        return self._path.name == "__init__.py"
