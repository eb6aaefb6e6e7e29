"""``GET /admin/hosts``: the hosts of the hub, what each has, and what nobody serves."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response

from tenuto.client.wire import ADMIN
from tenuto.http.description import Answer, Operation
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.insight.hosts import HubHosts

HostsReader = Callable[[], Awaitable[HubHosts]]
"""Reads who is there."""

PATH: Final = f"{ADMIN}/hosts"


class HostsApi:
    """Answers who serves the hub.

    Args:
        read: Reads it.
    """

    def __init__(self, read: HostsReader) -> None:
        self._read = read

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def list(self, call: Call) -> Response:
        del call
        return json_answer(await self._read())


_LIST: Final = Operation(
    summary="The hosts of the hub: what each serves, how busy it is; what nobody serves",
    tag="admin",
    answers={200: Answer(text="All hosts, whichever of them is asked.", kind=HubHosts)},
)
_ENDPOINTS: Final = (Endpoint("GET", PATH, Role.READ, HostsApi.list, _LIST),)
