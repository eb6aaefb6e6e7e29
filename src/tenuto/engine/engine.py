"""The engine of one host: messages become turns, turns become durable, then take effect.

Owns the instances in memory and their order of running. One way, no back and forth: inbox, turn,
batch, commit, release. Turns run from plain callbacks of the host's loop, never inside a task
(ENGINE rule 3). Must never do I/O itself and never release an effect before its commit.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice

from tenuto.engine.arrivals import Arrivals
from tenuto.engine.batch import Batch
from tenuto.engine.booking import Booking
from tenuto.engine.budgets import Budgets, budgets_of
from tenuto.engine.callers import Callers
from tenuto.engine.careful import Careful
from tenuto.engine.cascade import Cascade
from tenuto.engine.correlation import Correlation
from tenuto.engine.descendants import Descendants
from tenuto.engine.halfway import HalfwayMarks
from tenuto.engine.holding import Holding
from tenuto.engine.iids import Iids
from tenuto.engine.moves import Moves
from tenuto.engine.news import News
from tenuto.engine.notices import standing_of
from tenuto.engine.options import EngineOptions
from tenuto.engine.outage import Outage
from tenuto.engine.outside import Outside
from tenuto.engine.partition import Partition
from tenuto.engine.peers import Peers
from tenuto.engine.pipeline import CommitPipeline
from tenuto.engine.ports import ActivityWork, Clock, Observer, Runner, Runtime, Storage
from tenuto.engine.queue_ports import QueueStanding
from tenuto.engine.release import Release
from tenuto.engine.resident import STORED, AllResidents, Home, Resident, RowState
from tenuto.engine.retention import Retention
from tenuto.engine.rows import CommitResult
from tenuto.engine.shortage import Shortage
from tenuto.engine.state import InstanceState
from tenuto.engine.store_watch import StoreWatch
from tenuto.engine.takeback import TakeBack
from tenuto.engine.timers import HORIZON
from tenuto.engine.turning import Turning
from tenuto.engine.turns.orchestration import TurnRules
from tenuto.engine.updates import UpdateFeed
from tenuto.engine.usage import UsageMeter, unmeasured
from tenuto.engine.waiting import QueueAge
from tenuto.model.errors import (
    StorageError,
    StorageOwnedError,
    TenutoError,
)
from tenuto.model.ids import InstanceId, MemoryId, MessageId, partition_of
from tenuto.model.messages import (
    Message,
    TaskResult,
)
from tenuto.model.timing import Microseconds

_TURNS_PER_PUMP = 256
_CONGESTED = 1_000
_MOST_LOOKED_AT = 10_000
_BATCH_BYTES = 8 * 1024 * 1024
"""A batch with more history than this takes no further turn: the next one does."""
_FULL_SECONDS = 0.001
_MEMORY_PAUSE_SECONDS = 0.2
"""Real time: memory comes back when somebody lets go of it."""


class Engine:
    """Runs the instances of the partitions that this host owns."""

    unreadable: TenutoError | None = None
    """Why messages from outside could not be read the last time."""
    busy_with: Resident | None = None  # whose code runs now, for the host's watchdog
    peers: Peers | None = None  # the other hosts, where several share the store; told by membership

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
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.runner = runner
        self.runtime: Runtime = runner.runtime
        self.storage = storage
        self.observer = observer
        self.options = options
        self.on_lost: Callable[[StorageError], None] = on_lost
        self.partitions: dict[int, Partition] = {}
        self.hub_partitions: int = 1
        self.residents: AllResidents = AllResidents(self.partitions)
        self.callers: Callers = Callers()
        self.watch: StoreWatch = StoreWatch(storage)
        self.arrivals: Arrivals = Arrivals(self)
        self.booking: Booking = Booking(self)
        self.cascade: Cascade = Cascade(self)
        self.descendants: Descendants = Descendants(self)
        self.release: Release = Release(self)
        self.retention: Retention = Retention(self)
        self.updates: UpdateFeed = UpdateFeed(storage, clock, self.watch, self._serves)
        self.takeback: TakeBack = TakeBack(self)
        self.holding: Holding = Holding(self)
        self.turning: Turning = Turning(self)
        self.correlation: Correlation = Correlation(self)
        self.outside: Outside = Outside(self)
        self.pipeline: CommitPipeline = CommitPipeline(
            storage,
            clock,
            observer,
            self.release.committed,
            self.takeback.refused,
            self.takeback.fenced,
            on_lost,
        )
        self.meter: UsageMeter = UsageMeter(options.usage, lambda: self.runner.running)
        self.shortage: Shortage = Shortage(
            self.loop, self.pipeline.let_reserve_go, self.pipeline.keep_reserve
        )
        self._bind_pipeline()
        self.is_draining = False
        self.gone: TenutoError | None = None
        self.running: int = 0
        self.reads = 0
        self.timers_running: int = 0  # functions that schedules start, counted by the host's timers
        self.deliveries_running: int = 0  # of functions that events start, counted by listeners
        self.queues_seen: Sequence[QueueStanding] = ()  # when somebody last asked for figures
        self.moves: Moves = Moves()
        self.on_fed: list[Callable[[News], None]] = []
        # At what no message tells of, such as folders; each gives the moment when that brings
        # something. Virtual time asks before it passes.
        self.looks: list[Callable[[], Awaitable[Microseconds | None]]] = []
        self.rules: TurnRules = TurnRules(
            options.limits, self.runtime, self._descendants_left, options.spans
        )
        self.careful: Careful | None = None
        self._known_activities: set[str] = set()
        self._ready: deque[Resident] = deque()
        self._ready_age = QueueAge()
        self._pump_scheduled = False
        self._messages = 0
        self._origin = ""
        self.iids: Iids = Iids()
        self.halfway: HalfwayMarks = HalfwayMarks(options.limits, observer)
        runner.bind(self._ended)

    def _bind_pipeline(self) -> None:
        self.pipeline.meter = self.meter
        self.budgets: Budgets | None = budgets_of(self, self.options.usage)
        self.pipeline.on_no_memory = self.shortage.note
        self.pipeline.on_starving = self.holding.charge_heaviest
        self.pipeline.heaviest_held = self.holding.heaviest_held

    # --- identity and order ---------------------------------------------------------------------

    def begin(self, origin: str, hub_partitions: int) -> None:
        """Be ready to own partitions.

        Args:
            origin: Names the messages that this host makes; no other host has ever had it.
            hub_partitions: How many there are in the hub.
        """
        self._origin = origin
        self.hub_partitions = hub_partitions

    def own(self, partition: Partition) -> None:
        """Serve a partition from now on."""
        self.partitions[partition.number] = partition
        self.pipeline.leases[partition.number] = partition.lease
        self.correlation.owned(partition.number)
        self.updates.come(self._is_in(partition.number))
        self.watch.stir()
        self.descendants.forget()
        for tell in self.moves.owned:
            tell()

    def drop(self, number: int) -> None:
        """Let a partition go, at once: another host has it, or is to have it.

        Nothing of it is written any more. A batch that touches it is taken back as a whole, since
        others may build on what was decided there.
        """
        home = self.partitions.pop(number, None)
        if home is None:
            return
        self._ready = deque(one for one in self._ready if one.home is not home)
        for resident in home.residents.clear():
            for work in resident.works.values():
                self.cancel_work(work)
            resident.works.clear()
            self.retention.close(resident)
        error = StorageOwnedError(
            f"partition {number} has gone to another host, perhaps with what was asked; ask again"
        )
        home.close(error)
        self.takeback.forget(number)
        self.correlation.dropped(number)
        self.pipeline.let_go(home, self.callers)
        is_gone = self._is_in(number)
        self.callers.abandon(error, is_gone)
        self.updates.let_go(is_gone)
        self.watch.stir()
        self.descendants.forget()
        for tell in self.moves.dropped:
            tell()

    def lose(self, number: int) -> None:
        """Another host has taken a partition from this one, which lives."""
        home = self.partitions.get(number)
        self.drop(number)
        if home is not None:
            for tell in self.moves.lost:
                tell(home.lease)

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
            and not self.timers_running
            and not self.deliveries_running
            and not self._pump_scheduled
            and all(one.is_idle for one in self.partitions.values())
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
    def busy_partitions(self) -> int:
        """How many partitions have instances that are queued for a turn."""
        # Of many the first say enough: they are looked at for figures alone.
        return len({id(one.home) for one in islice(self._ready, _MOST_LOOKED_AT)})

    def place_of(self, resident: Resident | None) -> int | None:
        """The place of an instance in the queue for turns, from 1; None when it is not queued."""
        if resident is None or not resident.is_queued:
            return None
        return self._ready.index(resident) + 1

    @property
    def waiting_since(self) -> Microseconds | None:
        """Since when the oldest queued instance, or a commit, has waited; None when none does."""
        moments = (self._ready_age.since, self.pipeline.committing_since)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def is_settled(self) -> bool:
        """Like idle, but activities may be running, and turns out."""
        return not self._ready and self.pipeline.is_idle and not self.is_loading

    @property
    def is_loading(self) -> bool:
        """Whether instances are being read."""
        return any(not one.loader.is_idle for one in self.partitions.values())

    @property
    def is_deciding(self) -> bool:
        """Whether it is open who gets an id."""
        return any(not one.starts.is_idle for one in self.partitions.values())

    def next_message_id(self) -> MessageId:
        """An id for a message that this host produces (ENGINE rule 12)."""
        self._messages += 1
        return MessageId(f"{self._origin}:{self._messages}")

    def memory_id(self) -> MemoryId:
        """An id for a request that lives in memory only, until a turn has taken it."""
        self._messages += 1
        return MemoryId(self._messages)

    def is_ours(self, partition: Home) -> bool:
        """Whether it is served here still, and was not let go of meanwhile."""
        return self.partitions.get(partition.number) is partition

    def number_of(self, instance_id: InstanceId) -> int:
        """The number of an instance's partition, whoever owns it."""
        return partition_of(instance_id, self.hub_partitions)

    def find(self, instance_id: InstanceId) -> Partition | None:
        """The partition of an instance id; None when it is not ours."""
        return self.partitions.get(partition_of(instance_id, self.hub_partitions))

    def fed(self, news: News) -> None:
        """Something was published or queued, durably: whoever waits for it is told."""
        if news.events:
            self.correlation.fed()
        for tell in self.on_fed:
            tell(news)

    def elsewhere(self, instance_id: InstanceId) -> StorageOwnedError:
        """Why nothing can be asked of an instance here."""
        number = self.number_of(instance_id)
        return StorageOwnedError(
            f"instance {instance_id!r} is in partition {number}, which another host serves now; "
            "ask again, or through a client of the store"
        )

    def _serves(self, instance_id: InstanceId | None) -> bool:
        """Whether an instance is ours; None: whether all are."""
        if instance_id is None:
            return len(self.partitions) >= self.hub_partitions
        return self.find(instance_id) is not None

    def _is_in(self, number: int) -> Callable[[InstanceId], bool]:
        return lambda instance_id: self.number_of(instance_id) == number

    def deliver(self, resident: Resident, message: Message) -> None:
        """Put a message into an instance's inbox, unless a copy is here."""
        if resident.home.delivery.hands_over(message):
            if self.descendants.abroad:
                self.descendants.hear(resident.state, [message])
            resident.inbox.append(message)
            self.make_ready(resident)

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
                resident.home.loader.want(state.iid)
            return
        self._ready.append(resident)  # first: it may find no memory, and would never be queued then
        resident.is_queued = True
        if not self._pump_scheduled:
            self.schedule_pump()

    @staticmethod
    def _is_cold(resident: Resident) -> bool:
        """Whether an instance without a session has to be loaded before it can have one."""
        state = resident.state
        return resident.recorded is None and state.next_turn > 0 and not state.is_finished

    @cached_property
    def outage(self) -> Outage:
        """What cannot be read from the store now."""
        return Outage(self.observer, self.clock)

    def schedule_pump(self) -> None:
        """Run turns, or commit what other callers put into the batch, in a callback of its own."""
        if not self._pump_scheduled:
            self.loop.call_soon(self._pump)  # first, for the same reason
            self._pump_scheduled = True

    def admit(self, state: InstanceState, home: Home, row: RowState) -> Resident:
        """Take an instance into memory; ``row`` says whether its row must be written."""
        resident = Resident(state, home)
        resident.row = row
        if self.options.notices is not None and row is STORED:
            resident.standing = standing_of(state)
        home.residents.add(resident)
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
        self.meter.begin()
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
            self.meter.end()
            if collecting:
                gc.enable()
            self.busy_with = None
            self._pumped(taken, now)  # whatever a turn has raised: the others wait
        self.retention.bound_sessions()

    def _pumped(self, taken: int, now: Microseconds) -> None:
        ready = self._ready
        self.pipeline.kick()
        self._ready_age.round(taken, len(ready), now)
        if ready and self.pipeline.batch.bytes > _BATCH_BYTES:
            # Not before the commit that is under way is over.
            self.loop.call_later(_FULL_SECONDS, self._pump)
            self._pump_scheduled = True
        elif ready:
            self.schedule_pump()

    def _descendants_left(self, root_id: InstanceId) -> int:
        return self.options.limits.open_descendants - self.descendants.open_below(root_id)

    def settle_batch(self, batch: Batch) -> None:
        """Only duplicates and refusals: nothing to wait for but the turns that led to them."""
        if (
            batch.refusal is None
            and batch.writes_nothing
            and all(one.in_flight == 1 for one, _ in batch.turns)
        ):
            self.pipeline.begin_another()
            self.release.committed(batch, CommitResult())

    def arm(self, resident: Resident, fire_at: Microseconds) -> None:
        """Look at the instance when this time comes, if that is soon; later ones are reloaded."""
        if fire_at <= self.clock.now() + HORIZON:
            resident.home.timers.arm(fire_at, resident.state.iid)

    def start_works(self, works: list[ActivityWork]) -> None:
        """Hand attempts to the runner."""
        known = self._known_activities
        wanted = [
            work
            for work in works
            if not work.canceled and (work.name in known or self._is_served(work))
        ]
        if self.rules.spans is not None:
            for work in wanted:
                context = self.rules.spans.context(work.instance_id, work.execution_id, work.trace)
                work.trace = context.of_step(work.task_id)
        self.running += len(wanted)
        if self.observer.sees_turns:
            self.observer.activities_began(wanted)
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

    def _ended(self, works: list[ActivityWork]) -> None:
        # In a plain callback the turns can be taken at once; inside a task they must wait for a
        # callback of their own (ENGINE rule 3).
        takes_turns = not self._pump_scheduled and asyncio.current_task() is None
        self._pump_scheduled = self._pump_scheduled or takes_turns
        try:
            with suppress(MemoryError):
                self.observer.activities_ended(works, self.clock.now())
            self._take_results(works)
        finally:
            if takes_turns:  # also when it was raised out of here: nobody else would pump
                self._pump()

    def _take_results(self, works: list[ActivityWork]) -> None:
        """Give instances what their activities have come to; what finds no memory comes later."""
        heard = 0
        now = self.clock.now()
        try:
            for work in works:
                self._take_result(work, now)
                heard += 1
        except MemoryError:
            self.holding.charge_heaviest()
            self.loop.call_later(_MEMORY_PAUSE_SECONDS, self._ended_before, works[heard:])

    def _ended_before(self, works: list[ActivityWork]) -> None:
        self._take_results(works)
        self.schedule_pump()

    def _take_result(self, work: ActivityWork, now: Microseconds) -> None:
        assert work.answer is not None, "a runner delivers what has ended"
        home = self.partitions.get(work.partition)
        resident = None if home is None else home.residents.by_iid.get(work.iid)
        # Before anything is changed: there may be no memory for it.
        result = TaskResult(
            execution_id=work.execution_id,
            sequence=work.sequence,
            event=work.answer,
            used=work.used or unmeasured(work, now),
        )
        if home is None:  # another host's by now, which runs it again
            pass
        elif resident is None:
            if work.iid in self.takeback.left:
                self.takeback.left[work.iid].arrived(work, result)
        elif resident.works.get(work.task_id) is work:
            resident.inbox.append(result)
            del resident.works[work.task_id]
            self.make_ready(resident)
        self.running -= 1

    def is_congested(self, home: Home) -> bool:
        """Whether there is enough to do for a while: who loads instances of this one waits."""
        careful = self.careful
        waiting = 0 if careful is None or not careful.looks_after(home) else careful.waiting
        return len(self._ready) + waiting > _CONGESTED

    # --- the end ----------------------------------------------------------------------------------

    def abandon(self, error: TenutoError) -> None:
        """Nobody will be answered any more: say so to everyone who waits."""
        self.gone = error
        self.updates.close()
        self.watch.close(error)
        self.callers.abandon(error)
        for batch in self.pipeline.unwritten:
            for caller, _ in batch.answered.values():
                caller.answer(error)
            for posted in batch.posted:
                posted.answer(error)

    def forget_everyone(self) -> None:
        """Drop who is in memory, and all that is known of messages: it is read again."""
        self._ready.clear()
        self._ready_age = QueueAge()
        self.descendants.forget()
        for home in self.partitions.values():
            home.forget()
            for resident in home.residents.clear():
                resident.is_queued = False
                self.retention.close(resident)

    def discard_all(self) -> None:
        """Drop everything in memory; what counts is in the store."""
        self._ready.clear()
        self._ready_age = QueueAge()
        for home in self.partitions.values():
            home.timers.clear()
            for resident in home.residents.clear():
                for work in resident.works.values():
                    work.canceled = True
                self.retention.close(resident)
