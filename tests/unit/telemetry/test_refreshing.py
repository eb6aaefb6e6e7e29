"""Questions to a store for people who look: few, and nobody hangs on them."""

import asyncio

from tenuto.model.errors import StorageUnavailableError
from tenuto.telemetry.refreshing import Refreshing


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
    refreshing = Refreshing(store.ask, 60, "asks")
    await asyncio.gather(*(refreshing.refresh() for _ in range(100)))
    await refreshing.refresh()
    assert store.asked == 1


async def test_what_takes_long_is_asked_seldom() -> None:
    store = Store(0.05)
    refreshing = Refreshing(store.ask, 0, "asks")
    await refreshing.refresh()
    await refreshing.refresh()
    assert store.asked == 1


async def test_a_store_that_is_away_is_asked_again_later() -> None:
    store = Store()
    store.is_away = True
    refreshing = Refreshing(store.ask, 0, "asks")
    await refreshing.refresh()
    await refreshing.refresh()
    assert store.asked >= 1
