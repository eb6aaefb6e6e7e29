"""Starting instances over the management API, and starting them again."""

from collections.abc import Iterable
from typing import Final

from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.starting import StartOptions, restart_request, start_request
from tenuto.engine.program import Orchestrator, Program
from tenuto.http.description import Operation, Parameter
from tenuto.http.durable_functions.answers import LINKS, RESULT, begun_answer, failed_status
from tenuto.http.errors import ForbiddenError, HttpError
from tenuto.http.explaining import Explaining
from tenuto.http.links import Links
from tenuto.http.options import Role
from tenuto.http.queries import BOOLEAN, FAILURE, ON_INSTANCE, WAITING
from tenuto.http.routing import Call, Endpoint, Route, bound
from tenuto.http.waiting import LONGEST_SECONDS, Waiting
from tenuto.model.errors import InstanceNotFoundError, PayloadError
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits

_NO_INPUT: Final = '""'
"""What Durable Functions' client for JavaScript sends when it was given no input."""


class Starting:
    """Start and restart.

    Args:
        gateway: Where requests go.
        limits: Of these, ``payload_bytes`` holds for what goes in.
        program: The orchestrators that may be started.
        links: Makes the links in answers.
        waiting: For callers that wait for the end.
        explaining: Knows what other hosts of the hub have.
    """

    def __init__(
        self,
        gateway: Gateway,
        limits: Limits,
        program: Program,
        links: Links,
        waiting: Waiting,
        explaining: Explaining,
    ) -> None:
        self._gateway = gateway
        self._limits = limits
        self._program = program
        self._links = links
        self._waiting = waiting
        self._explaining = explaining

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module; it names what may be started."""
        return bound(_endpoints(self._program.orchestrators), self)

    async def start(self, call: Call) -> Response:
        name = call.parameters["functionName"]
        orchestrator = await self._explaining.orchestrator(name, self._program)
        given_id = call.instance_id if "instanceId" in call.parameters else None
        seconds = _seconds(call)
        links = self._links.of(call)  # without an address it is refused before anything is done
        text = await call.json_text()
        if text == _NO_INPUT and (orchestrator is None or self._means_none(orchestrator)):
            text = None
        options = StartOptions(
            instance_id=given_id, version=call.one("version") or None, trace=call.trace
        )
        what = name if orchestrator is None else orchestrator
        request = start_request(what, text, self._gateway.now(), self._limits, options)
        if orchestrator is not None:
            self._program.check_input(orchestrator.name, text)
        await self._gateway.start(request)
        return await begun_answer(call, links, self._waiting, request.instance_id, seconds)

    def _means_none(self, orchestrator: Orchestrator) -> bool:
        """Whether an empty text stands for no input: it cannot be a text, and may be nothing."""
        if not orchestrator.signature.takes_input:
            return True
        return not self._takes(orchestrator, _NO_INPUT) and self._takes(orchestrator, None)

    def _takes(self, orchestrator: Orchestrator, text: str | None) -> bool:
        try:
            self._program.check_input(orchestrator.name, text)
        except PayloadError:
            return False
        return True

    async def restart(self, call: Call) -> Response:
        instance_id = call.instance_id
        is_new = call.flag("restartWithNewInstanceId", default=call.token is None)
        if is_new and call.token is not None:
            # Else whoever holds a link could fill the store.
            raise ForbiddenError(
                "a link runs its own instance again, under the same id: leave out "
                "restartWithNewInstanceId, or come with a key"
            )
        seconds = _seconds(call)
        links = self._links.of(call)
        await call.body()
        try:
            begun = await self.run_again(instance_id, new_instance_id=is_new)
        except InstanceNotFoundError as error:
            # Not 404: as Durable Functions has it, of this operation alone.
            raise HttpError(f"{error}, so it cannot be restarted") from None
        return await begun_answer(call, links, self._waiting, begun, seconds)

    async def run_again(self, instance_id: InstanceId, *, new_instance_id: bool) -> InstanceId:
        """Start an instance again, with the same name and input; the id it runs under.

        Raises:
            InstanceNotFoundError: there is no such instance.
            UnknownFunctionError: its orchestrator is not served any more.
            InstanceExistsError: it has not ended, and no fresh id is wanted.
        """
        record = await self._gateway.get(instance_id)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        self._program.get_orchestrator(record.name)
        request = restart_request(record, self._gateway.now(), new_instance_id=new_instance_id)
        await self._gateway.start(request)
        return request.instance_id


def _seconds(call: Call) -> float | None:
    """How long the caller wants to wait for the end."""
    call.number("pollingInterval", most=LONGEST_SECONDS)
    failed_status(call)
    return call.number("timeout", most=LONGEST_SECONDS)


# --- the table of routes, below the mount ---------------------------------------------------------

_ANSWERS: Final = {200: RESULT, 202: LINKS}


def _start(orchestrators: Iterable[str]) -> Operation:
    names = sorted(orchestrators)
    return Operation(
        summary="Start an orchestration",
        tag="instances",
        path_schemas={
            **ON_INSTANCE,
            "functionName": {"type": "string", "enum": names} if names else {},
        },
        parameters=(
            *WAITING,
            FAILURE,
            Parameter(
                name="version",
                text="The version of the new instance; by default that of its function.",
            ),
        ),
        body=object,
        answers=_ANSWERS,
        errors=(409, 413),
    )


_RESTART: Final = Operation(
    summary="Run an instance again with the same name and input",
    tag="instances",
    path_schemas=ON_INSTANCE,
    parameters=(
        Parameter(
            name="restartWithNewInstanceId",
            text="Whether the instance runs under a fresh id (default true, with a link false and "
            "nothing else); under its own it runs only once it has ended or while it is held.",
            schema=BOOLEAN,
        ),
        *WAITING,
        FAILURE,
    ),
    answers=_ANSWERS,
    errors=(409, 413),
)


_START_PATH: Final = "/orchestrators/{functionName}/{instanceId?}"
_RESTART_PATH: Final = "/instances/{instanceId}/restart"


def _endpoints(orchestrators: Iterable[str]) -> tuple[Endpoint[Starting], ...]:
    return (
        Endpoint("POST", _START_PATH, Role.OPERATE, Starting.start, _start(orchestrators)),
        Endpoint("POST", _RESTART_PATH, Role.OPERATE, Starting.restart, _RESTART),
    )
