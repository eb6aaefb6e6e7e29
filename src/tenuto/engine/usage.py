"""Measuring what turns and attempts use, and adding it up for the commit that holds them.

A batch's usage is made from its turns when it becomes a commit, and travels in that commit: one
that is sent again counts once, and what is taken back has used nothing. Running and processor time
are those of this machine, measured by the system's own clocks, which decide nothing.

Attributes of a turn are kept cheap: one look at a clock for each, everything else is added up once
for all turns of a batch.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from time import perf_counter_ns, thread_time_ns
from typing import TYPE_CHECKING, Final, TypeAlias

from tenuto.engine.options import UsageOptions
from tenuto.engine.ports import ActivityWork, Storage
from tenuto.engine.process_memory import resident_mebibytes
from tenuto.model.events import TaskCompleted, TaskFailed
from tenuto.model.messages import TaskResult
from tenuto.model.timing import Microseconds
from tenuto.model.usage import (
    UNKNOWN_FUNCTION,
    AttemptUsage,
    Day,
    FunctionKind,
    TagValues,
    UsageRow,
    day_of,
    storable_name,
)

if TYPE_CHECKING:
    from tenuto.engine.batch import Batch
    from tenuto.engine.resident import Resident
    from tenuto.engine.turns.step import Step

    _Turns: TypeAlias = Sequence[tuple[Resident, Step]]

LEAST_MEBIBYTES: Final = 128
"""Memory is counted in steps of this, and one at least: as Azure Functions does."""

_SAMPLED_EVERY: Final = 1_000_000_000
_ENDS: Final = (TaskCompleted, TaskFailed)
_NO_USAGE: Final = AttemptUsage(UNKNOWN_FUNCTION)


class _Sum:
    """What one function has used; nanoseconds for running."""

    __slots__ = (
        "bytes", "elsewhere", "executions", "memory", "operations", "processor", "running",
        "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.executions = 0
        self.running = 0
        self.elsewhere = 0
        self.processor = 0
        self.waiting = 0
        self.memory = 0
        self.operations = 0
        self.bytes = 0


class UsageMeter:
    """Measures for an engine.

    Args:
        options: What usage is told apart by.
        running: How many attempts run now; asked once a second at most.

    Attributes:
        since: When what is measured now began, by ``perf_counter_ns``; 0 while nothing is.
        mebibytes: Of the process, rounded up as it is counted.
        sharers: How many executions share it now.
    """

    def __init__(self, options: UsageOptions, running: Callable[[], int]) -> None:
        self.options = options
        self._attempts_running = running
        self.since: int = 0
        self.mebibytes: int = LEAST_MEBIBYTES
        self.sharers: int = 1
        self.tags: TagValues = TagValues(options.most_tags)
        self._names: dict[str, str] = {}
        self._sample_at = 0
        self._pumped_since = 0
        self._processor_since = 0
        self._pumped = 0
        self._processor = 0

    # --- turns on the loop ------------------------------------------------------------------------

    def begin(self) -> None:
        """Turns are taken from now on, one after another."""
        self.since = self._pumped_since = perf_counter_ns()
        self._processor_since = thread_time_ns()

    def end(self) -> None:
        """No more turns now. Their processor time is shared out by how long each ran: to ask for
        that of each would cost more than many a turn.
        """
        self._processor += thread_time_ns() - self._processor_since
        self._pumped += perf_counter_ns() - self._pumped_since
        self.since = 0

    def took(self) -> int:
        """Nanoseconds since the turn before."""
        now = perf_counter_ns()
        since, self.since = self.since, now
        return now - since if since else 0

    @contextmanager
    def measuring_since(self, began: int) -> Generator[None]:
        """While a turn is booked that began then, and was out."""
        is_pumping = self.since
        self.since = began
        try:
            yield
        finally:
            self.since = perf_counter_ns() if is_pumping else 0

    # --- attempts ---------------------------------------------------------------------------------

    def of_attempt(self, work: ActivityWork, now: Microseconds) -> AttemptUsage:
        """What an attempt has used that has ended at about this time.

        Where whoever ran it has not measured it, it ran from its beginning until now, and its
        processor time is not known.
        """
        running = work.running
        if running is None:
            running = 0 if work.begun_at is None else max(0, now - work.begun_at)
        return AttemptUsage(
            work.name, running, work.processor, running * self.mebibytes // self.sharers
        )

    def _sample(self) -> None:
        """Look at the memory, if that was not done lately."""
        now = perf_counter_ns()
        if now >= self._sample_at:
            self._sample_at = now + _SAMPLED_EVERY
            steps = -(-resident_mebibytes() // LEAST_MEBIBYTES)
            self.mebibytes = max(1, steps) * LEAST_MEBIBYTES
            self.sharers = max(1, self._attempts_running())

    # --- batches ----------------------------------------------------------------------------------

    async def read(self, storage: Storage, now: Microseconds) -> None:
        """Take over which values of the tag the store tells apart today."""
        if self.options.tag:
            day = day_of(now)
            self.tags.begin(day, {row.tag for row in await storage.usage(day, day)})

    def of_batch(
        self, batch: "Batch", now: Microseconds
    ) -> tuple[list[UsageRow], Callable[[Collection[int]], list[UsageRow]]]:
        """What a batch has used, and what it has without some instances, should that be asked.

        Args:
            batch: Its turns and what they write.
            now: The day is that of this moment.
        """
        self._sample()
        day = day_of(now)
        if day != self.tags.day:
            self.tags.begin(day)
        share = min(1.0, self._processor / self._pumped) if self._pumped else 1.0
        self._processor = self._pumped = 0
        # The list as it is now: turns are left out of another one when their partition goes.
        rows = partial(self._rows, batch, batch.turns, day, share)
        return rows(()), rows

    def _rows(
        self, batch: "Batch", turns: "_Turns", day: Day, share: float, without: Collection[int]
    ) -> list[UsageRow]:
        if without:
            turns = [one for one in turns if one[0].state.iid not in without]
        orchestrators: dict[tuple[str, str], _Sum] = {}
        activities: dict[tuple[str, str], _Sum] = {}
        of_instances = self._add_turns(turns, orchestrators, activities)
        _add_rows(batch, of_instances)
        return [
            *self._orchestrator_rows(day, orchestrators, share),
            *self._activity_rows(day, activities),
        ]

    def _add_turns(
        self,
        turns: "_Turns",
        orchestrators: dict[tuple[str, str], _Sum],
        activities: dict[tuple[str, str], _Sum],
    ) -> dict[int, _Sum]:
        """Add up turns; whose rows are whose, by iid."""
        of_instances: dict[int, _Sum] = {}
        tag_key, tag = self.options.tag, ""
        for resident, turn in turns:
            if not turn.events:
                continue
            state = resident.state
            facts = state.facts
            if tag_key:
                tag = "" if facts.tags is None else self.tags.kept(facts.tags.get(tag_key, ""))
            key = facts.name, tag
            found = orchestrators.get(key)
            if found is None:
                found = orchestrators[key] = _Sum()
            of_instances[state.iid] = found
            found.executions += 1
            found.waiting += turn.waited
            found.bytes += len(turn.row)
            if turn.was_out:
                found.elsewhere += turn.running
            else:
                found.running += turn.running
            inbox = turn.inbox
            if inbox.is_plain:
                _add_attempt(inbox.taken[0], tag, activities)
            elif any(isinstance(event, _ENDS) for event in inbox.incoming):
                ends = {id(event) for event in inbox.incoming}
                for message in inbox.taken:
                    if isinstance(message, TaskResult) and id(message.event) in ends:
                        _add_attempt(message, tag, activities)
        return of_instances

    def _orchestrator_rows(
        self, day: Day, sums: dict[tuple[str, str], _Sum], share: float
    ) -> Iterator[UsageRow]:
        mebibytes, sharers = self.mebibytes, self.sharers
        for (name, tag), one in sums.items():
            here = (one.running + 500) // 1_000
            running = here + (one.elsewhere + 500) // 1_000
            yield UsageRow(
                day,
                self.options.app,
                FunctionKind.ORCHESTRATOR,
                self._name(name),
                tag,
                one.executions,
                running,
                round(here * share),
                one.waiting,
                running * mebibytes // sharers,
                one.executions + one.operations,  # each has a row of its history
                one.bytes,
            )

    def _activity_rows(self, day: Day, sums: dict[tuple[str, str], _Sum]) -> Iterator[UsageRow]:
        for (name, tag), one in sums.items():
            yield UsageRow(
                day,
                self.options.app,
                FunctionKind.ACTIVITY,
                self._name(name),
                tag,
                one.executions,
                one.running,
                one.processor,
                0,
                one.memory,
            )

    def _name(self, name: str) -> str:
        found = self._names.get(name)
        if found is None:
            found = storable_name(name)
            if len(self._names) < _MOST_NAMES:
                self._names[name] = found
        return found


_MOST_NAMES: Final = 10_000


def _add_attempt(message: object, tag: str, sums: dict[tuple[str, str], _Sum]) -> None:
    used = message.used if isinstance(message, TaskResult) else None
    if used is None:
        used = _NO_USAGE
    key = used.function, tag
    found = sums.get(key)
    if found is None:
        found = sums[key] = _Sum()
    found.executions += 1
    found.running += used.running
    found.processor += used.processor
    found.memory += used.memory


def _add_rows(batch: "Batch", of_instances: dict[int, _Sum]) -> None:
    """The rows that turns write beside their histories: of instances, messages, events."""
    owners: Iterable[int] = chain(
        batch.instances,
        batch.replaced,
        batch.updates,
        (row.iid for row in batch.unread.values()),
        (row.iid for row in batch.links.values()),
        (row.iid for row in batch.topic_waits.values()),
        (row.iid for row in batch.published),
        (row.iid for row in batch.queued),
    )
    for iid in owners:
        one = of_instances.get(iid)
        if one is not None:
            one.operations += 1
    for message_id, row in batch.produced.items():
        one = of_instances.get(batch.producers.get(message_id, 0))
        if one is not None:
            one.operations += 1
            one.bytes += memoryview(row.message).nbytes
