"""Starting instances: who gets an id, and in which commit.

A fresh id goes straight into the next batch together with its first turn (ENGINE rule 28). An id
that somebody chose is looked up first, many at a time; what the look-up could not see, the unique
index decides row by row (ENGINE rule 14).
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from tenuto.engine.state import InstanceState, start_event
from tenuto.model.errors import InstanceExistsError, StorageError, TenutoError
from tenuto.model.messages import Start, Terminate
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus
from tenuto.orchestration.replay import PYTHON

if TYPE_CHECKING:
    from tenuto.engine.engine import Engine
    from tenuto.engine.resident import Resident

Answer = Callable[[TenutoError | None], None]


class IdReuse(StrEnum):
    """What a start does when its instance id exists.

    ``WHEN_FINISHED`` replaces a finished instance and refuses a running one (Durable Functions'
    default), ``NEVER`` refuses both, ``ALWAYS`` ends a running one and replaces it.
    """

    WHEN_FINISHED = "when_finished"
    NEVER = "never"
    ALWAYS = "always"


class StartRequest(Struct, kw_only=True):
    """A start as asked for. ``is_fresh``: the id was just made up, so it cannot be taken."""

    instance_id: str
    execution_id: str
    name: str
    input: str | None = None
    version: str | None = None
    tags: dict[str, str] | None = None
    scheduled_at: int | None = None
    parent: ParentInstance | None = None
    root_id: str | None = None
    depth: int = 0
    reuse: IdReuse = IdReuse.WHEN_FINISHED
    is_fresh: bool = False
    message_id: str = ""


class Starts:
    """Decides starts for an engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._waiting: list[tuple[StartRequest, Answer]] = []
        self._undecided: Counter[str] = Counter()
        self._afterwards: dict[str, list[Callable[[], None]]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no start is being decided."""
        return not self._undecided

    def is_deciding(self, instance_id: str) -> bool:
        """Whether it is open who gets this id."""
        return instance_id in self._undecided

    def when_decided(self, instance_id: str, then: Callable[[], None]) -> None:
        """Go on when it is decided: whoever stands under the id then is in memory or stored."""
        self._afterwards.setdefault(instance_id, []).append(then)

    def request(self, request: StartRequest, answer: Answer) -> None:
        """Start an instance; ``answer`` gets None once it is durable, or the error."""
        if request.is_fresh:
            self._create(request, answer, None)
        else:
            self._undecided[request.instance_id] += 1
            self._look_up(request, answer)

    def _look_up(self, request: StartRequest, answer: Answer) -> None:
        self._waiting.append((request, answer))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._decide_all())

    def from_message(self, instance_id: str, message: Start) -> None:
        """A start that an orchestrator or another process asked for, with an id of its choice."""
        event = message.event
        request = StartRequest(
            instance_id=instance_id,
            execution_id=event.execution_id,
            name=event.name,
            input=event.input,
            version=event.version,
            tags=event.tags,
            parent=event.parent,
            scheduled_at=event.scheduled_start,
            root_id=message.root_id,
            depth=message.depth,
            reuse=IdReuse.ALWAYS if message.ends_running else IdReuse.WHEN_FINISHED,
            message_id=message.message_id,
        )

        def answer(error: TenutoError | None) -> None:
            if error is not None:
                self._consume(message.message_id)
                self._engine.booking.fail_child(_fresh_state(request, self._engine), str(error))

        self.request(request, answer)

    def _consume(self, message_id: str) -> None:
        self._engine.pipeline.batch.consume(message_id)
        self._engine.schedule_pump()

    async def _decide_all(self) -> None:
        engine = self._engine
        try:
            while self._waiting:
                requests, self._waiting = self._waiting, []
                names = {request.instance_id for request, _ in requests}
                try:
                    with engine.residents.departures() as departed:
                        records = await engine.storage.find(list(names))
                except StorageError as error:
                    for request, answer in requests:
                        self._refuse(request, answer, error)
                    continue
                if engine.gone is not None:  # meanwhile; what is made now would never be written
                    for request, answer in requests:
                        self._refuse(request, answer, engine.gone)
                    continue
                found = {record.instance_id: record for record in records}
                # Turns run outside tasks (ENGINE rule 3); creating only queues them.
                for request, answer in requests:
                    name = request.instance_id
                    if name in departed and engine.residents.named(name) is None:
                        self._waiting.append((request, answer))
                    else:
                        self._decide(request, answer, found.get(name))
        finally:
            self._task = None

    def _decide(self, request: StartRequest, answer: Answer, record: InstanceRecord | None) -> None:
        resident = self._engine.residents.named(request.instance_id)
        stored = record
        if resident is not None:
            record = resident.state.record()
        if record is None:
            self._create(request, answer, None)
            self._decided(request)
        elif stored is not None and stored.execution_id == request.execution_id:
            self._consume(request.message_id)
            self._refuse(request, answer, None)  # the same request again: a safe retry
        elif record.execution_id == request.execution_id:
            # The same request again while the first is not durable yet: look until it is.
            asyncio.get_running_loop().call_soon(self._look_up, request, answer)
        elif request.reuse is IdReuse.NEVER or (
            not record.status.is_finished and request.reuse is not IdReuse.ALWAYS
        ):
            self._refuse(request, answer, _taken(record))
        elif not record.status.is_finished:
            self._end_first(request, answer, resident)
        elif resident is not None and not resident.is_idle:
            # It is about to leave: its last messages must be answered by it, not by its successor.
            asyncio.get_running_loop().call_soon(self._look_up, request, answer)
        else:
            if resident is not None:
                self._engine.residents.remove(resident)
            self._create(request, answer, record)
            self._decided(request)

    def _refuse(self, request: StartRequest, answer: Answer, error: TenutoError | None) -> None:
        answer(error)
        self._decided(request)

    def _decided(self, request: StartRequest) -> None:
        name = request.instance_id
        self._undecided[name] -= 1
        if not self._undecided[name]:
            del self._undecided[name]
            for then in self._afterwards.pop(name, ()):
                then()

    def _end_first(
        self, request: StartRequest, answer: Answer, resident: "Resident | None"
    ) -> None:
        """End the instance that stands under the id, and look again when that is durable."""
        engine = self._engine
        loop = asyncio.get_running_loop()

        def ended(error: TenutoError | None) -> None:
            if isinstance(error, StorageError):
                self._refuse(request, answer, error)
            else:  # perhaps it has ended by itself: whatever it was, look again
                loop.call_soon(self._look_up, request, answer)

        message = Terminate(message_id=engine.volatile_id(), reason='"replaced"')
        engine.answers[message.message_id] = ended
        if resident is not None:
            engine.deliver(resident, message)
        else:
            engine.loader.want_named(request.instance_id, message)

    def _create(
        self, request: StartRequest, answer: Answer, replaces: InstanceRecord | None
    ) -> None:
        engine = self._engine
        state = _fresh_state(request, engine)
        if replaces is None:
            state.iid = engine.take_iid()
            row = "new"
        else:
            state.iid = replaces.iid
            state.generation = replaces.generation + 1
            row = "replaced"
        if state.depth:
            partition = engine.partition_for(state.instance_id)
            partition.count_child(state.root_id, 1)
            engine.halfway.look_at_child(state, partition.open_by_root[state.root_id])
        resident = engine.admit(state, row)
        engine.arrivals.gather(resident)
        if state.scheduled_at is not None and state.scheduled_at > engine.clock.now():
            state.wake_at = state.scheduled_at
            self._write_ahead(request, resident, answer)
        elif request.is_fresh or replaces is not None:
            # A message is used up in the commit of the turn that it leads to.
            message_id = request.message_id or engine.volatile_id()
            engine.answers[message_id] = answer
            engine.deliver(resident, Start(message_id=message_id, event=start_event(state, PYTHON)))
        else:
            self._write_ahead(request, resident, answer)

    def _write_ahead(self, request: StartRequest, resident: "Resident", answer: Answer) -> None:
        """Write the row alone: another process may have taken the id since we looked.

        The unique index decides, and no turn runs before it has (ENGINE rule 14).
        """
        engine = self._engine
        state = resident.state

        # Where ``Engine.abandon`` finds it, should this batch never be written.
        key = engine.volatile_id()
        engine.answers[key] = answer

        def decided(is_free: bool) -> None:  # noqa: FBT001 - the form of ``Batch.starts``
            engine.answers.pop(key, None)
            if not is_free:
                answer(_taken(state.record()))
                return
            answer(None)
            if state.scheduled_at is not None and state.scheduled_at > engine.clock.now():
                engine.arm(state, state.scheduled_at)
                if resident.is_idle:
                    engine.retention.settle(resident)
            elif state.next_turn == 0:
                engine.deliver(resident, Start(event=start_event(state, PYTHON)))

        resident.in_flight += 1
        batch = engine.pipeline.batch
        batch.consume(request.message_id)
        batch.write_row(resident, whole=True)
        batch.starts.append((resident, decided))
        engine.schedule_pump()


def _taken(record: InstanceRecord) -> InstanceExistsError:
    return InstanceExistsError(
        record.instance_id,
        f"already exists ({record.status.label}); choose another id, wait for it, or terminate "
        "and purge it",
    )


def _fresh_state(request: StartRequest, engine: "Engine") -> InstanceState:
    now = engine.clock.now()
    return InstanceState(
        iid=0,
        instance_id=request.instance_id,
        partition=engine.partition_for(request.instance_id).lease.partition,
        name=request.name,
        execution_id=request.execution_id,
        created_at=now,
        updated_at=now,
        root_id=request.root_id or request.instance_id,
        version=request.version,
        parent=request.parent,
        depth=request.depth,
        tags=request.tags,
        scheduled_at=request.scheduled_at,
        input=request.input,
        status=RuntimeStatus.PENDING,
    )
