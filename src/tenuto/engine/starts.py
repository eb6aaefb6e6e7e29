"""Starting instances: who gets an id, and in which commit.

A fresh id goes straight into the next batch together with its first turn (ENGINE rule 28). An id
that somebody chose is looked up first, many at a time; what the look-up could not see, the unique
index decides row by row (ENGINE rule 14).
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from tenuto.engine.state import InstanceState, start_event
from tenuto.model.errors import InstanceExistsError, StorageError, TenutoError
from tenuto.model.messages import Start
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
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no start is being decided."""
        return self._task is None

    def request(self, request: StartRequest, answer: Answer) -> None:
        """Start an instance; ``answer`` gets None once it is durable, or the error."""
        if request.is_fresh:
            self._create(request, answer, None)
            return
        self._waiting.append((request, answer))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._decide_all())

    def from_message(self, instance_id: str, message: Start) -> None:
        """A start that an orchestrator asked for with an id of its own choice."""
        event = message.event
        request = StartRequest(
            instance_id=instance_id,
            execution_id=event.execution_id,
            name=event.name,
            input=event.input,
            version=event.version,
            tags=event.tags,
            parent=event.parent,
            root_id=message.root_id,
            depth=message.depth,
            message_id=message.message_id,
        )

        def answer(error: TenutoError | None) -> None:
            if error is not None:
                self._consume(message.message_id)
                self._engine.fail_child(_fresh_state(request, self._engine), str(error))

        self.request(request, answer)

    def _consume(self, message_id: str) -> None:
        self._engine.pipeline.batch.consume(message_id)
        self._engine.schedule_pump()

    async def _decide_all(self) -> None:
        engine = self._engine
        while self._waiting:
            requests, self._waiting = self._waiting, []
            try:
                names = {request.instance_id for request, _ in requests}
                found = {
                    record.instance_id: record for record in await engine.storage.find(list(names))
                }
            except StorageError as error:
                for _, answer in requests:
                    answer(error)
                continue
            # Turns run outside tasks (ENGINE rule 3); creating only queues them.
            for request, answer in requests:
                self._decide(request, answer, found.get(request.instance_id))
        self._task = None

    def _decide(self, request: StartRequest, answer: Answer, record: InstanceRecord | None) -> None:
        engine = self._engine
        resident = engine.residents.named(request.instance_id)
        if resident is not None:
            record = resident.state.record()
        if record is None:
            self._create(request, answer, None)
        elif record.execution_id == request.execution_id:
            self._consume(request.message_id)
            answer(None)  # the same request again: a safe retry
        elif request.reuse is IdReuse.NEVER or (
            not record.status.is_finished and request.reuse is not IdReuse.ALWAYS
        ):
            answer(
                InstanceExistsError(
                    request.instance_id,
                    f"already exists ({record.status.label}); choose another id, wait for it, or "
                    "terminate and purge it",
                )
            )
        elif resident is not None and not (resident.is_idle and record.status.is_finished):
            engine.replace_when_over(resident, lambda: self.request(request, answer))
        elif not record.status.is_finished:
            engine.replace_unloaded(record, lambda: self.request(request, answer))
        else:
            if resident is not None:
                engine.residents.remove(resident)
            self._create(request, answer, record)

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
            engine.partition_for(state.instance_id).count_child(state.root_id, 1)
        resident = engine.admit(state, row)
        batch = engine.pipeline.batch
        batch.consume(request.message_id)
        if state.scheduled_at is not None and state.scheduled_at > engine.clock.now():
            self._schedule(resident, answer)
            return
        message_id = engine.volatile_id()
        engine.answers[message_id] = answer
        engine.deliver(resident, Start(message_id=message_id, event=start_event(state, PYTHON)))

    def _schedule(self, resident: "Resident", answer: Answer) -> None:
        engine = self._engine
        state = resident.state
        state.wake_at = state.scheduled_at
        engine.pipeline.batch.write_row(resident, whole=True)
        engine.pipeline.batch.acknowledge.append(lambda: answer(None))
        engine.arm(state, state.scheduled_at or 0)
        engine.schedule_pump()


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
