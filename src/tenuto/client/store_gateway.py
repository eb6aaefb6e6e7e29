"""Through the store: requests of a process that does not own the instance (ENGINE rule 14).

A request is a row in the inbox of whoever owns the instance, and durable with that. What the owner
makes of it comes back as an answer in the store; who waits for that, or for an instance, shares one
look at the store with all others (``engine.store_watch``).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Raw, structs

from tenuto.client.coming import StoreReads, is_coming
from tenuto.client.gateway import (
    Patience,
    check_here,
    has_come,
    present,
    within_patience,
)
from tenuto.client.remote_errors import error_of
from tenuto.client.topics import StoreTopics, TopicsGateway
from tenuto.client.wire import ErrorBody
from tenuto.engine.commands import MAY_HEAR, MAY_START
from tenuto.engine.linking import HasLinks
from tenuto.engine.outside import link_full
from tenuto.engine.ports import Standing, Storage
from tenuto.engine.queue_ports import QueueStanding
from tenuto.engine.rows import Answer, InboxRow
from tenuto.engine.starts import taken_by
from tenuto.engine.store_watch import StoreWatch
from tenuto.engine.topic_ports import Redriven
from tenuto.engine.turns.sorting import still_going
from tenuto.model.carried_events import carried
from tenuto.model.codec import encode
from tenuto.model.control import CONTROL_OF, ENDING, PAUSING, Control
from tenuto.model.errors import (
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
    NoSuchLinkError,
    StorageError,
    StorageUnavailableError,
    WebhookClosedError,
)
from tenuto.model.facts import pending_row, started
from tenuto.model.ids import (
    InstanceId,
    MessageId,
    derived_from,
    new_message_id,
    partition_of,
    reserved_id,
)
from tenuto.model.messages import (
    LETTERS,
    AnswerQuestion,
    ClientMessage,
    Message,
    Purge,
    RedeemWebhook,
    Start,
    Terminate,
)
from tenuto.model.requests import StartRequest
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage, is_of_linked_hub

_LOOK_SECONDS: Final = 0.5
"""How often it is considered whether an answer is worth waiting for."""
_MAY_PUBLISH: Final = (
    "it is not known whether this was published, and it may be yet (the same event_id or "
    "message_id makes sure that a second try adds nothing)"
)


def _kinds(messages: Iterable[type]) -> tuple[str, ...]:
    return tuple(one.__name__ for one in messages)


_PAUSING: Final = _kinds(PAUSING)
_ENDING: Final = _kinds(ENDING)


class StoreGateway(StoreReads):
    """From a process that owns nothing. Owns the connection.

    Requests are durable when a call returns; the owning host takes them in soon after. What can
    be seen to be wrong from the row is refused at once; the rest the owner decides.

    Args:
        storage: The store, open.
        partitions: How many it has.
        has_host: Whether a host owns the store now; one does where that cannot be known.
        now: The present; by default the machine's clock.
        watch: Looks at the store; by default one of its own.

    Attributes:
        storage: The store, open.
        has_host: The same.
        on_stored: Called when something for this instance is in the store.
    """

    def __init__(
        self,
        storage: Storage,
        partitions: int,
        has_host: Callable[[], bool] = lambda: True,
        *,
        now: Callable[[], Microseconds] = present,
        watch: StoreWatch | None = None,
    ) -> None:
        super().__init__(storage)
        self.has_host = has_host
        self.on_stored: Callable[[InstanceId], None] = _nobody_looks
        self._partitions = partitions
        self._watch = StoreWatch(storage) if watch is None else watch
        self.now = now
        self.topics: TopicsGateway = StoreTopics(storage, has_host)
        self.drop_failed = storage.drop_failed
        self.drop_queued = storage.drop_queued

    async def acknowledge_letters(self, message_ids: Sequence[MessageId]) -> int:
        """Note that somebody has seen to these dead letters; of how many that was news."""
        return await self.storage.acknowledge_letters(message_ids, self.now())

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
        now = self.now()  # for people; no decision hangs on it
        record = pending_row(facts, partition=partition, created_at=now)
        if derived_from(facts.instance_id) and await self.storage.get(facts.instance_id) is None:
            raise reserved_id(facts.instance_id)
        doubt = f"it is not known whether instance {facts.instance_id!r} {MAY_START}"
        standing = await within_patience(self.storage.start_instance(record), doubt)
        if standing.execution_id == facts.execution_id:
            self.on_stored(facts.instance_id)
            return
        if standing.status not in request.reuse:
            raise taken_by(standing)
        # It is for the id: should that instance be purged meanwhile, it starts all the same.
        message = Start(event=started(facts, ""), reuse=request.reuse)
        await self._ask(facts.instance_id, message, "was not replaced")

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
            await within_patience(self.storage.publish(events, messages), _MAY_PUBLISH)
            return
        own = [one for one in events if not is_of_linked_hub(one.topic)]
        sent = [self._carried(one) for one in outward]
        await self._check_links(sent)
        await within_patience(self.storage.publish(own, messages, sent), _MAY_PUBLISH)

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

    async def ask(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Tell an instance something, and hear from its owner what came of it.

        An event, or an answer, that the owner has not taken in for long is left to it: it is
        durable. That, too, is all that ``tell`` waits for.

        Raises:
            TenutoError: why the owner refuses it.
            StorageUnavailableError: it has not answered, so nobody knows; ask again.
        """
        check_here(instance_id)
        if isinstance(message, LETTERS):
            await self._unfinished(instance_id)  # else what is refused would be a dead letter, too
            await self._ask(instance_id, message, None)
        else:
            kind = type(message).__name__
            await self._ask(instance_id, message, f"may not have heard of this {kind} yet")

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
        while True:
            try:
                record = await self.wait_until(instance_id, _never, started=started)
            except InstanceNotFoundError:
                if not await is_coming(self.storage, instance_id):
                    raise
            else:
                if record is not None:
                    return record

    async def wait_until(
        self, instance_id: InstanceId, is_over: Callable[[], bool], *, started: bool
    ) -> InstanceRecord | None:
        """Look until the instance has ended or begun; None once there is no point in looking.

        Args:
            instance_id: Which.
            is_over: Whether there is none. ``stir`` the watch when that has changed.
            started: Whether its beginning will do.

        Raises:
            InstanceNotFoundError: there is no such instance.
            StorageError: the store cannot be read.
        """

        def has_news(standing: Standing | None) -> bool:
            return standing is None or is_over() or has_come(standing.record, started=started)

        standing = await self._watch.until(instance_id, has_news)
        if standing is None:
            raise InstanceNotFoundError(instance_id)
        if not has_come(standing.record, started=started):
            return None
        record = await self._there(instance_id)
        return record if has_come(record, started=started) else None

    async def queues(self) -> list[QueueStanding]:
        """How each queue stands."""
        return await self.storage.queues(present())

    async def redrive(self, numbers: Sequence[int]) -> Redriven:
        """Give failed deliveries back; a host that owns the store sees them soon after."""
        return await self.storage.redrive(numbers, present())

    async def close(self) -> None:
        """Close the connection."""
        self._watch.close(StorageError("the client is closed"))
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
            WebhookClosedError: whose webhook was used is not there.
        """
        key = new_message_id(self.now())
        patience = Patience(self.has_host)
        await self._append(instance_id, structs.replace(message, awaits_answer=True), key)
        while not patience.is_over():
            answer = await self._watch.answer(key, _LOOK_SECONDS)
            if answer is not None:
                _raise_refusal(answer, instance_id, message)
                return
        if await self.storage.is_waiting(key):
            if undone is None:
                return
            raise patience.error(f"instance {instance_id!r} {undone}")
        what = (
            f"instance {instance_id!r} was asked, and a host has taken the request in, but has not "
            f"answered within {patience.seconds:.0f} s; look at the instance and at the host's log"
        )
        raise StorageUnavailableError(what).told_as(what)

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
        doubt = f"it is not known whether instance {instance_id!r} {MAY_HEAR}"
        await within_patience(self.storage.append([row]), doubt)
        self.on_stored(instance_id)


def _raise_refusal(answer: Answer, instance_id: InstanceId, message: Message) -> None:
    """What the owner says, as the error that it was there."""
    if answer.code is None:
        return
    if isinstance(message, RedeemWebhook) and answer.code == InstanceNotFoundError.code:
        raise WebhookClosedError(instance_id)
    raise error_of(ErrorBody(answer.code, answer.text), instance_id=instance_id)


def _nobody_looks(_instance_id: InstanceId) -> None:
    """Who owns the instance hears of it from the store."""


def _never() -> bool:
    return False
