"""Questions to a store for people who look: few, and nobody hangs on them."""

import asyncio
import gc

import pytest

from tenuto.engine.asking import Asking
from tenuto.model.errors import StorageUnavailableError


class Store:
    def __init__(self, seconds: float = 0.0) -> None:
        self.asked = 0
        self.seconds = seconds
        self.is_away = False

    async def ask(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.is_away:
            raise StorageUnavailableError("away")


async def test_many_who_look_at_once_cost_one_question() -> None:
    store = Store(0.01)
    asking = Asking(store.ask)
    await asyncio.gather(*(asking.within(1, fresh_seconds=60) for _ in range(100)))
    await asking.within(1, fresh_seconds=60)
    assert store.asked == 1


async def test_what_takes_long_is_asked_seldom() -> None:
    store = Store(0.05)
    asking = Asking(store.ask)
    await asking.within(1, fresh_seconds=0.001)
    await asyncio.sleep(0.01)  # no longer fresh
    await asking.within(1, fresh_seconds=0.001)
    assert store.asked == 1
    await asking.within(1)
    assert store.asked == 2, "who must know is not kept from asking"


async def test_a_store_that_is_away_is_asked_again_later() -> None:
    store = Store()
    store.is_away = True
    asking = Asking(store.ask)
    for _ in range(2):
        with pytest.raises(StorageUnavailableError):
            await asking.within(1)
    assert store.asked == 2


async def test_nobody_waits_longer_than_a_moment() -> None:
    store = Store(0.3)
    asking = Asking(store.ask)
    await asking.within(0.01)
    await asking.within(0.01)
    assert store.asked == 1
    assert 0 < asking.open_seconds < 0.3
    await asking.within(1)
    assert asking.open_seconds == 0


async def test_nobody_complains_of_a_failure_that_nobody_waited_for() -> None:
    store = Store(0.03)
    store.is_away = True
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what["message"]))
    asking = Asking(store.ask)
    await asking.within(0.001)  # nobody has the time to hear how it ends
    await asyncio.sleep(0.06)
    gc.collect()
    assert asking.open_seconds == 0
    assert said == []
