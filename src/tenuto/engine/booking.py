"""Booking: what a turn means for the batch in the making.

Owns the rows of a turn, the children and messages it makes, and what becomes of messages that
must wait or that nobody can take (``no_silent_drop``).
Nothing here leaves the host; that is for ``release``.
"""

from time import perf_counter_ns
from typing import TypeGuard, TypeVar

from msgspec import Raw, structs

from tenuto.engine.batch import Batch
from tenuto.engine.delivery import row_id
from tenuto.engine.notices import NOT_BEGUN, notices_of, standing_of
from tenuto.engine.parts import Parts
from tenuto.engine.resident import NEW, SESSION_BYTES, STORED, Resident
from tenuto.engine.rows import ForgetBelow
from tenuto.engine.spans import SpanBook
from tenuto.engine.state import InstanceState, start_event
from tenuto.engine.turns.effects import Send, start_of_child
from tenuto.engine.turns.links import answered_row
from tenuto.engine.turns.step import Step
from tenuto.model.codec import encode
from tenuto.model.errors import TenutoError
from tenuto.model.events import SubOrchestrationInstanceFailed
from tenuto.model.failure import failure_of
from tenuto.model.ids import AnyMessageId, InstanceId, MessageId
from tenuto.model.messages import (
    LETTERS,
    AnswerQuestion,
    AnyLetter,
    AnyMessage,
    ChildResult,
    Message,
    Publish,
    RaiseEvent,
    Start,
)
from tenuto.model.notices import NoticeRules
from tenuto.model.requests import DeadLetter
from tenuto.model.spans import SpanRules
from tenuto.model.status import ParentInstance
from tenuto.model.topics import is_of_wait

M = TypeVar("M", bound=AnyMessage)


class Booking:
    """Puts turns into the batch of an engine."""

    def __init__(self, engine: Parts) -> None:
        self._engine = engine

    def book(self, resident: Resident, turn: Step) -> None:
        """Put all that a turn means into the batch in the making."""
        engine = self._engine
        batch = engine.pipeline.batch
        batch.turns.append((resident, turn))
        resident.in_flight += 1
        state, inbox = resident.state, turn.inbox
        try:
            if not inbox.is_plain:
                self._book_messages(resident, turn, batch)
            if turn.row_changed or resident.row is not STORED:
                batch.write_row(resident, whole=bool(turn.seed))
                # The store may refuse a new row, with this turn; then there must be no other one.
                resident.is_undecided = state.iid in batch.instances
            notices = engine.options.notices
            if notices is not None:
                self._book_notices(notices, resident, turn, batch)
            if not turn.events:
                engine.settle_batch(batch)
                return
            meter = engine.meter
            moment = perf_counter_ns()
            turn.running = moment - meter.since
            meter.since = moment
            size = batch.add_turn(resident, turn)
            resident.size += size
            if resident.session is not None:
                engine.retention.session_bytes += size
            marks = engine.halfway
            if state.event_count > marks.events or size > marks.bytes or turn.seed:
                marks.look_at(state, turn)
            if turn.links or turn.topic_waits or not turn.number:
                self._book_open(resident, turn, batch)
            if engine.rules.spans is not None:
                self._book_spans(engine.rules.spans, resident, turn, batch)
            effects = turn.effects
            if effects.published or effects.queued:
                batch.published += effects.published
                batch.queued += effects.queued
                batch.uses(resident, rows=len(effects.published) + len(effects.queued))
            if turn.has_ended or effects.sends or effects.children or effects.letters:
                self._book_effects(resident, turn, batch)
        except MemoryError:
            batch.refuse_for_memory(state.iid)

    def _book_open(self, resident: Resident, turn: Step, batch: Batch) -> None:
        """What people may open or what is waited for, and what no more; with the first turn of a
        generation the history of the one before goes.
        """
        if not turn.number and turn.generation:
            iid = resident.state.iid
            batch.forget[iid] = ForgetBelow(iid, turn.generation)
        batch.links.update((row.digest, row) for row in turn.links)
        batch.change_topic_waits(turn.topic_waits)
        rows = len(turn.links) + len(turn.topic_waits)
        if rows:
            batch.uses(resident, rows=rows)

    def _book_notices(
        self, rules: NoticeRules, resident: Resident, turn: Step, batch: Batch
    ) -> None:
        """What the step changes in the life of the instance, for whoever is told of it."""
        state = resident.state
        before = resident.standing or NOT_BEGUN
        after = standing_of(state, has_begun=before.has_begun or bool(turn.events))
        resident.standing = after
        next_id = self._engine.next_message_id
        rows = list(notices_of(rules, before, after, state, turn, next_id))
        if rows:
            batch.published += rows
            batch.uses(resident, rows=len(rows))

    def _book_spans(self, rules: SpanRules, resident: Resident, turn: Step, batch: Batch) -> None:
        """What the turn has ended, for whoever watches traces."""
        state = resident.state
        book = resident.spans
        if book is None:
            book = resident.spans = SpanBook(rules, state.instance_id)
        rows = book.rows_of(turn.events, turn.number, state.iid)
        if rows:
            batch.spans += rows
            batch.uses(resident, rows=len(rows))

    def _book_messages(self, resident: Resident, turn: Step, batch: Batch) -> None:
        """What becomes of the messages."""
        state, inbox = resident.state, turn.inbox
        for message in inbox.taken:
            if message.message_id:
                batch.consume(message, state.partition)
        if inbox.held:
            self._hold(resident, inbox.held)
        if inbox.refused:
            self._refuse(resident, turn, batch)
        if inbox.passed_on:
            self._engine.cascade.begin(resident, inbox.passed_on)
        if inbox.purge:
            batch.purged.append(state.iid)

    def _book_effects(self, resident: Resident, turn: Step, batch: Batch) -> None:
        state, effects = resident.state, turn.effects
        others = len(effects.children) + len(effects.letters) + len(effects.sends)
        if others:
            batch.uses(resident, rows=others)
        for child in effects.children:
            self._book_child(child, batch)
        for letter in effects.letters:
            self.bury(letter.message, state.instance_id, letter.reason, batch)
        if turn.has_ended:
            self._book_ending(resident, turn, batch)
        for send in effects.sends:
            self._book_send(send, batch)
        if turn.has_ended and not turn.seed and resident.held:
            resident.inbox = resident.held + resident.inbox
            resident.held = []
            self._engine.make_ready(resident)

    def _book_send(self, send: Send, batch: Batch) -> None:
        message = _renamed(send.message, self._engine.next_message_id())
        if send.opens:
            self._ask_for(send.instance_id, message, batch)
        else:
            self.send(message, send.instance_id, batch)

    def _ask_for(self, instance_id: InstanceId, message: AnyMessage, batch: Batch) -> None:
        """The start of an instance: decided after the commit, by whoever owns its partition."""
        if "/" in instance_id:
            self._engine.outside.send(message, instance_id, batch)
            return
        number = self._engine.number_of(instance_id)
        batch.to_route.append(batch.produce(message, number, instance_id))

    def _book_child(self, child: InstanceState, batch: Batch) -> None:
        engine = self._engine
        instance_id = child.instance_id
        home = engine.find(instance_id)
        if home is None:
            if "/" not in instance_id:
                engine.descendants.sends(child.facts.root_id)
            start = start_of_child(child, engine.runtime, engine.next_message_id())
            self._ask_for(instance_id, start, batch)
            return
        child.iid = engine.take_iid()
        child.partition = home.number
        engine.descendants.begins(child)
        admitted = engine.admit(child, home, NEW)
        batch.write_row(admitted, whole=True)
        engine.deliver(admitted, Start(event=start_event(child, engine.runtime)))

    def _book_ending(self, resident: Resident, turn: Step, batch: Batch) -> None:
        engine = self._engine
        engine.retention.close(resident)
        resident.size = SESSION_BYTES
        if not turn.seed:
            engine.descendants.ends(resident.state)
            return
        self._book_unread(resident, turn, batch)
        if resident.state.is_stopped:
            resident.openings = turn.seed
            return
        resident.inbox = [*turn.seed, *resident.held, *resident.inbox]
        resident.held = []
        engine.make_ready(resident)

    def _book_unread(self, resident: Resident, turn: Step, batch: Batch) -> None:
        """Only what has changed is written; what stays unread stays where it is."""
        if turn.unread or turn.taken_unread:
            batch.change_unread(resident.state.iid, turn.taken_unread, turn.unread)
        if resident.state.unread is not None:
            resident.size += resident.state.unread.size

    def send(self, message: AnyMessage, instance_id: InstanceId, batch: Batch) -> None:
        """A message to another instance: durable with this batch, delivered now if it is here."""
        engine = self._engine
        if "/" in instance_id or isinstance(message, Publish):
            engine.outside.send(message, instance_id, batch)
            return
        row = batch.produce(message, engine.number_of(instance_id), instance_id)
        home = engine.partitions.get(row.partition)
        target = None if home is None else home.residents.named(instance_id)
        if target is not None:
            engine.deliver(target, message)
        else:
            batch.to_route.append(row)

    def _hold(self, resident: Resident, held: list[Message]) -> None:
        """Messages that must wait are made durable (ENGINE rule 16)."""
        batch = self._engine.pipeline.batch
        for message in _without_copies(held, resident.held):
            if isinstance(message, AnswerQuestion):
                row = answered_row(resident.state, message)
                if row is not None:
                    batch.links[row.digest] = row
            if row_id(message) is None:
                resident.held.append(self._keep(resident, message))
            elif message.awaits_answer and isinstance(message, LETTERS):
                # It is accepted, as one of a client here is: its sender need not wait for the end
                # of the pause. What becomes of it now is told by a dead letter at most.
                batch.accept(message)
                resident.held.append(structs.replace(message, awaits_answer=False))
            else:
                resident.held.append(message)

    def keep(self, resident: Resident, message: Message) -> Message:
        """A client's request that must wait for a turn that is out: durable, and acknowledged."""
        batch = self._engine.pipeline.batch
        batch.put_by.append((resident, message))
        self._engine.schedule_pump()
        return self._keep(resident, message)

    def open_ahead(self, resident: Resident, message: Start) -> Start:
        """The start of an instance whose first turn is out: its row is stored without that turn.

        Returns what opens it from then on: without an id, since nobody waits for it.
        """
        engine = self._engine
        batch = engine.pipeline.batch
        if resident.row is not STORED:
            batch.write_row(resident, whole=True)
        if message.message_id:
            batch.consume(message, resident.state.partition)
            batch.put_by.append((resident, message))
            self.acknowledge(message.message_id, batch)
        resident.home.delivery.lands([message])
        engine.schedule_pump()
        return structs.replace(message, message_id=None)

    def _keep(self, resident: Resident, message: Message) -> Message:
        engine = self._engine
        batch = engine.pipeline.batch
        key = engine.next_message_id()
        kept = _renamed(message, key)
        resident.home.delivery.keeps(key)
        batch.kept[key] = message
        batch.produce(kept, resident.state.partition, resident.state.instance_id)
        if message.message_id:
            self.acknowledge(message.message_id, batch)
        return kept

    def refuse(self, message: Message, error: TenutoError) -> None:
        """A client's request is refused; nothing of it is to be written."""
        self._engine.callers.answer(message.message_id, error)

    def _refuse(self, resident: Resident, turn: Step, batch: Batch) -> None:
        engine = self._engine
        refused = {refusal.message_id: refusal.error for refusal in turn.inbox.refused}
        for message in turn.inbox.taken:
            error = refused.get(message.message_id)
            if error is None:
                continue
            batch.refuse(message, error)
            caller = engine.callers.take(message.message_id)
            if caller is not None:
                batch.answered[message.message_id] = caller, error
            elif isinstance(message, LETTERS):
                self.bury(message, resident.state.instance_id, str(error), batch)

    def bury(self, message: AnyLetter, instance_id: InstanceId, reason: str, batch: Batch) -> None:
        """A message that nobody can take becomes a dead letter (``no_silent_drop``)."""
        if isinstance(message, RaiseEvent) and is_of_wait(message.event.name):
            return  # the topic has it still
        engine = self._engine
        now = engine.clock.now()
        key = row_id(message) or engine.next_message_id()
        batch.dead_letters.append(DeadLetter(key, instance_id, reason, now, Raw(encode(message))))
        engine.observer.dead_letter(instance_id, reason)

    def acknowledge(self, message_id: AnyMessageId, batch: Batch) -> None:
        """Whoever waits for the answer to a request gets it with this batch."""
        caller = self._engine.callers.take(message_id)
        if caller is not None:
            batch.answered[message_id] = caller, None

    def fail_child(self, parent: ParentInstance | None, text: str) -> None:
        """Tell a parent, if there is one, that its child could not be started."""
        engine = self._engine
        if parent is None:
            return
        failure = failure_of(RuntimeError(text), with_traceback=False)
        event = SubOrchestrationInstanceFailed(parent.task_scheduled_id, failure)
        message = ChildResult(
            message_id=engine.next_message_id(), execution_id=parent.execution_id, event=event
        )
        self.send(message, parent.instance_id, engine.pipeline.batch)
        engine.schedule_pump()


def _without_copies(messages: list[Message], kept: list[Message]) -> list[Message]:
    """These without events of topics that wait in rows of their own already.

    Each owner of an instance finds the event for its wait anew (``engine.correlation``), and does
    not know that one before it has made it durable.
    """
    if not any(map(_is_found_event, messages)):
        return messages
    stored = [
        message.event
        for message in (*kept, *messages)
        if isinstance(message, RaiseEvent) and row_id(message) is not None
    ]
    left: list[Message] = []
    for message in messages:
        if _is_found_event(message):
            if message.event in stored:
                continue
            stored.append(message.event)
        left.append(message)
    return left


def _is_found_event(message: Message) -> TypeGuard[RaiseEvent]:
    """Whether it is an event of a topic that has no row of its own yet."""
    return (
        isinstance(message, RaiseEvent)
        and row_id(message) is None
        and is_of_wait(message.event.name)
    )


def _renamed(message: M, message_id: MessageId) -> M:
    return structs.replace(message, message_id=message_id)
