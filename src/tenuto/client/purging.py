"""Deleting many instances, a bite at a time: a million must not come all at once.

``purge_fitting`` deletes what fits a query, ``purge_records`` what was found; both whichever way
requests go. Where no host runs, ``engine.purging`` does it as the owner of the store.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from msgspec import Raw, structs

from tenuto.client.gateway import Gateway, Patience, present
from tenuto.client.http_gateway import HttpGateway
from tenuto.client.store_gateway import StoreGateway
from tenuto.engine.purging import BITE
from tenuto.engine.rows import InboxRow
from tenuto.model.codec import encode
from tenuto.model.errors import (
    InputError,
    InstanceNotFoundError,
    InstanceStateError,
)
from tenuto.model.ids import ExecutionId, InstanceId, new_message_id
from tenuto.model.messages import Purge
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import FINISHED, InstanceRecord, RuntimeStatus

_PAGE: Final = 1_000
_REQUESTS_AT_ONCE: Final = 16
"""Other clients of a server want to be heard too."""
_LOOK_SECONDS: Final = 0.05


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
    async for records in fitting(gateway, query, force=force):
        async for gone in purge_records(gateway, records, force=force):
            yield gone


async def fitting(
    gateway: Gateway, query: InstanceQuery, *, force: bool
) -> AsyncIterator[list[InstanceRecord]]:
    """What may be deleted of that which fits a query, page by page.

    Args:
        gateway: To whoever has them.
        query: Which ones; without ``force``, of these all that have ended.
        force: Also those that have not ended.

    Raises:
        InputError: it asks for instances that have not ended, without ``force``.
    """
    check_ended(query.statuses, force=force)
    statuses = query.statuses
    if statuses is None and not force:
        statuses = tuple(sorted(FINISHED))
    query = structs.replace(query, statuses=statuses, limit=_PAGE, payloads=False)
    while True:
        page = await gateway.query(query)
        yield page.records
        if page.after is None:
            return
        query = structs.replace(query, after=page.after)


def check_ended(statuses: Iterable[RuntimeStatus] | None, *, force: bool) -> None:
    """Refuse to delete instances that go on, unless that is forced.

    Raises:
        InputError: naming the statuses of such instances.
    """
    going = ", ".join(one.label for one in statuses or () if not one.is_finished)
    if going and not force:
        raise InputError(
            f"instances that are {going} have not ended; terminate them first, or purge them with "
            "force"
        )


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
        return purge_beside(gateway, records, force=force)
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
    gateway: StoreGateway, records: Sequence[InstanceRecord], *, force: bool
) -> AsyncIterator[int]:
    """Ask the owner of a store by messages, a bite at a time, and see them gone.

    Args:
        gateway: To the store.
        records: Which ones.
        force: Also those that have not ended; they are ended first.

    Raises:
        StorageUnavailableError: the host does not do it in time; the requests stay in the store.
    """
    for start in range(0, len(records), BITE):
        bite = records[start : start + BITE]
        await gateway.storage.append([_request(one, force=force) for one in bite])
        await _gone(gateway, {one.instance_id: one.execution_id for one in bite})
        yield len(bite)


def _request(record: InstanceRecord, *, force: bool) -> InboxRow:
    name = new_message_id(present())
    message = Raw(encode(Purge(message_id=name, force=force)))
    return InboxRow(name, record.partition, record.instance_id, message)


async def _gone(gateway: StoreGateway, executions: dict[InstanceId, ExecutionId]) -> None:
    """Wait until none of these executions is there; an id may have been taken anew meanwhile."""
    left = list(executions)
    patience = Patience(gateway.has_host)
    while True:
        still = [
            one.instance_id
            for one in await gateway.storage.find(left)
            if one.execution_id == executions[one.instance_id]
        ]
        if not still:
            return
        if len(still) < len(left):
            patience = Patience(gateway.has_host)
        left = still
        if patience.is_over():
            raise patience.error(_not_deleted(left))
        await asyncio.sleep(_LOOK_SECONDS)


def _not_deleted(left: Sequence[InstanceId]) -> str:
    if len(left) == 1:
        return f"instance {left[0]!r} was not purged"
    return f"{len(left):,} instances were not purged, such as {left[0]!r}"
