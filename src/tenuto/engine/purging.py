"""Deleting many instances as the owner of a store, where no host runs: a bite at a time.

While a host runs, it is told to (``client.purging``): it has instances in memory.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Final

from tenuto.engine.batch import Batch
from tenuto.engine.ports import HostIdentity, Storage
from tenuto.model.errors import InstanceStateError
from tenuto.model.status import InstanceRecord

BITE: Final = 200


async def purge_as_owner(storage: Storage, records: Sequence[InstanceRecord]) -> AsyncIterator[int]:
    """Own the store for as long as it takes to delete these; how many, bite by bite.

    Args:
        storage: The store, open.
        records: Instances that have ended.

    Raises:
        InstanceStateError: one has not ended; nothing is deleted.
        StorageOwnedError: a host owns the store.
    """
    going = next((one for one in records if not one.status.is_finished), None)
    if going is not None:
        raise InstanceStateError(
            going.instance_id,
            f"has not ended ({going.status.label}); only a host can end it: start one",
        )
    owner = uuid.uuid4().hex[:12]
    leases = await storage.acquire(HostIdentity(owner=owner, description="deletes instances"))
    held = {lease.partition: lease for lease in leases}
    try:
        for number, start in enumerate(range(0, len(records), BITE), 1):
            bite = records[start : start + BITE]
            batch = Batch(purged=[one.iid for one in bite], held={one.partition for one in bite})
            await storage.commit(batch.to_commit(uuid.uuid4().hex, owner, number, held))
            yield len(bite)
    finally:
        await storage.release(leases)
