"""Starting instances over the management API, and starting them again."""

from collections.abc import Iterator
from typing import Any, Final

from starlette.responses import Response

from tenuto.client.client import Client
from tenuto.client.starting import StartOptions, start_request
from tenuto.engine.program import Program
from tenuto.http.description import Operation, Parameter
from tenuto.http.durable_functions.answers import LINKS, RESULT, begun_answer
from tenuto.http.errors import HttpError
from tenuto.http.links import Links
from tenuto.http.options import Role
from tenuto.http.payloads import MOUNT
from tenuto.http.queries import BOOLEAN, FAILURE, INSTANCE_ID, WAITING
from tenuto.http.routing import Call, Route
from tenuto.http.waiting import LONGEST_SECONDS, Waiting
from tenuto.model.ids import InstanceId, check_instance_id

_ANSWERS: Final = {200: RESULT, 202: LINKS}


_NO_INPUT: Final = '""'
"""What Durable Functions' client for JavaScript sends when it was given no input."""


class Starting:
    """Start and restart.

    Args:
        client: Where requests go.
        program: The orchestrators that may be started.
        links: Makes the links in answers.
        waiting: For callers that wait for the end.
    """

    def __init__(self, client: Client, program: Program, links: Links, waiting: Waiting) -> None:
        self._client = client
        self._program = program
        self._links = links
        self._waiting = waiting

    def routes(self) -> Iterator[Route]:
        """Both of them."""
        yield Route(
            method="POST",
            path=f"{MOUNT}/orchestrators/{{functionName}}/{{instanceId?}}",
            role=Role.OPERATE,
            handler=self._start,
            summary="Start an orchestration",
            hides_methods=True,
            operation=Operation(
                tag="instances",
                path_schemas={"functionName": self._names(), "instanceId": INSTANCE_ID},
                parameters=(
                    *WAITING,
                    FAILURE,
                    Parameter(name="version", text="Marks the instance with a version."),
                ),
                body=object,
                answers=_ANSWERS,
                errors=(409, 413),
            ),
        )
        yield Route(
            method="POST",
            path=f"{MOUNT}/instances/{{instanceId}}/restart",
            role=Role.OPERATE,
            handler=self._restart,
            summary="Run an instance again with the same name and input",
            opened_by_link=True,
            hides_methods=True,
            operation=Operation(
                tag="instances",
                path_schemas={"instanceId": INSTANCE_ID},
                parameters=(
                    Parameter(
                        name="restartWithNewInstanceId",
                        text="Under a fresh id (default), or under its own once it has ended.",
                        schema=BOOLEAN,
                    ),
                    *WAITING,
                    FAILURE,
                ),
                answers=_ANSWERS,
                errors=(409, 413),
            ),
        )

    def _names(self) -> dict[str, Any]:
        names = sorted(self._program.orchestrators)
        return {"type": "string", "enum": names} if names else {}

    async def _start(self, call: Call) -> Response:
        orchestrator = self._program.get_orchestrator(call.parameters["functionName"])
        given_id = call.parameters.get("instanceId")
        if given_id is not None:
            check_instance_id(given_id)
        seconds = _seconds(call)
        self._links.base(call)  # a request without an address is refused before anything is done
        text = await call.json_text()
        if text == _NO_INPUT and not orchestrator.signature.takes_input:
            text = None
        options = StartOptions(instance_id=given_id, version=call.one("version") or None)
        request = start_request(
            orchestrator, text, self._client.gateway.now(), self._client.limits, options
        )
        self._program.check_input(orchestrator.name, text)
        await self._client.gateway.start(request)
        return await begun_answer(call, self._links, self._waiting, request.instance_id, seconds)

    async def _restart(self, call: Call) -> Response:
        instance_id = check_instance_id(call.parameters["instanceId"])
        is_new = call.flag("restartWithNewInstanceId", default=True)
        seconds = _seconds(call)
        self._links.base(call)
        await call.body()
        record = await self._client.gateway.get(instance_id)
        if record is None:
            # Not 404: as Durable Functions has it, of this operation alone.
            raise HttpError(f"instance {instance_id!r} does not exist, so it cannot be restarted")
        self._program.get_orchestrator(record.name)
        handle = await self._client.restart(instance_id, new_instance_id=is_new)
        begun = InstanceId(handle.instance_id)
        return await begun_answer(call, self._links, self._waiting, begun, seconds)


def _seconds(call: Call) -> float | None:
    """How long the caller wants to wait for the end."""
    call.number("pollingInterval", most=LONGEST_SECONDS)
    call.flag("returnInternalServerErrorOnFailure", default=False)
    return call.number("timeout", most=LONGEST_SECONDS)
