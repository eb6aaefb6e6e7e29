"""Reads instances with their histories, many at once: from a store, or from whoever has one."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from tenuto.client.gateway import Gateway
from tenuto.engine.linking import HasLinks
from tenuto.engine.ports import LoadedInstance, Storage
from tenuto.model.errors import InstanceNotFoundError, LimitError
from tenuto.model.ids import InstanceId, split_address
from tenuto.model.status import InstanceRecord

_AT_ONCE: Final = 8


class RunReader(Protocol):
    """What is needed to draw a run."""

    async def load(self, instance_ids: Sequence[InstanceId]) -> list[LoadedInstance]:
        """These instances with the history of their current execution; unknown ids are left out."""

    async def rows(self, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
        """Their rows alone."""

    async def turns(self, instance_id: InstanceId, most_bytes: int) -> list[bytes] | None:
        """The history of its current execution; None when that is longer."""

    async def troubled_links(self) -> dict[str, str]:
        """What is wrong with links to other hubs, by name; of a place that does not tell, none."""


class StoreReader:
    """Reads from an open store, all of one moment."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def load(self, instance_ids: Sequence[InstanceId]) -> list[LoadedInstance]:
        """See ``RunReader``."""
        records = await self._storage.find(instance_ids)
        return await self._storage.load_instances([record.iid for record in records])

    async def rows(self, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
        """See ``RunReader``."""
        return await self._storage.find(instance_ids)

    async def turns(self, instance_id: InstanceId, most_bytes: int) -> list[bytes] | None:
        """See ``RunReader``."""
        return await _unless_long(self._storage, instance_id, most_bytes)

    async def troubled_links(self) -> dict[str, str]:
        """See ``RunReader``."""
        if not isinstance(self._storage, HasLinks):
            return {}
        hubs = await self._storage.linking.hubs()
        return {hub.name: hub.problem for hub in hubs if hub.problem is not None}


class BoundedReader(StoreReader):
    """The same as long as there is room for it: what does not fit any more is left out.

    Args:
        storage: The store.
        room: So many bytes of history are read, of all instances together.
    """

    def __init__(self, storage: Storage, room: int) -> None:
        super().__init__(storage)
        self._room = room
        self._is_first = True

    async def load(self, instance_ids: Sequence[InstanceId]) -> list[LoadedInstance]:
        """See ``RunReader``.

        Raises:
            LimitError: not even the very first one fits.
        """
        found: list[LoadedInstance] = []
        for one in instance_ids:
            try:
                turns = await self._storage.history(one, self._room)
            except LimitError:
                if self._is_first:
                    raise
                continue
            self._is_first = False
            self._room -= sum(map(len, turns))
            found += await super().load([one])
        return found


async def read_one(storage: Storage, instance_id: InstanceId, most_bytes: int) -> LoadedInstance:
    """One instance with the history of its current execution.

    Raises:
        InstanceNotFoundError: there is no such instance.
        LimitError: its history is longer.
    """
    for loaded in await BoundedReader(storage, most_bytes).load([instance_id]):
        return loaded
    raise InstanceNotFoundError(instance_id)


class GatewayReader:
    """Reads through a gateway, one instance after the other, some at a time."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def load(self, instance_ids: Sequence[InstanceId]) -> list[LoadedInstance]:
        """See ``RunReader``. An instance that moves on between row and history is of no harm."""
        found = await asyncio.gather(*(self._one(one) for one in _of_here(instance_ids)))
        return [one for one in found if one is not None]

    async def rows(self, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
        """See ``RunReader``."""
        found = await asyncio.gather(*(self._row(one) for one in _of_here(instance_ids)))
        return [one for one in found if one is not None]

    async def turns(self, instance_id: InstanceId, most_bytes: int) -> list[bytes] | None:
        """See ``RunReader``."""
        return await _unless_long(self._gateway, instance_id, most_bytes)

    async def troubled_links(self) -> dict[str, str]:
        """See ``RunReader``: the host itself says it, where it explains."""
        return {}

    async def _row(self, instance_id: InstanceId) -> InstanceRecord | None:
        async with self._free:
            return await self._gateway.get(instance_id)

    async def _one(self, instance_id: InstanceId) -> LoadedInstance | None:
        async with self._free:
            turns = await self._gateway.history(instance_id)
            record = await self._gateway.get(instance_id)
        return None if record is None else LoadedInstance(record, turns, [])


def _of_here(instance_ids: Sequence[InstanceId]) -> list[InstanceId]:
    """Without those of linked hubs, which no other hub knows: a store finds none of them either."""
    return [one for one in instance_ids if split_address(one) is None]


async def _unless_long(
    place: Storage | Gateway, instance_id: InstanceId, most_bytes: int
) -> list[bytes] | None:
    try:
        return await place.history(instance_id, most_bytes)
    except LimitError:
        return None
