"""What every gateway reads from the store alike; also of instances that are on their way.

Those are starts that wait in an inbox, and have no row yet.

Who starts within a transaction of his own leaves a message, never a row: the owner of the partition
decides who gets the id. Until then the start is shown as what its row will be.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from tenuto.client.gateway import present
from tenuto.client.remote_errors import error_of
from tenuto.client.wire import ErrorBody
from tenuto.engine.ports import Storage
from tenuto.engine.starts import taken_by
from tenuto.model.errors import InstanceNotFoundError, StorageCorruptError
from tenuto.model.facts import facts_started, pending_row
from tenuto.model.ids import ExecutionId, InstanceId, MessageId, moment_of
from tenuto.model.messages import Start
from tenuto.model.received import received
from tenuto.model.status import InstanceRecord
from tenuto.model.usage import Day, Dimension, UsageLine, grouped

_POLL_SECONDS: Final = 0.05


class StoreReads:
    """What a gateway asks of the store, whoever owns an instance.

    Args:
        storage: The store, open.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.queue_messages = storage.queue_messages
        self.failed_deliveries = storage.failed_deliveries
        self.wake = storage.wake
        self.query = storage.query
        self.history = storage.history
        self.history_page = storage.history_page
        self.dead_letters = storage.dead_letters
        self.dead_letter_page = storage.dead_letter_page

    async def usage(self, first: Day, last: Day, by: Sequence[Dimension]) -> list[UsageLine]:
        """What was used between two days, both included, added up by these dimensions."""
        return grouped(await self.storage.usage(first, last, by), by)

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """The row; also of what waits in the inbox to be started."""
        return await row_of(self.storage, instance_id)

    async def decided(self, instance_id: InstanceId, execution_id: ExecutionId) -> None:
        """Wait until a start has its id, or is refused."""
        await decision(self.storage, instance_id, execution_id)


async def row_of(storage: Storage, instance_id: InstanceId) -> InstanceRecord | None:
    """The row of an instance; of one that is only a start in the inbox, what its row will be."""
    record = await storage.get(instance_id)
    if record is not None:
        return record
    row = await storage.waiting_start(instance_id)
    if row is None:
        return await storage.get(instance_id)  # it may have been decided between the two
    message = received(row.message_id, row.message, is_handed_over=row.is_handed_over)
    if not isinstance(message, Start):
        raise StorageCorruptError(
            f"the start of instance {instance_id!r} that waits in the inbox cannot be read; a host "
            "makes a dead letter of it, which says why"
        )
    facts = facts_started(instance_id, message.event, message.root_id, message.depth)
    made_at = moment_of(facts.execution_id) or present()
    return pending_row(facts, partition=row.partition, created_at=made_at)


async def is_coming(storage: Storage, instance_id: InstanceId) -> bool:
    """Whether an instance that has no row is on its way; a moment later then."""
    if await storage.waiting_start(instance_id) is None:
        return await storage.get(instance_id) is not None  # decided between the two
    storage.wake()
    await asyncio.sleep(_POLL_SECONDS)
    return True


async def decision(storage: Storage, instance_id: InstanceId, execution_id: ExecutionId) -> None:
    """Wait until it is decided whether a start that is in the inbox gets its id.

    Raises:
        TenutoError: why it does not.
        InstanceNotFoundError: its transaction was rolled back, or is not committed.
    """
    key = MessageId(execution_id)
    storage.wake()
    while await storage.is_waiting(key):  # noqa: ASYNC110 - only the store knows
        await asyncio.sleep(_POLL_SECONDS)
    for answer in await storage.answers([key]):
        if answer.code is not None:
            raise error_of(ErrorBody(answer.code, answer.text), instance_id=instance_id)
        return
    # Answers are not kept for ever; whose the id is says enough.
    record = await storage.get(instance_id)
    if record is None:
        raise InstanceNotFoundError(instance_id)
    if record.execution_id != execution_id:
        raise taken_by(record)
