"""``env.MY_OBJECTS``: ids, and stubs by which objects are called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.durable.calls import copied, copied_arguments, require_public
from wrangler_py.bindings.durable.context import flush
from wrangler_py.bindings.durable.ids import Ids, ObjectId
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.bindings.resources import Target
from wrangler_py.bindings.started import Started, starts
from wrangler_py.sdk.workers import Request

if TYPE_CHECKING:
    from wrangler_py.bindings.durable.objects import DurableObjects
    from wrangler_py.bindings.resources import Resources
    from wrangler_py.sdk.workers import Response


class Namespace:
    """The objects of one class (Cloudflare's DurableObjectNamespace). Location hints and jurisdictions mean nothing."""

    def __init__(self, on: Resources, script: str, class_name: str) -> None:
        self._on, self._script, self._class_name = on, script, class_name
        self._ids = Ids(script, class_name)

    def __repr__(self) -> str:
        return f"<Durable Object namespace {self._class_name}>"

    def id_from_name(self, name: str, /) -> ObjectId:
        """Return the id that belongs to a name, always the same."""
        return self._ids.from_name(str(name))

    def new_unique_id(self, *_: Any, **__: Any) -> ObjectId:
        """Return an id that nobody has."""
        return self._ids.unique(self._on.clock)

    def id_from_string(self, text: str, /) -> ObjectId:
        """Return the id that ``str(id)`` gave; raise ObjectError if it is none of this namespace."""
        return self._ids.from_string(text)

    def get(self, id: ObjectId, *_: Any, **__: Any) -> Stub:
        """Return a stub of an object, which is made when it is first called; raise ObjectError."""
        if not isinstance(id, ObjectId):
            raise ObjectError(
                f"get() takes an id, from idFromName(), idFromString() or newUniqueId(), not {id!r}",
                name="TypeError",
            )
        return Stub(self._on, self._script, self._class_name, self._ids.require(id))

    def get_by_name(self, name: str, *_: Any, **__: Any) -> Stub:
        """Return a stub of the object of a name."""
        return self.get(self.id_from_name(name))

    def jurisdiction(self, *_: Any) -> Namespace:
        """Return this namespace: everything is here."""
        return self

    idFromName = id_from_name
    newUniqueId = new_unique_id
    idFromString = id_from_string
    getByName = get_by_name


class Stub:
    """An object, as others see it: ``id``, ``name``, ``fetch``, and each of its methods, to be awaited.

    Arguments and results are copies. An exception of the object comes with its type and message.
    """

    def __init__(self, on: Resources, script: str, class_name: str, id: ObjectId) -> None:
        self.id, self.name = id, id.name
        self._on, self._script, self._class_name = on, script, class_name

    def __repr__(self) -> str:
        return f"<stub of {self._class_name} {self.name or self.id}>"

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("_"):
            raise AttributeError(f"{name!r} is private to {self._class_name}, or not a method of it")

        def method(*args: Any, **kwargs: Any) -> Started[Any]:
            return Started(self._call(name, args, kwargs), self, name)

        method.__name__ = name
        return method

    async def _call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        require_public(name)
        flush()
        return copied(await self._answer(name, *copied_arguments(args, kwargs)))

    async def _answer(self, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if self._is_own:
            return await self._objects.call(self._class_name, self.id.sent, method, args, kwargs)
        return await self._on.peers.call(self._script, self._target, method, args, kwargs)

    @starts
    async def fetch(self, input: Request | str, options: Any = None, /, **named: Any) -> Response:
        """Let the object's ``fetch`` answer; ``input`` and options as those of ``Request``."""
        given = {**(options or {}), **named}
        request = input if isinstance(input, Request) and not given else Request(input, **given)
        flush()
        if self._is_own:
            return await self._objects.fetch(self._class_name, self.id.sent, request)
        return await self._on.peers.fetch(self._script, self._target, request)

    @property
    def _objects(self) -> DurableObjects:
        from wrangler_py.bindings.durable.objects import DurableObjects

        return DurableObjects.of(self._on)

    @property
    def _is_own(self) -> bool:
        return self._script == self._on.config.name

    @property
    def _target(self) -> Target:
        return Target("object", self._class_name, id=self.id.sent)
