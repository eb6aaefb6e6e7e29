"""A task hub of the Azure Storage provider, read while no host runs on it. Never writes."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from tenuto.interop.azure_storage.account import Account, translated
from tenuto.interop.azure_storage.task_hub.events import Entity
from tenuto.interop.azure_storage.task_hub.layout import TaskHub, unpacked
from tenuto.model.errors import TaskHubError

_NOT_FOUND: Final = 404
_BLOB_COLUMN: Final = "BlobName"
_OF_A_MESSAGE: Final = "ExecutionStarted.json.gz"
"""The end of a blob that holds the message with which an instance was started."""


class StoppedHub:
    """Reads one hub of an account.

    Args:
        account: Open.
        hub: The hub's names.
    """

    def __init__(self, account: Account, hub: TaskHub) -> None:
        self._hub = hub
        self._account = account
        self._large = account.blobs.get_container_client(hub.large)
        self._address = re.compile(rf"https?://[^?]+/{re.escape(hub.large)}/([^?]+)")

    async def check(self) -> None:
        """Refuse what is no hub, and one that runs.

        Raises:
            TaskHubError: there is no such hub, or hosts run on it.
        """
        with translated(f"look for task hub {self._hub.name!r}"):
            tables = {one.name async for one in self._account.tables.list_tables()}
            missing = [one for one in (self._hub.instances, self._hub.history) if one not in tables]
            if missing:
                raise TaskHubError(
                    f"there is no task hub {self._hub.name!r} in this account: table "
                    f"{missing[0]!r} is missing; look at the name (capital letters count)"
                )
            runs = await self._running(has_table=self._hub.partitions in tables)
        if runs is not None:
            raise TaskHubError(
                f"task hub {self._hub.name!r} is in use: {runs}. Stop its hosts, wait a minute, "
                "and try again: what is read of a hub that runs does not fit together"
            )

    async def _running(self, *, has_table: bool) -> str | None:
        """Who runs on it, in words: the owner of a partition, or of the lease of a blob."""
        if has_table:
            now = datetime.now(UTC)
            async for row in self._account.tables.get_table_client(
                self._hub.partitions
            ).list_entities():
                expires_at = row.get("ExpiresAt")
                is_owned = row.get("CurrentOwner") and isinstance(expires_at, datetime)
                if is_owned and expires_at > now:
                    return f"{row['CurrentOwner']!r} owns {row['RowKey']!r}"
        try:
            leases = self._account.blobs.get_container_client(self._hub.leases)
            async for blob in leases.list_blobs():
                if blob.lease.state == "leased":
                    return f"somebody holds the lease of {blob.name!r}"
        except Exception as error:
            if getattr(error, "status_code", None) != _NOT_FOUND:
                raise
        return None

    async def instances(self) -> AsyncIterator[Entity]:
        """The rows of all instances."""
        with translated(f"read table {self._hub.instances!r}"):
            table = self._account.tables.get_table_client(self._hub.instances)
            async for row in table.list_entities():
                yield await self._whole(row)

    async def history(self, key: str) -> list[Entity]:
        """The rows of an instance's history, whatever execution they are of."""
        with translated(f"read table {self._hub.history!r}"):
            table = self._account.tables.get_table_client(self._hub.history)
            query = table.query_entities("PartitionKey eq @key", parameters={"key": key})
            return [await self._whole(row) async for row in query]

    async def _whole(self, row: Entity) -> Entity:
        """A row with its long texts back in their columns."""
        whole = dict(row)
        for column, value in row.items():
            if column.endswith(_BLOB_COLUMN) and isinstance(value, str) and value:
                whole[column.removesuffix(_BLOB_COLUMN)] = await self._long(value)
            elif column in {"Input", "Output"} and isinstance(value, str):
                match = self._address.fullmatch(value)
                if match is not None:
                    whole[column] = await self._long(unquote(match[1]))
        return whole

    async def _long(self, name: str) -> str | None:
        try:
            blob = await self._large.download_blob(name)
            text = unpacked(await blob.readall())
        except Exception as error:
            if getattr(error, "status_code", None) != _NOT_FOUND:
                raise
            return _said(f"(the blob {name} is gone)")
        return _input_of(text) if name.endswith(_OF_A_MESSAGE) else text


def _input_of(text: str) -> str | None:
    """The input in the message with which an instance was started."""
    message: Any = msgspec.json.decode(text)
    found = message["TaskMessage"]["Event"]["Input"]
    return None if found is None else str(found)


def _said(text: str) -> str:
    return msgspec.json.encode(text).decode()
