"""Dialling a hub that answers at once although it has nothing: without hurry."""

import asyncio
from typing import Any, cast

from tenuto.link.dialling import Dialling, Line
from tenuto.link.end import LinkEnd
from tenuto.model.linking import Parcel, Place


class HastyHub:
    """A line whose other end never waits, and this end, which has nothing to send."""

    delivered = 0

    def __init__(self) -> None:
        self.asked = 0

    async def fetch(self, life: str, place: Place, most_bytes: int) -> Parcel:
        self.asked += 1
        return Parcel(life=life, after=0)

    async def bring(self, parcel: Parcel) -> Place:
        return Place(received=0)

    async def give(self, place: Place, most_bytes: int) -> Parcel:
        return Parcel(life="here", after=0)

    async def take(self, parcel: Parcel) -> Place:
        return Place(received=0)

    async def place(self) -> Place:
        return Place(received=0)

    async def heard(self, way: str) -> None: ...

    async def until_news(self) -> None:
        await asyncio.Event().wait()

    async def failed(self, way: str, problem: str) -> None: ...

    async def close(self) -> None: ...


async def test_a_hub_that_answers_at_once_is_not_asked_in_a_hurry() -> None:
    hub: Any = HastyHub()
    dialling = Dialling(cast("LinkEnd", hub), cast("Line", hub), "here", 1.0)
    dialling.start()
    await asyncio.sleep(0.5)
    await dialling.stop()
    assert 2 <= hub.asked <= 6
