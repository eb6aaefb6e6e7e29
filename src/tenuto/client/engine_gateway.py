"""In the process of a host: into its engine, or through the store to the host that has an instance.

Who asks need not know where an instance is, nor that its partition moves while it is being asked
about. A request that the engine has given up because the partition has gone was not carried out
(``Engine.drop``), so it is asked once more, of the next owner; a start is known by its execution.
Owns neither the engine nor the store.
"""

from collections.abc import Callable

from tenuto.client.coming import StoreReads, is_coming
from tenuto.client.own_store import mark_refusals
from tenuto.client.store_gateway import StoreGateway
from tenuto.client.topics import StoreTopics, TopicsGateway
from tenuto.engine.commands import Commands
from tenuto.engine.ports import Storage
from tenuto.engine.queue_ports import QueueStanding
from tenuto.model.errors import InstanceNotFoundError, StorageOwnedError
from tenuto.model.ids import InstanceId
from tenuto.model.messages import ClientMessage
from tenuto.model.requests import StartRequest
from tenuto.model.status import InstanceRecord


class EngineGateway(StoreReads):
    """Into the engine of this process where that has the instance; reads go to the store.

    Args:
        commands: To the engine, which has begun.
        storage: Its store.
        arrived: Called when this process has stored something for a partition that the engine has
            taken meanwhile: the store does not tell us what we have written ourselves.
    """

    def __init__(
        self,
        commands: Commands,
        storage: Storage,
        arrived: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(storage)
        self._commands = commands
        self._arrived = arrived
        self._beside = StoreGateway(
            storage, commands.hub_partitions, now=commands.now, watch=commands.watch
        )
        self._beside.on_stored = self._stored
        self.topics: TopicsGateway = StoreTopics(storage, lambda: True)
        self.now = commands.now
        self.publish = commands.publish
        self.redrive = commands.redrive
        self.drop_failed = commands.drop_failed
        self.acknowledge_letters = commands.acknowledge_letters
        self.drop_queued = commands.drop_queued
        # A function that is refused so has not failed.
        mark_refusals(self, self)
        mark_refusals(self.topics, self)

    async def start(self, request: StartRequest) -> None:
        """Start an instance, wherever it belongs; returns when it is durable.

        Raises:
            TenutoError: as ``Commands.start``.
        """
        commands = self._commands
        while True:
            if not commands.serves(request.instance_id):
                commands.check_open()
                await self._beside.start(request)
                return
            try:
                await commands.start(request)
            except StorageOwnedError:
                commands.check_open()
            else:
                return

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Tell an instance something, wherever it is; returns what its owner says.

        Raises:
            TenutoError: as ``Commands.tell``.
            StorageUnavailableError: also when its owner has not answered, so nobody knows.
        """
        commands = self._commands
        while True:
            if not commands.serves(instance_id):
                commands.check_open()
                await self._beside.ask(instance_id, message)
                return
            try:
                await commands.tell(instance_id, message)
            except StorageOwnedError:
                commands.check_open()
            except InstanceNotFoundError:
                if not await is_coming(self.storage, instance_id):
                    raise
            else:
                return

    async def wait(self, instance_id: InstanceId, *, started: bool = False) -> InstanceRecord:
        """The row once the instance has ended, or with ``started`` has begun, wherever it is.

        Raises:
            TenutoError: as ``Commands.wait``.
            StorageError: the store cannot be read.
        """
        commands = self._commands

        def has_come_here() -> bool:
            return commands.serves(instance_id)

        while True:
            if not has_come_here():
                found = await self._beside.wait_until(instance_id, has_come_here, started=started)
                if found is not None:
                    return found
                continue
            try:
                return await commands.wait(instance_id, started=started)
            except StorageOwnedError:
                commands.check_running()
            except InstanceNotFoundError:
                if not await is_coming(self.storage, instance_id):
                    raise

    async def queues(self) -> list[QueueStanding]:
        """How each queue stands."""
        return await self.storage.queues(self.now())

    async def close(self) -> None:
        """Nothing: engine and store are the host's."""

    def _stored(self, instance_id: InstanceId) -> None:
        if self._commands.serves(instance_id):
            self._arrived()
