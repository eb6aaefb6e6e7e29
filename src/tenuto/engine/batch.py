"""A batch in the making: rows of many turns, and what follows once they are durable."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Final

from msgspec import Raw, Struct, field

from tenuto.engine.callers import Answer as Reply
from tenuto.engine.callers import Caller
from tenuto.engine.delivery import row_id
from tenuto.engine.resident import NEW, REPLACED, STORED, Resident
from tenuto.engine.rows import (
    ALL_TOPIC_WAITS,
    ALL_UNREAD,
    Answer,
    CommitBatch,
    ForgetBelow,
    HistoryRow,
    InboxRow,
    InstanceUpdate,
    Lease,
    LinkRow,
    TopicWaitRow,
    UnreadRow,
)
from tenuto.engine.turns.step import Step
from tenuto.model.codec import encode
from tenuto.model.errors import FencedError, RowsRefusedError, TenutoError
from tenuto.model.ids import AnyMessageId, InstanceId, MessageId
from tenuto.model.messages import AnyLetter, AnyMessage, Message
from tenuto.model.requests import DeadLetter
from tenuto.model.status import InstanceRecord
from tenuto.model.texts import storable_text
from tenuto.model.topics import PublishedEvent, QueuedMessage
from tenuto.model.unread import UnreadEvent

HEAVY_BYTES: Final = 16 * 1024 * 1024
"""An instance that takes less is not why memory runs out."""

_RESIDENT: Final = itemgetter(0)
_PARTITION: Final = attrgetter("home.number")

Decided = Callable[[bool, TenutoError | None], None]


class Posted(Struct, frozen=True):
    """What a client of this process publishes and queues at once, and who is told."""

    events: Sequence[PublishedEvent]
    messages: Sequence[QueuedMessage]
    answer: Reply
    sent: Sequence[InboxRow] = ()
    """Those of the events that are for topics of linked hubs."""


class Further(Struct):
    """What turns of an instance have used that few turns do.

    Attributes:
        rows: That they write beside their histories and the instance's own row.
        elsewhere: Nanoseconds that they were out at a runner which answers later.
    """

    rows: int = 0
    elsewhere: int = 0


class Batch(Struct):
    """What the turns since the last commit want written and done.

    ``produced`` are messages between instances of this host whose consumer has not taken them
    yet; one that is taken in the same batch never becomes a row (storage.md 5.4). ``starts`` are
    instances whose row goes ahead of their first turn; each is told whether its id was free.
    ``answered`` are clients' requests that get their answer with this batch, by message id;
    ``producers`` says which instance's turn has made a message, ``kept`` what a message was
    before it was made a row to be kept; ``put_by`` are those of them that no turn has looked at.
    ``consumed`` are messages with their partitions. ``held``
    are partitions of instances that are changed without a turn. ``published`` and ``queued`` are
    what instances have decided, ``posted`` what clients have asked for; ``spans`` are of what turns
    have ended. ``bytes`` are those of the history. ``further`` is what few turns use, by iid.
    ``refusal`` is why it is not to be written at all.
    """

    instances: dict[int, InstanceRecord] = field(default_factory=dict)
    replaced: dict[int, InstanceRecord] = field(default_factory=dict)
    updates: dict[int, InstanceUpdate] = field(default_factory=dict)
    history: list[HistoryRow] = field(default_factory=list)
    forget: dict[int, ForgetBelow] = field(default_factory=dict)
    unread: dict[tuple[int, int], UnreadRow] = field(default_factory=dict)
    links: dict[str, LinkRow] = field(default_factory=dict)
    produced: dict[MessageId, InboxRow] = field(default_factory=dict)
    consumed: dict[MessageId, int] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    released: set[int] = field(default_factory=set)
    purged: list[int] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    answers: dict[MessageId, Answer] = field(default_factory=dict)
    published: list[PublishedEvent] = field(default_factory=list)
    queued: list[QueuedMessage] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)
    spans: list[PublishedEvent] = field(default_factory=list)
    topic_waits: dict[tuple[int, int], TopicWaitRow] = field(default_factory=dict)
    turns: list[tuple[Resident, Step]] = field(default_factory=list)
    further: dict[int, Further] = field(default_factory=dict)
    to_route: list[InboxRow] = field(default_factory=list)
    answered: dict[AnyMessageId, tuple[Caller, TenutoError | None]] = field(default_factory=dict)
    acknowledge: list[Callable[[], None]] = field(default_factory=list)
    starts: list[tuple[Resident, Decided]] = field(default_factory=list)
    bytes: int = 0
    producers: dict[MessageId, int] = field(default_factory=dict)
    kept: dict[MessageId, Message] = field(default_factory=dict)
    put_by: list[tuple[Resident, Message]] = field(default_factory=list)
    refusal: RowsRefusedError | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write and nothing to release."""
        return not (self.turns or self._has_listeners or self.refusal) and self.writes_nothing

    @property
    def _has_listeners(self) -> bool:
        """Whether somebody is to hear of it, though perhaps nothing of it is a row."""
        return bool(self.answered or self.acknowledge)

    @property
    def writes_nothing(self) -> bool:
        """Whether a commit would not change a row."""
        return not (
            self.history
            or self.instances
            or self.produced
            or self.consumed
            or self.purged
            or self.dead_letters
            or self.answers
            or self.links
            or self.replaced
            or self.updates
            or self.released
            or self.published
            or self.queued
            or self.posted
            or self.topic_waits
        )

    def refuse_for_memory(self, iid: int) -> None:
        """It is not to be written: there is not enough memory for what this instance adds."""
        self.refusal = _out_of_memory(iid)

    @staticmethod
    def refusal_for_memory(iid: int) -> RowsRefusedError:
        """Why nothing is written before what this instance has in memory is let go of."""
        return _out_of_memory(iid)

    def too_heavy(self) -> RowsRefusedError | None:
        """The refusal of the heaviest instance, where there is too little memory.

        None when none is heavy: then the memory is not here.
        """
        weights: Counter[int] = Counter()
        for row in self.history:
            weights[row.iid] += memoryview(row.events).nbytes
        for message_id, iid in self.producers.items():
            if message_id in self.produced:
                weights[iid] += memoryview(self.produced[message_id].message).nbytes
        for record in (*self.instances.values(), *self.replaced.values()):
            weights[record.iid] += len(record.input or "") + len(record.output or "")
        for update in self.updates.values():
            weights[update.iid] += len(update.output or "")
        for event in self.published:
            weights[event.iid] += memoryview(event.event).nbytes
        for message in self.queued:
            weights[message.iid] += len(message.data)
        heaviest = weights.most_common(1)
        if not heaviest or heaviest[0][1] < HEAVY_BYTES:
            return None
        return _out_of_memory(heaviest[0][0])

    def add_turn(self, resident: Resident, turn: Step) -> int:
        """A turn's history row; returns its size in bytes."""
        row = turn.row
        self.history.append(HistoryRow(resident.state.iid, turn.generation, turn.number, Raw(row)))
        size = len(row)
        self.bytes += size
        return size

    def uses(self, resident: Resident, *, rows: int = 0, elsewhere: int = 0) -> None:
        """What the turn of an instance uses that few turns do."""
        one = self.further.setdefault(resident.state.iid, Further())
        one.rows += rows
        one.elsewhere += elsewhere

    def write_row(self, resident: Resident, *, whole: bool) -> None:
        """The instance's row: all of it when new or begun anew, else its changing part."""
        state = resident.state
        if state.iid in self.instances or resident.row is NEW:
            self.instances[state.iid] = state.record()
        elif resident.row is REPLACED or whole or state.iid in self.replaced:
            self.replaced[state.iid] = state.record()
            if resident.row is REPLACED:  # what its predecessor has left unread is not for it
                self.unread[state.iid, ALL_UNREAD] = UnreadRow(state.iid, ALL_UNREAD, None)
        else:
            self.updates[state.iid] = InstanceUpdate(
                state.iid,
                state.status,
                state.wake_at,
                state.updated_at,
                state.completed_at,
                state.output,
                state.failure,
                state.custom_status,
                state.hold,
            )
        resident.row = STORED

    def change_unread(self, iid: int, taken: Iterable[int], kept: Iterable[UnreadEvent]) -> None:
        """What a generation leaves unread, and what it has taken of that of earlier ones."""
        for number in taken:
            self.unread[iid, number] = UnreadRow(iid, number, None)
        for one in kept:
            row = UnreadRow(iid, one.number, Raw(encode(one.event)))
            self.unread[iid, one.number] = row

    def change_topic_waits(self, rows: Iterable[TopicWaitRow]) -> None:
        """Waits for topics that begin or are over; of one wait only the last word is written."""
        for row in rows:
            if row.task_id == ALL_TOPIC_WAITS:
                self._drop_topic_waits(row.iid)
            self.topic_waits[row.iid, row.task_id] = row

    def _drop_topic_waits(self, iid: int) -> None:
        for key in [key for key in self.topic_waits if key[0] == iid]:
            del self.topic_waits[key]

    def take_out(self, resident: Resident) -> list[Message]:
        """Unwrite the turns of an instance that turned out not to be ours; what they took in."""
        iid = resident.state.iid
        messages = [m for one, turn in self.turns if one is resident for m in turn.inbox.taken]
        resident.in_flight -= sum(one is resident for one, _ in self.turns)
        self.turns = [(one, turn) for one, turn in self.turns if one is not resident]
        self.history = [row for row in self.history if row.iid != iid]
        for rows in (self.instances, self.replaced, self.updates, self.forget, self.further):
            rows.pop(iid, None)
        self.unread = {key: row for key, row in self.unread.items() if row.iid != iid}
        self.links = {key: row for key, row in self.links.items() if row.iid != iid}
        self.purged = [one for one in self.purged if one != iid]
        self.published = [row for row in self.published if row.iid != iid]
        self.spans = [row for row in self.spans if row.iid != iid]
        self.queued = [row for row in self.queued if row.iid != iid]
        self._drop_topic_waits(iid)
        return messages

    def let_go(self) -> None:
        """Its rows and turns take memory that is needed."""
        self.history = []
        self.turns = []
        self.produced = {}
        self.kept = {}
        self.published = []
        self.spans = []
        self.queued = []

    def consume(self, message: AnyLetter, partition: int) -> None:
        """A message with a row was used up; one made in this batch never gets a row."""
        key = row_id(message)
        if key is not None and self.produced.pop(key, None) is None:
            self.consumed[key] = partition
            if message.awaits_answer:
                self.answers[key] = Answer(key)

    def accept(self, message: Message) -> None:
        """A message waits and will count: its sender in another process hears so now."""
        key = row_id(message)
        assert key is not None, "only what has a row has such a sender"
        self.answers[key] = Answer(key)

    def refuse(self, message: AnyLetter, error: TenutoError) -> None:
        """A message that was consumed was refused: its sender in another process hears why."""
        key = row_id(message)
        if key is not None and message.awaits_answer:
            self.answers[key] = Answer(key, error.code, storable_text(str(error)))

    def produce(self, message: AnyMessage, partition: int, instance_id: InstanceId) -> InboxRow:
        """A message for another instance, durable with this batch."""
        key = row_id(message)
        assert key is not None
        row = InboxRow(key, partition, instance_id, Raw(encode(message)))
        self.produced[key] = row
        if self.turns:  # the newest is the one that is being booked
            self.producers[key] = self.turns[-1][0].state.iid
        return row

    def touched(self) -> set[int]:
        """Partitions of the instances that are changed and of the messages that are used up."""
        partitions = set(map(_PARTITION, map(_RESIDENT, self.turns)))
        partitions.update(self.consumed.values(), self.held, self.released)
        partitions.update(map(_PARTITION, map(_RESIDENT, self.put_by)))
        for rows in (self.instances, self.replaced):
            partitions.update(record.partition for record in rows.values())
        return partitions

    def to_commit(
        self, batch_id: str, owner: str, number: int, leases: Mapping[int, Lease]
    ) -> CommitBatch:
        """What the store is asked to write, fenced for the partitions that it touches.

        Raises:
            FencedError: there is no lease for some of them.
        """
        touched = sorted(self.touched())
        lost = [partition for partition in touched if partition not in leases]
        if lost:
            raise FencedError(f"partitions {lost} do not belong to this host", lost)
        return CommitBatch(
            batch_id=batch_id,
            owner=owner,
            number=number,
            fences=[leases[partition] for partition in touched],
            instances=list(self.instances.values()),
            replaced=list(self.replaced.values()),
            updates=list(self.updates.values()),
            history=self.history,
            forget=list(self.forget.values()),
            unread=list(self.unread.values()),
            links=list(self.links.values()),
            inbox=[*self.produced.values(), *(one for each in self.posted for one in each.sent)],
            consumed=[(partition, key) for key, partition in self.consumed.items()],
            purged=self.purged,
            dead_letters=self.dead_letters,
            answers=list(self.answers.values()),
            released=sorted(self.released),
            published=[
                *self.published,
                *(one for each in self.posted for one in each.events),
                *self.spans,
            ],
            queued=[*self.queued, *(one for each in self.posted for one in each.messages)],
            topic_waits=list(self.topic_waits.values()),
        )


def _out_of_memory(iid: int) -> RowsRefusedError:
    reason = (
        "there was not enough memory to write what it has taken in and decided; give the host more "
        "memory, or pass references instead of long payloads; then resume it. Activities whose "
        "results were not written yet run again then"
    )
    return RowsRefusedError(reason, instances={iid: reason}, out_of_memory=True)
