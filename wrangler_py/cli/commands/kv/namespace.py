"""Which namespace a `kv` command is about, and speaking to it."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from wrangler_py.cli.local import find_by_name
from wrangler_py.cli.stored import access
from wrangler_py.errors import UserError

if TYPE_CHECKING:
    from wrangler_py.bindings.kv.namespace import KvNamespace
    from wrangler_py.cli.local import Local

T = TypeVar("T")
Key = Annotated[str, typer.Argument(metavar="KEY", help="The key.", show_default=False)]
Binding = Annotated[
    str | None,
    typer.Option("--binding", metavar="NAME", help="Binding of the namespace.", show_default=False),
]
NamespaceId = Annotated[
    str | None, typer.Option("--namespace-id", metavar="ID", help="ID of the namespace.", show_default=False)
]


class Namespace:
    """An open namespace."""

    def __init__(self, id: str, entries: "KvNamespace") -> None:  # noqa: A002
        self.id, self.entries = id, entries

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a call of the binding's returns; raise UserError with the reason why it refuses."""
        from wrangler_py.bindings.failures import KvError

        try:
            return asyncio.run(work)
        except KvError as error:
            raise UserError(error.message) from None


@contextmanager
def opened(
    local: "Local", binding: str | None, namespace_id: str | None, *, reads: bool = False
) -> Iterator[Namespace]:
    """Open the namespace that the options name; one that is new is empty. With ``reads`` nothing is written."""
    from wrangler_py.bindings.kv import KIND, SUFFIX
    from wrangler_py.bindings.kv.namespace import KvNamespace
    from wrangler_py.clock import SystemClock
    from wrangler_py.storage.kv import KvStore

    chosen = _chosen(local, binding, namespace_id)
    store = KvStore(local.place(KIND, chosen, SUFFIX))
    with access(reads=reads):
        try:
            yield Namespace(chosen, KvNamespace(chosen, store, SystemClock()))
        finally:
            store.close()


def _chosen(local: "Local", binding: str | None, namespace_id: str | None) -> str:
    demand_one("binding", binding, "namespace-id", namespace_id)
    if namespace_id is not None:
        return namespace_id
    assert binding is not None
    namespaces = local.config.resources.kv_namespaces
    found = find_by_name(
        "KV namespace bound as", binding, namespaces, lambda one: (one.binding,), section="[[kv_namespaces]]"
    )
    return found.id


def demand_one(name: str, value: object, other: str, value_of_other: object) -> None:
    """Raise BadParameter, in wrangler's words, unless just one of two is given."""
    if value is None and value_of_other is None:
        raise typer.BadParameter(f"Exactly one of the arguments {name} and {other} is required")
    if value is not None and value_of_other is not None:
        raise typer.BadParameter(f"Arguments {name} and {other} are mutually exclusive")
