"""Starting instances: who gets an id, and in which commit.

A fresh id goes straight into the next batch together with its first turn (ENGINE rule 28). An id
that somebody chose is looked up first, many at a time; what the look-up could not see, the unique
index decides row by row (ENGINE rule 14).
"""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import structs

from tenuto.engine.callers import Answer
from tenuto.engine.parts import Parts
from tenuto.engine.resident import NEW, REPLACED, Home, Resident
from tenuto.engine.state import InstanceState, start_event
from tenuto.model.errors import (
    InstanceExistsError,
    StorageError,
    StorageUnavailableError,
    TenutoError,
)
from tenuto.model.facts import facts_started
from tenuto.model.ids import (
    InstanceId,
    derived_from,
    new_execution_id,
    reserved_id,
)
from tenuto.model.messages import Start, Terminate
from tenuto.model.requests import StartRequest
from tenuto.model.status import FINISHED, InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds

_LOOK_AGAIN: Final[Microseconds] = 200_000
"""Microseconds until what the store could not answer is asked again."""
_PAUSE_SECONDS: Final = 0.05
_REPLACED: Final = '"replaced" '
"""The output of an instance that was ended for its successor.

It tells so to a host that comes after this one, and must not be what a person gave as the reason:
the space behind it means nothing in JSON, and nothing that writes a reason as JSON puts one there.
"""


def request_of(instance_id: InstanceId, message: Start, *, is_stored: bool) -> StartRequest:
    """What a message to start an instance asks for."""
    facts = facts_started(instance_id, message.event, message.root_id, message.depth)
    stored = message if is_stored else None
    return StartRequest(facts=facts, reuse=message.reuse, message=stored)


class _Decision:
    """A start with an id that somebody chose, until it is known who gets the id.

    ``followers`` came for the id afterwards: they go on when this one is decided. ``has_ended``:
    whoever had the id was ended for it.
    """

    __slots__ = ("answer", "followers", "has_ended", "request")

    def __init__(self, request: StartRequest, answer: Answer) -> None:
        self.request = request
        self.answer = answer
        self.followers: list[Callable[[], None]] = []
        self.has_ended = False

    def may_replace(self, record: InstanceRecord) -> bool:
        """Whether this instance gives way."""
        reuse = self.request.reuse
        if record.status in reuse:
            return True
        # It was ended to give way: by us, or by a host that has died since.
        is_ended_for_this = self.has_ended or record.output == _REPLACED
        is_terminated = record.status is RuntimeStatus.TERMINATED
        return is_terminated and is_ended_for_this and not reuse <= FINISHED


class Starts:
    """Decides starts for a partition.

    A chosen id goes through three places: *looked up* (``_waiting``), then perhaps *claimed* (its
    row is on its way to the store, whose unique index has the last word), then *decided*. While it
    is claimed its instance is not among the residents: nothing is delivered to it, no turn runs,
    and other starts of that id wait for the claim. A decision waits for a read, for a commit, for
    the end of the instance that it replaces, or for an older claim; never for itself.
    """

    def __init__(self, engine: Parts, home: Home) -> None:
        self._engine = engine
        self._home = home
        self._waiting: list[_Decision] = []
        self._undecided: dict[InstanceId, list[_Decision]] = {}
        self._claims: dict[InstanceId, list[_Decision]] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        """Whether no start is being decided."""
        return not self._undecided

    def is_deciding(self, instance_id: InstanceId) -> bool:
        """Whether it is open who gets this id."""
        return instance_id in self._undecided

    def when_decided(self, instance_id: InstanceId, then: Callable[[], None]) -> None:
        """Go on when the newest of the open decisions about this id is made.

        Not when the last one is: an id that is started again and again would never get anything.
        """
        self._undecided[instance_id][-1].followers.append(then)

    async def decided(self, instance_id: InstanceId) -> None:
        """Wait until then."""
        decided = asyncio.Event()
        self.when_decided(instance_id, decided.set)
        await decided.wait()

    def close(self, error: TenutoError) -> None:
        """Decide nothing more: the partition has gone, and what is in its inbox with it."""
        self._is_closed = True
        undecided = [one for several in self._undecided.values() for one in several]
        self._waiting, self._undecided, self._claims = [], {}, {}
        if self._task is not None:
            self._task.cancel()
        for decision in undecided:
            if decision.request.message is None:
                decision.answer(error)
            for then in decision.followers:
                then()

    def request(self, request: StartRequest, answer: Answer) -> None:
        """Start an instance; ``answer`` gets None once it is durable, or the error."""
        if not request.is_fresh:
            self._look_up(self._opened(request, answer))
            return
        resident = self._new(request, None)
        if resident.state.begins_later(self._engine.clock.now()):
            self._write_ahead(self._opened(request, answer), resident)
        else:
            self._admit(request, resident, answer)

    def again(self, instance_id: InstanceId, message: Start, answer: Answer) -> None:
        """A start that was taken in, with a batch that was not written, is asked for once more."""
        self.request(request_of(instance_id, message, is_stored=False), answer)

    def _opened(self, request: StartRequest, answer: Answer) -> _Decision:
        decision = _Decision(request, answer)
        self._undecided.setdefault(request.facts.instance_id, []).append(decision)
        return decision

    def _look_up(self, decision: _Decision) -> None:
        if self._is_closed:
            return
        self._waiting.append(decision)
        if self._task is None:
            self._task = self._engine.loop.create_task(self._decide_all())

    def _look_up_soon(self, decision: _Decision) -> None:
        """What it waits for is being committed; not in a hurry while the store cannot write."""
        pause = 0.0 if self._engine.pipeline.unavailable is None else _PAUSE_SECONDS
        self._engine.loop.call_later(pause, self._look_up, decision)

    def from_message(self, instance_id: InstanceId, message: Start) -> None:
        """A start that an orchestrator or another process asked for, with an id of its choice.

        A copy of a message that is being decided goes: it would be refused because of the other.
        """
        if not self._home.delivery.decides(message):
            return
        request = request_of(instance_id, message, is_stored=True)

        def answer(error: TenutoError | None) -> None:
            # With the partition its inbox has gone: whoever has that decides about the start.
            if error is not None and not self._is_closed:
                self._refuse_message(request, message, error)

        self.request(request, answer)

    def _refuse_message(self, request: StartRequest, message: Start, error: TenutoError) -> None:
        """Nobody gets lost: a parent is told; for what reports to nobody there is a dead letter."""
        engine = self._engine
        batch = engine.pipeline.batch
        batch.consume(message, self._home.number)
        batch.refuse(message, error)
        if request.facts.parent is not None:
            engine.booking.fail_child(request.facts.parent, error.for_callers)
        elif message.root_id is not None:
            engine.booking.bury(message, request.facts.instance_id, error.for_callers, batch)
        engine.schedule_pump()

    async def _decide_all(self) -> None:
        engine = self._engine
        try:
            while self._waiting:
                decisions, self._waiting = self._waiting, []
                names = {decision.request.facts.instance_id for decision in decisions}
                try:
                    with self._home.residents.departures() as departed:
                        records = await engine.storage.find(list(names))
                except StorageError as error:
                    for decision in decisions:
                        self._could_not_look(decision, error)
                    continue
                if engine.gone is not None:  # meanwhile; what is made now would never be written
                    for decision in decisions:
                        self._could_not_look(decision, engine.gone)
                    continue
                found = {record.instance_id: record for record in records}
                # Turns run outside tasks (ENGINE rule 3); creating only queues them.
                for decision in decisions:
                    name = decision.request.facts.instance_id
                    if name in departed and self._home.residents.named(name) is None:
                        self._waiting.append(decision)
                    else:
                        self._decide(decision, found.get(name))
        finally:
            self._task = None

    def _could_not_look(self, decision: _Decision, error: TenutoError) -> None:
        """A client hears of it. What is in the inbox stays there, and is looked at again."""
        engine = self._engine
        if decision.request.message is None:
            self._answer(decision, error)
        elif isinstance(error, StorageUnavailableError) and engine.gone is None:
            engine.clock.call_later(_LOOK_AGAIN, lambda: self._look_up(decision))
        else:
            self._decided(decision)

    def _decide(self, decision: _Decision, stored: InstanceRecord | None) -> None:
        request = decision.request
        name = request.facts.instance_id
        if name in self._claims:  # another's row is on its way: it is seen when that is decided
            self._claims[name].append(decision)
            return
        resident = self._home.residents.named(name)
        record = stored if resident is None else resident.state.record()
        if record is None:
            self._take_free_id(decision)
        elif self._is_repeated(request, stored):
            self._consume(request)
            self._answer(decision, None)
        elif self._is_repeated(request, record):  # and the first is not durable yet
            self._look_up_soon(decision)
        elif not decision.may_replace(record):
            self._answer(decision, taken_by(record))
        elif not record.status.is_finished and (stored is None or stored.iid != record.iid):
            # A child whose row may yet be refused: a request to it would wait for ourselves then.
            self._look_up_soon(decision)
        elif not record.status.is_finished:
            self._end_first(decision, resident, record.iid)
        elif resident is not None and not resident.is_idle:
            # Calls of its last turn, that nobody waits for, end with it.
            for work in resident.works.values():
                self._engine.cancel_work(work)
            resident.works.clear()
            # It is about to leave: its last messages must be answered by it, not by its successor.
            self._look_up_soon(decision)
        else:
            if resident is not None:
                self._home.residents.remove(resident)
            self._replace(decision, record)

    @staticmethod
    def _is_repeated(request: StartRequest, record: InstanceRecord | None) -> bool:
        """The same request once more: a safe retry.

        Only of clients: the message of an orchestrator is used up in the commit that starts its
        child, and some SDKs give the children of several attempts the same execution id.
        """
        is_same = record is not None and record.execution_id == request.facts.execution_id
        return is_same and request.facts.parent is None

    def _consume(self, request: StartRequest) -> None:
        batch = self._engine.pipeline.batch
        if request.message is not None:
            batch.consume(request.message, self._home.number)
        self._engine.schedule_pump()

    def _answer(self, decision: _Decision, error: TenutoError | None) -> None:
        decision.answer(error)
        self._decided(decision)

    def _decided(self, decision: _Decision) -> None:
        name = decision.request.facts.instance_id
        if decision.request.message is not None:
            self._home.delivery.has_decided(decision.request.message)
        # By identity: it may be one of many for this id.
        left = [one for one in self._undecided[name] if one is not decision]
        if left:
            self._undecided[name] = left
        else:
            del self._undecided[name]
        followers, decision.followers = decision.followers, []
        for then in followers:
            then()

    def _end_first(self, decision: _Decision, resident: Resident | None, iid: int) -> None:
        """End the instance that stands under the id, and look again when that is durable.

        Its request goes to that instance by number. By id it would have to wait for the decisions
        about the id, this one among them.
        """
        engine = self._engine
        loop = self._engine.loop

        def ended(error: TenutoError | None) -> None:
            if self._is_closed:
                return
            if isinstance(error, StorageError):
                self._answer(decision, error)
            else:  # perhaps it has ended by itself: whatever it was, look again
                decision.has_ended = error is None
                loop.call_soon(self._look_up, decision)

        message = Terminate(message_id=engine.memory_id(), reason=_REPLACED)
        engine.callers.expect(message.message_id, decision.request.facts.instance_id, ended)
        if resident is not None:
            engine.deliver(resident, message)
        else:
            self._home.loader.want(iid, message)

    # --- making -----------------------------------------------------------------------------------

    def _take_free_id(self, decision: _Decision) -> None:
        request = decision.request
        if _is_reserved(request):
            self._answer(decision, reserved_id(request.facts.instance_id))
            return
        resident = self._new(request, None)
        self._write_ahead(decision, resident)

    def _replace(self, decision: _Decision, replaced: InstanceRecord) -> None:
        request = decision.request
        if request.facts.parent is not None or replaced.execution_id == request.facts.execution_id:
            # Answers to an old execution must not count for the new one (ENGINE rule 17); some SDKs
            # give each attempt of a call the same one.
            execution_id = new_execution_id(self._engine.clock.now())
            request = structs.replace(
                request, facts=structs.replace(request.facts, execution_id=execution_id)
            )
        resident = self._new(request, replaced)
        if resident.state.begins_later(self._engine.clock.now()):
            self._write_ahead(decision, resident)
        else:
            self._admit(request, resident, decision.answer)
            self._decided(decision)

    def _new(self, request: StartRequest, replaces: InstanceRecord | None) -> Resident:
        """An instance that is not among the residents yet, with a row to be written."""
        engine = self._engine
        now = engine.clock.now()
        facts = request.facts
        if replaces is not None:
            facts = structs.replace(facts, generation=replaces.generation + 1)
        iid = engine.take_iid() if replaces is None else replaces.iid
        state = InstanceState(iid, self._home.number, now, facts, updated_at=now)
        resident = Resident(state, self._home)
        resident.row = NEW if replaces is None else REPLACED
        if state.begins_later(now):
            state.wake_at = state.facts.scheduled_at
        return resident

    def _admit(self, request: StartRequest, resident: Resident, answer: Answer) -> None:
        """Into memory: row and first turn go in one commit, which uses up the message."""
        engine = self._engine
        engine.descendants.begins(resident.state)
        self._home.residents.add(resident)
        engine.arrivals.gather(resident)
        event = start_event(resident.state, engine.runtime)
        message = request.message
        if message is None:
            message = Start(message_id=engine.memory_id(), event=event)
        else:
            self._home.delivery.has_decided(message)
            message = structs.replace(message, event=event)
        engine.callers.expect(message.message_id, request.facts.instance_id, answer)
        engine.deliver(resident, message)

    def _write_ahead(self, decision: _Decision, resident: Resident) -> None:
        """Write the row alone: another process may have taken the id since we looked.

        The unique index decides, and no turn runs before it has (ENGINE rule 14).
        """
        engine = self._engine
        request = decision.request
        name = request.facts.instance_id
        self._claims[name] = []
        # Where ``Engine.abandon`` finds it, should this batch never be written.
        key = engine.memory_id()
        engine.callers.expect(key, name, decision.answer)

        def decided(is_free: bool, error: TenutoError | None) -> None:  # noqa: FBT001 - see Batch
            if self._is_closed:
                return
            engine.callers.take(key)
            waiting = self._claims.pop(name)
            if error is not None:
                self._answer(decision, error)
            elif is_free:
                self._begin(resident)
                self._answer(decision, None)
            else:  # whoever has it now: the rules of reuse say what becomes of this start
                self._look_up(decision)
            for one in waiting:
                self._look_up(one)

        resident.in_flight += 1
        batch = engine.pipeline.batch
        if request.message is not None:
            batch.consume(request.message, resident.state.partition)
        batch.write_row(resident, whole=True)
        batch.starts.append((resident, decided))
        engine.schedule_pump()

    def _begin(self, resident: Resident) -> None:
        """The row is stored and ours: the instance comes into memory, and runs when it is time."""
        engine = self._engine
        state = resident.state
        engine.descendants.begins(state)
        if self._home.residents.get(state.iid) is not None:
            return  # its commit was long in doubt, and it was read from the store meanwhile
        self._home.residents.add(resident)
        engine.arrivals.gather(resident)
        if state.facts.scheduled_at is not None and state.begins_later(engine.clock.now()):
            engine.arm(resident, state.facts.scheduled_at)
            if resident.is_idle:
                engine.retention.settle(resident)
        else:
            event = start_event(state, engine.runtime)
            engine.deliver(resident, Start(event=event))


def _is_reserved(request: StartRequest) -> bool:
    """Whether a free id is one that a sub-orchestration may yet get.

    Those of its own execution up to its own number are used up; some SDKs choose them once more.
    """
    derived = derived_from(request.facts.instance_id)
    if derived is None:
        return False
    parent = request.facts.parent
    execution_id, event_id = derived
    is_past = parent is not None and event_id <= parent.task_scheduled_id
    return not (parent is not None and parent.execution_id == execution_id and is_past)


def taken_by(record: InstanceRecord) -> InstanceExistsError:
    """Why a start is refused: this instance has the id."""
    return InstanceExistsError(
        record.instance_id,
        f"already exists ({record.status.label}); choose another id, wait for it, or terminate "
        "and purge it",
    )
