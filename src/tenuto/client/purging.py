"""Deleting many instances, a bite at a time: a million must not come all at once.

``purge_fitting`` deletes what fits a query, ``purge_records`` what was found; both whichever way
requests go. Where no host runs, ``engine.purging`` does it as the owner of the store.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from msgspec import Raw, structs

from tenuto.client.gateway import Gateway, StoreGateway, present
from tenuto.client.http_gateway import HttpGateway
from tenuto.engine.ports import InboxRow, Storage
from tenuto.engine.purging import BITE
from tenuto.model.codec import encode
from tenuto.model.errors import (
    InputError,
    InstanceNotFoundError,
    InstanceStateError,
    StorageUnavailableError,
)
from tenuto.model.ids import ExecutionId, InstanceId, new_message_id
from tenuto.model.messages import Purge
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import FINISHED, InstanceRecord

_PAGE: Final = 1_000
_REQUESTS_AT_ONCE: Final = 16
"""Other clients of a server want to be heard too."""
_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 30.0


async def purge_fitting(
    gateway: Gateway, query: InstanceQuery, *, force: bool
) -> AsyncIterator[int]:
    """Delete what fits a query, page by page; how many have gone, bite by bite.

    Args:
        gateway: To whoever has them.
        query: Which ones; without ``force``, of these all that have ended.
        force: Also those that have not ended; they are ended first.

    Raises:
        InputError: it asks for instances that have not ended, without ``force``.
    """
    statuses = query.statuses
    if not force:
        going = ", ".join(one.label for one in statuses or () if not one.is_finished)
        if going:
            raise InputError(
                f"instances that are {going} have not ended; force=True ends and deletes them"
            )
        statuses = tuple(sorted(FINISHED)) if statuses is None else statuses
    query = structs.replace(query, statuses=statuses, limit=_PAGE, payloads=False)
    while True:
        page = await gateway.query(query)
        async for gone in purge_records(gateway, page.records, force=force):
            yield gone
        if page.after is None:
            return
        query = structs.replace(query, after=page.after)


def purge_records(
    gateway: Gateway, records: Sequence[InstanceRecord], *, force: bool
) -> AsyncIterator[int]:
    """Have a host delete instances; how many have gone, bite by bite.

    Args:
        gateway: To whoever has them.
        records: Which ones. One that has gone by then, or begun anew, is passed over.
        force: Also those that have not ended; they are ended first.

    Raises:
        StorageUnavailableError: they are asked for through the store, and no host does it.
    """
    if isinstance(gateway, StoreGateway):
        return purge_beside(gateway.storage, records, force=force)
    at_once = _REQUESTS_AT_ONCE if isinstance(gateway, HttpGateway) else BITE
    return purge_through(gateway, records, force=force, at_once=at_once)


async def purge_through(
    gateway: Gateway, records: Sequence[InstanceRecord], *, force: bool, at_once: int = BITE
) -> AsyncIterator[int]:
    """Tell instances to go; how many have gone, bite by bite.

    Args:
        gateway: To whoever has them.
        records: Which ones. One that has gone by then, or begun anew, is passed over.
        force: Also those that have not ended; they are ended first.
        at_once: So many are told at the same time.
    """

    async def purge(record: InstanceRecord) -> bool:
        try:
            await gateway.tell(record.instance_id, Purge(force=force))
        except (InstanceNotFoundError, InstanceStateError):
            return False
        return True

    for start in range(0, len(records), at_once):
        yield sum(await asyncio.gather(*map(purge, records[start : start + at_once])))


async def purge_beside(
    storage: Storage, records: Sequence[InstanceRecord], *, force: bool
) -> AsyncIterator[int]:
    """Ask the owner of a store by messages, a bite at a time, and see them gone.

    Args:
        storage: The store, open.
        records: Which ones.
        force: Also those that have not ended; they are ended first.

    Raises:
        StorageUnavailableError: the host does not do it in time; the requests stay in the store.
    """
    for start in range(0, len(records), BITE):
        bite = records[start : start + BITE]
        await storage.append([_request(one, force=force) for one in bite])
        await _gone(storage, {one.instance_id: one.execution_id for one in bite})
        yield len(bite)


def _request(record: InstanceRecord, *, force: bool) -> InboxRow:
    name = new_message_id(present())
    message = Raw(encode(Purge(message_id=name, force=force)))
    return InboxRow(name, record.partition, record.instance_id, message)


async def _gone(storage: Storage, executions: dict[InstanceId, ExecutionId]) -> None:
    """Wait until none of these executions is there; an id may have been taken anew meanwhile."""
    left = list(executions)
    last = time.monotonic() + _PATIENCE_SECONDS
    while left:
        still = [
            one.instance_id
            for one in await storage.find(left)
            if one.execution_id == executions[one.instance_id]
        ]
        if len(still) < len(left):
            last = time.monotonic() + _PATIENCE_SECONDS
        left = still
        if left and time.monotonic() > last:
            raise StorageUnavailableError(
                f"the host has not deleted {len(left):,} instances within "
                f"{_PATIENCE_SECONDS:.0f} s, such as {left[0]!r}; the requests stay in the store"
            )
        if left:
            await asyncio.sleep(_LOOK_SECONDS)
