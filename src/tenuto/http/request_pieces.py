"""The body of a request piece by piece, for whoever reads it as it comes.

A piece is taken from the connection when it is asked for, so that a caller sends no faster than
what it sends is read. Nothing is kept.
"""

import asyncio
from collections.abc import Callable

from starlette.types import Receive

from tenuto.http.errors import HttpError


class RequestPieces:
    """An async iterator over a body.

    Args:
        receive: The connection, as ASGI hands it in.
        asked: Called when the first piece is asked for.
    """

    def __init__(self, receive: Receive, asked: Callable[[], None]) -> None:
        self._receive = receive
        self._asked = asked
        self._is_gone = False
        self._over = asyncio.Event()

    def __aiter__(self) -> "RequestPieces":
        """Itself: a body is read once."""
        return self

    async def __anext__(self) -> bytes:
        """The next piece.

        Raises:
            HttpError: the caller went away before its request was complete.
        """
        self._asked()
        while not self._over.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._is_gone = True
                self._over.set()
                break
            if not message.get("more_body", False):
                self._over.set()
            if piece := message.get("body", b""):
                return bytes(piece)
        if self._is_gone:
            raise HttpError("the caller went away before its request was complete")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Nobody wants the rest."""
        self._over.set()

    async def until_gone(self) -> None:
        """Wait until nobody waits for the answer any more; begins when nobody reads the body."""
        await self._over.wait()
        while not self._is_gone:
            self._is_gone = (await self._receive())["type"] == "http.disconnect"
