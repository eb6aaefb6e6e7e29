"""What programs of Durable Functions in processes of their own ask their host: the RPC mount.

The packages' clients call these routes, not people. They are those of the management API, with what
the clients cannot do without: every body is JSON or empty, whatever the status; a client that knows
no pages gets all instances at once; a restart answers with nothing but the id; what cannot be
purged is not there.

The mount is for the processes of this host alone. Its address holds a token that is made anew at
each start and given to nobody but them; where that is missing or wrong, there is nothing.
"""

import hmac
from typing import Final

from msgspec import structs
from starlette.responses import Response

from tenuto.client.wire import CONTINUATION
from tenuto.http.durable_functions.routes import ManagementApi
from tenuto.http.errors import RouteNotFoundError
from tenuto.http.routing import Call, Route, Routes, json_answer
from tenuto.model.errors import InstanceStateError
from tenuto.model.status import FINISHED

MOUNT: Final = "/durabletask"
_PAGING_CLIENT: Final = "axios/"
"""How the client for JavaScript names itself. It follows pages; the one for Python does not."""


def rpc_base_url(origin: str, token: str) -> str:
    """Where the mount is; the slash at the end is needed, as clients put paths behind it.

    Args:
        origin: Scheme, host, port and prefix at which the processes reach their host.
        token: Opens it.
    """
    return f"{origin}{MOUNT}/{token}/"


class WorkerCalls:
    """The routes of the mount.

    Args:
        management: The same routes for everybody.
        token: Stands in the path; without one there is no mount.
    """

    def __init__(self, management: ManagementApi, token: str) -> None:
        self._management = management
        self._token = token.encode()
        own = {
            ("GET", "/instances"): self._list,
            ("POST", "/instances/{instanceId}/restart"): self._restart,
            ("POST", "/instances/{instanceId}/rewind"): self._rewind,
            ("DELETE", "/instances/{instanceId}"): self._purge,
            ("DELETE", "/instances"): self._purge_many,
        }
        self._routes = Routes(
            structs.replace(
                route,
                path=f"{MOUNT}{route.path}",
                handler=own.get((route.method, route.path), route.handler),
            )
            for route in management.parts()
        )

    def find(self, method: str, raw_path: bytes) -> tuple[Route, dict[str, str]] | None:
        """The route of a request, and what its parameters stand for; None outside of the mount.

        Raises:
            RouteNotFoundError: its token is not that of the mount, or there is nothing of the kind.
            MethodNotAllowedError: there is, but it answers other methods.
            HttpError: the path is not UTF-8.
        """
        _, _, below = raw_path.partition(b"/")
        mount, _, below = below.partition(b"/")
        token, _, below = below.partition(b"/")
        if mount.lower() != MOUNT[1:].encode():
            return None
        if not self._token or not hmac.compare_digest(token, self._token):
            raise RouteNotFoundError(f"there is nothing at {MOUNT}/...")
        return self._routes.find(method, f"{MOUNT}/".encode() + below)

    async def _list(self, call: Call) -> Response:
        pages = (call.header("user-agent") or "").startswith(_PAGING_CLIENT)
        if pages or call.header(CONTINUATION) or call.one("top"):
            return await self._management.asking.list_instances(call)
        return await self._management.asking.list_all(call)

    async def _restart(self, call: Call) -> Response:
        instance_id = call.instance_id
        is_new = call.flag("restartWithNewInstanceId", default=True)
        begun = await self._management.starting.run_again(instance_id, new_instance_id=is_new)
        return json_answer(begun, 202)

    async def _rewind(self, _call: Call) -> Response:
        # A text alone: both clients take it for the message of what they raise.
        return json_answer("to rewind an instance: this server cannot do that yet", 501)

    async def _purge(self, call: Call) -> Response:
        try:
            return await self._management.steering.purge(call)
        except InstanceStateError as error:
            raise RouteNotFoundError(str(error)) from None

    async def _purge_many(self, call: Call) -> Response:
        query = self._management.steering.purge_query(call)
        wanted = FINISHED if query.statuses is None else FINISHED.intersection(query.statuses)
        ended = structs.replace(query, statuses=tuple(sorted(wanted)))
        return await self._management.steering.purge_all(ended, force=False)
