"""Starting, telling and publishing as a part of a program's own database transaction.

What an outbox hands over is there when the program commits, and never was when it rolls back. Owns
no connection, and never commits: it writes one message into the hub's inbox over a connection that
the program has, and whoever serves the hub decides about it once it is committed.
"""

from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from inspect import iscoroutinefunction
from typing import Any, TypeVar, TypeVarTuple, cast, overload

from msgspec import Raw, structs

from tenuto.client.client import Client
from tenuto.client.gateway import Gateway, present
from tenuto.client.handed_start import HandedStart
from tenuto.engine.program import OrchestratorDirectory
from tenuto.engine.rows import InboxRow
from tenuto.model.carried_events import address_of_topic, carried
from tenuto.model.causes import CAUSE_TAG
from tenuto.model.codec import encode
from tenuto.model.errors import InputError, NotOverLinksError
from tenuto.model.facts import started
from tenuto.model.ids import (
    ExecutionId,
    InstanceId,
    MessageId,
    derived_from,
    new_message_id,
    partition_of,
    reserved_id,
    split_address,
)
from tenuto.model.limits import Limits
from tenuto.model.messages import AnyMessage, ClientMessage, Start
from tenuto.model.requests import IdReuse, StartRequest
from tenuto.model.topics import EventDetails, PublishedEvent, QueuedMessage, is_of_linked_hub
from tenuto.orchestration.references import OrchestratorFunction
from tenuto.storage.callers import Caller, Door, caller_of, door_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _OfHub:
    """What outboxes know of their hub."""

    def __init__(
        self,
        storage: str,
        directory: OrchestratorDirectory | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._door = door_of(storage)
        self._directory = directory
        self._limits = limits

    def _handing(self, connection: object, *, awaited: bool, otherwise: str) -> Client:
        """What hands over with a connection.

        Args:
            connection: The caller's.
            awaited: Whether it is to be one that is awaited.
            otherwise: What to use where it is not.
        """
        caller = caller_of(connection, self._door)
        if iscoroutinefunction(caller.carry) is not awaited:
            raise InputError(f"nothing was handed over: this connection {otherwise}")
        gateway = _HandingGateway(self._door, caller)
        # Its other methods are out of reach.
        return Client(cast("Gateway", gateway), self._directory, self._limits)


class Outbox(_OfHub):
    """Hands messages over to a hub within a transaction of the caller's, with an event loop.

    It has no connection and needs no closing; keep one for a store. Of the storage URL the schema
    of PostgreSQL counts, or the file: server and database are those of the connection.

    Args:
        storage: Storage URL of the hub.
        directory: The functions that may be started (an app); None when they are not known here:
            then a name is taken as it is, with one argument at most.
        limits: Of these, ``payload_bytes`` holds for what goes in.

    Raises:
        SettingsError: the URL cannot be one, or is a store in memory.

    Example:
        ::

            outbox = Outbox("postgresql://db.example/shop")
            async with engine.begin() as connection:
                await connection.execute(insert(orders).values(id=7))
                await outbox.within(connection).start(bill, 7, instance_id="order-7")
    """

    def within(self, connection: object) -> "OutboxWithin":
        """What is handed over with the transaction of this connection.

        Args:
            connection: An ``AsyncConnection`` of psycopg, a connection of asyncpg, an
                ``AsyncConnection`` or ``AsyncSession`` of SQLAlchemy.

        Raises:
            InputError: it is none of these, or to a database of another kind.
        """
        otherwise = "blocks; use SyncOutbox, or give Outbox a connection that is awaited"
        return OutboxWithin(self._handing(connection, awaited=True, otherwise=otherwise))


class OutboxWithin:
    """What an ``Outbox`` does within one transaction."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @overload
    async def start(
        self,
        orchestrator: OrchestratorFunction[*Ts, T],
        *args: *Ts,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
    ) -> HandedStart[T]: ...
    @overload
    async def start(
        self,
        orchestrator: str,
        *args: Any,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
    ) -> HandedStart[Any]: ...
    async def start(  # type: ignore[misc]  # mypy wants *Ts here too
        self, orchestrator: Any, *args: Any, **options: Any
    ) -> HandedStart[Any]:
        """Start an orchestration if the transaction is committed.

        Whether the id is free is decided then: of a start that does not get it a dead letter tells,
        and ``client.decided``.

        Args:
            orchestrator: The decorated function, ``fn.options(...)``, or a registered name.
            *args: Its arguments after the context.
            **options: As for ``Client.start``, without ``on``.

        Raises:
            UnknownFunctionError, PayloadError, InvalidInstanceIdError: as for ``Client.start``.
            NotOverLinksError: it is for a linked hub.
            InputError: the connection cannot be used, or is to a database without this hub.
            StorageVersionError: the hub is of a newer Tenuto.
        """
        return await _started(self._client, orchestrator, args, options)

    async def raise_event(self, instance_id: str, name: str, data: object = None) -> None:
        """Raise an external event if the transaction is committed.

        For an instance that is not there then, or has ended, it becomes a dead letter.

        Raises:
            NotOverLinksError: the instance is one of a linked hub.
            InputError: the connection cannot be used, or is to a database without this hub.
        """
        await self._client.raise_event(instance_id, name, data)

    async def publish(
        self,
        topic: str,
        data: object = None,
        *,
        key: str | None = None,
        type: str | None = None,
        event_id: str | None = None,
        details: EventDetails | None = None,
    ) -> str:
        """Publish an event if the transaction is committed: see ``Client.publish``.

        It gets its place in the topic when a host takes it in.

        Returns:
            The event's id.

        Raises:
            NotOverLinksError: the topic is one of a linked hub.
            InputError: the connection cannot be used, or is to a database without this hub.
        """
        return await self._client.publish(
            topic, data, key=key, type=type, event_id=event_id, details=details
        )


class SyncOutbox(_OfHub):
    """``Outbox`` for programs without an event loop: all of it happens on the calling thread.

    Args:
        storage: As for ``Outbox``.
        directory: As for ``Outbox``.
        limits: As for ``Outbox``.

    Raises:
        SettingsError: the URL cannot be one, or is a store in memory.

    Example:
        ::

            outbox = SyncOutbox("sqlite:///shop.db")
            with sqlite3.connect("shop.db") as connection:
                connection.execute("INSERT INTO orders (id) VALUES (7)")
                outbox.within(connection).start("bill", 7, instance_id="order-7")
    """

    def within(self, connection: object) -> "SyncOutboxWithin":
        """What is handed over with the transaction of this connection.

        Args:
            connection: A ``Connection`` of psycopg, of SQLAlchemy, or of ``sqlite3``, or a
                ``Session`` of SQLAlchemy.

        Raises:
            InputError: it is none of these, or to a database of another kind.
        """
        otherwise = "wants an event loop; use Outbox, and await its calls"
        return SyncOutboxWithin(self._handing(connection, awaited=False, otherwise=otherwise))


class SyncOutboxWithin:
    """What a ``SyncOutbox`` does within one transaction."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @overload
    def start(
        self,
        orchestrator: OrchestratorFunction[*Ts, T],
        *args: *Ts,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
    ) -> HandedStart[T]: ...
    @overload
    def start(
        self,
        orchestrator: str,
        *args: Any,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
    ) -> HandedStart[Any]: ...
    def start(  # type: ignore[misc]  # mypy wants *Ts here too
        self, orchestrator: Any, *args: Any, **options: Any
    ) -> HandedStart[Any]:
        """See ``OutboxWithin.start``."""
        return _at_once(_started(self._client, orchestrator, args, options))

    def raise_event(self, instance_id: str, name: str, data: object = None) -> None:
        """See ``OutboxWithin.raise_event``."""
        _at_once(self._client.raise_event(instance_id, name, data))

    def publish(
        self,
        topic: str,
        data: object = None,
        *,
        key: str | None = None,
        type: str | None = None,
        event_id: str | None = None,
        details: EventDetails | None = None,
    ) -> str:
        """See ``OutboxWithin.publish``."""
        return _at_once(
            self._client.publish(
                topic, data, key=key, type=type, event_id=event_id, details=details
            )
        )


class _HandingGateway:
    """The part of a gateway that hands over: its requests are messages, decided later.

    Args:
        door: Into the hub.
        caller: The connection.
    """

    def __init__(self, door: Door, caller: Caller) -> None:
        self._door = door
        self._caller = caller
        self.last_execution: ExecutionId | None = None
        self.now = present

    async def start(self, request: StartRequest) -> None:
        facts = request.facts
        _check_here(facts.instance_id)
        if derived_from(facts.instance_id) is not None:
            raise reserved_id(facts.instance_id)
        cause = None if facts.tags is None else facts.tags.get(CAUSE_TAG)
        self._door.check_texts(facts.name, facts.version, cause)
        # With a root its refusal is a dead letter; and whoever asks hears of it.
        message = Start(
            message_id=MessageId(facts.execution_id),
            event=started(facts, ""),
            root_id=facts.instance_id,
            reuse=request.reuse,
            awaits_answer=True,
        )
        await self._put(facts.instance_id, message)
        self.last_execution = facts.execution_id

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        _check_here(instance_id)
        key = new_message_id(self.now())
        await self._put(instance_id, structs.replace(message, message_id=key))

    async def publish(
        self, events: Sequence[PublishedEvent], _messages: Sequence[QueuedMessage]
    ) -> None:
        for event in events:
            if is_of_linked_hub(event.topic):
                raise NotOverLinksError(
                    f"{event.topic!r} is a topic of a linked hub: nothing goes there with a "
                    "transaction of yours. Publish to a topic of this hub, and let a subscription "
                    "pass it on"
                )
            self._door.check_texts(event.event_id, event.topic, event.key, event.cause)
            _, message = carried(event, new_message_id(self.now()))
            await self._put(address_of_topic(event.topic), message)

    async def _put(self, address: InstanceId, message: AnyMessage) -> None:
        def row(partitions: int, /) -> InboxRow:
            number = partition_of(address, partitions)
            return InboxRow(cast("MessageId", message.message_id), number, address, text)

        text = Raw(encode(message))
        carrying = self._caller.carry(self._door.put(row))
        if carrying is not None:
            await carrying


async def _started(
    client: Client,
    orchestrator: Any,  # noqa: ANN401 - whatever a client takes
    args: Sequence[Any],
    options: Mapping[str, Any],
) -> HandedStart[Any]:
    if "on" in options:
        raise InputError("a start within a transaction of yours is for this hub: leave out `on`")
    handle = await client.start(orchestrator, *args, **options)
    gateway = cast("_HandingGateway", client.gateway)
    assert gateway.last_execution is not None
    return HandedStart(handle.instance_id, gateway.last_execution, orchestrator)


def _check_here(instance_id: InstanceId) -> None:
    if split_address(instance_id) is not None:
        raise NotOverLinksError(
            f"{instance_id!r} is an instance of a linked hub: nothing goes there with a "
            "transaction of yours. Start an orchestration of this hub, which does it"
        )


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("nothing of it waits")
