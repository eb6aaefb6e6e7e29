"""A task hub in Azure Storage that one store is mirrored into.

The row of an instance is written last, with a note of how far the instance has come (column
``TenutoMirror``). So a mirror needs no memory of its own, and what a killed one has left half done
is done again. Never touches a hub that it has not made itself.
"""

import hashlib
import re
from collections.abc import Container, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from tenuto.interop.azure_storage.account import Account, translated
from tenuto.interop.azure_storage.task_hub.layout import (
    Row,
    TaskHub,
    address_of,
    escaped,
    unescaped,
)
from tenuto.interop.azure_storage.task_hub.rows import InstanceImage
from tenuto.model.errors import TaskHubError
from tenuto.model.ids import InstanceId

_NOTE: Final = "TenutoMirror"
_MARK: Final = "tenuto.json"
_NOTED: Final = re.compile(r"(\d+) (\d+) (\S+)")
_ROWS_AT_ONCE: Final = 99  # the sentinel makes a hundred, the most that a transaction takes
_BYTES_AT_ONCE: Final = 3 * 1024 * 1024
_ROW_BYTES: Final = 1024
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


class Note(Struct, frozen=True):
    """How far an instance has come in the hub.

    Attributes:
        execution_id: Whose rows there are.
        rows: How many.
        total: What they amount to.
        mark: The store's, of the state that was written; empty when that is not known.
    """

    execution_id: str
    rows: int
    total: int
    mark: str


class _Mark(Struct, frozen=True):
    """Says which store a hub mirrors."""

    store: str


class MirroredHub:
    """Writes into one hub of an account.

    Args:
        account: Open.
        hub: The hub's names.
    """

    def __init__(self, account: Account, hub: TaskHub) -> None:
        self._hub = hub
        self._account = account
        self._instances = account.tables.get_table_client(hub.instances)
        self._history = account.tables.get_table_client(hub.history)
        self._large = account.blobs.get_container_client(hub.large)

    async def prepare(self, secret: str) -> None:
        """Make the hub if it is not there.

        Args:
            secret: Of the store: tells it from others.

        Raises:
            TaskHubError: there is a hub of that name which is none of this store's mirror.
        """
        store = hashlib.sha256(f"mirror of {secret}".encode()).hexdigest()[:32]
        container = self._account.blobs.get_container_client(self._hub.mark)
        with translated(f"open task hub {self._hub.name!r}"):
            found = await _text_of(container, _MARK)
            if found is None:
                await self._refuse_foreign()
                await _made(container.create_container)
                mark = msgspec.json.encode(_Mark(store))
                await container.upload_blob(_MARK, mark, overwrite=True)
            elif msgspec.json.decode(found, type=_Mark).store != store:
                raise TaskHubError(
                    f"task hub {self._hub.name!r} mirrors another store; give this one a name of "
                    "its own: --task-hub"
                )
            for table in (self._instances, self._history):
                await _made(table.create_table)
            await _made(self._large.create_container)

    async def _refuse_foreign(self) -> None:
        """Whatever stands in tables of these names is not ours to change."""
        for name in (self._hub.instances, self._hub.history):
            query = self._account.tables.query_tables(
                "TableName eq @name", parameters={"name": name}
            )
            async for _ in query:
                raise TaskHubError(
                    f"there is a task hub {self._hub.name!r} already that is no mirror of Tenuto's "
                    "(or its container of marks is gone); give another name: --task-hub"
                )

    async def notes(self) -> dict[InstanceId, Note]:
        """How far the instances in the hub have come."""
        columns = ["PartitionKey", "ExecutionId", _NOTE]
        with translated(f"read table {self._hub.instances!r}"):
            return {
                unescaped(row["PartitionKey"]): _noted(row)
                async for row in self._instances.list_entities(select=columns)
            }

    async def write(self, image: InstanceImage, mark: str, before: Note | None) -> Note:
        """Bring an instance up to date.

        Args:
            image: As it is.
            mark: The store's, of this state.
            before: What the hub has of it.
        """
        note = Note(image.execution_id, len(image.events), image.sum_of(len(image.events)), mark)
        goes_on = (
            before is not None
            and before.execution_id == image.execution_id
            and before.total == image.sum_of(before.rows)
            and before.rows <= len(image.events)
        )
        known = before.rows if goes_on and before is not None else 0
        with translated(f"write {image.instance['PartitionKey']!r}"):
            for name, blob in image.blobs.items():
                await self._large.upload_blob(name, blob, overwrite=True)
            for rows in _batches(image.events[known:]):
                await self._history.submit_transaction(
                    [_replacing(row) for row in (*rows, image.sentinel)]
                )
            if not goes_on:
                key = str(image.instance["PartitionKey"])
                kept = {str(row["RowKey"]) for row in (*image.events, image.sentinel)}
                await self._drop_rows(key, kept)
                await self._drop_blobs(key, image.blobs)
            await self._instances.upsert_entity(self._row_of(image, note), mode="replace")
        return note

    def _row_of(self, image: InstanceImage, note: Note) -> Row:
        row = {**image.instance, _NOTE: f"{note.rows} {note.total} {note.mark}"}
        for column, name in (("Input", image.long_input), ("Output", image.long_output)):
            if name is not None:
                row[column] = address_of(self._account.blob_root, self._hub.large, name)
        return row

    async def purge(self, instance_id: InstanceId) -> None:
        """Take an instance out of the hub; its row last, so that a rest is seen by the next try."""
        key = escaped(instance_id)
        with translated(f"delete {key!r}"):
            await self._drop_rows(key, ())
            await self._drop_blobs(key, ())
            await self._instances.delete_entity(key, "")

    async def _drop_rows(self, key: str, kept: Container[str]) -> None:
        """Delete the rows of an instance's history but these."""
        query = self._history.query_entities(
            "PartitionKey eq @key", parameters={"key": key}, select=["PartitionKey", "RowKey"]
        )
        dropped = [
            {"PartitionKey": key, "RowKey": row["RowKey"]}
            async for row in query
            if row["RowKey"] not in kept
        ]
        for rows in _batches(dropped):
            await self._history.submit_transaction([("delete", row) for row in rows])

    async def _drop_blobs(self, key: str, kept: Container[str]) -> None:
        """Delete the blobs of an instance but these."""
        names = [one async for one in self._large.list_blob_names(name_starts_with=f"{key}/")]
        for name in names:
            if name not in kept:
                await self._large.delete_blob(name)


def _replacing(row: Row) -> tuple[str, Row, dict[str, str]]:
    return "upsert", row, {"mode": "replace"}


def _batches(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """Rows in parts that a transaction takes."""
    batch: list[Any] = []
    size = 0
    for row in rows:
        bytes_of = _ROW_BYTES + sum(2 * len(one) for one in row.values() if isinstance(one, str))
        if batch and (len(batch) == _ROWS_AT_ONCE or size + bytes_of > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += bytes_of
    if batch:
        yield batch


def _noted(row: Any) -> Note:  # noqa: ANN401 - an entity of the packages
    """The note in a row; one that cannot be read says that nothing is known."""
    match = _NOTED.fullmatch(str(row.get(_NOTE, "")))
    if match is None:
        return Note("", 0, 0, "")
    return Note(str(row.get("ExecutionId", "")), int(match[1]), int(match[2]), match[3])


async def _made(create: Any) -> None:  # noqa: ANN401 - of the packages
    try:
        await create()
    except Exception as error:
        if getattr(error, "status_code", None) != _CONFLICT:
            raise


async def _text_of(container: Any, name: str) -> bytes | None:  # noqa: ANN401 - of the packages
    try:
        blob = await container.download_blob(name)
    except Exception as error:
        if getattr(error, "status_code", None) != _NOT_FOUND:
            raise
        return None
    found: bytes = await blob.readall()
    return found
