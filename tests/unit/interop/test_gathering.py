"""Outcomes of a wide fan-out go together; where few are out, none waits."""

import asyncio

from tenuto.engine.ports import ActivityWork
from tenuto.interop.azure_app.gathering import Gathering
from tenuto.model.ids import ExecutionId, InstanceId
from tests.support.waiting import until


def work(number: int, execution: str = "e") -> ActivityWork:
    return ActivityWork(
        partition=0,
        iid=1,
        instance_id=InstanceId("i"),
        execution_id=ExecutionId(execution),
        sequence=number,
        task_id=number,
        name="say",
        input=None,
        attempt=1,
        call_id=number,
        timeout=None,
    )


async def _passes() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_where_few_are_out_nothing_waits() -> None:
    taken: list[list[ActivityWork]] = []
    gathering = Gathering(taken.append)
    works = [work(number) for number in range(5)]
    for one in works:
        gathering.began(one)
    gathering.ended(works[0])
    assert gathering.waiting == 1
    await _passes()
    assert taken == [works[:1]]
    assert not gathering.waiting


async def test_of_many_those_go_together_that_are_as_many_as_the_rest() -> None:
    taken: list[list[ActivityWork]] = []
    gathering = Gathering(taken.append)
    works = [work(number) for number in range(1_000)]
    for one in works:
        gathering.began(one)
    for one in works:
        gathering.ended(one)
        await asyncio.sleep(0)
    await _passes()
    assert [one for group in taken for one in group] == works
    assert len(taken[0]) == 500
    assert len([group for group in taken if len(group) > 16]) <= 5
    assert not gathering.waiting


async def test_none_waits_for_long() -> None:
    taken: list[list[ActivityWork]] = []
    gathering = Gathering(taken.append)
    works = [work(number) for number in range(100)]
    for one in works:
        gathering.began(one)
    gathering.ended(works[0])
    gathering.ended(works[1])
    await _passes()
    assert not taken
    await until(lambda: taken)
    assert taken == [works[:2]]


async def test_those_that_are_canceled_keep_nobody_waiting() -> None:
    taken: list[list[ActivityWork]] = []
    gathering = Gathering(taken.append)
    works = [work(number) for number in range(100)]
    for one in works:
        gathering.began(one)
    gathering.ended(works[0])
    for one in works[1:70]:
        gathering.dropped(one)
    await _passes()
    assert taken == [works[:1]]


async def test_other_executions_are_not_counted() -> None:
    taken: list[list[ActivityWork]] = []
    gathering = Gathering(taken.append)
    for number in range(100):
        gathering.began(work(number, "wide"))
    alone = work(1, "narrow")
    gathering.began(alone)
    gathering.ended(alone)
    await _passes()
    assert taken == [[alone]]


async def test_after_the_end_nothing_is_handed_over() -> None:
    taken: list[list[ActivityWork]] = []
    gathering = Gathering(taken.append)
    works = [work(number) for number in range(100)]
    for one in works:
        gathering.began(one)
    gathering.ended(works[0])
    gathering.clear()
    await asyncio.sleep(0.15)
    assert not taken
    assert not gathering.waiting
