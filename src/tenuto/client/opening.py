"""A client of one's own on a store, in a process that owns nothing.

Owns the connection behind such a client: it is opened with the client and closed with it. Must
never create a store: a wrong URL is refused.
"""

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from tenuto.client.store_gateway import StoreGateway
from tenuto.storage import open_storage, owner_of

C = TypeVar("C")


class Opening(Generic[C]):
    """A client that is being opened: ``await`` it, or enter it with ``async with``."""

    def __init__(self, url: str, make: Callable[[StoreGateway], C]) -> None:
        self._url = url
        self._make = make
        self._gateway: StoreGateway | None = None

    def __await__(self) -> Generator[Any, None, C]:
        return self._open().__await__()

    async def __aenter__(self) -> C:
        return await self._open()

    async def __aexit__(self, *_error: object) -> None:
        if self._gateway is not None:
            await self._gateway.close()

    async def _open(self) -> C:
        storage = open_storage(self._url, create=False)
        hub = await storage.open()
        self._gateway = StoreGateway(
            storage, hub.partitions, lambda: owner_of(self._url) is not None
        )
        return self._make(self._gateway)
