"""The engine of one host: messages become turns, turns become durable, then take effect.

Owns the instances in memory and their order of running. One way, no back and forth: inbox, turn,
batch, commit, release. Turns run from plain callbacks of the host's loop, never inside a task
(ENGINE rule 3). Must never do I/O itself and never release an effect before its commit.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from tenuto.engine.arrivals import Arrivals
from tenuto.engine.batch import VOLATILE, Batch
from tenuto.engine.booking import Booking
from tenuto.engine.careful import Careful
from tenuto.engine.cascade import Cascade
from tenuto.engine.halfway import HalfwayMarks
from tenuto.engine.holding import Holding
from tenuto.engine.iids import Iids
from tenuto.engine.loader import Loader
from tenuto.engine.options import EngineOptions
from tenuto.engine.partition import Partition
from tenuto.engine.pipeline import CommitPipeline
from tenuto.engine.ports import (
    ActivityOutcome,
    ActivityWork,
    Clock,
    CommitResult,
    Observer,
    Runner,
    Runtime,
    Storage,
)
from tenuto.engine.release import Release
from tenuto.engine.resident import Resident, Residents
from tenuto.engine.retention import Retention
from tenuto.engine.starts import Starts
from tenuto.engine.state import InstanceState
from tenuto.engine.takeback import TakeBack
from tenuto.engine.timers import HORIZON, TimerQueue
from tenuto.engine.turning import Turning
from tenuto.engine.turns.orchestration import TurnRules
from tenuto.engine.updates import UpdateFeed
from tenuto.engine.waiting import QueueAge
from tenuto.model.errors import (
    StorageError,
    TenutoError,
)
from tenuto.model.ids import partition_of
from tenuto.model.messages import (
    Message,
    TaskResult,
)
from tenuto.model.status import InstanceRecord

_TURNS_PER_PUMP = 256
_CONGESTED = 1_000
_BATCH_BYTES = 8 * 1024 * 1024
"""A batch with more history than this takes no further turn: the next one does."""
_FULL_SECONDS = 0.001


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
        self.runtime: Runtime = runner.runtime
        self.storage = storage
        self.observer = observer
        self.options = options
        self.residents: Residents = Residents()
        self.partitions: dict[int, Partition] = {}
        self.arrivals: Arrivals = Arrivals(self)
        self.timers: TimerQueue = TimerQueue(clock, self.arrivals.look_at)
        self.booking: Booking = Booking(self)
        self.cascade: Cascade = Cascade(self)
        self.release: Release = Release(self)
        self.retention: Retention = Retention(self)
        self.updates: UpdateFeed = UpdateFeed(storage, clock)
        self.takeback: TakeBack = TakeBack(self)
        self.holding: Holding = Holding(self)
        self.turning: Turning = Turning(self)
        self.pipeline: CommitPipeline = CommitPipeline(
            storage,
            clock,
            observer,
            self.release.committed,
            self.takeback.refused,
            on_lost,
        )
        self.loader: Loader = Loader(
            storage,
            self.residents,
            self.arrivals.loaded,
            self.arrivals.missing,
            self.arrivals.damaged,
            self.holding.charge_heaviest,
            self._is_congested,
            on_lost,
        )
        self.starts: Starts = Starts(self)
        self.waiters: dict[str, list[Callable[[InstanceRecord | TenutoError], None]]] = {}
        self.beginnings: dict[str, list[Callable[[TenutoError | None], None]]] = {}
        self.answers: dict[str, Callable[[TenutoError | None], None]] = {}
        self.is_draining = False
        self.gone: TenutoError | None = None
        self.busy_with: Resident | None = None  # whose code runs now, for the host's watchdog
        self.running: int = 0
        self.reads = 0
        self.rules: TurnRules = TurnRules(options.limits, self.runtime, self._descendants_left)
        self.careful: Careful | None = None
        self._known_activities: set[str] = set()
        self._ready: deque[Resident] = deque()
        self._ready_age = QueueAge()
        self._pump_scheduled = False
        self.delivered: set[str] = set()
        self._messages = 0
        self._origin = ""
        self.iids: Iids = Iids()
        self.halfway: HalfwayMarks = HalfwayMarks(options.limits, observer)
        runner.bind(self._outcomes)

    # --- identity and order ---------------------------------------------------------------------

    def begin(self, origin: str, partitions: dict[int, Partition]) -> None:
        """Own these partitions; ``origin`` names the messages that this host makes."""
        self._origin = origin
        self.partitions = partitions

    def take_iid(self) -> int:
        """A number for a new instance; owners give out positive ones."""
        return self.iids.take()

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
            and not self.turning.out
            and not self.reads
            and not self._pump_scheduled
            and self.loader.is_idle
            and self.starts.is_idle
            and self.pipeline.is_idle
            and (self.careful is None or self.careful.is_idle)
        )

    @property
    def has_ready(self) -> bool:
        """Whether instances are queued for a turn."""
        return bool(self._ready)

    @property
    def ready(self) -> int:
        """How many instances are queued for a turn."""
        return len(self._ready)

    @property
    def waiting_since(self) -> int | None:
        """Since when the oldest queued instance, or a commit, has waited; None when none does."""
        moments = (self._ready_age.since, self.pipeline.committing_since)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def is_settled(self) -> bool:
        """Like idle, but activities may be running, and turns out."""
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
            if key:
                self.delivered.discard(key)

    def make_ready(self, resident: Resident) -> None:
        """Let an instance take a turn soon; an undecided one comes back here once it is ours."""
        if resident.is_queued or resident.is_undecided:
            return
        if resident.out is not None:
            self.turning.arrived(resident)
            return
        if self.careful is not None and not self.careful.admits(resident):
            return
        state = resident.state
        if resident.session is None and self._is_cold(resident):
            # What is still being committed cannot be read yet: then the commit comes back here.
            if not resident.in_flight:
                self.loader.want(state.iid)
            return
        resident.is_queued = True
        self._ready.append(resident)
        if not self._pump_scheduled:
            self.schedule_pump()

    @staticmethod
    def _is_cold(resident: Resident) -> bool:
        """Whether an instance without a session has to be loaded before it can have one."""
        state = resident.state
        return resident.recorded is None and state.next_turn > 0 and not state.is_finished

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
        taken = min(len(ready), _TURNS_PER_PUMP)
        collecting = gc.isenabled()
        # Sessions keep the collector out of their turns (ENGINE rule 40): once for all of them.
        gc.disable()
        try:
            for done in range(taken):
                if self.pipeline.batch.bytes > _BATCH_BYTES:
                    taken = done
                    break
                resident = ready.popleft()
                resident.is_queued = False
                if resident.inbox:
                    if resident.session is None and self._is_cold(resident):
                        self.make_ready(resident)  # its session was discarded while it waited
                    else:
                        self.turning.run(resident, now)
        finally:
            if collecting:
                gc.enable()
        self.busy_with = None
        self.pipeline.kick()
        self._ready_age.round(taken, len(ready), now)
        if ready and self.pipeline.batch.bytes > _BATCH_BYTES:
            # Not before the commit that is under way is over.
            self._pump_scheduled = True
            asyncio.get_running_loop().call_later(_FULL_SECONDS, self._pump)
        elif ready:
            self.schedule_pump()
        self.retention.bound_sessions()

    def child_begins(self, state: InstanceState) -> None:
        """Count an instance, if another has called it. Children are counted where their root is."""
        if state.depth:
            self.partition_for(state.root_id).count_child(state.root_id, 1)
            self.halfway.look_at_child(state, self._open_below(state.root_id))

    def child_ends(self, state: InstanceState) -> None:
        """It counts no more."""
        if state.depth:
            self.partition_for(state.root_id).count_child(state.root_id, -1)

    def count_below(self, open_by_root: Mapping[str, int]) -> None:
        """So many instances of a partition stand open below each root, says the store."""
        for root_id, count in open_by_root.items():
            self.partition_for(root_id).count_child(root_id, count)

    def _open_below(self, root_id: str) -> int:
        return self.partition_for(root_id).open_by_root.get(root_id, 0)

    def _descendants_left(self, root_id: str) -> int:
        return self.options.limits.open_descendants - self._open_below(root_id)

    def settle_batch(self, batch: Batch) -> None:
        """Only duplicates and refusals: nothing to wait for but the turns that led to them."""
        if (
            batch.refusal is None
            and batch.writes_nothing
            and all(one.in_flight == 1 for one, _ in batch.turns)
        ):
            self.pipeline.batch = Batch()
            self.release.committed(batch, CommitResult())

    def arm(self, state: InstanceState, fire_at: int) -> None:
        """Look at the instance when this time comes, if that is soon; later ones are reloaded."""
        if fire_at <= self.clock.now() + HORIZON:
            self.timers.arm(fire_at, state.iid)

    def start_works(self, works: list[ActivityWork]) -> None:
        """Hand attempts to the runner."""
        known = self._known_activities
        wanted = [
            work
            for work in works
            if not work.canceled and (work.name in known or self._is_served(work))
        ]
        self.running += len(wanted)
        self.runner.start_activities(wanted)

    def _is_served(self, work: ActivityWork) -> bool:
        if self.runner.serves_activity(work.name):
            self._known_activities.add(work.name)
            return True
        return not self.holding.hold_for_activity(work)

    def cancel_work(self, work: ActivityWork) -> None:
        """Nobody waits for this attempt any more: turn its token on."""
        if not work.canceled:
            work.canceled = True
            if self.runner.cancel_activity(work):
                self.running -= 1

    # --- answers from outside ---------------------------------------------------------------------

    def _outcomes(self, outcomes: list[ActivityOutcome]) -> None:
        # In a plain callback the turns can be taken at once; inside a task they must wait for a
        # callback of their own (ENGINE rule 3).
        takes_turns = not self._pump_scheduled and asyncio.current_task() is None
        self._pump_scheduled = self._pump_scheduled or takes_turns
        self.observer.activities_ended(outcomes, self.clock.now())
        for outcome in outcomes:
            work = outcome.work
            self.running -= 1
            resident = self.residents.get(work.iid)
            result = TaskResult(
                execution_id=work.execution_id, sequence=work.sequence, event=outcome.event
            )
            if resident is None:
                if work.iid in self.takeback.left:
                    self.takeback.left[work.iid].arrived(work, result)
                continue
            if resident.works.get(work.task_id) is not work:
                continue
            del resident.works[work.task_id]
            resident.inbox.append(result)
            self.make_ready(resident)
        if takes_turns:
            self._pump()

    def _is_congested(self) -> bool:
        waiting = 0 if self.careful is None else self.careful.waiting
        return len(self._ready) + waiting > _CONGESTED

    # --- the end ----------------------------------------------------------------------------------

    def abandon(self, error: TenutoError) -> None:
        """Nobody will be answered any more: say so to everyone who waits."""
        self.gone = error
        self.updates.close()
        answers, self.answers = self.answers, {}
        for answer in answers.values():
            answer(error)
        waiters, self.waiters = self.waiters, {}
        for waiting in waiters.values():
            for waiter in waiting:
                waiter(error)
        beginnings, self.beginnings = self.beginnings, {}
        for tells in beginnings.values():
            for tell in tells:
                tell(error)

    def forget_everyone(self) -> None:
        """Drop who is in memory, and all that is known of messages: it is read again."""
        self.timers.clear()
        self._ready.clear()
        self._ready_age = QueueAge()
        for resident in self.residents.clear():
            resident.is_queued = False
            self.retention.close(resident)
        self.delivered.clear()
        self.arrivals.forget_all()

    def discard_all(self) -> None:
        """Drop everything in memory; what counts is in the store."""
        self.timers.clear()
        self._ready.clear()
        self._ready_age = QueueAge()
        for resident in self.residents.clear():
            for work in resident.works.values():
                work.canceled = True
            self.retention.close(resident)
