"""A store made of a task hub in Azure Storage, to be looked at: nothing ever runs on it.

The file appears under its name whole and sealed, or not at all.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from msgspec import Raw, Struct, structs

from tenuto.engine.ports import HostIdentity, Storage
from tenuto.engine.rows import CommitBatch, HistoryRow, Lease
from tenuto.interop.azure_storage.task_hub.events import execution_rows, record_of, turns_of
from tenuto.interop.azure_storage.task_hub.stopped_hub import StoppedHub
from tenuto.model.codec import encode_turn
from tenuto.model.errors import SettingsError
from tenuto.model.events import HistoryEvent
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.storage import open_storage, upkeep_of

_AT_ONCE: Final = 200
"""Instances of one commit."""
_MOST_LEVELS: Final = 1_000
_ENTITY: Final = "@"


class Imported(Struct, frozen=True, rename="camel"):
    """What a store was made of.

    Attributes:
        file: The store.
        instances: How many are in it.
        events: How many events their histories have.
        entities: How many of the hub's instances were left out, because they are entities.
    """

    file: str
    instances: int
    events: int
    entities: int


async def import_hub(hub: StoppedHub, target: Path) -> Imported:
    """Make a store of a hub.

    Args:
        hub: The hub; it is only read.
        target: The file to be made.

    Raises:
        SettingsError: the file is there already, or cannot be there.
        TaskHubError: there is no such hub, or it is in use.
        AzureStorageError: it cannot be read.
        StorageError: the file cannot be written.
    """
    with _whole_or_not_at_all(target) as partial:
        await hub.check()
        return await _filled(hub, open_storage(f"sqlite:///{partial}"), str(target))


@contextmanager
def _whole_or_not_at_all(target: Path) -> Iterator[Path]:
    """A file beside the target, which is sealed and moved there when all went well."""
    # The log of another store would be played into this one.
    for there in (target, Path(f"{target}-wal")):
        if there.exists():
            raise SettingsError(
                f"{str(there)!r} is there already and was left alone; give a new name"
            )
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        upkeep_of(f"sqlite:///{partial}").seal()
        # Crash points: before it there is no file of that name, after it a sealed one.
        partial.rename(target)
    finally:
        for ending in ("", "-wal", "-shm", ".owner"):
            Path(f"{partial}{ending}").unlink(missing_ok=True)


async def _filled(hub: StoppedHub, storage: Storage, name: str) -> Imported:
    await storage.open()
    try:
        owner = HostIdentity(owner=f"import-{uuid4().hex}", description="tenuto azure import")
        leases = await storage.acquire(owner)
        entities = 0
        found: list[tuple[InstanceRecord, list[list[HistoryEvent]]]] = []
        async for row in hub.instances():
            key = str(row["PartitionKey"])
            if key.startswith(_ENTITY):
                entities += 1
                continue
            turns = turns_of(execution_rows(await hub.history(key)))
            found.append((record_of(row, turns, len(found) + 1), turns))
        await storage.reserve_iids(len(found))
        parents = {record.instance_id: _parent_of(record) for record, _ in found}
        whole = [(_placed(record, parents), turns) for record, turns in found]
        for start in range(0, len(whole), _AT_ONCE):
            await storage.commit(_batch(whole[start : start + _AT_ONCE], leases, start))
        await storage.release(leases)
        events = sum(len(turn) for _, turns in whole for turn in turns)
        return Imported(name, len(whole), events, entities)
    finally:
        await storage.close()


def _batch(
    some: Sequence[tuple[InstanceRecord, list[list[HistoryEvent]]]],
    leases: list[Lease],
    start: int,
) -> CommitBatch:
    return CommitBatch(
        batch_id=uuid4().hex,
        owner=leases[0].owner,
        number=start // _AT_ONCE + 1,
        fences=leases,
        instances=[record for record, _ in some],
        replaced=[],
        updates=[],
        history=[
            HistoryRow(record.iid, 0, number, Raw(bytes(encode_turn(turn))))
            for record, turns in some
            for number, turn in enumerate(turns)
        ],
        forget=[],
        inbox=[],
        consumed=[],
        purged=[],
        dead_letters=[],
    )


def _parent_of(record: InstanceRecord) -> InstanceId | None:
    return None if record.parent is None else record.parent.instance_id


def _placed(record: InstanceRecord, parents: dict[InstanceId, InstanceId | None]) -> InstanceRecord:
    """Where it stands below the instance that began it all, which may be gone."""
    root, depth = record.instance_id, 0
    while (above := parents.get(root)) is not None and depth < _MOST_LEVELS:
        root, depth = above, depth + 1
    return structs.replace(record, root_id=root, depth=depth)
