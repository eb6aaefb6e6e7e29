"""Which rows of a batch a store cannot hold: found by trying, without writing anything.

One row that SQLite refuses for what is in it (too long, no JSON, a number out of range) refuses
its whole batch, and a batch carries a thousand turns (ENGINE rules 14, 41). Here it is found out
whose row it is. Must never blame a row for the storage: a full disk or a fence is raised on.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import apsw
import msgspec
from msgspec import Struct

from tenuto.engine.rows import CommitBatch
from tenuto.model.errors import RowsRefusedError
from tenuto.model.status import InstanceRecord
from tenuto.storage.batches import Unit, refusal, units_of
from tenuto.storage.sqlite.batch import (
    LISTS,
    ONE_STATEMENT_BYTES,
    claim,
    cut,
    only,
    pack,
    weight,
)
from tenuto.storage.sqlite.database import Arguments
from tenuto.storage.sqlite.queries import SQL

_HEAVY_BYTES: Final = 16 * 1024 * 1024
"""For what is longer, memory that runs out is the row's own fault."""

CONTENT_ERRORS: Final = (
    apsw.TooBigError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
    apsw.NoMemError,
    apsw.SQLError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What may be the fault of a row: SQLite's refusals, and those of the encoder before it.

``SQLError`` is what SQLite says of malformed JSON; ``ValueError`` covers lone surrogates.
"""

Execute = Callable[[Arguments], object]


def packed(batch: CommitBatch) -> Arguments | None:
    """The arguments of one statement; None for a batch that takes several, or finding out why."""
    try:
        arguments = pack(batch)
    except CONTENT_ERRORS:  # which row it is, is found out on the thread that writes
        return None
    # Too long: let go at once, because the pieces are made from the batch.
    return arguments if weight(arguments) <= ONE_STATEMENT_BYTES else None


def is_about_content(error: BaseException) -> bool:
    """Whether an error may be the fault of single rows; a fence that does not hold is not, nor a
    store that takes nothing.
    """
    return isinstance(error, CONTENT_ERRORS) and str(error) not in {"fenced", "imported"}


def refused_rows(
    connection: apsw.Connection, batch: CommitBatch, path: str, longest: int = ONE_STATEMENT_BYTES
) -> RowsRefusedError | None:
    """Try a batch part by part, in a transaction that the caller rolls back.

    Args:
        connection: In a transaction in which nothing has been written.
        batch: Without the rows whose instance ids are taken.
        path: The store's file, for the error's text.
        longest: Bytes of one statement.

    Returns:
        The rows that it fails for; None when it fails for none of them.
    """
    # The fences come first: a batch behind its fence is no question of single rows. What only
    # deletes cannot be refused, but makes room for rows that follow.
    _execute(connection, only(**claim(batch)))
    for part in cut(batch.purged, longest):
        _execute(connection, only(purged=part))
    search = _Search(connection, longest)
    search.try_all(units_of(batch))
    return search.verdict(path)


class _Search:
    """Halves what is refused until single units are left; what is taken stays for the others.

    So a row that is refused only beside another one is found too: it is the later of them.
    """

    def __init__(self, connection: apsw.Connection, longest: int) -> None:
        self._connection = connection
        self._longest = longest
        self._longest_row = connection.limit(apsw.SQLITE_LIMIT_LENGTH)
        self._refused: list[tuple[Unit, str]] = []

    def try_all(self, units: Sequence[Unit]) -> None:
        """Try these, all at once if that goes."""
        waiting = [units] if units else []
        while waiting:
            part = waiting.pop()
            reason = self._reason(part)
            if reason is None:
                continue
            if len(part) == 1:
                self._refused.append((part[0], reason))
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]

    def _reason(self, units: Sequence[Unit]) -> str | None:
        """Why the store does not take these; None when it does."""
        heaviest = max(map(_heaviest, units))
        if heaviest > self._longest_row:  # not even encoded: memory stays bounded
            return f"a row of {heaviest:,} bytes; a row can have {self._longest_row:,}"
        self._connection.execute("SAVEPOINT narrowing")
        try:
            for arguments in _statements(units, self._longest):
                _execute(self._connection, arguments)
        except CONTENT_ERRORS as error:
            if not _is_their_fault(error, units, heaviest):
                raise
            self._connection.execute("ROLLBACK TO narrowing")
            return str(error) or type(error).__name__
        finally:
            # SQLite rolls back by itself after a full disk or an I/O error.
            if self._connection.in_transaction:
                self._connection.execute("RELEASE narrowing")
        return None

    def verdict(self, path: str) -> RowsRefusedError | None:
        """What was found, as the error to raise."""
        return refusal(path, self._refused)


def _is_their_fault(error: Exception, units: Sequence[Unit], heaviest: int) -> bool:
    is_memory = isinstance(error, MemoryError | apsw.NoMemError)
    return not (is_memory and len(units) == 1 and heaviest < _HEAVY_BYTES)


def _execute(connection: apsw.Connection, arguments: Arguments) -> None:
    connection.execute(SQL["commit"], arguments)


def _statements(units: Iterable[Unit], longest: int) -> Iterable[Arguments]:
    for name in LISTS:
        rows = [row for unit in units for row in unit.rows.get(name, ())]
        for part in cut(rows, longest):
            yield only(**{name: part})


def _heaviest(unit: Unit) -> int:
    """Bytes of the longest row, at least."""
    return max((_weight(row) for rows in unit.rows.values() for row in rows), default=0)


def _weight(row: object) -> int:
    if isinstance(row, InstanceRecord):
        texts = (row.input, row.output, row.custom_status)
        return sum(len(text) for text in texts if text is not None)
    if not isinstance(row, Struct):
        return 0
    values = msgspec.structs.astuple(row)
    return sum(
        memoryview(value).nbytes if isinstance(value, msgspec.Raw) else len(value)
        for value in values
        if isinstance(value, msgspec.Raw | str)
    )
