"""One look at the store for all who wait."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tenuto.engine import store_watch
from tenuto.engine.ports import Standing
from tenuto.engine.rows import Answer
from tenuto.engine.store_watch import StoreWatch
from tenuto.model.errors import StorageError, StorageUnavailableError
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.status import InstanceRecord
from tests.support.waiting import until

ONE = InstanceId("one")


def standing(turns: int) -> Standing:
    record = InstanceRecord(
        iid=1,
        instance_id=ONE,
        partition=0,
        name="x",
        execution_id=ExecutionId("e"),
        created_at=1,
        root_id=ONE,
    )
    return Standing(record, turns)


class Store:
    """A store that says what it is told to."""

    def __init__(self) -> None:
        self.turns: int | None = 0
        self.asked: list[list[str]] = []
        self.answered: list[Answer] = []
        self.error: StorageError | None = None
        self.seconds = 0.0
        self.told: list[Callable[[], None]] = []

    async def standings(self, instance_ids: Sequence[InstanceId]) -> list[Standing]:
        self.asked.append(list(instance_ids))
        turns, error = self.turns, self.error
        await asyncio.sleep(self.seconds)
        if error is not None:
            raise error
        return [] if turns is None else [standing(turns)]

    async def answers(self, message_ids: Sequence[MessageId]) -> list[Answer]:
        self.asked.append(list(message_ids))
        return [one for one in self.answered if one.message_id in message_ids]

    def on_change(self, callback: Callable[[], None]) -> None:
        self.told.append(callback)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def watch(store: Store) -> StoreWatch:
    return StoreWatch(store)


def has_turns(count: int) -> Callable[[Standing | None], bool]:
    return lambda one: one is not None and one.turns >= count


async def test_who_waits_hears_as_soon_as_the_store_says_that_something_was_written(
    store: Store, watch: StoreWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_watch, "_MOST_SECONDS", 60.0)
    waiting = asyncio.create_task(watch.until(ONE, has_turns(1)))
    await until(lambda: len(store.asked) > 1)
    watch._stirred_at = -1_000.0  # nothing has happened for long
    await asyncio.sleep(0.05)
    store.turns = 1
    store.told[0]()
    async with asyncio.timeout(2):
        found = await waiting
    assert found == standing(1)
    assert watch.waiting == 0


async def test_nothing_is_asked_while_nobody_waits(store: Store, watch: StoreWatch) -> None:
    await watch.until(ONE, has_turns(0))
    await until(lambda: watch._task is None)
    asked = len(store.asked)
    store.told[0]()
    await asyncio.sleep(0.02)
    assert len(store.asked) == asked


async def test_a_store_that_takes_long_is_asked_less_often(store: Store, watch: StoreWatch) -> None:
    store.seconds = 0.02
    waiting = asyncio.create_task(watch.until(ONE, has_turns(1)))
    end = asyncio.get_running_loop().time() + 0.5
    while asyncio.get_running_loop().time() < end:
        watch.stir()
        await asyncio.sleep(0.001)
    assert len(store.asked) <= 7  # of half a second a fifth
    waiting.cancel()


async def test_a_look_that_had_begun_is_not_for_who_comes_meanwhile(
    store: Store, watch: StoreWatch
) -> None:
    store.seconds, store.turns = 0.02, None
    first = asyncio.create_task(watch.until(ONE, lambda one: one is None))
    await until(lambda: bool(store.asked))
    store.turns = 3
    second = asyncio.create_task(watch.until(ONE, lambda _: True))
    assert await first is None
    assert await second == standing(3)


async def test_an_answer_comes_or_the_time_is_up(store: Store, watch: StoreWatch) -> None:
    key = MessageId("m")
    assert await watch.answer(key, 0.01) is None
    waiting = asyncio.create_task(watch.answer(key, 5.0))
    await asyncio.sleep(0.01)
    store.answered.append(Answer(key, "TN-1"))
    store.told[0]()
    assert await waiting == Answer(key, "TN-1")
    assert watch.waiting == 0


async def test_a_store_that_is_away_for_a_moment_is_waited_for(
    store: Store, watch: StoreWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_watch, "_AWAY_SECONDS", 0.01)
    store.error = StorageUnavailableError("away")
    waiting = asyncio.create_task(watch.until(ONE, has_turns(1)))
    await until(lambda: len(store.asked) > 2)
    store.error, store.turns = None, 1
    assert await waiting == standing(1)


@pytest.mark.parametrize(
    ("error", "patience"), [(StorageUnavailableError("away"), 0.02), (StorageError("bad"), 30.0)]
)
async def test_a_store_that_stays_away_is_told_to_all_who_wait(
    store: Store,
    watch: StoreWatch,
    monkeypatch: pytest.MonkeyPatch,
    error: StorageError,
    patience: float,
) -> None:
    monkeypatch.setattr(store_watch, "_AWAY_SECONDS", 0.01)
    monkeypatch.setattr(store_watch, "_PATIENCE_SECONDS", patience)
    store.error = error
    waiting = asyncio.create_task(watch.until(ONE, has_turns(1)))
    asking = asyncio.create_task(watch.answer(MessageId("m"), 5.0))
    for task in (waiting, asking):
        with pytest.raises(StorageError) as caught:
            await task
        assert caught.value is error
    assert watch.waiting == 0


async def test_a_bug_of_who_follows_is_told_to_the_others(
    store: Store, watch: StoreWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_standing: Standing | None) -> bool:
        raise ValueError("a bug")

    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    waiting = asyncio.create_task(watch.until(ONE, has_turns(1)))
    breaking = asyncio.create_task(watch.until(ONE, breaks))
    for task in (waiting, breaking):
        with pytest.raises(StorageError, match="a bug"):
            await task


async def test_whoever_waits_hears_that_it_is_over(store: Store, watch: StoreWatch) -> None:
    waiting = asyncio.create_task(watch.until(ONE, has_turns(1)))
    await until(lambda: bool(store.asked))
    gone = StorageError("gone")
    watch.close(gone)
    for task in (waiting, watch.until(ONE, has_turns(1)), watch.answer(MessageId("m"), 1.0)):
        with pytest.raises(StorageError) as caught:
            await task
        assert caught.value is gone


async def test_others_hear_of_changes_as_long_as_they_want(store: Store, watch: StoreWatch) -> None:
    heard: list[int] = []

    def hear() -> None:
        heard.append(1)

    watch.on_change(hear)
    store.told[0]()
    watch.forget(hear)
    watch.forget(hear)
    store.told[0]()
    assert len(heard) == len(store.told) == 1
