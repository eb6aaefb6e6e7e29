"""Taking back: when the store refuses a batch for its content, the host goes on without the cause.

Nothing of the batch is written, so nothing of it has happened (``durable_before_visible``), and
what is in memory is ahead of the store. All of it is dropped and recovered, as by a host that
starts, but for what only memory knows: attempts that are running, results that have come, requests
that wait for an answer. The instances whose rows were refused are held first (ENGINE rule 41).
Must never lose a request or run an attempt twice that is still running. Keeps
``one_never_takes_all``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial
from typing import Final, TypeVar

from msgspec import structs

from tenuto.engine.batch import Batch
from tenuto.engine.delivery import row_id
from tenuto.engine.parts import Parts
from tenuto.engine.ports import ActivityWork
from tenuto.engine.resident import Resident
from tenuto.engine.rows import InstanceUpdate
from tenuto.model.errors import (
    InputError,
    RowsRefusedError,
    StorageUnavailableError,
    TenutoError,
)
from tenuto.model.events import TaskFailed
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import AnyMessageId, InstanceId, MessageId, is_of_memory
from tenuto.model.messages import LETTERS, Message, Resume, Start, TaskResult
from tenuto.model.status import InstanceRecord

T = TypeVar("T")

_PAUSE_SECONDS: Final = 0.2

Commit = Callable[[Batch], Awaitable[None]]


class LeftWork:
    """What an instance that was dropped has running, and what has come of it meanwhile."""

    __slots__ = ("partition", "results", "works")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.works: dict[int, ActivityWork] = {}
        self.results: list[TaskResult] = []

    def arrived(self, work: ActivityWork, result: TaskResult) -> None:
        """An attempt has ended while its instance is not in memory."""
        if self.works.get(work.task_id) is work:
            del self.works[work.task_id]
            self.results.append(result)


class TakeBack:
    """Takes refused batches of an engine back.

    Attributes:
        left: By iid, of instances that were dropped and are not in memory again.
    """

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self.left: dict[int, LeftWork] = {}
        self._asked: set[AnyMessageId] = set()
        self._owed: dict[int, InstanceRecord] = {}
        self.reload: Callable[[], Awaitable[None]] | None = None

    async def refused(self, batch: Batch, error: RowsRefusedError, commit: Commit) -> None:
        """The store refuses some rows of a batch: hold who made them, and go on.

        Args:
            batch: What was to be written; nothing of it is.
            error: Which rows, and why.
            commit: Writes a batch, before any other.
        """
        engine = self._engine
        for number in error.letters:
            letter = batch.dead_letters[number]
            text = f"a dead letter cannot be stored and is lost: {error.letters[number]}"
            engine.observer.problem(letter.instance_id, text)
        if not error.instances and not error.messages:
            batch.dead_letters = [
                one for number, one in enumerate(batch.dead_letters) if number not in error.letters
            ]
            await commit(batch)
            return
        unkept = self._unkept(batch, error)
        new = {**batch.instances, **engine.pipeline.batch.instances}
        guilty = await self._with_parents(new, self._guilty(batch, error))
        making = engine.pipeline.begin_another()
        names = [
            one.state.instance_id
            for one in self._everyone([batch, making])
            if one.state.iid in guilty
        ]
        used = _resumes_of([batch, making], guilty)
        requests = list(
            self._requests([batch, making], guilty, unkept, has_no_memory=error.out_of_memory)
        )
        self._drop_everyone([batch, making])
        if error.out_of_memory:
            for iid in self.left.keys() & guilty:
                # Their results are what there is no memory for: they run again.
                self.left[iid].results.clear()
            for each in (batch, making):
                each.let_go()
            engine.shortage.note()
        await self._hold(names, guilty, used, commit, error)
        await self._begin_anew([batch, making], requests, guilty)

    async def fenced(self, batch: Batch, partitions: Collection[int]) -> None:
        """The store refuses a batch, since some partitions have gone: go on with the others.

        Args:
            batch: What was to be written; nothing of it is.
            partitions: Those of it that are another host's.
        """
        engine = self._engine
        for number in partitions:
            engine.observer.problem(None, f"partition {number} has gone to another host")
            engine.lose(number)
        making = engine.pipeline.begin_another()
        requests = list(self._requests([batch, making], {}, {}, has_no_memory=False))
        self._drop_everyone([batch, making])
        await self._begin_anew([batch, making], requests, {})

    async def _begin_anew(
        self,
        batches: list[Batch],
        requests: list[tuple[InstanceId, Message]],
        guilty: dict[int, str],
    ) -> None:
        """Memory is empty: read what the store has to be done, and ask once more what was asked."""
        for batch in batches:
            for resident, decide in batch.starts:
                decide(False, _refusal(resident, guilty))
            self._engine.pipeline.batch.posted += batch.posted
        assert self.reload is not None
        await self._patiently(self.reload)
        for record in list(self._owed.values()):
            self.owe(record)
        for instance_id, message in requests:
            self._ask_again(instance_id, message)

    def owe(self, refused: InstanceRecord) -> None:
        """The id of a child was taken before us. Nobody else knows that its parent must be told:
        so it is told again should the batch with the word be taken back.
        """
        engine = self._engine
        self._owed[refused.iid] = refused
        text = f"instance id {refused.instance_id!r} is taken"
        engine.booking.fail_child(refused.parent, text)

        def is_told() -> None:
            self._owed.pop(refused.iid, None)

        engine.pipeline.batch.acknowledge.append(is_told)

    def forget(self, partition: int) -> None:
        """A partition has gone, and with it whatever waits for its instances."""
        for iid, left in list(self.left.items()):
            if left.partition == partition:
                del self.left[iid]
                for work in left.works.values():
                    self._engine.cancel_work(work)

    def adopt(self, resident: Resident) -> None:
        """An instance is in memory again: what was left of it is its own."""
        left = self.left.pop(resident.state.iid, None)
        if left is None:
            return
        execution_id = resident.state.facts.execution_id
        for task_id, work in left.works.items():
            if work.execution_id == execution_id:
                resident.works[task_id] = work
            else:
                self._engine.cancel_work(work)
        resident.inbox += left.results

    def drop(self, resident: Resident) -> None:
        """Take out an instance that is in memory only in part; it is read again."""
        engine = self._engine
        if resident.works:
            self._left(resident).works.update(resident.works)
        resident.home.delivery.leaves(resident.inbox)
        engine.retention.unload(resident)

    # --- who it was -------------------------------------------------------------------------------

    def _guilty(self, batch: Batch, error: RowsRefusedError) -> dict[int, str]:
        """Reasons by iid; of messages their producers."""
        guilty = dict(error.instances)
        for message_id, reason in error.messages.items():
            if message_id in batch.kept:
                continue  # whoever keeps it for later is not to blame for what is in it
            producer = batch.producers.get(message_id)
            if producer is None and _refuse_post(batch, message_id, reason):
                continue
            if producer is None:
                text = f"message {message_id!r} cannot be stored and is lost: {reason}"
                self._engine.observer.problem(None, text)
            else:
                guilty.setdefault(producer, f"a message that it sends: {reason}")
        return guilty

    @staticmethod
    def _unkept(batch: Batch, error: RowsRefusedError) -> dict[int, str]:
        """Messages that cannot be kept for later, by identity, with the reasons."""
        kept = batch.kept
        return {id(kept[key]): why for key, why in error.messages.items() if key in kept}

    async def _with_parents(
        self, new: dict[int, InstanceRecord], guilty: dict[int, str]
    ) -> dict[int, str]:
        """Also who has called a new instance that is refused: it would call it again."""
        reasons = dict(guilty)
        for iid, reason in guilty.items():
            if iid in new:
                parent = await self._stored_parent(new, new[iid])
                if parent is not None:
                    child = new[iid].instance_id
                    reasons.setdefault(parent.iid, f"its child {child!r}: {reason}")
        return reasons

    async def _hold(
        self,
        names: list[InstanceId],
        guilty: dict[int, str],
        used: list[tuple[Message, int]],
        commit: Commit,
        error: RowsRefusedError,
    ) -> None:
        """Hold those that are in the store, before anybody runs again.

        Their rows are enough: for the histories of those in memory there may be too little of it.
        """
        engine = self._engine
        holds = Batch()
        now = engine.clock.now()
        records = await self._patiently(partial(engine.storage.find, names))
        others = list(guilty.keys() - {record.iid for record in records})
        load = partial(engine.storage.load_instances, others)
        records += [loaded.record for loaded in await self._patiently(load)]
        for record in records:
            if record.status.is_finished or record.iid not in guilty:
                continue
            if record.partition not in engine.partitions:
                continue  # it has gone meanwhile, and whoever has it finds out by itself
            if error.out_of_memory:
                hold = Hold(HoldReason.MEMORY, guilty[record.iid], now)
            else:
                text = f"the store cannot hold what it decided: {guilty[record.iid]}"
                hold = Hold(HoldReason.STORAGE, text, now)
            holds.updates[record.iid] = _held(record, hold)
            holds.held.add(record.partition)
            engine.observer.instance_held(record.instance_id, hold)
        if holds.updates:
            for message, partition in used:
                holds.consume(message, partition)
            await commit(holds)

    async def _stored_parent(
        self, new: dict[int, InstanceRecord], child: InstanceRecord
    ) -> InstanceRecord | None:
        """The nearest instance above a new child that is in the store."""
        fresh = {one.instance_id: one for one in new.values()}
        link = child.parent
        while link is not None:
            find = partial(self._engine.storage.find, [link.instance_id])
            for record in await self._patiently(find):
                return record
            above = fresh.get(link.instance_id)
            link = None if above is None else above.parent
        return None

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """What is read once the store can be read."""
        attempt = 0
        pipeline = self._engine.pipeline
        while True:
            try:
                found = await read()
            except (StorageUnavailableError, MemoryError) as error:
                attempt += 1
                pipeline.failed(error, attempt)
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                pipeline.recovered()
                return found

    # --- what only memory knows -------------------------------------------------------------------

    def _requests(
        self,
        batches: list[Batch],
        guilty: dict[int, str],
        unkept: dict[int, str],
        *,
        has_no_memory: bool,
    ) -> Iterator[tuple[InstanceId, Message]]:
        """Requests of clients, in their order; those that made a guilty instance are answered."""
        engine = self._engine
        everything = self._everything(batches)
        for batch in batches:
            for key, (caller, _error) in batch.answered.items():
                if engine.find(caller.instance_id) is not None:
                    engine.callers.put_back(key, caller)
                else:  # its partition has gone, and its turn may have left the batch already
                    caller.answer(engine.elsewhere(caller.instance_id))
        for resident, message in everything:
            reason = unkept.get(id(message))
            if isinstance(message, TaskResult) and not message.message_id:
                kept = message if reason is None else _unstorable(message, reason)
                self._left(resident).results.append(kept)
            elif reason is not None:
                text = f"the store cannot hold what was sent to {resident.state.instance_id!r}"
                engine.callers.answer(message.message_id, InputError(f"{text}: {reason}"))
            elif has_no_memory and self._is_asked_twice(message, resident, guilty):
                name = resident.state.instance_id
                engine.callers.answer(message.message_id, _no_memory_for(name))
            elif is_of_memory(message.message_id):
                error = _refusal(resident, guilty) if isinstance(message, Start) else None
                # What has let a guilty one try again has done so, and would again, without end.
                is_done = isinstance(message, Resume) and resident.state.iid in guilty
                if error is None and not is_done:
                    yield resident.state.instance_id, _with_place(message, resident)
                else:
                    engine.callers.answer(message.message_id, error)

    def _everything(self, batches: list[Batch]) -> list[tuple[Resident, Message]]:
        """What instances were sent and is not known to be used up, in its order."""
        found = [
            (resident, message)
            for batch in batches
            for resident, turn in batch.turns
            for message in (*turn.inbox.taken, *turn.inbox.held, *turn.inbox.passed_on)
        ]
        for batch in batches:
            found += batch.put_by
        for resident in self._engine.residents:
            out = () if resident.out is None else resident.out.messages
            found += [(resident, message) for message in (*out, *resident.inbox)]
        return found

    def _is_asked_twice(self, message: Message, resident: Resident, guilty: dict[int, str]) -> bool:
        """Whether there is no memory to keep an event of a client even by who is held already."""
        key = message.message_id
        if not (is_of_memory(key) and isinstance(message, LETTERS)):
            return False
        if resident.state.iid not in guilty:
            return False
        is_second = key in self._asked
        self._asked ^= {key}
        return is_second

    def _left(self, resident: Resident) -> LeftWork:
        found = self.left.get(resident.state.iid)
        if found is None:
            found = LeftWork(resident.home.number)
            if self._engine.is_ours(resident.home):
                self.left[resident.state.iid] = found
        return found

    def _everyone(self, batches: list[Batch]) -> set[Resident]:
        """Who is in memory, and who has left it with a turn that is not written."""
        turned = {one for batch in batches for one, _ in batch.turns}
        return turned.union(self._engine.residents)

    def _drop_everyone(self, batches: list[Batch]) -> None:
        for resident in self._everyone(batches):
            if resident.works:
                self._left(resident).works.update(resident.works)
        self._engine.forget_everyone()

    def _ask_again(self, instance_id: InstanceId, message: Message) -> None:
        engine = self._engine
        home = engine.find(instance_id)
        if home is None:
            engine.callers.answer(message.message_id, engine.elsewhere(instance_id))
            return
        if not isinstance(message, Start):
            engine.arrivals.dispatch(home, instance_id, message)
            return
        caller = engine.callers.take(message.message_id)
        if caller is not None:
            home.starts.again(instance_id, message, caller.answer)


def _resumes_of(batches: list[Batch], guilty: dict[int, str]) -> list[tuple[Message, int]]:
    """Words from the store to try the guilty again, which led to this: else they would without end.

    What only memory knows of them is answered and gone.
    """
    return [
        (message, resident.state.partition)
        for batch in batches
        for resident, turn in batch.turns
        if resident.state.iid in guilty
        for message in turn.inbox.taken
        if isinstance(message, Resume) and row_id(message) is not None
    ]


def _no_memory_for(instance_id: InstanceId) -> StorageUnavailableError:
    what = (
        f"there is not enough memory to keep an event for instance {instance_id!r}, which is held "
        "now; give the host more memory, then send it again"
    )
    return StorageUnavailableError(what).told_as(what)


def _unstorable(result: TaskResult, reason: str) -> TaskResult:
    """The attempt has ended, and its result is one that no store can hold."""
    failure = FailureDetails("PayloadError", f"its result cannot be stored: {reason}")
    event = TaskFailed(result.event.task_scheduled_id, failure)
    return structs.replace(result, event=event)


def _with_place(message: Message, resident: Resident) -> Message:
    if not isinstance(message, Start):
        return message
    state = resident.state
    return Start(
        message_id=message.message_id,
        event=message.event,
        root_id=state.facts.root_id,
        depth=state.facts.depth,
    )


def _refusal(resident: Resident, guilty: dict[int, str]) -> TenutoError | None:
    """What whoever asked for this new instance is told; None when it is not its fault."""
    reason = guilty.get(resident.state.iid)
    if reason is None:
        return None
    return InputError(
        f"instance {resident.state.instance_id!r} cannot be started: the store cannot hold it "
        f"({reason})"
    )


def _held(record: InstanceRecord, hold: Hold) -> InstanceUpdate:
    return InstanceUpdate(
        record.iid,
        record.status,
        None,
        record.updated_at,
        record.completed_at,
        record.output,
        record.failure,
        record.custom_status,
        hold,
    )


def _refuse_post(batch: Batch, message_id: MessageId, reason: str) -> bool:
    """A client has published what the store can never hold: nothing of its request is written."""
    for number, posted in enumerate(batch.posted):
        keys = {one.post_key for one in posted.events} | {one.post_key for one in posted.messages}
        if message_id in keys or any(message_id == one.message_id for one in posted.sent):
            del batch.posted[number]
            posted.answer(InputError(f"the store cannot hold {message_id!r}: {reason}"))
            return True
    return False
