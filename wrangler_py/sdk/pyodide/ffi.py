"""`pyodide.ffi` in ordinary Python.

There is no JavaScript on the other side, so a "JS value" is a Python value that also answers to the names
the JS one has (`to_py`, `length`, `byteLength`, ...).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from wrangler_py.sdk.context import current_context
from wrangler_py.serde import Record

__all__ = [
    "JsArray",
    "JsBuffer",
    "JsException",
    "JsNull",
    "JsObject",
    "JsProxy",
    "can_run_sync",
    "create_once_callable",
    "create_proxy",
    "destroy_proxies",
    "jsnull",
    "run_sync",
    "to_js",
]

T = TypeVar("T")
DictConverter = Callable[[Iterable[tuple[Any, Any]]], Any]
DefaultConverter = Callable[[Any, Callable[[Any], Any], Callable[[Any, Any], None]], Any]


class JsNull:
    """JavaScript's ``null``: one falsy object, stored and sent as None."""

    __slots__ = ()
    _only: JsNull | None = None

    def __new__(cls) -> JsNull:  # noqa: PYI034 - there is one, whatever the class
        """Return the one there is."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "jsnull"

    def __reduce__(self) -> str:
        return "jsnull"


jsnull: Final = JsNull()


class JsException(Exception):
    """An error from the other side. ``str(e)`` is ``<name>: <message>``, as JavaScript prints one."""

    name = "Error"

    def __init__(self, message: str = "", *, name: str = "Error") -> None:
        super().__init__(message)
        self.name = name

    @property
    def message(self) -> str:
        """The text without the name."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"

    @property
    def stack(self) -> str:
        """The text JavaScript would show; there are no JavaScript frames."""
        return str(self)


class JsProxy:
    """What every JS value is an instance of."""

    __slots__ = ()

    def to_py(self, **_: Any) -> Any:
        """Return the plain Python value, all the way down."""
        return _plain(self)

    def destroy(self) -> None:
        """Do nothing: Python's own memory management covers stand-ins."""


class JsObject(Record, JsProxy):
    """A JS object: entries are attributes too."""

    __slots__ = ()

    def object_keys(self) -> JsArray:
        """Return the names of the entries."""
        return JsArray(self)

    def object_values(self) -> JsArray:
        """Return the values of the entries."""
        return JsArray(dict.values(self))

    def object_entries(self) -> JsArray:
        """Return the entries as [name, value] arrays."""
        return JsArray(JsArray(pair) for pair in dict.items(self))


class JsArray(list[Any], JsProxy):
    """A JS array."""

    @property
    def length(self) -> int:
        """The number of items."""
        return len(self)

    def push(self, *items: Any) -> int:
        """Append items; return the new length."""
        self.extend(items)
        return len(self)


class JsBuffer(bytes, JsProxy):
    """Bytes that crossed the border: an ArrayBuffer or Uint8Array."""

    def to_bytes(self) -> bytes:
        """Return plain bytes."""
        return bytes(self)

    def to_py(self, **_: Any) -> memoryview:
        """Return a view of the bytes, as Pyodide does."""
        return memoryview(self)

    def to_memoryview(self) -> memoryview:
        """Return a view of the bytes."""
        return memoryview(self)

    def to_string(self, encoding: str = "utf-8") -> str:
        """Return the bytes as text."""
        return self.decode(encoding)

    @property
    def byteLength(self) -> int:
        """The number of bytes."""
        return len(self)

    @property
    def length(self) -> int:
        """The number of bytes."""
        return len(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, JsBuffer):
        return bytes(value)
    return None if value is jsnull else value


def to_js(
    obj: Any,
    /,
    *,
    depth: int = -1,
    pyproxies: Any = None,
    create_pyproxies: bool = True,
    dict_converter: DictConverter | None = None,
    default_converter: DefaultConverter | None = None,
    eager_converter: DefaultConverter | None = None,
) -> Any:
    """Return a copy of ``obj`` as JS values: a dict as `JsObject`, a list as `JsArray`, bytes as `JsBuffer`.

    Scalars, datetimes and sets stay what they are. ``dict_converter`` is given the pairs of every dict;
    ``default_converter(value, convert, cache)`` is asked about values of other types. ``depth`` bounds how
    deep it goes.

    Raises:
        TypeError: a value of another type, with ``create_pyproxies`` False and no ``default_converter``.
    """
    _ = pyproxies, eager_converter
    return _ToJs(dict_converter or JsObject, default_converter, proxies=create_pyproxies).convert(obj, depth)


class _ToJs:
    """One call of `to_js`."""

    def __init__(self, dicts: DictConverter, default: DefaultConverter | None, *, proxies: bool) -> None:
        self._dicts = dicts
        self._default = default
        self._proxies = proxies

    def convert(self, value: Any, depth: int) -> Any:
        if depth == 0 or value is None or isinstance(value, _UNCHANGED):
            return value
        if isinstance(value, Mapping):
            return self._dicts([(key, self.convert(item, depth - 1)) for key, item in value.items()])
        if isinstance(value, list | tuple):
            return JsArray(self.convert(item, depth - 1) for item in value)
        if isinstance(value, bytes | bytearray | memoryview):
            return JsBuffer(value)
        return self._other(value, depth)

    def _other(self, value: Any, depth: int) -> Any:
        if isinstance(value, _NATIVE):
            return value
        if self._default is not None:
            return self._default(value, lambda item: self.convert(item, depth - 1), lambda *_: None)
        if not self._proxies:
            raise TypeError(f"to_js() has no conversion for {type(value).__name__}; give a default_converter")
        return value


_UNCHANGED = (str, bool, int, float, JsNull, JsBuffer)
_NATIVE = (datetime, set, frozenset, JsProxy)


class PyProxy(JsProxy, Generic[T]):
    """A Python object lent to JavaScript until ``destroy()``; called and read like the object itself."""

    __slots__ = ("_target",)

    def __init__(self, target: T) -> None:
        self._target: T | None = target

    def unwrap(self) -> T:
        """Return the object.

        Raises:
            RuntimeError: it was destroyed.
        """
        if self._target is None:
            raise RuntimeError("Object has already been destroyed")
        return self._target

    def to_py(self, **_: Any) -> Any:
        """Return the object itself."""
        return self.unwrap()

    def destroy(self) -> None:
        """Let the object go; using the proxy afterwards is an error."""
        self._target = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        target: Any = self.unwrap()
        return target(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unwrap(), name)


class _OnceCallable(PyProxy[Callable[..., Any]]):
    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        target = self.unwrap()
        self.destroy()
        return target(*args, **kwargs)


def create_proxy(obj: T, /, *, capture_this: bool = False, roundtrip: bool = True) -> PyProxy[T]:
    """Return a proxy of ``obj`` that lives until its ``destroy()``."""
    _ = capture_this, roundtrip
    return PyProxy(obj)


def create_once_callable(obj: Callable[..., Any], /) -> PyProxy[Callable[..., Any]]:
    """Return a proxy of a callable that destroys itself when it is called."""
    return _OnceCallable(obj)


def destroy_proxies(proxies: Iterable[JsProxy], /) -> None:
    """Destroy each of ``proxies``."""
    for proxy in proxies:
        proxy.destroy()


def can_run_sync() -> bool:
    """Return True if `run_sync` may be called here: not on a thread whose event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def run_sync(awaitable: Awaitable[T], /) -> T:
    """Wait for ``awaitable`` in synchronous code: a ``def`` step or handler, which has its own thread.

    Raises:
        RuntimeError: called where an event loop runs, which would block it.
    """
    if not can_run_sync():
        if asyncio.iscoroutine(awaitable):
            awaitable.close()
        raise RuntimeError("run_sync() would block the event loop here; use await")
    context = current_context.get()
    if context is not None and context.loop.is_running():
        return asyncio.run_coroutine_threadsafe(_await(awaitable), context.loop).result()
    return asyncio.run(_await(awaitable))


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable
