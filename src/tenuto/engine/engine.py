"""The engine of one host: messages become turns, turns become durable, then take effect.

Owns the instances in memory and their order of running. One way, no back and forth: inbox, turn,
batch, commit, release. Turns run from plain callbacks of the host's loop, never inside a task
(ENGINE rule 3). Must never do I/O itself and never release an effect before its commit.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Raw, structs

from tenuto.engine.arrivals import Arrivals, due_timers
from tenuto.engine.batch import VOLATILE, Batch
from tenuto.engine.effects import child_record, reply_to_parent, work_of
from tenuto.engine.halfway import HalfwayMarks
from tenuto.engine.loader import Loader
from tenuto.engine.options import EngineOptions
from tenuto.engine.partition import Partition
from tenuto.engine.pipeline import CommitPipeline
from tenuto.engine.ports import (
    ActivityOutcome,
    ActivityWork,
    Clock,
    CommitResult,
    DeadLetter,
    ForgetBelow,
    Observer,
    Runner,
    Session,
    Storage,
)
from tenuto.engine.resident import SESSION_BYTES, Resident, Residents
from tenuto.engine.starts import Starts
from tenuto.engine.state import InstanceState, start_event, state_of
from tenuto.engine.timers import HORIZON, TimerQueue
from tenuto.engine.turn import Turn, TurnRules, failed_turn, take_turn
from tenuto.model.codec import decode_turn, encode
from tenuto.model.errors import (
    GuardError,
    NonDeterminismError,
    StorageError,
    TenutoError,
    UnknownFunctionError,
)
from tenuto.model.events import (
    EventRaised,
    EventSent,
    ExecutionResumed,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskScheduled,
    TimerCreated,
)
from tenuto.model.execution import execution_info
from tenuto.model.failure import failure_of
from tenuto.model.ids import partition_of
from tenuto.model.messages import (
    ChildResult,
    Message,
    RaiseEvent,
    Resume,
    Start,
    TaskResult,
)
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.orchestration.replay import PYTHON

_TURNS_PER_PUMP = 256
_SOON = 1_000_000
_CONGESTED = 1_000


class Engine:
    """Runs the instances of the partitions that this host owns."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        runner: Runner,
        observer: Observer,
        options: EngineOptions,
        on_lost: Callable[[StorageError], None],
    ) -> None:
        self.clock = clock
        self.runner = runner
        self.storage = storage
        self.observer = observer
        self.options = options
        self.residents = Residents()
        self.partitions: dict[int, Partition] = {}
        self.arrivals = Arrivals(self)
        self.timers = TimerQueue(clock, self.arrivals.look_at)
        self.pipeline = CommitPipeline(storage, clock, observer, self._committed, on_lost)
        self.loader = Loader(
            storage,
            self.arrivals.loaded,
            self.arrivals.missing,
            self.arrivals.damaged,
            self._is_congested,
            on_lost,
        )
        self.starts = Starts(self)
        self.waiters: dict[str, list[Callable[[InstanceRecord | TenutoError], None]]] = {}
        self.answers: dict[str, Callable[[TenutoError | None], None]] = {}
        self.is_draining = False
        self.gone: TenutoError | None = None
        self.busy_with: Resident | None = None  # whose code runs now, for the host's watchdog
        self.running = 0
        self.reads = 0
        self._rules = TurnRules(options.limits, PYTHON, self._descendants_left)
        self._ready: deque[Resident] = deque()
        self._pump_scheduled = False
        self._sessions = 0
        self._session_bytes = 0
        self.delivered: set[str] = set()
        self.late: set[str] | None = None
        self._messages = 0
        self._origin = ""
        self._iids = itertools.count(1)
        self._sweep_scheduled = False
        self.halfway = HalfwayMarks(options.limits, observer)
        runner.bind(self._outcomes)

    # --- identity and order ---------------------------------------------------------------------

    def begin(self, origin: str, partitions: dict[int, Partition], next_iid: int) -> None:
        """Own these partitions; ``origin`` names the messages that this host makes."""
        self._origin = origin
        self.partitions = partitions
        self._iids = itertools.count(next_iid)

    def take_iid(self) -> int:
        """A number for a new instance; owners give out positive ones."""
        return next(self._iids)

    @property
    def origin(self) -> str:
        """The prefix of the ids of this host's messages."""
        return self._origin

    @property
    def is_idle(self) -> bool:
        """Nothing runs, nothing is queued, everything is durable."""
        return (
            not self._ready
            and not self.running
            and not self.reads
            and not self._pump_scheduled
            and self.loader.is_idle
            and self.starts.is_idle
            and self.pipeline.is_idle
        )

    @property
    def is_settled(self) -> bool:
        """Like idle, but activities may be running."""
        return not self._ready and self.loader.is_idle and self.pipeline.is_idle

    def next_message_id(self) -> str:
        """An id for a message that this host produces (ENGINE rule 12)."""
        self._messages += 1
        return f"{self._origin}:{self._messages}"

    def volatile_id(self) -> str:
        """An id for a request that lives in memory only, until a turn has taken it."""
        self._messages += 1
        return f"{VOLATILE}{self._messages}"

    def partition_for(self, instance_id: str) -> Partition:
        """The partition of an instance id."""
        return self.partitions[partition_of(instance_id, len(self.partitions))]

    def deliver(self, resident: Resident, message: Message) -> None:
        """Put a message into an instance's inbox."""
        if self.is_new(message):
            resident.inbox.append(message)
            self.make_ready(resident)

    def is_new(self, message: Message) -> bool:
        """Whether no copy of a durable message is in memory; from now on one is."""
        key = message.message_id
        if not key or key.startswith(VOLATILE):
            return True
        if key in self.delivered:
            return False
        self.delivered.add(key)
        return True

    def forget(self, messages: Sequence[Message]) -> None:
        """These messages were used up, durably."""
        for message in messages:
            key = message.message_id
            if not key:
                continue
            self.delivered.discard(key)
            if self.late is not None:
                self.late.add(key)

    def make_ready(self, resident: Resident) -> None:
        """Let an instance take a turn soon."""
        if resident.is_queued:
            return
        state = resident.state
        is_cold = resident.session is None and resident.recorded is None and state.next_turn
        if is_cold and not state.is_finished:
            # What is still being committed cannot be read yet: then the commit comes back here.
            if not resident.in_flight:
                self.loader.want(state.iid)
            return
        resident.is_queued = True
        self._ready.append(resident)
        self.schedule_pump()

    def schedule_pump(self) -> None:
        """Run turns, or commit what other callers put into the batch, in a callback of its own."""
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def admit(self, state: InstanceState, row: str | None) -> Resident:
        """Take an instance into memory; ``row`` says whether its row must be written."""
        resident = Resident(state)
        resident.row = row
        self.residents.add(resident)
        return resident

    # --- turns ----------------------------------------------------------------------------------

    def _pump(self) -> None:
        self._pump_scheduled = False
        now = self.clock.now()
        ready = self._ready
        for _ in range(min(len(ready), _TURNS_PER_PUMP)):
            resident = ready.popleft()
            resident.is_queued = False
            if resident.inbox:
                self._run_turn(resident, now)
        self.busy_with = None
        self.pipeline.kick()
        if ready:
            self.schedule_pump()
        self._bound_sessions()

    def _run_turn(self, resident: Resident, now: int) -> None:
        self.busy_with = resident
        state = resident.state
        inbox, resident.inbox = resident.inbox, []
        if resident.held:
            inbox = resident.held + inbox
            resident.held = []
        if state.status is RuntimeStatus.SUSPENDED and any(
            type(message) is Resume for message in inbox
        ):
            inbox.extend(due_timers(state, now))
        try:
            turn = take_turn(state, inbox, lambda: self._session(resident), now, self._rules)
        except (NonDeterminismError, GuardError, UnknownFunctionError) as error:
            turn = self._fail(resident, inbox, error, now)
        except Exception as error:  # noqa: BLE001 - ENGINE rule 6: whatever went wrong, discard and retry
            self._close(resident)
            resident.failures += 1
            if resident.failures <= 1:
                self.observer.problem(state.instance_id, f"turn failed, tried again: {error!r}")
                resident.inbox = inbox
                self.make_ready(resident)
                return
            self.observer.problem(state.instance_id, f"poison, given up: {error!r}")
            turn = self._fail(resident, inbox, error, now)
        self._book(resident, turn)

    def _fail(self, resident: Resident, inbox: list[Message], error: Exception, now: int) -> Turn:
        self._close(resident)
        return failed_turn(resident.state, inbox, failure_of(error), now)

    def _session(self, resident: Resident) -> Session:
        if resident.session is None:
            info = execution_info(resident.state, self.options.limits)
            if resident.state.next_turn == 0:
                resident.session = self.runner.open_session(info)
            else:
                turns = [decode_turn(turn) for turn in resident.recorded or ()]
                resident.session = self.runner.replay_session(info, turns)
                resident.recorded = None
            self._sessions += 1
            self._session_bytes += resident.size
        return resident.session

    def _close(self, resident: Resident) -> None:
        if resident.session is not None:
            self._sessions -= 1
            self._session_bytes -= resident.size
            before, self.busy_with = self.busy_with, resident
            refused = resident.close_session()
            self.busy_with = before
            if refused:
                self.observer.problem(
                    resident.state.instance_id,
                    "a coroutine refused to end when its session was discarded; it is kept",
                )
        resident.recorded = None

    # --- booking: what a turn means for the batch -------------------------------------------------

    def _book(self, resident: Resident, turn: Turn) -> None:
        batch = self.pipeline.batch
        batch.turns.append((resident, turn))
        resident.in_flight += 1
        inbox = turn.inbox
        for message in inbox.taken:
            if message.message_id:
                batch.consume(message.message_id)
        if inbox.held:
            self._hold(resident, inbox.held, batch)
        if inbox.refused:
            self._refuse(resident, turn, batch)
        if inbox.purge:
            batch.purged.append(resident.state.iid)
        if not turn.events:
            self._settle_batch(batch)
            return
        self.residents.used(resident)
        row_bytes = batch.add_turn(resident, turn)
        self._grow(resident, row_bytes)
        if turn.row_changed or resident.row is not None:
            batch.write_row(resident, whole=bool(turn.seed))
        if turn.actions:
            self._book_actions(resident, turn, batch)
        if turn.number == 0 and turn.generation:
            batch.forget[resident.state.iid] = ForgetBelow(resident.state.iid, turn.generation)
        if turn.ending is not None:
            self._book_ending(resident, turn, batch)
        self.halfway.look_at(resident.state, turn, row_bytes)

    def _book_actions(self, resident: Resident, turn: Turn, batch: Batch) -> None:
        for action in turn.actions:
            if isinstance(action, SubOrchestrationInstanceCreated):
                self._book_child(resident, action, batch)
            elif isinstance(action, EventSent):
                message = RaiseEvent(message_id=self.next_message_id(), event=action_event(action))
                self._send(message, action.instance_id, batch)

    def _book_child(
        self, resident: Resident, event: SubOrchestrationInstanceCreated, batch: Batch
    ) -> None:
        record = child_record(resident.state, event, self.clock.now())
        if not event.instance_id.startswith(resident.state.execution_id):
            # An id that somebody chose may be taken: decided after the commit, as a start request.
            message = Start(
                message_id=self.next_message_id(),
                event=start_event(state_of(record), PYTHON),
                root_id=record.root_id,
                depth=record.depth,
            )
            batch.to_route.append(batch.produce(message, record.partition, event.instance_id))
            return
        partition = self.partition_for(record.instance_id)
        child = state_of(record)
        child.iid = self.take_iid()
        child.partition = partition.lease.partition
        partition.count_child(child.root_id, 1)
        self.halfway.look_at_child(child, partition.open_by_root[child.root_id])
        admitted = self.admit(child, "new")
        batch.write_row(admitted, whole=True)
        self.deliver(admitted, Start(event=start_event(child, PYTHON)))

    def _book_ending(self, resident: Resident, turn: Turn, batch: Batch) -> None:
        self._close(resident)
        resident.size = SESSION_BYTES
        if turn.seed:
            resident.inbox = [*turn.seed, *resident.held, *resident.inbox]
            resident.held = []
            self.make_ready(resident)
            return
        state = resident.state
        if state.depth:
            self.partition_for(state.instance_id).count_child(state.root_id, -1)
        reply = reply_to_parent(state, self.next_message_id)
        if reply is not None and state.parent is not None:
            self._send(reply, state.parent.instance_id, batch)
        if resident.held:
            resident.inbox = resident.held + resident.inbox
            resident.held = []
            self.make_ready(resident)

    def _send(self, message: Message, instance_id: str, batch: Batch) -> None:
        """A message to another instance: durable with this batch, delivered now if it is here."""
        partition = self.partition_for(instance_id)
        row = batch.produce(message, partition.lease.partition, instance_id)
        target = self.residents.named(instance_id)
        if target is not None and not target.state.is_finished:
            self.deliver(target, message)
        else:
            batch.to_route.append(row)

    def _hold(self, resident: Resident, held: list[Message], batch: Batch) -> None:
        """Messages that must wait are made durable (ENGINE rule 16)."""
        for message in held:
            kept = message
            if not message.message_id or message.message_id.startswith(VOLATILE):
                kept = _renamed(message, self.next_message_id())
                self.delivered.add(kept.message_id)
                batch.produce(kept, resident.state.partition, resident.state.instance_id)
                if message.message_id:
                    self._acknowledge(message.message_id, batch)
            resident.held.append(kept)

    def _refuse(self, resident: Resident, turn: Turn, batch: Batch) -> None:
        refused = {refusal.message_id: refusal.error for refusal in turn.inbox.refused}
        for message in turn.inbox.taken:
            error = refused.get(message.message_id)
            if error is None:
                continue
            answer = self.answers.pop(message.message_id, None)
            if answer is not None:
                batch.acknowledge.append(partial(answer, error))
            elif isinstance(message, RaiseEvent):
                self.bury(message, resident.state.instance_id, str(error), batch)

    def bury(self, message: Message, instance_id: str, reason: str, batch: Batch) -> None:
        """A message that nobody can take becomes a dead letter (``no_silent_drop``)."""
        now = self.clock.now()
        batch.dead_letters.append(
            DeadLetter(message.message_id, instance_id, reason, now, Raw(encode(message)))
        )
        self.observer.problem(instance_id, f"dead letter: {reason}")

    def _acknowledge(self, message_id: str, batch: Batch) -> None:
        answer = self.answers.pop(message_id, None)
        if answer is not None:
            batch.acknowledge.append(lambda: answer(None))

    def _descendants_left(self, root_id: str) -> int:
        partition = self.partition_for(root_id)
        return self.options.limits.open_descendants - partition.open_by_root.get(root_id, 0)

    def _settle_batch(self, batch: Batch) -> None:
        """Only duplicates and refusals: nothing to wait for but the turns that led to them."""
        if batch.writes_nothing and all(one.in_flight == 1 for one, _ in batch.turns):
            self.pipeline.batch = Batch()
            self._committed(batch, CommitResult())

    # --- release: what happens once a batch is durable ------------------------------------------

    def _committed(self, batch: Batch, result: CommitResult) -> None:
        works: list[ActivityWork] = []
        refused = result.refused
        for resident, turn in batch.turns:
            resident.in_flight -= 1
            taken = turn.inbox.taken
            self.forget(taken)
            if refused and resident.state.iid in refused:
                self._drop_refused(resident, taken)
                continue
            if turn.logs:
                _show(turn.logs)
            if turn.actions and not self.is_draining:
                self._release_actions(resident, turn, works)
            if self.answers:
                self._acknowledge_all(taken)
            if turn.ending is not None:
                self._release_ending(resident, turn)
            elif turn.row_changed and _resumes(resident, turn):
                self.take_work_up(resident)
            if resident.is_idle:
                self.settle(resident)
            elif resident.inbox and not resident.in_flight:
                self.make_ready(resident)
        if works:
            self.start_works(works)
        self._release_rest(batch, result)
        if self._ready:
            self.schedule_pump()

    def _release_rest(self, batch: Batch, result: CommitResult) -> None:
        """What a batch means besides its turns: starts, answers to clients, messages."""
        for resident, decide in batch.starts:
            resident.in_flight -= 1
            is_free = resident.state.iid not in result.refused
            if not is_free:
                self._drop_refused(resident, ())
            decide(is_free)
        for acknowledge in batch.acknowledge:
            acknowledge()
        for row in batch.to_route:
            self.arrivals.route(row)

    def _acknowledge_all(self, taken: Sequence[Message]) -> None:
        for message in taken:
            if message.message_id:
                answer = self.answers.pop(message.message_id, None)
                if answer is not None:
                    answer(None)

    def _release_actions(self, resident: Resident, turn: Turn, works: list[ActivityWork]) -> None:
        state = resident.state
        is_current = turn.generation == state.generation and not state.is_finished
        for action in turn.actions:
            if isinstance(action, TaskScheduled):
                open_activity = state.work.activities.get(action.event_id)
                if is_current and open_activity is not None:
                    works.append(work_of(state, open_activity))
                    resident.works[action.event_id] = works[-1]
            elif isinstance(action, TimerCreated):
                if is_current and action.event_id in state.work.timers:
                    self.arm(state, action.fire_at)
            elif isinstance(action, TaskCanceled):
                work = resident.works.pop(action.task_id, None)
                if work is not None:
                    self._cancel(work)

    def arm(self, state: InstanceState, fire_at: int) -> None:
        """Look at the instance when this time comes, if that is soon; later ones are reloaded."""
        if fire_at <= self.clock.now() + HORIZON:
            self.timers.arm(fire_at, state.iid)

    def start_works(self, works: list[ActivityWork]) -> None:
        """Hand attempts to the runner."""
        wanted = [work for work in works if not work.canceled]
        self.running += len(wanted)
        self.runner.start_activities(wanted)

    def _cancel(self, work: ActivityWork) -> None:
        if not work.canceled:
            work.canceled = True
            if self.runner.cancel_activity(work):
                self.running -= 1

    def _release_ending(self, resident: Resident, turn: Turn) -> None:
        """An execution is over: nobody waits for its activities any more."""
        state = resident.state
        # With a next generation the state may be ahead, even finished, but not durable yet.
        is_end = not turn.seed
        for task_id, work in list(resident.works.items()):
            if is_end or work.execution_id != state.execution_id:
                self._cancel(work)
                del resident.works[task_id]
        if not is_end:
            return
        record = state.record()
        self.observer.instance_ended(record)
        for waiter in self.waiters.pop(record.instance_id, ()):
            waiter(record)

    def take_work_up(self, resident: Resident) -> None:
        """Start open activities that are not running, and arm open timers."""
        state = resident.state
        missing = [
            work_of(state, open_activity)
            for task_id, open_activity in state.work.activities.items()
            if task_id not in resident.works and not _is_answered(resident, open_activity.sequence)
        ]
        if not self.is_draining:
            for work in missing:
                resident.works[work.task_id] = work
            if missing:
                self.start_works(missing)
        for fire_at in state.work.timers.values():
            self.arm(state, fire_at)

    def _drop_refused(self, resident: Resident, taken: Sequence[Message]) -> None:
        """The id was taken by another process between our look and our commit.

        What was sent to the id is for whoever stands under it; its rows are still in the store.
        """
        state = resident.state
        if self.residents.get(state.iid) is resident:
            self._close(resident)
            self.residents.remove(resident)
            if state.depth:
                self.partition_for(state.instance_id).count_child(state.root_id, -1)
            self.fail_child(state, f"instance id {state.instance_id!r} is taken")
        self.forget(resident.held)
        self.forget(resident.inbox)
        for message in (*taken, *resident.held, *resident.inbox):
            if message.message_id and not isinstance(message, Start):
                self.arrivals.dispatch(state.instance_id, message)
        resident.held = []
        resident.inbox = []

    # --- answers from outside ---------------------------------------------------------------------

    def _outcomes(self, outcomes: list[ActivityOutcome]) -> None:
        # In a plain callback the turns can be taken at once; inside a task they must wait for a
        # callback of their own (ENGINE rule 3).
        takes_turns = not self._pump_scheduled and asyncio.current_task() is None
        self._pump_scheduled = self._pump_scheduled or takes_turns
        for outcome in outcomes:
            work = outcome.work
            self.running -= 1
            resident = self.residents.get(work.iid)
            if resident is None or resident.works.get(work.task_id) is not work:
                continue
            del resident.works[work.task_id]
            resident.inbox.append(
                TaskResult(
                    execution_id=work.execution_id, sequence=work.sequence, event=outcome.event
                )
            )
            self.make_ready(resident)
        if takes_turns:
            self._pump()

    def fail_child(self, child: InstanceState, text: str) -> None:
        """Tell a parent that its child could not be started."""
        parent = child.parent
        if parent is None:
            return
        failure = failure_of(RuntimeError(text), with_traceback=False)
        event = SubOrchestrationInstanceFailed(parent.task_scheduled_id, failure)
        message = ChildResult(
            message_id=self.next_message_id(), execution_id=parent.execution_id, event=event
        )
        self._send(message, parent.instance_id, self.pipeline.batch)
        self.schedule_pump()

    # --- coming and going -------------------------------------------------------------------------

    def settle(self, resident: Resident) -> None:
        """Unload what only waits (ENGINE rule 26)."""
        state = resident.state
        if state.is_finished or state.is_suspended:
            self._unload(resident)
            return
        wake_at = state.work.wake_at()
        if state.next_turn == 0:
            wake_at = state.scheduled_at
        if wake_at is None or state.work.children:
            self._sweep_soon()
        elif wake_at > self.clock.now() + _SOON:
            self._unload(resident)

    def _unload(self, resident: Resident) -> None:
        self._close(resident)
        for message in resident.held:
            self.delivered.discard(message.message_id)
        self.residents.remove(resident)

    def _sweep_soon(self) -> None:
        if not self._sweep_scheduled:
            self._sweep_scheduled = True
            self.clock.call_at(self.clock.now() + _SOON, self._sweep)

    def _sweep(self) -> None:
        """Unload instances that have been waiting for a message for a second or more."""
        self._sweep_scheduled = False
        limit = self.clock.now() - _SOON
        for resident in self.residents.oldest():
            if not resident.is_idle or resident.state.work.activities:
                continue
            if resident.state.last_time > limit:
                self._sweep_soon()
                break
            self._unload(resident)

    def _grow(self, resident: Resident, size: int) -> None:
        resident.size += size
        if resident.session is not None:
            self._session_bytes += size

    def _has_too_many_sessions(self) -> bool:
        options = self.options
        return (
            self._sessions > options.hot_sessions or self._session_bytes > options.hot_session_bytes
        )

    def _bound_sessions(self) -> None:
        if not self._has_too_many_sessions():
            return
        for resident in self.residents.oldest():
            if resident.session is None or resident.in_flight or resident.is_queued:
                continue
            self._close(resident)
            if resident.is_idle:
                self._unload(resident)
            if not self._has_too_many_sessions():
                return

    def _is_congested(self) -> bool:
        return len(self._ready) > _CONGESTED

    # --- the end ----------------------------------------------------------------------------------

    def abandon(self, error: TenutoError) -> None:
        """Nobody will be answered any more: say so to everyone who waits."""
        self.gone = error
        answers, self.answers = self.answers, {}
        for answer in answers.values():
            answer(error)
        waiters, self.waiters = self.waiters, {}
        for waiting in waiters.values():
            for waiter in waiting:
                waiter(error)

    def discard_all(self) -> None:
        """Drop everything in memory; what counts is in the store."""
        self.timers.clear()
        self._ready.clear()
        for resident in self.residents.clear():
            for work in resident.works.values():
                work.canceled = True
            self._close(resident)


def _resumes(resident: Resident, turn: Turn) -> bool:
    return resident.state.status is RuntimeStatus.RUNNING and any(
        isinstance(event, ExecutionResumed) for event in turn.inbox.incoming
    )


def action_event(action: EventSent) -> EventRaised:
    """The event that arrives when one is sent."""
    return EventRaised(action.name, action.input)


def _is_answered(resident: Resident, sequence: int) -> bool:
    return any(
        isinstance(message, TaskResult) and message.sequence == sequence
        for message in (*resident.inbox, *resident.held)
    )


def _renamed(message: Message, message_id: str) -> Message:
    return structs.replace(message, message_id=message_id)


def _show(records: Sequence[logging.LogRecord]) -> None:
    for record in records:
        logging.getLogger(record.name).handle(record)
