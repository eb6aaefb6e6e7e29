"""What the engine needs of the world: the ports that other rooms make real.

``Storage`` keeps everything durable, ``Clock`` is the only source of time, ``Runner`` executes
functions of one kind of program, ``Observer`` is told what happens and owns the crash points.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

from tenuto.engine.news import Written, whatever
from tenuto.engine.queue_ports import QueueReader, QueueStorage
from tenuto.engine.rows import Answer, CommitBatch, CommitResult, InboxRow, Lease
from tenuto.engine.runner_figures import ActivityLoad, PoolFacts, WorkerFacts
from tenuto.engine.topic_ports import TopicReader, TopicStorage
from tenuto.model.actions import TurnActions
from tenuto.model.errors import StorageError
from tenuto.model.events import HistoryEvent, Incoming, TaskCompleted, TaskFailed
from tenuto.model.execution import ExecutionInfo
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.links import FoundLink
from tenuto.model.requests import (
    DeadLetter,
    DeadLetterPage,
    HistoryPage,
    InstancePage,
    InstanceQuery,
)
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.trace import TraceContext
from tenuto.model.usage import DIMENSIONS, AttemptUsage, Day, Dimension, UsageRow

# --- Clock -------------------------------------------------------------------------------------


class TimerHandle(Protocol):
    """A pending call that can be taken back."""

    def cancel(self) -> None:
        """Take the call back; harmless when it has already happened."""


class Clock(Protocol):
    """The only source of time. Times are microseconds since 1970 UTC."""

    def now(self) -> Microseconds:
        """The present."""

    def monotonic(self) -> Microseconds:
        """Time that passes, from any beginning, however the clock is set meanwhile."""

    def call_at(self, when: Microseconds, callback: Callable[[], None]) -> TimerHandle:
        """Call back on the host's loop when ``when`` has come, never before."""

    def call_later(self, delay: Microseconds, callback: Callable[[], None]) -> TimerHandle:
        """Call back on the host's loop after so many microseconds, however the clock is set
        meanwhile (ENGINE rule 42). For durations of this host: pauses, limits, looks.
        """


# --- Storage -----------------------------------------------------------------------------------


class HubInfo(Struct, frozen=True, kw_only=True):
    """Facts of an opened task hub; ``secret`` is random and known to its hosts alone.

    ``copied_at``: it was a copy when it was opened, and reaches up to then.
    """

    url: str
    partitions: int
    secret: str
    copied_at: Microseconds | None = None

    def __repr__(self) -> str:
        return f"HubInfo(url={self.url!r}, partitions={self.partitions})"


class HostIdentity(Struct, frozen=True, kw_only=True):
    """Who wants to own partitions.

    Attributes:
        owner: The name under which it commits.
        description: For people: machine, process, since when.
        member: Its id among the hosts of the hub; None for one that owns all of it.
    """

    owner: str
    description: str
    member: str | None = None


class LoadedInstance(Struct, frozen=True):
    """An instance with the history of its current generation and its waiting messages.

    ``turns`` are the history rows in order, each a JSON array of events. When the current
    generation has none yet, ``previous_turn`` is the last row of the one before (it ends with
    ContinueAsNew and holds the seed of this one). ``unread`` are the events that earlier
    generations have left unread, with their numbers, oldest first.
    """

    record: InstanceRecord
    turns: list[bytes]
    inbox: list[InboxRow]
    previous_turn: bytes | None = None
    unread: list[tuple[int, bytes]] = []


class PartitionPage(Struct, frozen=True):
    """What an owner must know of a partition before it serves it, with a part of its inbox.

    Attributes:
        rows: Waiting messages, oldest first, those of the pages before left out.
        after: What continues them; None at their end.
        cursor: Where ``fetch_inbox`` begins, once all pages are read: that of the first page.
        open_by_root: Unfinished instances below each root (roots without children left out); of
            the first page.
        deaths: How many owners in a row have died, the last ones before ``mark_served``; of the
            first page.
    """

    rows: list[InboxRow]
    after: str | None
    cursor: int
    open_by_root: dict[InstanceId, int] = {}
    deaths: int = 0


class InboxPage(Struct, frozen=True):
    """A part of what came since cursors, messages and new instances: as much as is read at once.

    Attributes:
        rows: In the order of arrival, those of the pages before left out.
        cursors: The new ones by partition, once all pages are read: those of the first page.
        after: What continues the rows; None at their end.
    """

    rows: list[InboxRow]
    cursors: dict[int, int]
    after: int | None = None


class Wake(Struct, frozen=True, array_like=True, gc=False):
    """An instance of a partition that must be loaded at ``wake_at`` (``AT_ONCE``, or a time)."""

    wake_at: Microseconds
    iid: int
    partition: int


class Standing(Struct, frozen=True):
    """How far an instance is: its row without input and output, and its number of turns."""

    record: InstanceRecord
    turns: int


class InstanceMark(Struct, frozen=True, array_like=True, gc=False):
    """How far an instance is. ``mark`` is another one after each change that people can see."""

    iid: int
    instance_id: InstanceId
    mark: str


class StorageReader(TopicReader, QueueReader, Protocol):
    """Reading, open to every process."""

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """One instance as last committed."""

    async def query(self, query: InstanceQuery) -> InstancePage:
        """A page of instances."""

    async def standings(self, instance_ids: Sequence[InstanceId]) -> list[Standing]:
        """How far instances are, in this order; unknown ones are left out.

        Costs the same however long their histories and payloads are.
        """

    async def history(self, instance_id: InstanceId, most_bytes: int | None = None) -> list[bytes]:
        """The turns of the current execution, each a JSON array of events; empty when unknown.

        Raises:
            LimitError: they are longer than ``most_bytes`` together.
        """

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest dead letters."""

    async def history_page(
        self, instance_id: InstanceId, after: str | None, most_bytes: int
    ) -> HistoryPage:
        """Turns of the current execution, as long as they fit; one at least.

        Raises:
            InputError: ``after`` is not the token of the page before, or the instance has continued
                as new since.
        """

    async def dead_letter_page(
        self, limit: int, after: str | None, most_bytes: int
    ) -> DeadLetterPage:
        """Dead letters, newest first, as long as they fit; one at least.

        Raises:
            InputError: ``after`` is not the token of the page before.
        """

    async def link(self, digest: str) -> FoundLink | None:
        """The link whose token has this digest; None when there is none. A look-up, no more."""


class StorageClient(StorageReader, Protocol):
    """What processes that own nothing may write: new instances and messages (ENGINE rule 14)."""

    async def start_instance(self, record: InstanceRecord) -> InstanceRecord:
        """Insert a pending instance unless its id exists; return the row that stands.

        ``record.iid`` is ignored, the store gives a negative one.
        """

    async def append(self, rows: Sequence[InboxRow]) -> None:
        """Add messages; a message id that is already there is left alone."""

    async def answers(self, message_ids: Sequence[MessageId]) -> list[Answer]:
        """What became of messages that await an answer; those that are open are left out."""

    async def is_asked(self, instance_id: InstanceId, kinds: Collection[str]) -> bool:
        """Whether a message of one of these kinds, such as ``Suspend``, waits to be taken in.

        Then the row of the instance is about to change.
        """

    async def is_waiting(self, message_id: MessageId) -> bool:
        """Whether a message is in the inbox still."""

    async def waiting_start(self, instance_id: InstanceId) -> InboxRow | None:
        """The oldest start of an id that waits in the inbox; None when none does."""

    async def acknowledge_letters(self, message_ids: Sequence[MessageId], now: Microseconds) -> int:
        """Note that somebody has seen to these dead letters; unknown ids are left alone.

        Returns:
            Of how many that was not known yet.
        """

    def wake(self) -> None:
        """Have whoever serves the store look for what has come over other connections."""


class Storage(StorageClient, TopicStorage, QueueStorage, Protocol):
    """The whole port. Errors are those of ``tenuto.model.errors.StorageError``."""

    async def open(self) -> HubInfo:
        """Open or create the hub and bring its schema up to date."""

    async def acquire(
        self, host: HostIdentity, partitions: Sequence[int] | None = None
    ) -> list[Lease]:
        """Own these partitions, in a new epoch each: whoever had them is fenced.

        Args:
            host: Who it is; nobody has ever had its ``owner``.
            partitions: Which; None for all.

        Raises:
            StorageOwnedError: all are wanted and another host that lives owns some; with SQLite
                also if only some are wanted.
        """

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give partitions back; leases that do not hold any more are left alone."""

    async def reserve_iids(self, count: int) -> range:
        """So many positive iids, one after another, that nobody has ever had in this hub.

        Purged instances and reservations never used included. Outsiders' iids are negative.
        """

    async def close(self) -> None:
        """Close everything; safe to call twice."""

    async def commit(self, batch: CommitBatch) -> CommitResult:
        """Write one batch durably.

        Raises:
            FencedError: a fence does not hold, or the number is not the next; nothing was written
                now. It may have been before: ask ``landed``.
            RowsRefusedError: the store can never hold some rows for what is in them (too long,
                no JSON, numbers out of range, a turn that is there already); nothing was written,
                the fences have not moved, and without those rows it would have been.
            StorageLostError: the store's files are gone or no longer whole; nothing that follows
                will be taken.
            StorageUnavailableError: perhaps written, perhaps not; ask ``landed``.
        """

    async def landed(self, batch: CommitBatch) -> CommitResult | None:
        """What came of the owner's last batch, whose commit is in doubt (ENGINE rule 15).

        Returns:
            What ``commit`` would have, when the batch is in the store, whoever owns its partitions
            by now; None when it is not: then it can be sent again.

        Raises:
            FencedError: it is not, and never will be. Of an owner that has given everything back,
                or whose successor has one, the store may have forgotten that it is.
        """

    async def load_partition(self, partition: int, after: str | None, limit: int) -> PartitionPage:
        """What an owner must know at takeover, with at most so many messages, or few long ones.

        Pages that follow are of later moments: they may hold messages that came after the cursor.
        """

    async def load_instances(self, iids: Sequence[int]) -> list[LoadedInstance]:
        """Many instances at once (ENGINE rule 27); unknown iids are left out."""

    async def find(self, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
        """The rows of these instance ids; unknown ones are left out."""

    async def marks(self, after: int | None, limit: int) -> list[InstanceMark]:
        """How far instances are: so many, by iid, behind this one; reads no payloads."""

    async def due(
        self, partitions: Collection[int], after: Microseconds | None, until: Microseconds
    ) -> list[Wake]:
        """Instances with after < wake_at <= until, soonest first; None: from the first on, those
        that must be loaded at once among them. One that has ended has a time as long as calls of
        its last turn are to be made.
        """

    async def next_wake(
        self, partitions: Collection[int], after: Microseconds
    ) -> Microseconds | None:
        """The first time after this one at which an instance is due; None when none is."""

    async def open_below(
        self, partitions: Collection[int], root_ids: Sequence[InstanceId]
    ) -> dict[InstanceId, int]:
        """How many unfinished instances of these partitions stand below each of these roots.

        Roots without any are left out.
        """

    async def mark_served(self, leases: Sequence[Lease]) -> None:
        """The owner of these partitions has served for a while: it did not die young."""

    async def set_deliveries(self, deliveries: dict[int, int]) -> None:
        """Durably note, by iid, how often instances were tried (``engine.careful``)."""

    async def write_note(self, lease: Lease, key: str, text: str) -> None:
        """Durably keep a short text under a key, in the place of the one before.

        For what the owner of a partition must know beside instances. Keys are told apart to the
        letter; they outlive owners, and nothing takes them away.

        Raises:
            FencedError: the lease does not hold any more; the note is as it was.
        """

    async def notes(self, keys: Sequence[str]) -> dict[str, str]:
        """The texts that are kept under these keys; those that are not there are left out."""

    async def held_counts(self) -> dict[str, int]:
        """How many instances are held, by reason."""

    async def open_counts(self, most: int) -> dict[RuntimeStatus, int]:
        """How many instances of each status have not ended and are not held, each up to ``most``.

        Costs the same however many have ended.
        """

    async def usage(
        self, first: Day, last: Day, by: Sequence[Dimension] = DIMENSIONS
    ) -> list[UsageRow]:
        """What was used between two days, both included; one row for each key, in any order.

        Args:
            first: The first day.
            last: The last day.
            by: What is told apart, beside the kinds of functions; of the rest a row says 0 or "".

        Raises:
            InputError: that would be more than ``MOST_ROWS`` rows.
        """

    async def root_usage(self, root_ids: Sequence[InstanceId]) -> list[UsageRow]:
        """What root instances have used with all that they call, by commits that say so.

        Returns:
            A row for each that has used something, in any order; its function is the id.
        """

    async def forget_root_usage(self, root_ids: Sequence[InstanceId]) -> None:
        """Forget what these root instances have used: they have ended."""

    async def trim_usage(self, before: Day, owner: str) -> None:
        """Forget what was used before a day, and by root instances that have ended, and tidy up the
        rows of the others.

        Sums of later days stay as they are, whatever happens meanwhile.

        Args:
            before: The first day that is kept.
            owner: Who asks: one that owns partitions.
        """

    async def misfits(
        self, partitions: Collection[int], reason: HoldReason | None = None
    ) -> list[int]:
        """Held instances that a host tries again at its start: those that are not harmful."""

    async def fetch_inbox(self, cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
        """A page of what has arrived after each partition's cursor, in the order of arrival.

        Every message that is not consumed comes once at least, whoever has sent it; it may come
        again until the cursor has passed it. A new instance made by a client comes as a row with
        a ``Start`` message and None as its message id.
        """

    def on_change(
        self, callback: Callable[[], None], concerns: Callable[[Written], bool] = whatever
    ) -> None:
        """Call back on the host's loop when another process has written what concerns the caller.

        Also once soon after the registration: what others wrote shortly before it is not missed.
        A store that does not know what was written calls back for everything.
        """

    def on_lost(self, callback: Callable[[StorageError], None]) -> None:
        """Call back once on the host's loop when the store's files are seen to be lost.

        Commits that follow raise the same ``StorageLostError``; this tells an idle host.
        """


# --- Runner ------------------------------------------------------------------------------------


class ActivityWork(Struct, eq=False):
    """One attempt of an activity, from the decision to its answer: one object for each.

    ``partition`` is the instance's. ``sequence`` counts the attempts of the execution. ``canceled``
    is the cooperative token; it only ever turns on. ``answer`` is how it ended, None until then;
    ``begun_at`` (microseconds) is None when its function never began. ``start_by`` is the time
    after which it is not to begin any more: its answer is a ``ScheduleToStartTimeoutError`` then.
    ``used`` is what it took, if whoever ran it has measured that.
    """

    partition: int
    iid: int
    instance_id: InstanceId
    execution_id: ExecutionId
    sequence: int
    task_id: int
    name: str
    input: str | None
    attempt: int
    call_id: int
    timeout: Microseconds | None
    version: str | None = None
    tags: dict[str, str] | None = None
    trace: TraceContext | None = None
    canceled: bool = False
    answer: TaskCompleted | TaskFailed | None = None
    begun_at: Microseconds | None = None
    start_by: Microseconds | None = None
    used: AttemptUsage | None = None

    def answered(
        self, answer: TaskCompleted | TaskFailed, begun_at: Microseconds | None = None
    ) -> "ActivityWork":
        """It has ended like this; what a runner delivers."""
        self.answer = answer
        self.begun_at = begun_at
        return self

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of one logical call, different for every other call."""
        return f"{self.execution_id}:{self.call_id}"


class QueuedWork(Struct, frozen=True):
    """Where an attempt stands that has not begun.

    Attributes:
        place: From 1: the next one.
        behind: What it waits for, in words: ``the 8 worker threads``.
    """

    place: int
    behind: str


class BegunWork(Struct, frozen=True):
    """An attempt whose function runs.

    Attributes:
        at: When it began.
    """

    at: Microseconds


WorkStage = QueuedWork | BegunWork
"""How far an attempt has come."""


class GivenBack(Struct, frozen=True):
    """Nobody could run a turn, for no fault of its instance: it is offered again (ENGINE rule 32).

    Attributes:
        reason: What happened, for people: the worker has gone, it has given the turn up.
        has_killed: The process that had it has ended, and was running this turn and no other then.
            This is counted durably, and holds the instance in the end. A runner whose worker runs
            several turns at once finds out which by running them one at a time.
    """

    reason: str
    has_killed: bool = False


LateAnswer: TypeAlias = TurnActions | GivenBack | Exception
"""How a turn that was out ended. An exception is what ``Session.run_turn`` may raise."""


class LateTurn:
    """A turn that is out: its runner answers later, once, on the host's loop.

    Example:
        ::

            def run_turn(self, timestamp, events, *, replaying=False):
                late = LateTurn()
                self._worker.send(encode(events), then=lambda answer: late.answer(decode(answer)))
                return late
    """

    __slots__ = ("_answer", "_deliver")

    def __init__(self) -> None:
        self._answer: LateAnswer | None = None
        self._deliver: Callable[[LateAnswer], None] | None = None

    def answer(self, answer: LateAnswer) -> None:
        """Answer the turn; a second answer, or one after it was recalled, goes unheard."""
        if self._answer is None:
            self._answer = answer
            if self._deliver is not None:
                self._deliver(answer)

    def bind(self, deliver: Callable[[LateAnswer], None]) -> None:
        """Say where the answer goes, also one that has come already."""
        self._deliver = deliver
        if self._answer is not None:
            deliver(self._answer)

    def recall(self) -> None:
        """Nobody waits for the answer any more."""
        self._deliver = None


class Session(Protocol):
    """A running orchestrator. Fed events, it answers with actions; it never touches the world."""

    def run_turn(
        self, timestamp: Microseconds, events: Sequence[Incoming], *, replaying: bool = False
    ) -> TurnActions | LateTurn:
        """Feed one turn's events, each to its end before the next (ENGINE rule 1).

        Answered at once, or later (ENGINE rule 31). A session whose turn is out is fed nothing more
        before the answer; it may be closed, which recalls the turn.
        """

    def close(self) -> int:
        """Discard the session; the number of coroutines that refused to end (ENGINE rule 5)."""


@runtime_checkable
class DoorKeeper(Protocol):
    """A session that knows the types of what is waited for, and can say at once what does not fit.

    A session without this takes every event; what it cannot use it puts aside by itself.
    """

    def run_offered(
        self, timestamp: Microseconds, events: Sequence[Incoming], offered: Collection[int]
    ) -> TurnActions:
        """Feed one turn's events, as ``run_turn``, of which some are only offered.

        An offered event that does not fit what waits for it is refused in the answer, by its place
        among ``events``, and has no effect: its sender is told, and history never knows of it.
        """


@runtime_checkable
class PutsOff(Protocol):
    """A session that may put its rebuilding off to its first turn, which is then answered later.

    So a long history never holds the host's loop up. A session without this is rebuilt when it is
    there.
    """

    def rebuild(self) -> None:
        """Be rebuilt now, for whoever feeds it no turn.

        Raises:
            NonDeterminismError: as ``Runner.replay_session``.
        """


Runtime: TypeAlias = str | Callable[[str], str]
"""What orchestrators run on, such as ``python 3.11``; where that differs, asked by their names."""


class Runner(Protocol):
    """Executes the functions of one kind of program."""

    @property
    def runtime(self) -> Runtime:
        """What it runs orchestrators on: history records it."""

    @property
    def orchestrators(self) -> Sequence[str]:
        """Names of the orchestrators it can run."""

    @property
    def activity_limits(self) -> Mapping[str, int | None]:
        """Names of the activities it can run, each with its concurrency limit (None: no own)."""

    def serves(self, name: str) -> bool:
        """Whether it can run the orchestrator of that name."""

    def serves_activity(self, name: str) -> bool:
        """Whether it can run the activity of that name."""

    def open_session(self, info: ExecutionInfo) -> Session:
        """A fresh session for an execution.

        Raises:
            UnknownFunctionError: no orchestrator of that name.
        """

    def replay_session(
        self, info: ExecutionInfo, turns: Sequence[Sequence[HistoryEvent]]
    ) -> Session:
        """The live session of an execution, rebuilt from its recorded turns, or to be rebuilt with
        its first turn (``PutsOff``).

        Raises:
            NonDeterminismError: the code decides otherwise than history recorded.
            UnknownFunctionError: no orchestrator of that name.
        """

    @property
    def running(self) -> int:
        """Attempts whose function runs."""

    @property
    def queued(self) -> int:
        """Attempts that wait for room."""

    @property
    def hung(self) -> int:
        """Attempts that were given up and still hold something of this process."""

    def loads(self) -> Mapping[str, ActivityLoad]:
        """Attempts that have not ended, by activity."""

    def workers(self) -> Sequence[WorkerFacts]:
        """The processes of programs that are not of this process; none where there are none."""

    def pools(self) -> Sequence[PoolFacts]:
        """How many workers of each kind there are, and may be."""

    def shortages(self) -> Sequence[str]:
        """What it has too little of to run attempts, in sentences; none when all is well."""

    def stages_of(self, works: Sequence[ActivityWork]) -> Mapping[ActivityWork, WorkStage]:
        """How far attempts have come, as far as that is known here."""

    def bind(self, deliver: Callable[[list[ActivityWork]], None]) -> None:
        """Say where attempts go that have ended, each with its answer; called on the host's loop,
        many at a time.
        """

    def on_served(self, appeared: Callable[[], None]) -> None:
        """Call back on the host's loop when functions have come that were not here, as with a
        worker: instances that wait for them go on (ENGINE rule 36).
        """

    def start_activities(self, works: list[ActivityWork]) -> None:
        """Run attempts; each outcome is delivered exactly once, late ones included."""

    def cancel_activity(self, work: ActivityWork) -> bool:
        """Ask a running attempt to stop; its outcome is still delivered.

        Returns True when it had not begun: then it never will, and no outcome comes.
        """

    async def drain(self, seconds: float) -> bool:
        """Begin nothing more and wait for what runs; False when something still does.

        Outcomes are delivered meanwhile; attempts that had not begun have none.
        """

    async def stop(self) -> None:
        """Stop running; attempts that are still going are abandoned without an outcome."""


# --- Observer ----------------------------------------------------------------------------------


class Observer(Protocol):
    """Is told what happens. Its methods return at once and never raise."""

    @property
    def sees_turns(self) -> bool:
        """Whether it is to be told of each turn, and of beginnings; that costs."""

    def committed(self, turns: int, seconds: float) -> None:
        """A batch is durable."""

    def storage_failed(self, error: Exception, attempt: int) -> None:
        """The store refused a batch; it will be tried again."""

    def storage_recovered(self, attempts: int) -> None:
        """The store works again."""

    def instance_held(self, instance_id: InstanceId, hold: Hold) -> None:
        """An instance cannot go on; committed soon after."""

    def instances_began(self, names: Sequence[str]) -> None:
        """The first turns of new instances of these orchestrators are durable; told in any case."""

    def instance_began(
        self, instance_id: InstanceId, name: str, generation: int, trace: TraceContext | None
    ) -> None:
        """The first turn of a generation is durable: of a new instance, or of one begun anew."""

    def turn_committed(self, instance_id: InstanceId, generation: int, turn: int) -> None:
        """A turn of a generation is durable; they count from 0."""

    def instance_ended(self, record: InstanceRecord) -> None:
        """An instance finished, whichever way; committed."""

    def activities_began(self, works: Sequence[ActivityWork]) -> None:
        """Attempts of activities were handed to the runner. One may have to wait for room there."""

    def activities_ended(self, works: Sequence[ActivityWork], now: Microseconds) -> None:
        """Attempts of activities ended, at about this time (microseconds)."""

    def timer_ended(self, name: str, error: BaseException | None, *, is_last: bool = True) -> None:
        """A function that a schedule starts has run; ``error`` is what it raised. If not the last,
        it is tried again, and a notice says so.
        """

    def delivery_ended(
        self, name: str, error: BaseException | None, *, is_last: bool = True
    ) -> None:
        """A function that an event starts has run; ``error`` is what it raised. If not the last, it
        is tried again, and a notice says so.
        """

    def delivery_failed(self, name: str, message_id: str, error: BaseException) -> None:
        """A delivery was put aside: its function has failed for it in each attempt."""

    def dead_letter(self, instance_id: InstanceId, reason: str) -> None:
        """A message that nobody can take was put aside."""

    def problem(self, instance_id: InstanceId | None, text: str) -> None:
        """Something a person should know; the host goes on."""

    def notice(self, text: str) -> None:
        """Something of the host that a person may want to know, though it is as it should be."""

    def moved(self, text: str) -> None:
        """Hosts of the hub have come or gone, or partitions have moved between them, as they do."""

    def crash_point(self, name: str) -> None:
        """A place where tests kill the process."""
