"""The mapping behind headers, forms and query strings: ordered, and a name may stand in it more than once."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, MutableMapping, ValuesView
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class _Items(ItemsView[str, V], Generic[V]):
    def __init__(self, pairs: list[tuple[str, V]], mapping: MultiMap[V]) -> None:
        super().__init__(mapping)
        self._pairs = pairs

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return iter(self._pairs)


class _Values(ValuesView[V], Generic[V]):
    def __init__(self, pairs: list[tuple[str, V]], mapping: MultiMap[V]) -> None:
        super().__init__(mapping)
        self._pairs = pairs

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._pairs)


class MultiMap(MutableMapping[str, V]):
    """Iterating gives every entry, repeated names too. Looking up a name gives its first value, or None: that
    is what the web's own types do, and what code written for them counts on.
    """

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        self._pairs: list[tuple[str, V]] = []
        for name, value in pairs:
            self.append(name, value)

    def _name(self, name: object) -> str:
        return str(name)

    def _value(self, value: Any) -> V:
        raise NotImplementedError

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of ``name``."""
        wanted = self._name(name)
        return next((value for key, value in self._pairs if key == wanted), default)

    def get_all(self, name: str) -> Any:
        """Return every value of ``name``, in order, as a list."""
        wanted = self._name(name)
        return [value for key, value in self._pairs if key == wanted]

    def __setitem__(self, name: str, value: V) -> None:
        """Give ``name`` one value, where its first one stood."""
        key, new = self._name(name), (self._name(name), self._value(value))
        at = next((index for index, pair in enumerate(self._pairs) if pair[0] == key), len(self._pairs))
        rest = [pair for pair in self._pairs[at + 1 :] if pair[0] != key]
        self._pairs[at:] = [new, *rest]

    def __delitem__(self, name: str) -> None:
        wanted = self._name(name)
        self._pairs[:] = [pair for pair in self._pairs if pair[0] != wanted]

    def append(self, name: str, value: Any) -> None:
        """Add a value, beside those that ``name`` has."""
        self._pairs.append((self._name(name), self._value(value)))

    def delete(self, name: str) -> None:
        """Remove every value of ``name``, if it has any."""
        del self[name]

    def has(self, name: str) -> bool:
        """True if ``name`` has a value."""
        return name in self

    def set(self, name: str, value: V) -> None:
        """Give ``name`` one value."""
        self[name] = value

    def getAll(self, name: str) -> list[V]:
        """Return every value of ``name``, in order."""
        return list(self.get_all(name) or ())

    def entries(self) -> ItemsView[str, V]:
        """Return every (name, value)."""
        return self.items()

    def pop(self, name: str, default: Any = None) -> Any:
        """Remove ``name``; return its first value."""
        value = self.get(name, default)
        del self[name]
        return value

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return the first value of ``name``, after giving it ``default`` if it had none."""
        if name not in self:
            self[name] = default
        return self.get(name)

    def items(self) -> ItemsView[str, V]:
        """Return every (name, value), repeated names too."""
        return _Items(self._pairs, self)

    def values(self) -> ValuesView[V]:
        """Return every value."""
        return _Values(self._pairs, self)

    def __contains__(self, name: object) -> bool:
        wanted = self._name(name)
        return any(key == wanted for key, _ in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"
