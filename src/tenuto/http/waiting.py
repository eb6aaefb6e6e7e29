"""Waiting for an instance's end on behalf of a caller, who may go away, as may the server."""

import asyncio

from tenuto.client.gateway import Gateway
from tenuto.http.routing import Call
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord

LONGEST_SECONDS = 600
"""The longest wait of one request."""


class Waiting:
    """Those who wait on this server.

    Args:
        gateway: Where ends are heard of.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Answer all of them: the server stops."""
        self._closing.set()

    async def until(
        self, call: Call, instance_id: InstanceId, seconds: float, *, started: bool = False
    ) -> InstanceRecord | None:
        """The instance's row once it has ended, the time is up, or nobody waits any more.

        Args:
            call: The request, its body read.
            instance_id: Whose end.
            seconds: The longest wait.
            started: Wait only until it has begun.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        ended = asyncio.ensure_future(self._gateway.wait(instance_id, started=started))
        others = [
            asyncio.ensure_future(call.until_gone()),
            asyncio.ensure_future(self._closing.wait()),
        ]
        try:
            await asyncio.wait(
                [ended, *others], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if ended.done():
                return ended.result()
        finally:
            for one in (ended, *others):
                one.cancel()
        return await self._gateway.get(instance_id)
