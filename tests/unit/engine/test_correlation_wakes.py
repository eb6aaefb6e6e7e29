"""Looking for events of topics is begun again by whatever comes while it is about to end."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tenuto.engine import correlation as correlation_module
from tenuto.engine.correlation import Correlation
from tenuto.engine.parts import Parts
from tenuto.engine.rows import ALL_TOPIC_WAITS, TopicWaitRow
from tenuto.engine.topic_ports import MatchPage


class Store:
    """Keeps the questions, which it answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.answer: asyncio.Future[None] | None = None
        self.waits: list[TopicWaitRow] = []
        self.pages: list[int] = []

    async def topic_waits(
        self, _partitions: set[int], after: tuple[int, int], limit: int
    ) -> list[TopicWaitRow]:
        found = [one for one in self.waits if (one.iid, one.task_id) > after][:limit]
        self.pages.append(len(found))
        if self.answer is not None:
            await self.answer
        return found

    async def last_position(self) -> int:
        return 0

    async def topic_matches_of(self, waits: list[tuple[int, int]], _most: int) -> MatchPage:
        self.asked += waits
        if self.answer is not None:
            await self.answer
        return MatchPage([], has_more=False)


def correlation_on(store: Store) -> Correlation:
    engine: Any = SimpleNamespace(
        outage=SimpleNamespace(works=lambda _what: None),
        storage=store,
        loop=asyncio.get_running_loop(),
        is_draining=False,
        reads=0,
        partitions={},
    )
    return Correlation(cast("Parts", engine))


def wait(iid: int) -> TopicWaitRow:
    return TopicWaitRow(iid, 3, 0, "flights", "trip", 0)


async def test_a_wait_that_begins_as_the_last_look_ends_is_looked_up() -> None:
    store = Store()
    store.answer = asyncio.get_running_loop().create_future()
    correlation = correlation_on(store)
    correlation.began([wait(1)])
    for _ in range(10):
        await asyncio.sleep(0)
    assert store.asked == [(1, 3)]

    # The answer to the question, and a commit, come with one wake-up of the loop.
    answer, store.answer = store.answer, None
    answer.set_result(None)
    asyncio.get_running_loop().call_soon(correlation.began, [wait(2)])
    for _ in range(10):
        await asyncio.sleep(0)

    assert store.asked == [(1, 3), (2, 3)]


async def test_an_instance_that_is_over_waits_for_nothing() -> None:
    correlation = correlation_on(Store())
    correlation.began([wait(1), wait(2)])
    correlation.began([TopicWaitRow(1, ALL_TOPIC_WAITS, 0, None)])
    assert correlation.waits == 1
    correlation.gone([2])
    assert correlation.waits == 0
    await asyncio.sleep(0)
    await correlation.stop()


async def test_a_partition_that_is_read_anew_while_it_is_read_is_read_once_more() -> None:
    store = Store()
    store.answer = asyncio.get_running_loop().create_future()
    correlation = correlation_on(store)
    correlation.owned(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    store.waits.append(wait(1))  # durable now, and not in what is being read
    correlation.began([wait(1)])
    correlation.owned(0)  # a batch was taken back: everything is read anew

    answer, store.answer = store.answer, None
    answer.set_result(None)
    for _ in range(10):
        await asyncio.sleep(0)

    assert correlation.waits == 1
    assert store.asked == [(1, 3)]


async def test_waits_of_a_partition_are_taken_over_a_page_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(correlation_module, "_WAITS_PER_PAGE", 2)
    store = Store()
    store.waits = [wait(iid) for iid in (-3, 1, 2, 4, 9)]
    correlation = correlation_on(store)
    correlation.owned(0)
    while store.pages != [2, 2, 1] or correlation.waits < 5:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    await correlation.stop()


async def test_what_is_over_while_later_pages_are_read_does_not_wait() -> None:
    store = Store()
    store.answer = asyncio.get_running_loop().create_future()
    store.waits = [wait(1), wait(2)]
    correlation = correlation_on(store)
    correlation.owned(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    correlation.gone([2])
    answer, store.answer = store.answer, None
    answer.set_result(None)
    for _ in range(10):
        await asyncio.sleep(0)
    assert correlation.waits == 1
    assert store.asked == [(1, 3)]
