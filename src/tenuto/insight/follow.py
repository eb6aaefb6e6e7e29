"""Reads a run: an instance, what it called, what that called.

Reads many instances at once and only those that may have changed. Never writes.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct, structs

from tenuto.engine.arrivals import messages_in, unread_of
from tenuto.engine.ports import LoadedInstance
from tenuto.insight.reading import RunReader
from tenuto.insight.step_events import StepEvent, StepEvents
from tenuto.insight.steps import Run, Step, StepKind, Story, nested
from tenuto.model.codec import decode_turn
from tenuto.model.errors import InstanceNotFoundError
from tenuto.model.events import HistoryEvent
from tenuto.model.ids import InstanceId
from tenuto.model.messages import AnswerQuestion, RaiseEvent, Start, Steering
from tenuto.model.status import InstanceRecord, RuntimeStatus

_CHUNK: Final = 50
_SLICE_SECONDS: Final = 0.005
_MANY_TURNS: Final = 500


class Followed(Struct):
    """One instance as last read.

    Attributes:
        instance_id: Its id.
        record: Its row; None while it is not there yet.
        turns: How many turns its current execution had.
        run: Its steps.
        level: How many calls it is below the root.
    """

    instance_id: InstanceId
    record: InstanceRecord | None = None
    turns: int = 0
    run: Run | None = None
    level: int = 0

    @property
    def stands(self) -> tuple[str, int]:
        """Execution and number of turns as last read."""
        return ("" if self.record is None else self.record.execution_id, self.turns)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will come."""
        return self.record is not None and self.record.status.is_finished


class Follower:
    """Keeps the picture of a run up to date.

    Args:
        reader: Where it is read.
        root_id: The instance.
        most: How many instances are read; the steps of further children are not shown.
        levels: How many calls down; None for all.
    """

    def __init__(
        self, reader: RunReader, root_id: InstanceId, *, most: int, levels: int | None = None
    ) -> None:
        self.root_id = root_id
        self._reader = reader
        self._most = most
        self._levels = levels
        self._reading = asyncio.Lock()
        self._known: dict[InstanceId, Followed] = {root_id: Followed(root_id)}

    def unfinished(self) -> list[Followed]:
        """What may still change."""
        return [one for one in self._known.values() if not one.is_finished]

    async def read(self, changed: Iterable[InstanceId] | None = None) -> Run:
        """The run as it is stored now.

        Args:
            changed: The instances to read again; None for all that have not ended.

        Raises:
            InstanceNotFoundError: the store does not have it.
        """
        async with self._reading:  # else one would miss the children that the other has found
            wanted = [one.instance_id for one in self.unfinished()] if changed is None else changed
            while wanted:
                wanted = await self._read(list(wanted))
            return self.picture()

    def picture(self) -> Run:
        """The run as last read.

        Raises:
            InstanceNotFoundError: the store does not have it.
        """
        root = self._known[self.root_id]
        if root.run is None:
            raise InstanceNotFoundError(self.root_id)
        return self._assembled(root.run, {self.root_id})

    async def _read(self, wanted: list[InstanceId]) -> list[InstanceId]:
        """Read these instances; return the children that turned up."""
        found: list[InstanceId] = []
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            read = await self._reader.load(chunk)
            for loaded in read:
                found += await self._take(loaded)
            if self.root_id in chunk and all(
                loaded.record.instance_id != self.root_id for loaded in read
            ):
                self._known[self.root_id].run = None  # purged, or never there
        return found

    async def _take(self, loaded: LoadedInstance) -> list[InstanceId]:
        record = loaded.record
        run = await _told(loaded)
        one = self._known[record.instance_id]
        one.record = record
        one.turns = len(loaded.turns)
        one.run = run
        one.run.untaken = _untaken(loaded)
        waiting = messages_in(loaded)
        one.run.answers = [said for said in waiting if isinstance(said, AnswerQuestion)]
        one.run.raised = [said.event.name for said in waiting if isinstance(said, RaiseEvent)]
        children = {
            step.instance_id: None for step in one.run.steps if _is_child(step) and step.instance_id
        }
        if one.level == self._levels:
            return []
        fresh = [child for child in children if child not in self._known]
        fresh = fresh[: max(self._most - len(self._known), 0)]
        self._known.update((child, Followed(child, level=one.level + 1)) for child in fresh)
        return fresh

    def _assembled(self, run: Run, above: Collection[InstanceId]) -> Run:
        """The run with its children's runs below its steps."""
        # When one id was called twice, its row and history are those of the later call.
        last = {step.instance_id: step.number for step in run.steps if _is_child(step)}
        steps = []
        for step in run.steps:
            child = None if step.instance_id is None else self._known.get(step.instance_id)
            if (
                child is not None
                and child.run is not None
                and last.get(step.instance_id) == step.number
                and child.instance_id not in above
                and _belongs(child.run.record, step, run.record)
            ):
                below = self._assembled(child.run, {*above, child.instance_id})
                steps.append(nested(step, below))
            else:
                steps.append(step)
        return structs.replace(run, steps=steps)


async def events_of(loaded: LoadedInstance, number: int) -> list[StepEvent]:
    """The events of one step.

    Args:
        loaded: The instance.
        number: Of the step.
    """
    events = StepEvents(number, loaded.record.created_at, unread_of(loaded).events)
    await _read(loaded, events.read)
    return events.found


async def _read(loaded: LoadedInstance, take: Callable[[Sequence[HistoryEvent]], None]) -> None:
    """Go through a history. It may be long, and the loop has other things to do."""
    end = time.monotonic() + _SLICE_SECONDS
    for row in loaded.turns:
        take(decode_turn(row))
        if time.monotonic() > end:
            await asyncio.sleep(0)
            end = time.monotonic() + _SLICE_SECONDS


async def _told(loaded: LoadedInstance) -> Run:
    story = Story(loaded.record.created_at, unread_of(loaded).events)
    await _read(loaded, story.read)
    if len(loaded.turns) <= _MANY_TURNS:
        return story.told(loaded.record)
    return await asyncio.to_thread(story.told, loaded.record)


def _untaken(loaded: LoadedInstance) -> int:
    """Messages in the inbox but those that only wait until the instance goes on, or begins."""
    record = loaded.record
    messages = messages_in(loaded)
    if record.status is not RuntimeStatus.RUNNING or record.hold is not None:
        messages = [one for one in messages if isinstance(one, Steering)]
    return sum(not isinstance(one, Start) for one in messages)


def _is_child(step: Step) -> bool:
    return step.kind is StepKind.CHILD


def _belongs(child: InstanceRecord, step: Step, caller: InstanceRecord) -> bool:
    """False when the id was taken by another instance, so that the call failed."""
    if step.is_detached:
        return child.parent is None
    return child.parent is not None and child.parent.instance_id == caller.instance_id
