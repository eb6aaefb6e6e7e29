"""What links need of a store, beside the Storage port: how far they are, and what waits.

What is sent to another hub needs no method here: a message to an address (``hub/instance``) is
written like any other, by the commit that decided it, and the store puts it where links find it.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Raw, Struct

from tenuto.engine.rows import InboxRow
from tenuto.model.codec import encode
from tenuto.model.errors import LinkError, NoSuchLinkError
from tenuto.model.events import SubOrchestrationInstanceFailed
from tenuto.model.failure import failure_of
from tenuto.model.ids import MessageId, partition_of
from tenuto.model.linking import LinkedHub, Outgoing, Place, mark_of
from tenuto.model.messages import ChildResult
from tenuto.model.status import ParentInstance
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent


class LinkStore(Protocol):
    """Links as a store keeps them."""

    async def life(self) -> str:
        """Of this store: another one for each store, and for each copy that was started."""

    async def hubs(self) -> list[LinkedHub]:
        """All links."""

    async def put(self, hub: LinkedHub) -> None:
        """Make a link, or give the one of that name another address and key."""

    async def bound(self, messages: int, size: int) -> None:
        """So much may wait for each hub: for those who have the store alone, and no settings."""

    async def drop(self, name: str, now: Microseconds) -> None:
        """A link is no more, and what waits for the hub is given up.

        Who has called there is answered (``answer_to_call``), what else waits becomes dead letters
        (``no_silent_drop``), in one transaction.
        """

    async def bury(self, now: Microseconds) -> None:
        """What waits for hubs that are linked no more is given up as well: it was decided before
        its host knew.
        """

    async def outgoing(self, hub: str, after: int, most_bytes: int) -> list[Outgoing]:
        """The next messages for a hub, as long as they fit; one at least."""

    async def delivered(
        self, hub: str, sequence: int, now: Microseconds, mark: str = ""
    ) -> tuple[int, int]:
        """The other hub has everything up to this number: it waits no longer.

        Args:
            hub: Which.
            sequence: The last number that it has.
            now: The present.
            mark: Of the message that it has under that number; empty if it does not say.

        Returns:
            How many messages that are, and how long they were.

        Raises:
            LinkError: this store has never given out such a number, or has given it to another
                message: its file was put back, or runs twice. Nothing is deleted.
        """

    async def drop_outgoing(self, hub: str, sequence: int) -> None:
        """One message is not to be sent."""

    async def heard(self, hub: str, now: Microseconds | None, problem: str | None) -> None:
        """Note when a hub was heard of (None: it was not), and what is wrong."""

    async def place(self, hub: str, life: str | None) -> Place:
        """How far the other hub's messages are here.

        Args:
            hub: Which.
            life: Of the other store. One that is new begins at 0; None for whichever.

        Raises:
            NoSuchLinkError: there is no such link.
            LinkInUseError: this life is over: another store has come with the key of this link.
        """

    async def keep_piece(self, hub: str, sequence: int, at: int, text: str) -> None:
        """Keep a part of a message; parts of another one of that hub go."""

    async def drop_pieces(self, hub: str) -> None:
        """Parts of a message that is refused are kept no longer."""

    async def pieces(self, hub: str, sequence: int) -> str:
        """The parts of a message that are here, as one text."""

    async def take_in(
        self,
        hub: str,
        sequence: int,
        rows: Sequence[InboxRow],
        now: Microseconds,
        events: Sequence[PublishedEvent] = (),
        mark: str = "",
    ) -> None:
        """Messages and events of another hub, and with them the place, in one transaction.

        An event whose topic has its id already is left alone.

        Args:
            hub: Which.
            sequence: The last number that is here now.
            rows: The messages.
            now: The present.
            events: The events.
            mark: Of the message of that number; empty if it is not known.
        """


def check_delivered(
    hub: str, sequence: int, mark: str, known: tuple[int, int, str], waiting: Outgoing | None
) -> None:
    """Whether what another hub says to have may be what this store has sent.

    A number that it has taken in was sent, and goes from here only as delivered, with all before
    it. So while something up to it waits, the last of that bears the very number.

    Args:
        hub: Which.
        sequence: The last number that it has.
        mark: Of the message that it has under that number; empty if it does not say.
        known: The last number that this store has given out, and number and mark of the last
            message that the hub was known to have.
        waiting: The last message up to that number which waits for it here.

    Raises:
        LinkError: it cannot be.
    """
    last, delivered, delivered_mark = known
    if sequence > last:
        reason = f"has messages up to {sequence:,}, and this store has given out {last:,} numbers"
    elif mark and _is_another(sequence, mark, (delivered, delivered_mark), waiting):
        reason = f"has another message under number {sequence:,} than this store has sent"
    else:
        return
    raise LinkError(
        f"the linked hub {hub!r} {reason}: it was put back to an older state, or a copy of it runs "
        "as well. Nothing is sent any more, nor deleted: make a store of a copy with `tenuto "
        "restore`, which begins numbers anew (in PostgreSQL make the link anew, at both ends)"
    )


def _is_another(
    sequence: int, mark: str, delivered: tuple[int, str], waiting: Outgoing | None
) -> bool:
    if waiting is not None:
        mine = mark_of(waiting.instance_id, waiting.message)
        return waiting.sequence != sequence or mine != mark
    return sequence == delivered[0] and delivered[1] not in ("", mark)


class GivenUpCall(Struct, frozen=True, array_like=True):
    """A call over a link that will not go: the start that waited, and who has called.

    Attributes:
        message_id: Of the start.
        hub: Where it was to go.
        parent: Who waits for the result.
    """

    message_id: MessageId
    hub: str
    parent: ParentInstance


def answer_to_call(call: GivenUpCall, partitions: int) -> InboxRow:
    """What its caller is told, as a refusal would be: nobody waits for what never comes.

    Args:
        call: A call that is given up because its link is no more.
        partitions: Of the store.
    """
    reason = f"{NoSuchLinkError.code} the link {call.hub!r} was removed before the call had gone"
    failure = failure_of(RuntimeError(reason), with_traceback=False)
    parent = call.parent
    key = MessageId(f"{call.message_id}-given-up")
    message = ChildResult(
        message_id=key,
        execution_id=parent.execution_id,
        event=SubOrchestrationInstanceFailed(parent.task_scheduled_id, failure),
    )
    where = partition_of(parent.instance_id, partitions)
    return InboxRow(key, where, parent.instance_id, Raw(encode(message)))


@runtime_checkable
class HasLinks(Protocol):
    """A store that can keep links."""

    @property
    def linking(self) -> LinkStore:
        """Its links."""
