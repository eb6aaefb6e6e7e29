"""Instances in memory: the live session, the inbox, the running work, and who may leave."""

from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from heapq import merge
from itertools import chain
from time import perf_counter_ns
from typing import Final, Protocol

from tenuto.engine.delivery import Delivery
from tenuto.engine.notices import Standing
from tenuto.engine.ports import ActivityWork, LateTurn, Session
from tenuto.engine.spans import SpanBook
from tenuto.engine.state import InstanceState
from tenuto.engine.timers import TimerQueue
from tenuto.engine.turns.orchestration import Prepared
from tenuto.model.ids import InstanceId
from tenuto.model.messages import Message
from tenuto.model.timing import Microseconds

SESSION_BYTES = 4096
"""What a live session takes without its history, measured: 2.3 KiB bare, and the user's frames."""


class RowState(Enum):
    """What must be written of an instance's row before anything else of it."""

    STORED = "stored"
    """Nothing: it is in the store, or in a batch; only changes are written."""
    NEW = "new"
    """All of it, under a number of its own."""
    REPLACED = "replaced"
    """All of it, in the place of its predecessor's."""


STORED: Final = RowState.STORED
NEW: Final = RowState.NEW
REPLACED: Final = RowState.REPLACED


class Loading(Protocol):
    """Brings instances of a partition into memory."""

    @property
    def is_idle(self) -> bool: ...
    def want(self, iid: int, message: Message | None = None) -> None: ...
    def want_named(self, instance_id: InstanceId, message: Message | None = None) -> None: ...
    def take(self, state: InstanceState) -> list[Message]: ...


class Home(Protocol):
    """The partition of an instance, as far as the instance is concerned."""

    @property
    def number(self) -> int: ...
    @property
    def is_closing(self) -> bool: ...
    @property
    def residents(self) -> "Residents": ...
    @property
    def delivery(self) -> Delivery: ...
    @property
    def timers(self) -> TimerQueue: ...
    @property
    def loader(self) -> Loading: ...


class OpenTurn:
    """A turn that is out.

    Attributes:
        messages: What it takes in.
        prepared: Its first half.
        late: Whence the answer comes; None when it was given back, and is to be offered again.
        seen: So many messages that have come meanwhile were looked at.
        began: When it was let out, by ``perf_counter_ns``.
    """

    __slots__ = ("began", "late", "messages", "prepared", "seen")

    def __init__(self, messages: list[Message], prepared: Prepared, late: LateTurn) -> None:
        self.messages: list[Message] = messages
        self.prepared: Prepared = prepared
        self.late: LateTurn | None = late
        self.seen: int = 0
        self.began: int = perf_counter_ns()


class Resident:
    """One instance in memory.

    Attributes:
        state: As far as its turns have gone, committed or not.
        home: Its partition.
        session: The live orchestrator; None before the first turn or after eviction.
        recorded: Stored turns to replay when a session is needed; None when they must be read.
        inbox: Messages for the next turn.
        held: Messages that wait for a resume or a scheduled start; each has its row in the store.
        openings: What opens its execution, while it is paused or held before its first turn.
        works: Running activity attempts, by task id.
        out: The turn that somebody answers later.
        offers: How often in a row nobody could run it.
        in_flight: Turns that are not committed yet.
        size: Roughly the bytes that its live session takes: a fixed part and its history.
        placed_at: The time of its last turn when it got its place among the others.
        row: What the next batch must write of its row.
        standing: How it stood after its last step; None before the first, or where nobody is told.
        spans: Which of its steps are open, and since when; None where no spans are written.
        is_undecided: Its new row is on its way to the store, which may refuse it: no turn before
            the answer (ENGINE rule 14).
    """

    __slots__ = (
        "failures", "held", "home", "in_flight", "inbox", "is_queued", "is_undecided", "offers",
        "openings", "out", "placed_at", "recorded", "row", "session", "size", "spans", "standing",
        "state", "works",
    )  # fmt: skip

    def __init__(self, state: InstanceState, home: Home) -> None:
        self.state: InstanceState = state
        self.home: Home = home
        self.session: Session | None = None
        self.recorded: list[bytes] | None = None
        self.inbox: list[Message] = []
        self.held: list[Message] = []
        self.openings: Sequence[Message] = ()
        self.works: dict[int, ActivityWork] = {}
        self.in_flight: int = 0
        self.is_queued: bool = False
        self.is_undecided: bool = False
        self.row: RowState = STORED
        self.size: int = SESSION_BYTES
        self.placed_at: Microseconds = state.last_time
        self.failures: int = 0
        self.out: OpenTurn | None = None
        self.offers: int = 0
        self.standing: Standing | None = None
        self.spans: SpanBook | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a turn of it is queued, out, or on its way to the store."""
        return bool(self.in_flight or self.is_queued or self.out is not None)

    @property
    def is_idle(self) -> bool:
        """Nothing is going on: everything is committed and nothing runs."""
        return not (
            self.in_flight or self.is_queued or self.inbox or self.works or self.out is not None
        )

    def close_session(self) -> int:
        """Discard the session; the number of coroutines that refused to end."""
        session, self.session = self.session, None
        self.recorded = None
        return 0 if session is None else session.close()


class Residents:
    """The instances of a partition in memory, by number and by id, least recently used first.

    Attributes:
        by_iid: By number, to be looked at.
    """

    def __init__(self) -> None:
        self.by_iid: OrderedDict[int, Resident] = OrderedDict()
        self._by_id: dict[InstanceId, Resident] = {}
        self._watching: list[set[InstanceId]] = []

    def __len__(self) -> int:
        return len(self.by_iid)

    def __iter__(self) -> Iterator[Resident]:
        return iter(list(self.by_iid.values()))

    def get(self, iid: int) -> Resident | None:
        """By number."""
        return self.by_iid.get(iid)

    def named(self, instance_id: InstanceId) -> Resident | None:
        """By instance id."""
        return self._by_id.get(instance_id)

    def add(self, resident: Resident) -> None:
        """Take an instance in."""
        self.by_iid[resident.state.iid] = resident
        self._by_id[resident.state.facts.instance_id] = resident

    def remove(self, resident: Resident) -> None:
        """Let an instance go."""
        self.by_iid.pop(resident.state.iid, None)
        if self._by_id.get(resident.state.facts.instance_id) is resident:
            del self._by_id[resident.state.facts.instance_id]
        for departed in self._watching:
            departed.add(resident.state.facts.instance_id)

    @contextmanager
    def departures(self) -> Generator[set[InstanceId]]:
        """Give a set that collects the ids of who leaves while the store is read.

        What was read of them may be older than what they had become: it must be read again.
        """
        departed: set[InstanceId] = set()
        self._watching.append(departed)
        try:
            yield departed
        finally:
            # By identity: two sets of the same ids are equal.
            self._watching = [one for one in self._watching if one is not departed]

    def oldest(self) -> Iterator[Resident]:
        """Least recently used first, to within one look; safe while instances leave.

        A turn moves nobody: it is here that whoever has taken one goes behind the others.
        """
        order = self.by_iid
        used: list[Resident] = []
        for resident in list(order.values()):
            last_time = resident.state.last_time
            if last_time == resident.placed_at:
                yield resident
            elif order.get(resident.state.iid) is resident:
                resident.placed_at = last_time
                order.move_to_end(resident.state.iid)
                used.append(resident)
        yield from used

    def clear(self) -> list[Resident]:
        """Let all go and return them."""
        everyone = list(self.by_iid.values())
        self.by_iid.clear()
        self._by_id.clear()
        return everyone


class AllResidents:
    """The instances of all partitions of an engine in memory, to be looked at."""

    def __init__(self, partitions: Mapping[int, Home]) -> None:
        self._partitions = partitions

    def __len__(self) -> int:
        return sum(len(one.residents) for one in self._partitions.values())

    def __iter__(self) -> Iterator[Resident]:
        return chain.from_iterable(one.residents for one in list(self._partitions.values()))

    def named(self, instance_id: InstanceId) -> Resident | None:
        """By instance id."""
        found = (one.residents.named(instance_id) for one in self._partitions.values())
        return next(filter(None, found), None)

    def get(self, iid: int) -> Resident | None:
        """By number."""
        found = (one.residents.get(iid) for one in self._partitions.values())
        return next(filter(None, found), None)

    def oldest(self) -> Iterator[Resident]:
        """Roughly least recently used first, as far as that is known without a look at all."""
        each = (one.residents.oldest() for one in list(self._partitions.values()))
        return merge(*each, key=lambda resident: resident.placed_at)
