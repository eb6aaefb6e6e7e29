"""What goes to linked hubs: messages to addresses such as ``hub/instance``.

Such a message is written by the commit that decided it, as any other (``durable_before_visible``);
the store puts it where the link finds it. Nothing is sent from here. Owns the bound: how much may
wait for a hub. What may not go any more is told to who waits for it, or becomes a dead letter
(``no_silent_drop``).
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from msgspec import Raw, Struct, structs

from tenuto.engine.batch import Batch, Posted
from tenuto.engine.parts import Parts
from tenuto.engine.rows import InboxRow
from tenuto.model.carried_events import carried
from tenuto.model.codec import encode
from tenuto.model.errors import (
    InputError,
    LinkError,
    LinkFullError,
    LinkRefusedError,
    NoSuchLinkError,
    NotOverLinksError,
    StorageError,
    TenutoError,
)
from tenuto.model.events import SubOrchestrationInstanceCompleted
from tenuto.model.ids import InstanceId, MessageId, split_address
from tenuto.model.linking import LinkedHub
from tenuto.model.messages import (
    AnyMessage,
    ChildResult,
    Message,
    Publish,
    RaiseEvent,
    Start,
    Terminate,
)
from tenuto.model.status import FINISHED, ParentInstance, RuntimeStatus
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.model.topics import is_of_linked_hub

_GOES: Final = (Start, RaiseEvent, ChildResult, Terminate, Publish)
"""What a hub tells instances and topics of another one."""

_MOST_NEWS_BYTES: Final = 64 * 1024
"""A failure that says why a result was refused is shorter."""

_FOLLOWS: Final = (ChildResult, Terminate)
"""What follows from a start that was taken in: it always may go, there is one for each."""


class WaitingFor(Struct):
    """What waits for one hub.

    Attributes:
        messages: How many.
        bytes: How long they are.
        heard_at: When the hub was last heard of; of one that never was, since when it is known.
    """

    messages: int = 0
    bytes: int = 0
    heard_at: Microseconds = 0


class Outside:
    """The addresses that an engine may send to.

    Attributes:
        most_messages: As many may wait for one hub.
        most_bytes: As long may they be together.
        on_sent: Told the name of a hub when something for it is durable.
    """

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self._hubs: dict[str, WaitingFor] = {}
        self.most_messages: int = 0
        self.most_bytes: int = 0
        self.on_sent: Callable[[str], None] = _nobody_sends

    def know(self, hubs: Iterable[LinkedHub]) -> None:
        """These links there are, and so much waits, as the store has it."""
        before, now = self._hubs, self._engine.clock.now()
        self._hubs = {}
        for hub in hubs:
            known = before.get(hub.name)
            heard_at = max(hub.heard_at or 0, known.heard_at if known else 0) or now
            self._hubs[hub.name] = WaitingFor(hub.waiting, hub.waiting_bytes, heard_at)

    def heard(self, hub: str, now: Microseconds) -> None:
        """A hub is there."""
        waiting = self._hubs.get(hub)
        if waiting is not None:
            waiting.heard_at = now

    def silent(self, seconds: float) -> list[str]:
        """Hubs that were not heard of for longer than this; those of the longest silence first."""
        before = self._engine.clock.now() - seconds * MICROSECONDS
        found = [(one.heard_at, name) for name, one in self._hubs.items() if one.heard_at < before]
        return [name for _, name in sorted(found)]

    def has_left(self, hub: str, messages: int, size: int) -> None:
        """The other hub has so many messages more."""
        waiting = self._hubs.get(hub)
        if waiting is not None:
            waiting.messages = max(0, waiting.messages - messages)
            waiting.bytes = max(0, waiting.bytes - size)

    def has_left_all(self, hub: str) -> None:
        """Nothing waits for a hub; perhaps what is not durable yet."""
        waiting = self._hubs.get(hub)
        if waiting is not None:
            waiting.messages = waiting.bytes = 0

    def waiting(self) -> dict[str, WaitingFor]:
        """What waits, by hub."""
        return self._hubs

    def refusal(self, message: AnyMessage, address: InstanceId) -> LinkError | None:
        """Why a message may not go; None when it may."""
        hub = _hub_of(address)
        waiting = self._hubs.get(hub)
        if waiting is None:
            return NoSuchLinkError(hub, self._hubs)
        if not isinstance(message, _GOES):
            return not_over_links(address)
        is_full = waiting.messages >= self.most_messages or waiting.bytes >= self.most_bytes
        if is_full and not isinstance(message, _FOLLOWS):
            return link_full(address, waiting.messages, waiting.bytes)
        return None

    def send(self, message: AnyMessage, address: InstanceId, batch: Batch) -> None:
        """What a turn, or the end of one, tells an instance of another hub, or publishes there."""
        error = self.refusal(message, address)
        if error is not None:
            self.give_up(message, address, error, batch)
            return
        row = batch.produce(message, self._engine.number_of(address), address)
        self._count(row)
        batch.acknowledge.append(partial(self._sent, _hub_of(address)))

    async def send_now(self, message: Message, address: InstanceId) -> None:
        """What a client of this process tells an instance of another hub; durable when it returns.

        Raises:
            LinkError: why it may not go.
            StorageError: the store did not take it.
        """
        error = self.refusal(message, address)
        if error is not None:
            raise error
        engine = self._engine
        row = self._row(structs.replace(message, message_id=engine.next_message_id()), address)
        try:
            await engine.storage.append([row])
        except StorageError:
            self._uncount([row])
            raise
        self._sent(_hub_of(address))

    def posted(self, posted: Posted) -> Posted:
        """What a client of this process publishes at once, some of it to topics of other hubs.

        Returns:
            The same, with these as rows for the links, all to be written by one commit.

        Raises:
            LinkError: why one may not go; nothing is to be written then.
        """
        engine = self._engine
        rows: list[InboxRow] = []
        try:
            for event in posted.events:
                if is_of_linked_hub(event.topic):
                    address, message = carried(event, engine.next_message_id())
                    error = self.refusal(message, address)
                    if error is not None:
                        raise error
                    rows.append(self._row(message, address))
        except LinkError:
            self._uncount(rows)
            raise

        def answer(error: TenutoError | None) -> None:
            if error is not None:
                self._uncount(rows)
            else:
                for hub in {_hub_of(row.instance_id) for row in rows}:
                    self._sent(hub)
            posted.answer(error)

        own = [one for one in posted.events if not is_of_linked_hub(one.topic)]
        return Posted(own, posted.messages, answer, rows)

    def give_up(
        self, message: AnyMessage, address: InstanceId, error: LinkError, batch: Batch
    ) -> None:
        """A message does not go, or the other hub refuses it: nobody waits in vain."""
        booking = self._engine.booking
        reason = f"{error.code} {error}"
        if isinstance(message, Start) and message.event.parent is not None:
            booking.fail_child(message.event.parent, reason)
        elif isinstance(message, ChildResult) and _may_be_shorter(message, error):
            # Who has called is there, and would wait for this result for ever.
            task_id = message.event.task_scheduled_id
            place = ParentInstance(address, message.execution_id, "", task_id)
            booking.fail_child(place, reason)
        else:
            booking.bury(message, address, reason, batch)
        self._engine.schedule_pump()

    def _row(self, message: AnyMessage, address: InstanceId) -> InboxRow:
        """A message that a client sends, as its row; it counts as waiting."""
        key = message.message_id
        assert isinstance(key, str), "it has got an id"
        number = self._engine.number_of(address)
        row = InboxRow(MessageId(key), number, address, Raw(encode(message)))
        self._count(row)
        return row

    def _uncount(self, rows: Iterable[InboxRow]) -> None:
        """These were not written."""
        for row in rows:
            self.has_left(_hub_of(row.instance_id), 1, memoryview(row.message).nbytes)

    def _count(self, row: InboxRow) -> None:
        waiting = self._hubs[_hub_of(row.instance_id)]
        waiting.messages += 1
        waiting.bytes += memoryview(row.message).nbytes

    def _sent(self, hub: str) -> None:
        self.on_sent(hub)


def check_reuse(reuse: frozenset[RuntimeStatus]) -> None:
    """Refuse a start over a link for which somebody who runs there would have to end.

    Raises:
        InputError: it is one.
    """
    if not reuse <= FINISHED:
        raise InputError(
            "over a link an instance gives way to another of its id only when it has ended: ask "
            "that hub to terminate it first"
        )


def link_full(address: InstanceId, messages: int, size: int) -> LinkFullError:
    """The error of who sends when as much waits as may."""
    return LinkFullError(
        f"{messages:,} messages with {size:,} bytes wait for the linked hub {_hub_of(address)!r}, "
        "which is as much as may (settings links.messages and links.bytes); nothing was sent to "
        f"{address!r}. Try again when the link is up"
    )


def not_over_links(address: InstanceId) -> NotOverLinksError:
    """The error of who asks for more than starts and events."""
    hub = _hub_of(address)
    return NotOverLinksError(
        f"{address!r} is an instance of the linked hub {hub!r}: over a link it can be started and "
        "told events; for anything else ask that hub"
    )


def _hub_of(address: InstanceId) -> str:
    found = split_address(address)
    assert found is not None, "only addresses are sent outside"
    return found[0]


def _may_be_shorter(message: ChildResult, error: LinkError) -> bool:
    """Whether its caller, which refuses the result of a call, takes the news that it did so."""
    if not isinstance(error, LinkRefusedError):
        return False
    event = message.event
    if isinstance(event, SubOrchestrationInstanceCompleted):
        return True
    return len(encode(event)) > _MOST_NEWS_BYTES


def _nobody_sends(_hub: str) -> None:
    """Who serves links takes the place of this."""
