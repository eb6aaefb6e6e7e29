"""Inputs from tables and outputs into them: rows as JSON, as packages read and write them."""

import base64
import math
import re
from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any, Final

from msgspec import Struct

from tenuto.interop.azure_app.bindings.ports import BindingError, CallData
from tenuto.interop.azure_app.bindings.values import checked_name, json_text_of, plain
from tenuto.interop.azure_services.connections import Accounts, TableClient, with_place
from tenuto.interop.workers.protocol import Datum

_PARTITION, _ROW = "PartitionKey", "RowKey"
_MOST_ROWS: Final = 100
"""Of one transaction."""
_INT_64: Final = 1 << 63
_BARE: Final = re.compile(
    r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?[LlDdFfMm]?|true|false|"
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?)?|"
    r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
)
"""What OData reads as one value though it stands in no quotes."""


class TableSource(Struct, frozen=True, kw_only=True):
    """One row, or those that a query finds.

    Attributes:
        accounts: The connections.
        connection: The account's; a secret.
        table: Its name.
        partition: The partition key; None for all.
        row: The row key; None for a query.
        take: How many rows at most; None for all.
        filter: Of OData; None for none.
    """

    accounts: Accounts
    connection: str
    table: str
    partition: str | None = None
    row: str | None = None
    take: int | None = None
    filter: str | None = None

    def __repr__(self) -> str:
        return f"TableSource(table={self.table!r})"

    async def read(self, data: CallData) -> Datum | None:
        """An object, None when the row is not there; a list for a query."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - an extra

        table = _table(self.accounts, self.connection, self.table, data)
        partition = None if self.partition is None else data.fill(self.partition)
        try:
            if partition is not None and self.row is not None:
                row = await table.get_entity(partition, data.fill(self.row))
                return Datum(json=json_text_of(_shown(row)))
            rows = await self._rows(table, self._query(partition, data))
        except ResourceNotFoundError:
            return None if self.row is not None else Datum(json="[]")
        return Datum(json=json_text_of(rows))

    async def _rows(self, table: TableClient, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        options = {} if self.take is None else {"results_per_page": min(self.take, 1000)}
        async for row in table.query_entities(query, **options):
            rows.append(_shown(row))
            if len(rows) == self.take:
                break
        return rows

    def _query(self, partition: str | None, data: CallData) -> str:
        parts = []
        if partition is not None:
            parts.append(f"{_PARTITION} eq '{_quoted(partition)}'")
        if self.row is not None:
            parts.append(f"{_ROW} eq '{_quoted(data.fill(self.row))}'")
        if self.filter is not None:
            said = data.fill(self.filter, _fitting)
            parts.append(f"({said})" if parts else said)
        return " and ".join(parts)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _fitting(before: str, value: str) -> str:
    """What is filled into a filter, which may come from anybody: one value, and no more of OData.

    Inside of quotes it cannot end them; outside only what needs none may stand.
    """
    if before.count("'") % 2:
        return _quoted(value)
    if not _BARE.fullmatch(value):
        raise BindingError(
            f"{value!r:.100} cannot stand in a filter without quotes, as it is no number, no date, "
            "no guid and not true or false; write '{name}' in quotes there"
        )
    return value


def _table(accounts: Accounts, connection: str, name: str, data: CallData) -> TableClient:
    return accounts.table(connection, checked_name(data.fill(name), "a table"))


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(one) for name, one in row.items()}


def _value(value: Any) -> Any:  # noqa: ANN401 - of Azure
    value = getattr(value, "value", value)  # 64 bits come with their type
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


class TableSink(Struct, frozen=True, kw_only=True):
    """New rows of a table, which is made when it is not there.

    Attributes:
        accounts: The connections.
        connection: The account's; a secret.
        table: Its name.
        partition: The partition key of rows that say none.
        row: The row key of rows that say none.
    """

    accounts: Accounts
    connection: str
    table: str
    partition: str | None = None
    row: str | None = None

    def __repr__(self) -> str:
        return f"TableSink(table={self.table!r})"

    async def write(self, value: Datum, data: CallData) -> None:
        """Insert the rows; those of one partition together, up to a hundred at once.

        As in the original a row that is there already is an error, and stays what it is.
        """
        table = _table(self.accounts, self.connection, self.table, data)
        for batch in self._batches(value, data):
            await with_place(partial(_insert, table, batch), table.create_table)

    def _batches(self, value: Datum, data: CallData) -> list[list[dict[str, Any]]]:
        given = plain(value)
        rows = [self._row(one, data) for one in (given if isinstance(given, list) else [given])]
        by_partition: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_partition.setdefault(row[_PARTITION], []).append(row)
        return [
            many[start : start + _MOST_ROWS]
            for many in by_partition.values()
            for start in range(0, len(many), _MOST_ROWS)
        ]

    def _row(self, given: Any, data: CallData) -> dict[str, Any]:  # noqa: ANN401 - any JSON
        if not isinstance(given, dict):
            raise BindingError("a row is a JSON object, with PartitionKey and RowKey")
        row = {}
        keys = {_PARTITION: self.partition, _ROW: self.row}
        for name, default in keys.items():
            said = next((one for one in given if one.lower() == name.lower()), None)
            if said is not None and given[said] is not None:
                row[name] = str(given[said])
            elif default is not None:
                row[name] = data.fill(default)
            else:
                raise BindingError(f"a row has no {name}, and the binding gives none")
        lower = {name.lower() for name in keys}
        return row | {
            name: _stored(one, name) for name, one in given.items() if name.lower() not in lower
        }


async def _insert(table: TableClient, batch: list[dict[str, Any]]) -> None:
    if len(batch) == 1:
        await table.create_entity(batch[0])
    else:
        await table.submit_transaction([("create", row) for row in batch])


def _stored(value: Any, name: str) -> Any:  # noqa: ANN401 - of Azure
    from azure.data.tables import EdmType, EntityProperty  # noqa: PLC0415 - an extra

    if isinstance(value, int) and not isinstance(value, bool):
        if -_INT_64 <= value < _INT_64:
            return EntityProperty(value, EdmType.INT64)
        return float(value)
    if value is None or isinstance(value, str | float | bool):
        return value
    raise BindingError(f"{name!r} of a row is an object or a list; a table has plain values")
