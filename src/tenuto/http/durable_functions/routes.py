"""The management API of Durable Functions: start, ask and steer instances.

Paths, payloads and status codes follow the HTTP API reference of Durable Functions; where the
original answers 500 for a state that does not fit, this answers 409.
"""

from collections.abc import Iterator
from typing import Final

from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.engine.program import Program
from tenuto.http.description import Operation
from tenuto.http.durable_functions.asking import Asking
from tenuto.http.durable_functions.starting import Starting
from tenuto.http.durable_functions.steering import Steering
from tenuto.http.errors import NotImplementedYetError
from tenuto.http.links import Links
from tenuto.http.options import Role
from tenuto.http.payloads import MOUNT
from tenuto.http.queries import INSTANCE_ID
from tenuto.http.routing import Call, Route
from tenuto.http.waiting import Waiting
from tenuto.model.limits import Limits

_MISSING: Final = (
    ("POST", "instances/{instanceId}/rewind", Role.OPERATE, "Rewind a failed instance"),
    ("GET", "entities/{name?}", Role.READ, "A page of entities"),
    ("GET", "entities/{name}/{key}", Role.READ, "The state of an entity"),
    ("POST", "entities/{name}/{key}", Role.OPERATE, "Signal an entity"),
    ("DELETE", "entities/{name}/{key}", Role.ADMIN, "Delete an entity"),
    ("POST", "makeprimary", Role.ADMIN, "Make this app the primary one"),
)


class ManagementApi:
    """The routes under ``/runtime/webhooks/durabletask``.

    Args:
        gateway: Where requests go.
        limits: Of these, ``payload_bytes`` holds for what goes in.
        program: The orchestrators that may be started.
        links: Makes the links in answers.
        waiting: For callers that wait for the end.
        history_bytes: Longest history that is shown.
    """

    def __init__(
        self,
        gateway: Gateway,
        limits: Limits,
        program: Program,
        links: Links,
        waiting: Waiting,
        history_bytes: int,
    ) -> None:
        self._parts = (
            Starting(gateway, limits, program, links, waiting),
            Asking(gateway, links, history_bytes),
            Steering(gateway, limits),
        )

    def routes(self) -> Iterator[Route]:
        """All of them."""
        for part in self._parts:
            yield from part.routes()
        for method, path, role, summary in _MISSING:
            yield Route(
                method=method,
                path=f"{MOUNT}/{path}",
                role=role,
                handler=_missing,
                summary=f"{summary} (does not exist yet)",
                opened_by_link=path.startswith("instances"),
                hides_methods=True,
                operation=Operation(
                    tag="not yet", path_schemas={"instanceId": INSTANCE_ID}, errors=(501,)
                ),
            )


async def _missing(call: Call) -> Response:
    raise NotImplementedYetError(
        f"{call.scope['method']} {call.scope['path']} is not implemented yet"
    )
