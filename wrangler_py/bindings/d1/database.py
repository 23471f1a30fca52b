"""What user code sees: the database, its statements, and sessions (D1 docs, "Workers Binding API")."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from wrangler_py.bindings.d1.connection import Connection, Statement
from wrangler_py.bindings.d1.explain import d1_error
from wrangler_py.bindings.d1.values import to_sqlite
from wrangler_py.bindings.failures import D1Error
from wrangler_py.bindings.started import starts
from wrangler_py.serde import Record
from wrangler_py.storage.statements import split

if TYPE_CHECKING:
    from wrangler_py.bindings.d1.execution import Execution
    from wrangler_py.clock import Clock

#: Stands for statements of which some may write.
_SEVERAL = ""


class D1PreparedStatement:
    """A statement, and the values bound to it; it may run any number of times."""

    __slots__ = ("_execution", "params", "statement")

    def __init__(self, execution: Execution, sql: str, params: tuple[Any, ...] = ()) -> None:
        self._execution, self.statement, self.params = execution, sql, params

    def __repr__(self) -> str:
        return f"<D1 statement {self.statement!r}>"

    def bind(self, *values: Any) -> D1PreparedStatement:
        """Return the statement with ``values`` for its ``?``, in their order; raise D1Error for a type D1 refuses."""
        return D1PreparedStatement(self._execution, self.statement, tuple(map(to_sqlite, values)))

    @starts
    async def all(self) -> Record:
        """Run it; return ``{"results": [row, ...], "success": True, "meta": {...}}``.

        A row's columns are keys and attributes: ``row["v"]``, ``row.v``. A BLOB is bytes (Cloudflare: a list of
        numbers; ``bytes(row.v)`` is right in both). ``meta`` has ``duration`` (ms), ``changes``, ``last_row_id``,
        ``changed_db``, ``size_after`` (bytes), ``rows_read``, ``rows_written`` and ``served_by``.

        Raises:
            D1Error: SQLite's message and its name for the error; ``sql`` is the statement.
        """
        return await self._result()

    @starts
    async def run(self) -> Record:
        """Do the same as `all`, as on Cloudflare."""
        return await self._result()

    async def _result(self) -> Record:
        return await self._execution.run(lambda on: on.result(self.statement, self.params), self.statement)

    @starts
    async def first(self, column: str | None = None) -> Any:
        """Return the first row, or its value in ``column``; None if there is no row.

        Raises:
            D1Error: as `all`; or there is no such column.
        """
        columns, rows, *_ = await self._execution.run(
            lambda on: on.query(self.statement, self.params), self.statement
        )
        if not rows:
            return None
        row = Record(zip(columns, rows[0], strict=True))
        if column is None:
            return row
        if column not in row:
            raise D1Error(f"D1_COLUMN_NOTFOUND: Column not found ({column})", sql=self.statement)
        return row[column]

    @starts
    async def raw(
        self,
        options: Any = None,
        /,
        *,
        columnNames: bool = False,
        column_names: bool = False,
    ) -> list[list[Any]]:
        """Return rows as lists; with ``columnNames`` the first list is the names of the columns; raises as `all`."""
        named = columnNames or column_names or bool(options and options["columnNames"])

        def work(on: Connection) -> list[list[Any]]:
            columns, rows, *_ = on.query(self.statement, self.params)
            return [*([columns] if named else []), *map(list, rows)]

        return await self._execution.run(work, self.statement)


class _Preparing:
    """What a database and a session have in common."""

    def __init__(self, execution: Execution, clock: Clock) -> None:
        self._execution, self._clock = execution, clock

    def prepare(self, sql: str) -> D1PreparedStatement:
        """Return a statement; nothing looks at it before it runs."""
        if not isinstance(sql, str):
            raise D1Error(f"D1_TYPE_ERROR: a statement is a str, not {type(sql).__name__}")
        return D1PreparedStatement(self._execution, sql)

    @starts
    async def batch(self, statements: Iterable[D1PreparedStatement]) -> list[Record]:
        """Run statements in one transaction; return what `all` of each would.

        Raises:
            D1Error: one failed, so none of them has been.
        """
        wanted = [_plain(one) for one in statements]
        if not wanted:
            raise d1_error("No SQL statements detected.")
        return await self._execution.run(lambda on: on.results(wanted), _SEVERAL)


class D1Database(_Preparing):
    """``env.DB``."""

    def __repr__(self) -> str:
        return "<D1 database>"

    @starts
    async def exec(self, sql: str) -> Record:
        """Run the statements of a text, in one transaction; return ``{"count", "duration"}`` (ms).

        Raises:
            D1Error: one failed, so none of them has been; the message has its number and its text.
        """
        wanted = split(sql)
        if not wanted:
            raise d1_error("No SQL statements detected.", sql)
        results = await self._execution.run(partial(_execute, statements=wanted), _SEVERAL)
        return Record(count=len(results), duration=sum(one.meta.duration for one in results))

    def withSession(self, constraint_or_bookmark: str = "first-unconstrained", /) -> D1DatabaseSession:
        """Return a session. There are no replicas here, so what it reads is always current."""
        _ = constraint_or_bookmark
        return D1DatabaseSession(self._execution, self._clock)

    with_session = withSession


class D1DatabaseSession(_Preparing):
    """What `D1Database.withSession` gives."""

    def getBookmark(self) -> str:
        """Return a text for `withSession`; later ones sort behind earlier ones."""
        at = f"{self._clock.now():016x}"
        return f"{at[:8]}-{at[8:]}-00000000-{0:032x}"

    get_bookmark = getBookmark


def _plain(statement: Any) -> Statement:
    if isinstance(statement, D1PreparedStatement):
        return statement.statement, statement.params
    raise D1Error(f"D1_TYPE_ERROR: batch takes prepared statements, not {type(statement).__name__}")


def _execute(connection: Connection, statements: list[str]) -> list[Record]:
    results = []
    with connection.transaction():
        for number, sql in enumerate(statements, 1):
            try:
                results.append(connection.result(sql))
            except D1Error as error:
                reason = error.message.removeprefix("D1_ERROR: ")
                raise D1Error(f"D1_EXEC_ERROR: Error in line {number}: {sql}: {reason}", sql=sql) from None
    return results
