"""Measuring what turns and attempts use, and adding it up for the commit that holds them.

A batch's usage is made from its turns when it becomes a commit, and travels in that commit: one
that is sent again counts once, and what is taken back has used nothing. Running and processor time
are those of this machine, measured by the system's own clocks, which decide nothing.

Attributes of a turn are kept cheap: one look at a clock for each, everything else is added up once
for all turns of a batch.
"""

from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from functools import partial
from itertools import chain
from time import perf_counter_ns, thread_time_ns
from typing import Final, TypeAlias

from msgspec.structs import astuple

from tenuto.engine.batch import Batch, Further
from tenuto.engine.options import UsageOptions
from tenuto.engine.ports import ActivityWork, Storage
from tenuto.engine.process_memory import resident_mebibytes
from tenuto.engine.resident import Resident
from tenuto.engine.turns.sorting import SortedInbox
from tenuto.engine.turns.step import Step
from tenuto.model.events import TaskCompleted, TaskFailed
from tenuto.model.ids import InstanceId
from tenuto.model.messages import TaskResult
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.model.usage import (
    UNKNOWN_FUNCTION,
    AttemptUsage,
    Day,
    FunctionKind,
    TagValues,
    UsageRow,
    day_of,
    storable_name,
    total,
)

_ManyTurns: TypeAlias = Sequence[tuple[Resident, Step]]

LEAST_MEBIBYTES: Final = 128
"""Memory is counted in steps of this, and one at least: as Azure Functions does."""

_SAMPLED_EVERY: Final = 1_000_000_000
_PROCESSOR_EVERY: Final = 10_000_000
_ENDS: Final = (TaskCompleted, TaskFailed)
_NOT_TOLD: Final = AttemptUsage(UNKNOWN_FUNCTION)
_MOST_NAMES: Final = 10_000


class _Turns:
    """What the turns of an orchestrator have used; nanoseconds."""

    __slots__ = ("bytes", "elsewhere", "executions", "rows", "running", "waiting")

    def __init__(self) -> None:
        self.executions = self.running = self.elsewhere = self.waiting = 0
        self.rows = self.bytes = 0


class _Attempts:
    """What the attempts of an activity have used; seconds."""

    __slots__ = ("executions", "processor", "running")

    def __init__(self) -> None:
        self.executions = 0
        self.running = self.processor = 0.0


class UsageMeter:
    """Measures for an engine.

    Args:
        options: What usage is told apart by.
        running: How many attempts run now; asked once a second at most.

    Attributes:
        since: When the turn began that is booked next, by ``perf_counter_ns``.
    """

    def __init__(self, options: UsageOptions, running: Callable[[], int]) -> None:
        self.options = options
        self._attempts_running = running
        self.since: int = 0
        self._tags: TagValues = TagValues(options.most_tags)
        self._names: dict[str, str] = {}
        self._mebibytes = LEAST_MEBIBYTES
        self._sharers = 1
        self._memory_at = 0
        self._processor_at = 0
        self._processor_since: int | None = None
        self._began = 0
        self._share = 1.0

    # --- turns on the loop ------------------------------------------------------------------------

    def begin(self) -> None:
        """Turns are taken from now on, one after another.

        Which part of their time a processor was at work is looked at now and then, for all turns of
        a round: to ask for that of each would cost more than many a turn.
        """
        if (began := perf_counter_ns()) >= self._processor_at:
            self._processor_at = began + _PROCESSOR_EVERY
            self._processor_since = thread_time_ns()
            began = perf_counter_ns()
        self.since = self._began = began

    def end(self) -> None:
        """No more turns now."""
        if self._processor_since is not None:
            worked = thread_time_ns() - self._processor_since
            self._share = min(1.0, worked / max(1, perf_counter_ns() - self._began))
            self._processor_since = None

    @contextmanager
    def measuring_since(self, began: int) -> Generator[None]:
        """While a turn is booked that began then, and not where the one before it ended."""
        self.since = began
        try:
            yield
        finally:
            self.since = perf_counter_ns()

    # --- batches ----------------------------------------------------------------------------------

    async def read(self, storage: Storage, now: Microseconds) -> None:
        """Take over which values of the tag the store tells apart today."""
        if self.options.tag:
            day = day_of(now)
            self._tags.begin(day, {row.tag for row in await storage.usage(day, day, ("tag",))})

    def of_batch(
        self, batch: Batch, now: Microseconds
    ) -> tuple[list[UsageRow], Callable[[Collection[int]], list[UsageRow]]]:
        """What a batch has used, and what it has without some instances, should that be asked.

        Args:
            batch: Its turns.
            now: The day is that of this moment.
        """
        self._look_at_memory()
        day = day_of(now)
        if day != self._tags.day:
            self._tags.begin(day)
        # The list as it is now: turns are left out of another one when their partition goes.
        rows = partial(self._rows, batch.turns, batch.further, day, self._share)
        return rows(()), rows

    def _look_at_memory(self) -> None:
        """If that was not done lately."""
        now = perf_counter_ns()
        if now >= self._memory_at:
            self._memory_at = now + _SAMPLED_EVERY
            steps = -(-resident_mebibytes() // LEAST_MEBIBYTES)
            self._mebibytes = max(1, steps) * LEAST_MEBIBYTES
            self._sharers = max(1, self._attempts_running())

    def _rows(
        self,
        turns: _ManyTurns,
        further: Mapping[int, Further],
        day: Day,
        share: float,
        without: Collection[int],
    ) -> list[UsageRow]:
        by_tag: dict[str, _ManyTurns] = {"": turns}
        if without:
            by_tag[""] = [one for one in turns if one[0].state.iid not in without]
        if self.options.tag:
            by_tag = self._by_tag(by_tag[""])
        found: list[UsageRow] = []
        for tag, some in by_tag.items():
            orchestrators, activities = _added_up(some)
            if further:
                _add_further(some, further, orchestrators)
            for name, sums in orchestrators.items():
                found.append(self._orchestrator(day, name, tag, sums, share))
            for name, attempts in activities.items():
                found.append(self._activity(day, name, tag, attempts))
        if self.options.instance_budget is not None:
            found += self._roots(by_tag.values(), further, day, share)
        return found

    def _roots(
        self, turns: Iterable[_ManyTurns], further: Mapping[int, Further], day: Day, share: float
    ) -> Iterator[UsageRow]:
        """The same once more by root instances, which have a budget each."""
        by_root: dict[InstanceId, list[tuple[Resident, Step]]] = {}
        for one in chain.from_iterable(turns):
            by_root.setdefault(one[0].state.facts.root_id, []).append(one)
        for root_id, some in by_root.items():
            orchestrators, activities = _added_up(some)
            if further:
                _add_further(some, further, orchestrators)
            used = total(
                chain(
                    (self._orchestrator(day, "", "", one, share) for one in orchestrators.values()),
                    (self._activity(day, "", "", one) for one in activities.values()),
                )
            )
            if used.executions:
                yield UsageRow(day, "", FunctionKind.ROOT, root_id, "", *astuple(used))

    def _by_tag(self, turns: _ManyTurns) -> dict[str, _ManyTurns]:
        key, kept = self.options.tag, self._tags.kept
        by_tag: dict[str, list[tuple[Resident, Step]]] = {}
        for one in turns:
            tags = one[0].state.facts.tags
            by_tag.setdefault("" if tags is None else kept(tags.get(key, "")), []).append(one)
        return {**by_tag}

    def _orchestrator(self, day: Day, name: str, tag: str, sums: _Turns, share: float) -> UsageRow:
        here = round(sums.running / 1_000)
        running = here + round(sums.elsewhere / 1_000)
        return UsageRow(
            day,
            self.options.app,
            FunctionKind.ORCHESTRATOR,
            self._stored(name),
            tag,
            sums.executions,
            running,
            round(here * share),
            sums.waiting,
            running * self._mebibytes // self._sharers,
            sums.executions + sums.rows,  # each has a row of its history
            sums.bytes,
        )

    def _activity(self, day: Day, name: str, tag: str, attempts: _Attempts) -> UsageRow:
        running = round(attempts.running * MICROSECONDS)
        return UsageRow(
            day,
            self.options.app,
            FunctionKind.ACTIVITY,
            self._stored(name),
            tag,
            attempts.executions,
            running,
            round(attempts.processor * MICROSECONDS),
            0,
            running * self._mebibytes // self._sharers,
        )

    def _stored(self, name: str) -> str:
        found = self._names.get(name)
        if found is None:
            found = storable_name(name)
            if len(self._names) < _MOST_NAMES:
                self._names[name] = found
        return found


def unmeasured(work: ActivityWork, now: Microseconds) -> AttemptUsage:
    """What an attempt has used that has ended about now, and that whoever ran it has not measured:
    it ran since its beginning, and its processor time is not known.
    """
    running = 0 if work.begun_at is None else max(0, now - work.begun_at)
    return AttemptUsage(work.name, running / MICROSECONDS)


def _add_further(
    turns: _ManyTurns, further: Mapping[int, Further], orchestrators: dict[str, _Turns]
) -> None:
    """What few turns use, of those instances whose turns these are."""
    names = {
        one.state.iid: one.state.facts.name
        for one, turn in turns
        if turn.row and one.state.iid in further
    }
    for iid, name in names.items():
        orchestrators[name].rows += further[iid].rows
        orchestrators[name].elsewhere += further[iid].elsewhere


def _added_up(turns: _ManyTurns) -> tuple[dict[str, _Turns], dict[str, _Attempts]]:
    """What turns have used, and what the attempts have whose ends they have taken in.

    All in one place, without a call for each turn: this runs for every turn of every instance.
    """
    orchestrators: dict[str, _Turns] = {}
    activities: dict[str, _Attempts] = {}
    for resident, turn in turns:
        size = len(turn.row)
        if not size:
            continue
        name = resident.state.facts.name
        one = orchestrators.get(name)
        if one is None:
            one = orchestrators[name] = _Turns()
        one.executions += 1
        one.waiting += turn.waited
        one.running += turn.running
        one.bytes += size
        if turn.row_changed:
            one.rows += 1
        inbox = turn.inbox
        if not inbox.is_plain:
            _add_ends(inbox, activities)
            continue
        used = inbox.taken[0].used  # type: ignore[union-attr]  # plain is the end of an attempt
        if used is None or (attempts := activities.get(used.function)) is None:
            _add_ends(inbox, activities)
            continue
        attempts.executions += 1
        attempts.running += used.running
        attempts.processor += used.processor
    return orchestrators, activities


def _add_ends(inbox: SortedInbox, activities: dict[str, _Attempts]) -> None:
    """The attempts whose ends a turn has taken in, of all that it was sent."""
    ends = {id(event) for event in inbox.incoming if isinstance(event, _ENDS)}
    if not ends:
        return
    for message in inbox.taken:
        if isinstance(message, TaskResult) and id(message.event) in ends:
            used = message.used or _NOT_TOLD
            attempts = activities.setdefault(used.function, _Attempts())
            attempts.executions += 1
            attempts.running += used.running
            attempts.processor += used.processor
