"""Instances that are on their way: a start that waits in an inbox, and has no row yet.

Who starts within a transaction of his own leaves a message, never a row: the owner of the partition
decides who gets the id. Until then the start is shown as what its row will be.
"""

import asyncio
from typing import Final

from tenuto.client.gateway import present
from tenuto.client.remote_errors import error_of
from tenuto.client.wire import ErrorBody
from tenuto.engine.ports import Storage
from tenuto.engine.starts import taken_by
from tenuto.model.codec import decode_message
from tenuto.model.errors import InstanceNotFoundError
from tenuto.model.facts import facts_started, pending_row
from tenuto.model.ids import ExecutionId, InstanceId, MessageId, moment_of
from tenuto.model.messages import Start
from tenuto.model.status import InstanceRecord

_POLL_SECONDS: Final = 0.05


async def row_of(storage: Storage, instance_id: InstanceId) -> InstanceRecord | None:
    """The row of an instance; of one that is only a start in the inbox, what its row will be."""
    record = await storage.get(instance_id)
    if record is not None:
        return record
    row = await storage.waiting_start(instance_id)
    message = None if row is None else decode_message(row.message)
    if row is None or not isinstance(message, Start):
        return await storage.get(instance_id)  # it may have been decided between the two
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
