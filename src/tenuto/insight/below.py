"""What keeps the instances below one that waits for them, however far down. Only reads.

A parent waits for a child that waits for a child that is held: whoever looks at the parent is told
of the last. So much is looked at and no more, level by level; a child is looked at once, so that
rows which are damaged lead nobody in a circle.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct, structs

from tenuto.engine.standing import Look
from tenuto.insight.facts import facts_of
from tenuto.insight.follow import Follower
from tenuto.insight.reading import RunReader
from tenuto.insight.steps import Run, StepKind, run_of
from tenuto.insight.surroundings import Surroundings
from tenuto.model.codec import decode_turn
from tenuto.model.errors import InstanceNotFoundError
from tenuto.model.explanation import (
    ActivityWait,
    Below,
    ChildWait,
    Fact,
    Held,
    NothingOpen,
    NotServed,
    Suspended,
    Trouble,
)
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord, RuntimeStatus

_MOST_LEVELS: Final = 20
_MOST_HISTORIES: Final = 40
_MOST_BYTES: Final = 1024 * 1024
"""Of one history; a longer one is not looked at."""

_MOST_CHILDREN: Final = 100
"""Of one instance so many are looked at."""

Looks = Callable[[InstanceRecord], Look | None]
"""How an instance stands with its host, when that can be asked."""


class _Waiting(Struct, frozen=True):
    """An instance to look into: below which child of the first it is, and how far."""

    top: InstanceId
    record: InstanceRecord
    levels: int


async def below(
    reader: RunReader,
    children: Iterable[InstanceRecord],
    around: Surroundings,
    looks: Looks | None = None,
) -> dict[InstanceId, Below]:
    """What keeps children that wait themselves, by their ids: the worst that was found first.

    Args:
        reader: Where instances are read.
        children: Those of the instance that is asked about.
        around: What is known beside them.
        looks: How they stand with their host.
    """
    search = _Search(reader, around, looks)
    level = [_Waiting(one.instance_id, one, 0) for one in children if _is_going(one)]
    while level:
        level = [lower for one in level for lower in await search.into(one)]
    return search.found


class _Search:
    """Looks into one instance after the other, until it has looked enough."""

    def __init__(self, reader: RunReader, around: Surroundings, looks: Looks | None) -> None:
        self.found: dict[InstanceId, Below] = {}
        self._reader = reader
        self._around = around
        self._looks = looks
        self._seen: set[InstanceId] = set()

    async def into(self, one: _Waiting) -> list[_Waiting]:
        """Note what keeps an instance; its own children, when these may tell more."""
        known = self.found.get(one.top)
        if known is not None and known.is_stuck:
            return []
        if one.record.instance_id in self._seen or len(self._seen) >= _MOST_HISTORIES:
            return []
        self._seen.add(one.record.instance_id)
        run = await self._run(one.record)
        if run is None:
            return []
        rows = await waited_children(self._reader, run, _MOST_CHILDREN)
        around = structs.replace(
            self._around,
            has_host=True,  # that there is none is said of the first instance
            look=None if self._looks is None else self._looks(one.record),
            children=rows,
            untaken={},
            below={},
            unserved=frozenset(),
        )
        for fact in _troubles(facts_of(run, around), rows):
            self._note(one, fact, rows)
        if one.levels == _MOST_LEVELS:
            return []
        going = (row for row in rows.values() if row is not None and _is_going(row))
        return [
            _Waiting(one.top, row, one.levels + 1) for row in going if is_child_of(row, one.record)
        ]

    def _note(
        self, one: _Waiting, fact: Trouble, rows: Mapping[InstanceId, InstanceRecord | None]
    ) -> None:
        record, levels = one.record, one.levels
        row = None
        if isinstance(fact, ChildWait) and fact.instance_id is not None and not fact.is_lost:
            row = rows.get(fact.instance_id)
        if row is not None:  # it is the child's own trouble
            record, levels, fact = row, levels + 1, _own_trouble(row)
        found = Below(instance_id=record.instance_id, name=record.name, levels=levels, fact=fact)
        known = self.found.get(one.top)
        if known is None or (found.is_stuck and not known.is_stuck):
            self.found[one.top] = found

    async def _run(self, record: InstanceRecord) -> Run | None:
        """What it waits for; None when that is too long to be looked at, or it is gone."""
        turns = await self._reader.turns(record.instance_id, _MOST_BYTES)
        if turns is None:
            return None
        run = run_of(record, map(decode_turn, turns))
        if run.open_steps() or not run.is_telling:
            return run
        try:  # nothing is open: unless something lies in its inbox
            return await Follower(self._reader, record.instance_id, most=1).read()
        except InstanceNotFoundError:
            return None


async def waited_children(
    reader: RunReader, run: Run, most: int
) -> dict[InstanceId, InstanceRecord | None]:
    """The rows of the children that an instance waits for; None for those that are not there.

    Args:
        reader: Where they are read.
        run: Of the instance.
        most: So many are looked at.
    """
    wanted = [
        step.instance_id
        for step in run.open_steps()
        if step.kind is StepKind.CHILD and step.instance_id is not None
    ][:most]
    rows = {one.instance_id: one for one in await reader.rows(wanted)} if wanted else {}
    return {name: rows.get(name) for name in wanted}


def is_child_of(child: InstanceRecord, caller: InstanceRecord) -> bool:
    """Whether the one was called by the other: an id may have been taken by another instance."""
    return child.parent is not None and child.parent.instance_id == caller.instance_id


def _is_going(record: InstanceRecord) -> bool:
    """Whether what it waits for decides when it goes on: of others, their row says enough."""
    return record.status is RuntimeStatus.RUNNING and record.hold is None


def _troubles(
    facts: Iterable[Fact], rows: Mapping[InstanceId, InstanceRecord | None]
) -> Iterator[Trouble]:
    """Of the facts those that keep it."""
    for fact in facts:
        match fact:
            case NotServed() | NothingOpen():
                yield fact
            case ActivityWait(failure=failure) if failure is not None:
                yield fact
            case ChildWait(instance_id=name):
                row = None if name is None else rows.get(name)
                is_paused = row is not None and row.status is RuntimeStatus.SUSPENDED
                if fact.is_stuck or is_paused:
                    yield fact
            case _:
                pass


def _own_trouble(record: InstanceRecord) -> Held | Suspended:
    hold = record.hold
    if hold is None:
        return Suspended(since=record.updated_at or record.created_at)
    return Held(
        reason=hold.reason,
        message=hold.message,
        since=hold.since,
        tried=hold.tried,
    )
