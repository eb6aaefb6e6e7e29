"""Where a client's requests go: into the engine of this process, or through the store."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from msgspec import Raw, structs

from tenuto.client.own_store import mark_refusals
from tenuto.client.remote_errors import error_of
from tenuto.client.topics import StoreTopics, TopicsGateway
from tenuto.client.wire import ErrorBody
from tenuto.engine.commands import Commands
from tenuto.engine.linking import HasLinks
from tenuto.engine.outside import link_full
from tenuto.engine.ports import Storage
from tenuto.engine.queue_ports import QueueStanding, WaitingMessage
from tenuto.engine.rows import InboxRow
from tenuto.engine.topic_ports import FailedDelivery, Redriven
from tenuto.engine.turns.sorting import still_going
from tenuto.model.carried_events import carried
from tenuto.model.codec import decode_message, encode
from tenuto.model.control import CONTROL_OF, ENDING, PAUSING, Control
from tenuto.model.errors import (
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
    NoSuchLinkError,
    NotOverLinksError,
    StorageUnavailableError,
)
from tenuto.model.facts import facts_started, pending_row, started
from tenuto.model.ids import (
    ExecutionId,
    InstanceId,
    MessageId,
    derived_from,
    moment_of,
    new_message_id,
    partition_of,
    reserved_id,
    split_address,
)
from tenuto.model.messages import (
    AnswerQuestion,
    ClientMessage,
    Message,
    Purge,
    RedeemWebhook,
    Start,
    Terminate,
)
from tenuto.model.requests import (
    DeadLetter,
    DeadLetterPage,
    HistoryPage,
    InstancePage,
    InstanceQuery,
    StartRequest,
)
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage, is_of_linked_hub

_POLL_SECONDS = 0.05
_FIRST_PAUSE_SECONDS = 0.002
_OWNER_SECONDS = 30.0
_NOBODY_SECONDS = 3.0
"""Whether a host runs is looked at after so long, once: to look is to hold its lock for an instant,
and a host that is restarted is soon back."""
_MOST_TRIES = 10


def _kinds(messages: Iterable[type]) -> tuple[str, ...]:
    return tuple(one.__name__ for one in messages)


_PAUSING: Final = _kinds(PAUSING)
_ENDING: Final = _kinds(ENDING)


def check_here(instance_id: InstanceId) -> None:
    """See that an id is none of a linked hub, for who is not in the process of the host.

    Raises:
        NotOverLinksError: it is.
    """
    if split_address(instance_id) is not None:
        raise NotOverLinksError(
            f"{instance_id!r} is an instance of a linked hub: what is asked of one goes through a "
            "client in the process of this hub's host, or an orchestration; or ask that hub"
        )


async def standing(storage: Storage, instance_id: InstanceId) -> InstanceRecord | None:
    """The row of an instance; of one that is only a start in the inbox, what its row will be.

    Who starts within a transaction of his own has no row: the owner writes it (cluster.md 3.3).
    """
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


class Gateway(Protocol):
    """What a client asks for, in JSON text and rows."""

    def now(self) -> Microseconds:
        """The present, in microseconds since 1970: the ids that a client makes begin with it."""

    async def start(self, request: StartRequest) -> None:
        """Start an instance; returns when it is durable."""

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Tell an instance something: an event, a word of control, that it is to be deleted."""

    async def publish(
        self, events: Sequence[PublishedEvent], messages: Sequence[QueuedMessage]
    ) -> None:
        """Publish events and queue messages, all or none; returns when they are durable."""

    @property
    def topics(self) -> TopicsGateway:
        """Looks at topics, their subscriptions and flows."""

    async def wait(self, instance_id: InstanceId, *, started: bool = False) -> InstanceRecord:
        """The row once the instance has ended, or with ``started`` has begun."""

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """The row."""

    async def query(self, query: InstanceQuery) -> InstancePage:
        """A page of rows."""

    async def history(self, instance_id: InstanceId, most_bytes: int | None = None) -> list[bytes]:
        """The turns of the current execution, as JSON arrays."""

    async def decided(self, instance_id: InstanceId, execution_id: ExecutionId) -> None:
        """Wait until it is decided whether a start gets its id, that is in the inbox."""

    def wake(self) -> None:
        """Have whoever serves the hub look for what has come over connections of others."""

    async def close(self) -> None:
        """Let go of what belongs to the client alone."""

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest messages that nobody could take."""

    async def history_page(
        self, instance_id: InstanceId, after: str | None, most_bytes: int
    ) -> HistoryPage:
        """Turns of the current execution, as long as they fit; one at least."""

    async def dead_letter_page(
        self, limit: int, after: str | None, most_bytes: int
    ) -> DeadLetterPage:
        """Messages that nobody could take, newest first, as long as they fit; one at least."""

    async def queues(self) -> list[QueueStanding]:
        """How each queue stands."""

    async def queue_messages(self, queue: str, limit: int, most_bytes: int) -> list[WaitingMessage]:
        """The next messages of a queue, as long as they fit; one at least."""

    async def drop_queued(self, queue: str, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages of a queue, all that it has without ids; how many there were."""

    async def failed_deliveries(
        self,
        source: str | None = None,
        name: str | None = None,
        function: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[FailedDelivery]:
        """Deliveries that were put aside, oldest first, after this number."""

    async def redrive(self, numbers: Sequence[int]) -> Redriven:
        """Give failed deliveries back to their functions."""

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """Delete failed deliveries; how many there were."""


class EngineGateway:
    """Into the engine of this process; reads go to its store."""

    def __init__(self, commands: Commands, storage: Storage) -> None:
        self._storage = storage
        self.topics: TopicsGateway = StoreTopics(storage, lambda: True)
        self._commands = commands
        self.now = commands.now
        self.start = commands.start
        self.publish = commands.publish
        self.redrive = commands.redrive
        self.drop_failed = commands.drop_failed
        self.drop_queued = commands.drop_queued
        self.queue_messages = storage.queue_messages
        self.failed_deliveries = storage.failed_deliveries
        self.wake = storage.wake
        self.query = storage.query
        self.history = storage.history
        self.history_page = storage.history_page
        self.dead_letters = storage.dead_letters
        self.dead_letter_page = storage.dead_letter_page
        # A function that is refused so has not failed.
        mark_refusals(self, self)
        mark_refusals(self.topics, self)

    async def queues(self) -> list[QueueStanding]:
        """How each queue stands."""
        return await self._storage.queues(self.now())

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """The row; also of what waits in the inbox to be started."""
        return await standing(self._storage, instance_id)

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Tell an instance something; one that is in the inbox yet is waited for."""
        while True:
            try:
                return await self._commands.tell(instance_id, message)
            except InstanceNotFoundError:
                if not await self._is_coming(instance_id):
                    raise

    async def wait(self, instance_id: InstanceId, *, started: bool = False) -> InstanceRecord:
        """The row once the instance has ended or begun; one in the inbox is waited for."""
        while True:
            try:
                return await self._commands.wait(instance_id, started=started)
            except InstanceNotFoundError:
                if not await self._is_coming(instance_id):
                    raise

    async def decided(self, instance_id: InstanceId, execution_id: ExecutionId) -> None:
        """Wait until a start has its id, or is refused."""
        await decision(self._storage, instance_id, execution_id)

    async def _is_coming(self, instance_id: InstanceId) -> bool:
        """Whether an instance that is not there is in the inbox: after a moment then."""
        if await standing(self._storage, instance_id) is None:
            return False
        self._storage.wake()
        await asyncio.sleep(_POLL_SECONDS)
        return True

    async def close(self) -> None:
        """Nothing: engine and store are the host's."""


class StoreGateway:
    """Through the store, from a process that owns nothing (ENGINE rule 14). Owns the connection.

    Requests are durable when a call returns; the owning host takes them in soon after. What can
    be seen to be wrong from the row is refused at once; the rest the owner decides.

    Args:
        storage: The store, open.
        partitions: How many it has.
        has_host: Whether a host owns the store now; one does where that cannot be known.

    Attributes:
        storage: The store, open.
        has_host: The same.
    """

    def __init__(
        self, storage: Storage, partitions: int, has_host: Callable[[], bool] = lambda: True
    ) -> None:
        self.storage = storage
        self.has_host = has_host
        self._partitions = partitions
        self.now = present
        self.topics: TopicsGateway = StoreTopics(storage, has_host)
        self.drop_failed = storage.drop_failed
        self.drop_queued = storage.drop_queued
        self.queue_messages = storage.queue_messages
        self.failed_deliveries = storage.failed_deliveries
        self.wake = storage.wake
        self.query = storage.query
        self.history = storage.history
        self.history_page = storage.history_page
        self.dead_letters = storage.dead_letters
        self.dead_letter_page = storage.dead_letter_page

    async def start(self, request: StartRequest) -> None:
        """Insert a pending instance; one that must give way to it is left to the owner.

        Raises:
            InstanceExistsError: the id is taken.
            InvalidInstanceIdError: it is free, and one that a sub-orchestration may yet get.
            StorageUnavailableError: another instance must give way first, and no host answers.
        """
        facts = request.facts
        check_here(facts.instance_id)
        partition = partition_of(facts.instance_id, self._partitions)
        now = present()  # for people; no decision hangs on it
        record = pending_row(facts, partition=partition, created_at=now)
        event = started(facts, "")
        if derived_from(facts.instance_id) and await self.storage.get(facts.instance_id) is None:
            raise reserved_id(facts.instance_id)
        for _ in range(_MOST_TRIES):
            standing = await self.storage.start_instance(record)
            if standing.execution_id == facts.execution_id:
                return
            if standing.status not in request.reuse:
                raise _taken(standing)
            # When it is purged meanwhile, so is our request, and the id is free.
            with suppress(InstanceNotFoundError):
                await self._ask(
                    facts.instance_id,
                    Start(event=event, reuse=request.reuse),
                    "was not replaced",
                )
                return
        raise InstanceStateError(
            facts.instance_id, "was started and purged by others each time; try again"
        )

    async def publish(
        self, events: Sequence[PublishedEvent], messages: Sequence[QueuedMessage]
    ) -> None:
        """Add them; those for topics of linked hubs go when a host has seen them.

        Raises:
            NoSuchLinkError: one is for a hub that is not linked.
            LinkFullError: as much waits for that as may.
        """
        outward = [one for one in events if is_of_linked_hub(one.topic)]
        if not outward:
            await self.storage.publish(events, messages)
            return
        own = [one for one in events if not is_of_linked_hub(one.topic)]
        sent = [self._carried(one) for one in outward]
        await self._check_links(sent)
        await self.storage.publish(own, messages, sent)

    def _carried(self, event: PublishedEvent) -> InboxRow:
        key = new_message_id(self.now())
        address, message = carried(event, key)
        return InboxRow(key, 0, address, Raw(encode(message)))

    async def _check_links(self, sent: Iterable[InboxRow]) -> None:
        """See that there is a link for each, and room: as the store has it now."""
        hubs = await self.storage.linking.hubs() if isinstance(self.storage, HasLinks) else []
        waiting = {hub.name: (hub.waiting, hub.waiting_bytes) for hub in hubs}
        most = {hub.name: (hub.most_messages, hub.most_bytes) for hub in hubs}
        for row in sent:
            name = row.instance_id.partition("/")[0]
            if name not in waiting:
                raise NoSuchLinkError(name, waiting)
            messages, size = waiting[name]
            if messages >= most[name][0] or size >= most[name][1]:
                raise link_full(row.instance_id, messages, size)
            waiting[name] = messages + 1, size + memoryview(row.message).nbytes

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Append the message; where its effect must be known, wait for the owner's answer.

        Raises:
            InstanceNotFoundError, InstanceFinishedError: nobody can take it.
            InstanceStateError: it does not fit the state of the instance.
            StorageUnavailableError: its effect must be known, and no host answers.
        """
        check_here(instance_id)
        if isinstance(message, Purge):
            await self._purge(instance_id, message)
        elif isinstance(message, RedeemWebhook):
            await self._ask(instance_id, message, "was not told that its webhook is used")
        elif isinstance(message, AnswerQuestion):
            await self._unfinished(instance_id)
            await self._hand_over(instance_id, message)
        else:
            control = CONTROL_OF.get(type(message))
            if isinstance(message, Terminate) and message.recurse:
                await self._there(instance_id)  # what it called may run after its end
            elif control is None:
                await self._unfinished(instance_id)
            else:
                await self._refuse_when(instance_id, control)
            await self._append(instance_id, message, new_message_id(self.now()))

    async def _purge(self, instance_id: InstanceId, message: Purge) -> None:
        is_ending = await self.storage.is_asked(instance_id, _ENDING)
        record = await self.storage.get(instance_id)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        if not (record.status.is_finished or is_ending or message.force):
            raise still_going(instance_id)
        await self._ask(instance_id, message, "was not purged")

    async def wait(self, instance_id: InstanceId, *, started: bool = False) -> InstanceRecord:
        """Look until the instance has ended or begun."""
        is_told = False
        while True:
            record = await self.get(instance_id)
            if record is None:
                raise InstanceNotFoundError(instance_id)
            if has_come(record, started=started):
                return record
            if not record.iid and not is_told:  # it is in the inbox: nobody may have looked there
                self.wake()
                is_told = True
            await asyncio.sleep(_POLL_SECONDS)

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """The row; also of what waits in the inbox to be started."""
        return await standing(self.storage, instance_id)

    async def decided(self, instance_id: InstanceId, execution_id: ExecutionId) -> None:
        """Wait until a start has its id, or is refused."""
        await decision(self.storage, instance_id, execution_id)

    async def queues(self) -> list[QueueStanding]:
        """How each queue stands."""
        return await self.storage.queues(present())

    async def redrive(self, numbers: Sequence[int]) -> Redriven:
        """Give failed deliveries back; a host that owns the store sees them soon after."""
        return await self.storage.redrive(numbers, present())

    async def close(self) -> None:
        """Close the connection."""
        await self.storage.close()

    async def _there(self, instance_id: InstanceId) -> InstanceRecord:
        record = await self.get(instance_id)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        return record

    async def _unfinished(self, instance_id: InstanceId) -> InstanceRecord:
        record = await self._there(instance_id)
        if record.status.is_finished:
            raise InstanceFinishedError(instance_id, f"has already ended ({record.status.label})")
        return record

    async def _refuse_when(self, instance_id: InstanceId, control: Control) -> None:
        """Refuse a word that does not fit the state of an instance.

        Earlier ones may be on their way: then the row does not tell what it will be.
        """
        record = await self._unfinished(instance_id)
        if not control.cannot(record) or await self.storage.is_asked(instance_id, _PAUSING):
            return
        record = await self._unfinished(instance_id)  # they may have been carried out just now
        if control.cannot(record):
            raise InstanceStateError(
                instance_id, f"is {record.status.label}, so it cannot {control.name}"
            )

    async def _ask(self, instance_id: InstanceId, message: Message, undone: str | None) -> None:
        """Append a request and wait for the owner's answer to it.

        Args:
            instance_id: Whom it is for.
            message: The request.
            undone: What was not done when nobody has taken it in; None: then it may wait.

        Not for a state of the instance: another request may have changed that again already.

        Raises:
            TenutoError: why the owner refuses; StorageUnavailableError: none has answered.
        """
        key = new_message_id(self.now())
        await self._append(instance_id, structs.replace(message, awaits_answer=True), key)
        patience = Patience(self.has_host)
        pause = _FIRST_PAUSE_SECONDS
        while not patience.is_over():
            answer = await self.storage.answer(key)
            if answer is not None and answer.code is not None:
                body = ErrorBody(answer.code, answer.text)
                raise error_of(body, instance_id=instance_id)
            if answer is not None:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _POLL_SECONDS)
        if await self.storage.is_waiting(key):
            if undone is None:
                return
            raise patience.error(f"instance {instance_id!r} {undone}")
        raise StorageUnavailableError(
            f"instance {instance_id!r} was asked, and a host has taken the request in, but has not "
            f"answered within {patience.seconds:.0f} s; look at the instance and at the host's log"
        )

    async def _hand_over(self, instance_id: InstanceId, answer: AnswerQuestion) -> None:
        """Append an answer; who can decide about it now tells whether it counts.

        Without a host it stays in the store, as an event does. If it does not count in the end it
        becomes a dead letter.
        """
        if not self.has_host():
            await self._append(instance_id, answer, new_message_id(self.now()))
            return
        await self._ask(instance_id, answer, None)

    async def _append(self, instance_id: InstanceId, message: Message, key: MessageId) -> None:
        partition = partition_of(instance_id, self._partitions)
        named = structs.replace(message, message_id=key)
        row = InboxRow(key, partition, instance_id, Raw(encode(named)))
        await self.storage.append([row])


class Patience:
    """How long an answer of the host is waited for: less when none runs.

    Args:
        has_host: Whether one owns the store now.
    """

    def __init__(self, has_host: Callable[[], bool]) -> None:
        self._has_host = has_host
        self._began = time.monotonic()
        self._is_alone: bool | None = None

    @property
    def seconds(self) -> float:
        """For how long it has been waited."""
        return time.monotonic() - self._began

    def is_over(self) -> bool:
        """Whether there is no point in waiting any longer."""
        waited = self.seconds
        if self._is_alone is None and waited > min(_NOBODY_SECONDS, _OWNER_SECONDS):
            self._is_alone = not self._has_host()
        return bool(self._is_alone) or waited > _OWNER_SECONDS

    def error(self, undone: str) -> StorageUnavailableError:
        """Why nothing has come.

        Args:
            undone: What was not done, as a sentence begins.
        """
        why = (
            "no host runs on this store"
            if self._is_alone
            else f"no host has done it within {self.seconds:.0f} s"
        )
        return StorageUnavailableError(
            f"{undone}: {why}. The request stays in the store and is carried out when a host runs "
            "on it"
        )


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
    answer = await storage.answer(key)
    if answer is not None and answer.code is not None:
        raise error_of(ErrorBody(answer.code, answer.text), instance_id=instance_id)
    if answer is not None:
        return
    # Answers are not kept for ever; whose the id is says enough.
    record = await storage.get(instance_id)
    if record is None:
        raise InstanceNotFoundError(instance_id)
    if record.execution_id != execution_id:
        raise _taken(record)


def has_come(record: InstanceRecord, *, started: bool) -> bool:
    """Whether what is waited for has come: the beginning of an instance, or its end."""
    status = record.status
    return status is not RuntimeStatus.PENDING if started else status.is_finished


def _taken(record: InstanceRecord) -> InstanceExistsError:
    return InstanceExistsError(record.instance_id, f"already exists ({record.status.label})")


def present() -> Microseconds:
    """The machine's clock, for a client that has no host's; no decision hangs on it."""
    return time.time_ns() // 1000
