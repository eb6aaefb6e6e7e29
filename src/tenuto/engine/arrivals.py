"""How messages find their instances, and instances their way into memory.

Owns what happens when a message comes for an instance that is not in memory, when a stored
instance has been read, and when a stored time comes. A message is delivered once, whichever way it
came (``exactly_once_turns``), and one that finds nobody becomes a dead letter
(``no_silent_drop``). Must never deliver from a read that is older than what memory knows.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

from tenuto.engine.delivery import row_id
from tenuto.engine.handed_in import HandedIn
from tenuto.engine.parts import OwnedPartition, Parts
from tenuto.engine.ports import LoadedInstance, Runtime
from tenuto.engine.resident import STORED, Home, Resident
from tenuto.engine.rows import InboxRow
from tenuto.engine.spans import book_of
from tenuto.engine.state import InstanceState, start_event, state_of
from tenuto.engine.turns.orchestration import seed
from tenuto.model.codec import decode_event, decode_turn
from tenuto.model.errors import (
    InstanceNotFoundError,
    StorageCorruptError,
    StorageUnavailableError,
    TenutoError,
)
from tenuto.model.events import ContinueAsNew, TimerFired
from tenuto.model.ids import InstanceId, is_from_outside
from tenuto.model.messages import LETTERS, AnyLetter, Message, Publish, Start, TimerDue
from tenuto.model.received import NotReadable, OfNewerTenuto, Received, received
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.unread import UnreadEvent, UnreadEvents

# Real time: memory comes back when somebody lets go of it.
_MEMORY_PAUSE_SECONDS: Final = 0.2
_AGAIN_SECONDS: Final = 10.0


class Arrivals:
    """Routes and loads for an engine."""

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self._passed_by: list[InboxRow] | None = None
        self._unknown_types: set[str] = set()
        self._handed_in = HandedIn(engine)

    # --- messages ---------------------------------------------------------------------------------

    @contextmanager
    def passing_by(self) -> Generator[list[InboxRow]]:
        """While partitions are taken: what this host sends to partitions that are not its own yet.

        Perhaps they were read before it was stored. What is sent afterwards must not overtake it.
        """
        self._passed_by = []
        try:
            yield self._passed_by
        finally:
            self._passed_by = None

    def route(self, row: InboxRow) -> None:
        """A durable message finds its instance; one for a partition of another host has its row."""
        home = self._engine.partitions.get(row.partition)
        if home is None:
            if self._passed_by is not None:
                self._passed_by.append(row)
            return
        try:
            message = of_row(row)
        except MemoryError:  # it is in the store, whatever becomes of this host
            again = self.route
            if row.message_id:  # no copy may overtake it
                home.delivery.sets_out(row.message_id)
                again = self._route_again
            self._engine.loop.call_later(_MEMORY_PAUSE_SECONDS, again, row)
            return
        if isinstance(message, OfNewerTenuto):
            self._leave(row, message)
        elif isinstance(message, NotReadable):
            self._put_aside(home, row.instance_id, message.letter, message.reason)
        elif self._is_misplaced(row):
            number = self._engine.number_of(row.instance_id)
            reason = f"message {row.message_id!r} is in partition {row.partition}, not in {number}"
            self._put_aside(home, row.instance_id, message, reason)
        elif isinstance(message, Publish):
            self._handed_in.arrive(home, row.instance_id, message)
        elif not isinstance(message, Start):
            self.dispatch(home, row.instance_id, message)
        elif message.message_id:
            home.starts.from_message(row.instance_id, message)
        elif home.residents.named(row.instance_id) is None:
            # Another process has inserted the instance itself.
            home.loader.want_named(row.instance_id)

    def _leave(self, row: InboxRow, message: OfNewerTenuto) -> None:
        """A host of a newer Tenuto takes it in. It is read again and again, and told of once."""
        if message.type not in self._unknown_types:
            self._unknown_types.add(message.type)
            text = (
                f"message {row.message_id!r} stays in the inbox: this Tenuto does not know its "
                f"type {message.type!r}, a newer one may; further ones are not told of"
            )
            self._engine.observer.problem(row.instance_id, text)

    def _is_misplaced(self, row: InboxRow) -> bool:
        """Whether whoever has written it has put it where its instance does not look for it."""
        is_row = row.message_id is not None
        return is_row and row.partition != self._engine.number_of(row.instance_id)

    def _put_aside(
        self, home: OwnedPartition, address: InstanceId, letter: AnyLetter, reason: str
    ) -> None:
        """What is of no use to anybody is a dead letter, and stops nobody."""
        engine = self._engine
        batch = engine.pipeline.batch
        batch.consume(letter, home.number)
        batch.refuse(letter, StorageCorruptError(f"{reason}; it was for {address!r}"))
        engine.booking.bury(letter, address, reason, batch)
        engine.schedule_pump()

    def _route_again(self, row: InboxRow) -> None:
        """Unless its instance has found it in the store meanwhile, or everything is read anew."""
        home = self._engine.partitions.get(row.partition)
        if home is not None and home.delivery.turns_away(row.message_id):
            self.route(row)

    def dispatch(self, home: OwnedPartition, instance_id: InstanceId, message: Message) -> None:
        """Deliver a message, now or when its instance is there; a copy of a known one goes."""
        resident = home.residents.named(instance_id)
        if resident is not None:
            self._engine.deliver(resident, message)
        elif (key := row_id(message)) is None or home.delivery.sets_out(key):
            self._pass_on(home, instance_id, message)

    def _pass_on(self, home: OwnedPartition, instance_id: InstanceId, message: Message) -> None:
        """Nobody of this id is in memory: it is being started, or may be in the store."""
        if home.starts.is_deciding(instance_id):
            home.starts.when_decided(instance_id, lambda: self._go_on(home, instance_id, message))
        else:
            home.loader.want_named(instance_id, message)

    def _meet(self, home: OwnedPartition, instance_id: InstanceId, message: Message) -> None:
        resident = home.residents.named(instance_id)
        if resident is not None:
            self._arrive(resident, [message])
        else:
            self._pass_on(home, instance_id, message)

    def _go_on(self, home: OwnedPartition, instance_id: InstanceId, message: Message) -> None:
        """A message that had to wait for a decision or a read finds its instance now."""
        resident = home.residents.named(instance_id)
        if resident is not None:
            self._arrive(resident, [message])
        else:
            home.loader.want_named(instance_id, message)

    def _arrive(self, resident: Resident, messages: Sequence[Message]) -> None:
        """The end of the way."""
        delivery = resident.home.delivery
        arrived = [message for message in messages if delivery.arrives(message)]
        self._engine.descendants.hear(resident.state, arrived)
        resident.inbox += arrived
        if resident.inbox:
            self._engine.make_ready(resident)

    def gather(self, resident: Resident) -> None:
        """An instance is in memory now: what is on the way to it must not be overtaken."""
        self._arrive(resident, resident.home.loader.take(resident.state))

    def missing(self, home: OwnedPartition, key: InstanceId | int, messages: list[Message]) -> None:
        """Messages to an instance that does not exist (any more)."""
        engine = self._engine
        if isinstance(key, str) and (
            home.residents.named(key) is not None or home.starts.is_deciding(key)
        ):
            for message in messages:  # it was, or is being, started while the store was read
                self._meet(home, key, message)
            return
        batch = engine.pipeline.batch
        for message in messages:
            error = InstanceNotFoundError(str(key))
            if engine.callers.answer(message.message_id, error):
                continue
            if home.delivery.turns_away(row_id(message)):
                batch.consume(message, home.number)
                batch.refuse(message, error)
                if isinstance(message, LETTERS):
                    engine.booking.bury(
                        message, InstanceId(str(key)), f"instance {key!r} does not exist", batch
                    )
        engine.schedule_pump()

    def damaged(
        self,
        home: OwnedPartition,
        key: int,
        name: InstanceId | None,
        messages: list[Message],
        error: Exception,
    ) -> None:
        """An instance was read that cannot be understood; the others go on."""
        engine = self._engine
        called = f"number {key}" if name is None else repr(name)
        text = f"what is stored of instance {called} cannot be read: {error!r}"
        told: TenutoError = StorageCorruptError(f"{text}; restore the store from a backup")
        if isinstance(error, MemoryError | StorageUnavailableError):
            text += f"; it is tried again every {_AGAIN_SECONDS:.0f} s"
            told = StorageUnavailableError(f"{text}. Give the host more memory")
            self._engine.loop.call_later(_AGAIN_SECONDS, home.loader.want, key)
            # With it an event of a topic may go that was on the way to it.
            self._engine.loop.call_later(_AGAIN_SECONDS, engine.correlation.again, key)
        engine.observer.problem(name, text)
        for message in messages:
            home.delivery.turns_away(row_id(message))
            engine.callers.answer(message.message_id, told)

    # --- times ------------------------------------------------------------------------------------

    def look_at(self, home: OwnedPartition, iids: list[int]) -> None:
        """The time of these instances has come, or had, if they have changed their minds."""
        engine = self._engine
        now = engine.clock.now()
        for iid in iids:
            resident = home.residents.get(iid)
            if resident is None:
                home.loader.want(iid)
                continue
            due = due_timers(resident.state, now)
            if _is_to_start(resident.state, now):
                due.append(Start(event=start_event(resident.state, engine.runtime)))
            resident.inbox.extend(due)
            if due:
                engine.make_ready(resident)

    # --- instances --------------------------------------------------------------------------------

    def loaded(self, home: OwnedPartition, loaded: LoadedInstance, messages: list[Message]) -> None:
        """An instance was read, and these messages wait for it.

        Raises:
            MemoryError: there is not enough for it; nothing of it is in memory then.
        """
        if loaded.record.partition != home.number:
            # Whoever wrote these rows has put them into the wrong partition.
            self.missing(home, loaded.record.instance_id, messages)
            return
        known = home.residents.get(loaded.record.iid)
        try:
            self._take_in(home, loaded, messages)
        except MemoryError:
            resident = home.residents.get(loaded.record.iid)
            if known is None and resident is not None:
                self._engine.takeback.drop(resident)
            raise

    def _take_in(self, home: Home, loaded: LoadedInstance, messages: list[Message]) -> None:
        engine = self._engine
        record = loaded.record
        resident = home.residents.get(record.iid)
        if resident is None:
            resident = self._admit(home, loaded)
            is_new = is_from_outside(record.iid) and not resident.state.next_turn
            if is_new and engine.updates.is_heard:
                engine.updates.publish_row(record)
        elif _is_up_to_date(resident.state, loaded):
            # Only the history is news: rows of the inbox find their own way to who is in memory.
            resident.recorded = loaded.turns
        self._arrive(resident, engine.holding.worth_trying(resident.state, messages))
        self.gather(resident)
        if not resident.inbox and resident.is_idle:
            engine.retention.settle(resident)

    def _admit(self, home: Home, loaded: LoadedInstance) -> Resident:
        engine = self._engine
        state = restored(loaded)
        inbox = waiting_in(loaded)
        resident = engine.admit(state, home, STORED)
        if engine.rules.spans is not None:
            turns = map(decode_turn, loaded.turns)
            resident.spans = book_of(engine.rules.spans, state.instance_id, turns)
        engine.takeback.adopt(resident)
        state.history_bytes = sum(map(len, loaded.turns))
        resident.size += state.history_bytes
        if state.unread is not None:
            resident.size += state.unread.size
        # The rows are in the order of their arrival.
        home.delivery.found(inbox)
        engine.descendants.hear(state, inbox)
        resident.inbox = inbox + resident.inbox
        if not state.is_finished:
            resident.recorded = loaded.turns
            self._resume(resident, loaded)
        elif state.wake_at is not None:
            state.keep_last_calls(decode_turn(loaded.turns[-1]))
            engine.release.take_work_up(resident)
        return resident

    def _resume(self, resident: Resident, loaded: LoadedInstance) -> None:
        """Derive again what was promised: the start, running activities, due timers."""
        state = resident.state
        now = self._engine.clock.now()
        openings: list[Message] = []
        if state.next_turn == 0:
            openings = self._openings(resident, loaded, now)
        resident.openings = openings
        if state.is_stopped:
            return
        resident.inbox[:0] = openings
        if not self._engine.holding.hold_unserved(resident):
            resident.inbox.extend(due_timers(state, now))
            self._engine.release.take_work_up(resident)

    def _openings(
        self, resident: Resident, loaded: LoadedInstance, now: Microseconds
    ) -> list[Message]:
        return seeded(resident.state, loaded, self._engine.runtime) or self.opening(resident, now)

    def opening(self, resident: Resident, now: Microseconds) -> list[Message]:
        """What opens the first generation; nothing yet, and a timer, when that is put off."""
        state = resident.state
        if state.facts.scheduled_at is not None and state.begins_later(now):
            self._engine.arm(resident, state.facts.scheduled_at)
            return []
        return [Start(event=start_event(state, self._engine.runtime))]


def restored(loaded: LoadedInstance) -> InstanceState:
    """The state of an instance that was read."""
    state = state_of(loaded.record)
    state.follow(map(decode_turn, loaded.turns))
    if loaded.unread:
        state.unread = unread_of(loaded)
    return state


def waiting_in(loaded: LoadedInstance) -> list[Message]:
    """The messages that wait for an instance that was read, in the order of their arrival.

    A start in the inbox is somebody's request for the id, which ``starts`` decides; what opens this
    instance is in its row. What cannot be read does not concern it: ``route`` puts it aside.
    """
    return [one for one in messages_in(loaded) if not isinstance(one, Start)]


def messages_in(loaded: LoadedInstance) -> list[Message]:
    """All that is in the inbox of an instance that was read, but for what is none of its own."""
    number = loaded.record.partition
    found = (of_row(row) for row in loaded.inbox if row.partition == number)
    return [one for one in found if not isinstance(one, Publish | OfNewerTenuto | NotReadable)]


def of_row(row: InboxRow) -> Received:
    """What a row of the inbox holds."""
    return received(row.message_id, row.message, is_handed_over=row.is_handed_over)


def seeded(state: InstanceState, loaded: LoadedInstance, runtime: Runtime) -> list[Message]:
    """What opens a generation that follows another one; nothing for the first."""
    if state.facts.generation and loaded.previous_turn is not None:
        last = decode_turn(loaded.previous_turn)[-1]
        if isinstance(last, ContinueAsNew):
            return seed(state, last, runtime)
    return []


def unread_of(loaded: LoadedInstance) -> UnreadEvents:
    """The events that earlier generations have left."""
    return UnreadEvents(UnreadEvent(number, decode_event(row)) for number, row in loaded.unread)


def due_timers(state: InstanceState, now: Microseconds) -> list[Message]:
    """Messages of the open timers whose time has come, oldest first."""
    return [
        TimerDue(execution_id=state.facts.execution_id, event=TimerFired(task_id, fire_at))
        for task_id, fire_at in sorted(state.work.timers.items(), key=lambda item: item[1])
        if fire_at <= now
    ]


def _is_to_start(state: InstanceState, now: Microseconds) -> bool:
    """Whether a scheduled start is due. Others are started by the message that made them."""
    return (
        state.status is RuntimeStatus.PENDING
        and state.facts.scheduled_at is not None
        and state.facts.scheduled_at <= now
    )


def _is_up_to_date(state: InstanceState, loaded: LoadedInstance) -> bool:
    return (
        loaded.record.generation == state.facts.generation
        and len(loaded.turns) == state.next_turn
        and not state.is_finished
    )
