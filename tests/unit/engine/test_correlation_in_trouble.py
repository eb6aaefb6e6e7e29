"""Looking for events of topics, while the store is away or answers in pages: nothing is lost.

Each of these is a moment that two hosts at random hardly ever meet: a question that fails, an
answer that has more, an event that comes while somebody is looked up.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest
from msgspec import Raw
from msgspec.json import decode

from tenuto.engine import correlation as correlation_module
from tenuto.engine.correlation import Correlation
from tenuto.engine.outage import Outage
from tenuto.engine.parts import Parts
from tenuto.engine.rows import ALL_TOPIC_WAITS, TopicWaitRow
from tenuto.engine.topic_ports import MatchPage, TopicMatch, WaitPage
from tenuto.model.errors import StorageUnavailableError
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.messages import RaiseEvent
from tenuto.model.topics import StoredEvent

T = TypeVar("T")
TOPIC = "flights"


class Store:
    """Waits and events, as a store has them, one key for each instance.

    Attributes:
        waits: Those that are durable.
        events: The keys of what was published, in order.
        away: Questions that are answered by an error, once.
        page: As much is in one answer.
        meanwhile: Happens after a question was read, and before its answer is there; once.
        asked: Questions, in order.
    """

    def __init__(self) -> None:
        self.waits: list[TopicWaitRow] = []
        self.events: list[str] = []
        self.away: set[str] = set()
        self.page = 100
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.asked: list[str] = []

    async def last_position(self) -> int:
        await self._ask("last_position")
        return await self._answer("last_position", len(self.events))

    async def topic_waits(
        self, partitions: Collection[int], after: tuple[int, int], limit: int
    ) -> list[TopicWaitRow]:
        await self._ask("topic_waits")
        found = [one for one in self.waits if one.partition in partitions]
        rest = [one for one in found if (one.iid, one.task_id) > after]
        return await self._answer("topic_waits", rest[:limit])

    async def topic_waits_since(self, cursor: int) -> WaitPage:
        await self._ask("topic_waits_since")
        keys = self.events[cursor : cursor + self.page]
        reached = cursor + len(keys)
        waits = [(one.iid, one.task_id) for one in self.waits if one.key in keys]
        page = WaitPage(waits, reached, has_more=reached < len(self.events))
        return await self._answer("topic_waits_since", page)

    async def topic_matches_of(self, waits: Sequence[tuple[int, int]], _most: int) -> MatchPage:
        await self._ask("topic_matches_of")
        found = [
            match(one, self.events.index(one.key, one.after) + 1)
            for one in self.waits
            if (one.iid, one.task_id) in waits and one.key in self.events[one.after :]
        ]
        page = MatchPage(found[: self.page], has_more=len(found) > self.page)
        return await self._answer("topic_matches_of", page)

    async def _ask(self, question: str) -> None:
        await asyncio.sleep(0)
        self.asked.append(question)
        if question in self.away:
            self.away.discard(question)
            raise StorageUnavailableError("away")

    async def _answer(self, question: str, answer: T) -> T:
        happens = self.meanwhile.pop(question, None)
        if happens is not None:
            happens()
        await asyncio.sleep(0)
        return answer


def match(row: TopicWaitRow, position: int) -> TopicMatch:
    event = StoredEvent(position, f"e{position}", TOPIC, row.key, 0, None, Raw(b'{"data":1}'))
    instance, execution = InstanceId(f"i{row.iid}"), ExecutionId("x")
    return TopicMatch(row.iid, row.task_id, row.partition, instance, execution, event)


def wait(iid: int, partition: int = 0, after: int = 0) -> TopicWaitRow:
    """An instance waits for the event whose key is its number."""
    return TopicWaitRow(iid, 3, partition, TOPIC, str(iid), after)


class Engine:
    """What looks for events needs of its engine.

    Attributes:
        told: Who was told.
        events: Of what, in the same order.
    """

    def __init__(self, store: Store) -> None:
        self.told: list[str] = []
        self.events: list[str] = []
        self.problems: list[str] = []
        observer: Any = SimpleNamespace(problem=lambda _of, text: self.problems.append(text))
        clock: Any = SimpleNamespace(monotonic=lambda: 0)
        engine: Any = SimpleNamespace(
            outage=Outage(observer, clock),
            storage=store,
            loop=asyncio.get_running_loop(),
            is_draining=False,
            reads=0,
            partitions={0: object(), 1: object()},
            observer=observer,
            memory_id=lambda: "m",
            arrivals=SimpleNamespace(dispatch=self._dispatch),
        )
        self.engine = engine
        self.correlation = Correlation(cast("Parts", engine))

    def _dispatch(self, _home: object, instance_id: str, message: RaiseEvent) -> None:
        self.told.append(instance_id)
        self.events.append(decode(message.event.input or "", type=StoredEvent).event_id)

    async def settle(self) -> list[str]:
        """Let everything be asked and answered; who was told, in order."""
        for _ in range(100):
            await asyncio.sleep(0)
        assert not self.engine.reads
        return self.told


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation_module, "_AGAIN_SECONDS", 0)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def engine(store: Store) -> Engine:
    return Engine(store)


async def test_no_silent_drop_who_could_not_be_looked_up_is_looked_up_again(
    store: Store, engine: Engine
) -> None:
    store.waits, store.events, store.away = [wait(1), wait(2)], ["1"], {"topic_matches_of"}
    engine.correlation.began(store.waits)
    assert await engine.settle() == ["i1"]
    assert len(engine.problems) == 2  # that it began, and that it is over


async def test_no_silent_drop_news_that_could_not_be_read_are_read_again(
    store: Store, engine: Engine
) -> None:
    store.waits = [wait(1)]
    engine.correlation.began(store.waits)
    await engine.settle()
    store.events, store.away = ["1"], {"topic_waits_since"}
    engine.correlation.fed()
    assert await engine.settle() == ["i1"]


async def test_no_silent_drop_waits_of_a_partition_that_could_not_be_read_are_read_again(
    store: Store, engine: Engine
) -> None:
    store.waits, store.events, store.away = [wait(1)], ["1"], {"topic_waits"}
    engine.correlation.owned(0)
    assert await engine.settle() == ["i1"]


async def test_waits_that_a_page_has_no_room_for_are_in_the_next_one(
    store: Store, engine: Engine
) -> None:
    store.waits, store.page = [wait(1), wait(2), wait(3)], 1
    engine.correlation.began(store.waits)
    await engine.settle()
    store.events = ["1", "2", "3"]
    engine.correlation.fed()
    assert sorted(await engine.settle()) == ["i1", "i2", "i3"]


async def test_matches_that_a_page_has_no_room_for_are_in_the_next_one(
    store: Store, engine: Engine
) -> None:
    store.waits, store.events, store.page = [wait(1), wait(2), wait(3)], ["1", "2", "3"], 1
    engine.correlation.began(store.waits)
    assert sorted(await engine.settle()) == ["i1", "i2", "i3"]


async def test_an_event_that_comes_while_its_wait_is_looked_up_is_found_by_the_cursor(
    store: Store, engine: Engine
) -> None:
    def publish() -> None:
        store.events.append("1")
        engine.correlation.fed()

    store.waits, store.meanwhile = [wait(1)], {"topic_matches_of": publish}
    engine.correlation.began(store.waits)
    assert await engine.settle() == ["i1"]


async def test_who_waits_first_after_nobody_did_is_found_by_what_is_published_then(
    store: Store, engine: Engine
) -> None:
    """Where the last one has stopped says nothing to who comes after a pause."""
    store.waits = [wait(1)]
    engine.correlation.began(store.waits)
    await engine.settle()
    engine.correlation.began([TopicWaitRow(1, 3, 0, None)])
    store.waits, store.asked = [wait(2)], []
    engine.correlation.began(store.waits)
    await engine.settle()
    assert store.asked == ["last_position", "topic_matches_of"]


@pytest.mark.parametrize(
    "over", [TopicWaitRow(1, 3, 0, None), TopicWaitRow(1, ALL_TOPIC_WAITS, 0, None)]
)
async def test_a_wait_that_is_over_while_its_partition_is_read_does_not_come_back(
    store: Store, engine: Engine, over: TopicWaitRow
) -> None:
    store.waits = [wait(1), wait(2)]
    store.meanwhile = {"topic_waits": lambda: engine.correlation.began([over])}
    engine.correlation.owned(0)
    await engine.settle()
    assert engine.correlation.waits == 1


async def test_one_owner_waits_of_a_partition_that_goes_while_it_is_read_do_not_come_in(
    store: Store, engine: Engine
) -> None:
    store.waits = [wait(1), wait(2, partition=1)]
    store.meanwhile = {"topic_waits": lambda: engine.correlation.dropped(1)}
    engine.correlation.owned(0)
    engine.correlation.owned(1)
    await engine.settle()
    assert engine.correlation.waits == 1


async def test_a_wait_that_goes_on_while_it_is_looked_up_is_told_by_the_next_look(
    store: Store, engine: Engine
) -> None:
    """What was found before went to another wait of its instance, say."""

    def go_on() -> None:
        store.waits = [wait(1, after=1)]
        engine.correlation.began(store.waits)

    store.waits, store.events = [wait(1)], ["1", "1"]
    store.meanwhile = {"topic_matches_of": go_on}
    engine.correlation.began(store.waits)
    assert await engine.settle() == ["i1"]
    assert engine.events == ["e2"]
