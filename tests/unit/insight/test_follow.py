"""How a run is read: what it called is read with it."""

import asyncio
from collections.abc import Sequence

from msgspec import structs

from tenuto.engine.ports import LoadedInstance
from tenuto.insight.follow import Follower
from tenuto.insight.steps import Run
from tenuto.model.codec import encode
from tenuto.model.events import HistoryEvent, TaskScheduled
from tenuto.model.ids import ExecutionId
from tenuto.model.status import InstanceRecord, ParentInstance
from tests.support.runs import child_call, opening, record, turn


def loaded(one: InstanceRecord, *turns: list[HistoryEvent]) -> LoadedInstance:
    return LoadedInstance(one, [encode(turn) for turn in turns], [])


class SlowReader:
    """A parent and its child; what was asked for first comes first."""

    def __init__(self) -> None:
        parent = record()
        child = structs.replace(
            record(name="pay", instance_id="pay-1"),
            parent=ParentInstance(parent.instance_id, ExecutionId("exec"), parent.name, 1),
        )
        self._rows: dict[str, LoadedInstance] = {
            parent.instance_id: loaded(parent, opening(child_call(1, "pay-1"))),
            "pay-1": loaded(child, opening(TaskScheduled(1, "charge"))),
        }

    async def load(self, instance_ids: Sequence[str]) -> list[LoadedInstance]:
        for _ in range(3):
            await asyncio.sleep(0)
        return [self._rows[one] for one in instance_ids]

    async def rows(self, instance_ids: Sequence[str]) -> list[InstanceRecord]:
        return [self._rows[one].record for one in instance_ids]

    async def turns(self, instance_id: str, most_bytes: int) -> list[bytes] | None:
        return list(self._rows[instance_id].turns)

    async def troubled_links(self) -> dict[str, str]:
        return {}


async def test_two_who_read_at_once_both_see_what_children_did() -> None:
    follower = Follower(SlowReader(), record().instance_id, most=10)

    async def second() -> Run:
        await asyncio.sleep(0)
        return await follower.read()

    for run in await asyncio.gather(follower.read(), second()):
        child = run.steps[0].run
        assert child is not None
        assert [step.name for step in child.steps] == ["charge"]


async def test_children_are_read_no_more_levels_down_than_asked_for() -> None:
    flat = await Follower(SlowReader(), record().instance_id, most=10, levels=0).read()
    assert flat.steps[0].run is None
    deep = await Follower(SlowReader(), record().instance_id, most=10, levels=1).read()
    assert deep.steps[0].run is not None


async def test_a_long_history_is_read_as_a_short_one() -> None:
    calls = [opening(TaskScheduled(1, "charge"))]
    calls += [turn(number, TaskScheduled(number, "charge")) for number in range(2, 900)]

    class LongReader(SlowReader):
        def __init__(self) -> None:
            self._rows = {record().instance_id: loaded(record(), *calls)}

    run = await Follower(LongReader(), record().instance_id, most=1).read()
    assert [step.turn for step in run.steps] == list(range(1, 900))
