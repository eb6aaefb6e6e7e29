"""Booking: what a turn means for the batch in the making.

Owns the rows of a turn, the children and messages it makes, and what becomes of messages that
must wait or that nobody can take (``no_silent_drop``).
Nothing here leaves the host; that is for ``release``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Raw, structs

from tenuto.engine.batch import VOLATILE, Batch
from tenuto.engine.effects import child_record, reply_to_parent
from tenuto.engine.ports import (
    DeadLetter,
    ForgetBelow,
)
from tenuto.engine.resident import SESSION_BYTES, Resident
from tenuto.engine.state import InstanceState, start_event, state_of
from tenuto.engine.turn import Turn
from tenuto.model.codec import encode
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
    EventRefused,
    EventSent,
    ExecutionTerminated,
    Incoming,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskScheduled,
)
from tenuto.model.failure import failure_of
from tenuto.model.ids import child_instance_id
from tenuto.model.messages import (
    ChildResult,
    Message,
    RaiseEvent,
    Start,
    Terminate,
)

if TYPE_CHECKING:
    from tenuto.engine.engine import Engine


class Booking:
    """Puts turns into the batch of an engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def book(self, resident: Resident, turn: Turn) -> None:
        """Put all that a turn means into the batch in the making."""
        engine = self._engine
        batch = engine.pipeline.batch
        batch.turns.append((resident, turn))
        state = resident.state
        resident.in_flight += 1
        inbox = turn.inbox
        for message in inbox.taken:
            if message.message_id:
                batch.consume(message.message_id, state.partition)
        if inbox.held:
            self._hold(resident, inbox.held, batch)
        if inbox.refused:
            self._refuse(resident, turn, batch)
        if inbox.passed_on:
            engine.cascade.begin(state, inbox.passed_on)
        if inbox.purge:
            batch.purged.append(state.iid)
        if turn.row_changed or resident.row is not None:
            batch.write_row(resident, whole=bool(turn.seed))
            # The store may refuse a new row, with this turn; then there must be no other one.
            resident.is_undecided = state.iid in batch.instances
        if not turn.events:
            engine.settle_batch(batch)
            return
        engine.residents.used(resident)
        row_bytes = batch.add_turn(resident, turn)
        engine.retention.grow(resident, row_bytes)
        if turn.actions:
            self._book_actions(resident, turn, batch)
        if turn.number == 0 and turn.generation:
            batch.forget[state.iid] = ForgetBelow(state.iid, turn.generation)
        if turn.ending is not None:
            self._book_ending(resident, turn, batch)
        engine.halfway.look_at(state, turn, row_bytes)

    def _book_actions(self, resident: Resident, turn: Turn, batch: Batch) -> None:
        engine = self._engine
        for action in turn.actions:
            if type(action) is TaskScheduled:
                continue  # most are; ``release`` hands them out
            if isinstance(action, SubOrchestrationInstanceCreated):
                self._book_child(resident, action, batch)
            elif isinstance(action, EventSent):
                message = RaiseEvent(
                    message_id=engine.next_message_id(), event=action_event(action)
                )
                self.send(message, action.instance_id, batch)
            elif isinstance(action, TaskCanceled) and action.child is not None:
                self._give_up_child(resident.state, action, action.child, batch)
            elif isinstance(action, EventRefused) and turn.put_aside:
                put_aside = RaiseEvent(
                    message_id=action.message, event=turn.put_aside[action.message]
                )
                self.bury(put_aside, resident.state.instance_id, action.reason, batch)

    def _give_up_child(
        self, parent: InstanceState, action: TaskCanceled, child: str, batch: Batch
    ) -> None:
        ending = Terminate(
            message_id=self._engine.next_message_id(),
            reason='"its parent gave it up"',
            recurse=True,
            child_of=parent.execution_id,
            task_id=action.task_id,
        )
        self.send(ending, child, batch)

    def _end_children(
        self, state: InstanceState, incoming: Sequence[Incoming], batch: Batch
    ) -> None:
        """Its end is to reach what it has called: said to itself, so that a crash loses nothing."""
        if any(isinstance(event, ExecutionTerminated) and event.recurse for event in incoming):
            word = Terminate(
                message_id=self._engine.next_message_id(), recurse=True, child_of=state.execution_id
            )
            batch.to_route.append(batch.produce(word, state.partition, state.instance_id))

    def _book_child(
        self, resident: Resident, event: SubOrchestrationInstanceCreated, batch: Batch
    ) -> None:
        engine = self._engine
        record = child_record(resident.state, event, engine.clock.now())
        derived = child_instance_id(resident.state.execution_id, event.event_id)
        if event.instance_id != derived:
            # An id that somebody chose may be taken: decided after the commit, as a start request.
            message = Start(
                message_id=engine.next_message_id(),
                event=start_event(state_of(record), engine.runtime),
                root_id=record.root_id,
                depth=record.depth,
            )
            partition = engine.partition_for(event.instance_id)
            row = batch.produce(message, partition.lease.partition, event.instance_id)
            batch.to_route.append(row)
            return
        partition = engine.partition_for(record.instance_id)
        child = state_of(record)
        child.iid = engine.take_iid()
        child.partition = partition.lease.partition
        partition.count_child(child.root_id, 1)
        engine.halfway.look_at_child(child, partition.open_by_root[child.root_id])
        admitted = engine.admit(child, "new")
        batch.write_row(admitted, whole=True)
        engine.deliver(admitted, Start(event=start_event(child, engine.runtime)))

    def _book_ending(self, resident: Resident, turn: Turn, batch: Batch) -> None:
        engine = self._engine
        engine.retention.close(resident)
        resident.size = SESSION_BYTES
        if turn.seed and isinstance(turn.ending, ContinueAsNew):
            self._book_unread(resident, turn, turn.ending, batch)
        if turn.seed and resident.state.is_stopped:
            resident.openings = turn.seed
            return
        if turn.seed:
            resident.inbox = [*turn.seed, *resident.held, *resident.inbox]
            resident.held = []
            engine.make_ready(resident)
            return
        state = resident.state
        if state.depth:
            engine.partition_for(state.instance_id).count_child(state.root_id, -1)
        if turn.inbox.is_terminated:
            self._end_children(state, turn.inbox.incoming, batch)
        reply = reply_to_parent(state, engine.next_message_id)
        if reply is not None and state.parent is not None:
            self.send(reply, state.parent.instance_id, batch)
        if resident.held:
            resident.inbox = resident.held + resident.inbox
            resident.held = []
            engine.make_ready(resident)

    def _book_unread(
        self, resident: Resident, turn: Turn, ending: ContinueAsNew, batch: Batch
    ) -> None:
        """Only what has changed is written; what stays unread stays where it is."""
        if turn.unread or ending.taken:
            batch.change_unread(resident.state.iid, ending.taken, turn.unread)
        if resident.state.unread is not None:
            resident.size += resident.state.unread.size

    def send(self, message: Message, instance_id: str, batch: Batch) -> None:
        """A message to another instance: durable with this batch, delivered now if it is here."""
        engine = self._engine
        partition = engine.partition_for(instance_id)
        row = batch.produce(message, partition.lease.partition, instance_id)
        target = engine.residents.named(instance_id)
        if target is not None and not target.state.is_finished:
            engine.deliver(target, message)
        else:
            batch.to_route.append(row)

    def _hold(self, resident: Resident, held: list[Message], batch: Batch) -> None:
        """Messages that must wait are made durable (ENGINE rule 16)."""
        engine = self._engine
        for message in held:
            kept = message
            if not message.message_id or message.message_id.startswith(VOLATILE):
                kept = _renamed(message, engine.next_message_id())
                engine.delivered.add(kept.message_id)
                batch.kept[kept.message_id] = message
                batch.produce(kept, resident.state.partition, resident.state.instance_id)
                if message.message_id:
                    self._acknowledge(message.message_id, batch)
            resident.held.append(kept)

    def _refuse(self, resident: Resident, turn: Turn, batch: Batch) -> None:
        engine = self._engine
        refused = {refusal.message_id: refusal.error for refusal in turn.inbox.refused}
        for message in turn.inbox.taken:
            error = refused.get(message.message_id)
            if error is None:
                continue
            batch.refuse(message.message_id, error)
            answer = engine.answers.pop(message.message_id, None)
            if answer is not None:
                batch.answered[message.message_id] = answer, error
            elif isinstance(message, RaiseEvent):
                self.bury(message, resident.state.instance_id, str(error), batch)

    def bury(self, message: Message, instance_id: str, reason: str, batch: Batch) -> None:
        """A message that nobody can take becomes a dead letter (``no_silent_drop``)."""
        engine = self._engine
        now = engine.clock.now()
        batch.dead_letters.append(
            DeadLetter(message.message_id, instance_id, reason, now, Raw(encode(message)))
        )
        engine.observer.dead_letter(instance_id, reason)

    def _acknowledge(self, message_id: str, batch: Batch) -> None:
        engine = self._engine
        answer = engine.answers.pop(message_id, None)
        if answer is not None:
            batch.answered[message_id] = answer, None

    def fail_child(self, child: InstanceState, text: str) -> None:
        """Tell a parent that its child could not be started."""
        engine = self._engine
        parent = child.parent
        if parent is None:
            return
        failure = failure_of(RuntimeError(text), with_traceback=False)
        event = SubOrchestrationInstanceFailed(parent.task_scheduled_id, failure)
        message = ChildResult(
            message_id=engine.next_message_id(), execution_id=parent.execution_id, event=event
        )
        self.send(message, parent.instance_id, engine.pipeline.batch)
        engine.schedule_pump()


def action_event(action: EventSent) -> EventRaised:
    """The event that arrives when one is sent."""
    return EventRaised(action.name, action.input)


def _renamed(message: Message, message_id: str) -> Message:
    return structs.replace(message, message_id=message_id)
