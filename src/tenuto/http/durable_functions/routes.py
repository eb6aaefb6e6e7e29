"""The management API of Durable Functions: start, ask and steer instances.

Paths, payloads and status codes follow the HTTP API reference of Durable Functions; where the
original answers 500 for a state that does not fit, this answers 409.
"""

from functools import partial
from typing import Final

from msgspec import structs
from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.engine.program import Program
from tenuto.http.description import Operation, Parameter
from tenuto.http.durable_functions.asking import Asking
from tenuto.http.durable_functions.starting import Starting
from tenuto.http.durable_functions.steering import Steering
from tenuto.http.errors import NotImplementedYetError
from tenuto.http.explaining import Explaining
from tenuto.http.links import Links
from tenuto.http.options import HttpSettings, Role
from tenuto.http.payloads import MOUNT
from tenuto.http.queries import ON_INSTANCE
from tenuto.http.routing import Call, Route
from tenuto.http.waiting import Waiting
from tenuto.model.limits import Limits


class ManagementApi:
    """The routes under ``/runtime/webhooks/durabletask``.

    Args:
        gateway: Where requests go.
        limits: Of these, ``payload_bytes`` holds for what goes in.
        program: The orchestrators that may be started.
        links: Makes the links in answers.
        waiting: For callers that wait for the end.
        settings: How long histories and pages may be.
        explaining: Why an instance does not go on.
    """

    def __init__(
        self,
        gateway: Gateway,
        limits: Limits,
        program: Program,
        links: Links,
        waiting: Waiting,
        settings: HttpSettings,
        explaining: Explaining,
    ) -> None:
        self.starting: Starting = Starting(gateway, limits, program, links, waiting, explaining)
        self.asking: Asking = Asking(gateway, links, settings, explaining)
        self.steering: Steering = Steering(gateway, limits)

    def routes(self) -> list[Route]:
        """The routes of all parts, as Durable Functions has them."""
        return [_mounted(route) for route in self.parts()]

    def parts(self) -> list[Route]:
        """The same, before they are mounted."""
        return [
            *self.starting.routes(),
            *self.asking.routes(),
            *self.steering.routes(),
            *_NOT_YET,
        ]


def _mounted(route: Route) -> Route:
    """A route below the mount.

    A link to an instance opens all that stands below the instance's path, the system key all that
    it may do. A wrong method is "nothing there".
    """
    return structs.replace(
        route,
        path=f"{MOUNT}{route.path}",
        opened_by_link=route.path.startswith("/instances/{instanceId}"),
        opened_by_system_key=True,
        hides_methods=True,
    )


# --- what does not exist yet ----------------------------------------------------------------------


async def _refuse(_call: Call, summary: str) -> Response:
    raise NotImplementedYetError(
        f"{summary[:1].lower()}{summary[1:]}: this server cannot do that yet"
    )


def _not_yet(method: str, path: str, role: Role, summary: str, *parameters: str) -> Route:
    operation = Operation(
        summary=f"{summary} (does not exist yet)",
        tag="not yet",
        path_schemas=ON_INSTANCE,
        parameters=tuple(Parameter(name=one, text="As in the original.") for one in parameters),
        errors=(501,),
    )
    return Route(
        method=method,
        path=path,
        role=role,
        handler=partial(_refuse, summary=summary),
        operation=operation,
    )


_NOT_YET: Final = (
    _not_yet(
        "POST",
        "/instances/{instanceId}/rewind",
        Role.OPERATE,
        "Rewind a failed instance",
        "reason",
    ),
    _not_yet("GET", "/entities/{name?}", Role.READ, "A page of entities"),
    _not_yet("GET", "/entities/{name}/{key}", Role.READ, "The state of an entity"),
    _not_yet("POST", "/entities/{name}/{key}", Role.OPERATE, "Signal an entity", "op"),
    _not_yet("DELETE", "/entities/{name}/{key}", Role.ADMIN, "Delete an entity"),
    _not_yet("POST", "/makeprimary", Role.ADMIN, "Make this app the primary one"),
)
