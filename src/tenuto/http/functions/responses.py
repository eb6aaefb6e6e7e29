"""Answers of functions behind HTTP: what they return as a response, and two ready-made ones.

What a function returns is JSON, a ``str`` too, unless it is a ``Response`` of Starlette, which goes
out as it is. None is 204. A tuple is always ``(value, status)``.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from tenuto.client.client import Client, OrchestrationHandle
from tenuto.client.sync_client import SyncOrchestrationHandle
from tenuto.http.errors import JSON
from tenuto.http.links import Links
from tenuto.http.options import Role
from tenuto.http.outcomes import links_answer, outcome_answer
from tenuto.http.routing import Call
from tenuto.model.errors import InputError
from tenuto.model.ids import InstanceId, check_instance_id
from tenuto.model.payload import encode

CLIENT_STATE: Final = "tenuto_client"
"""``request.state.tenuto_client`` is the host's client, in handlers and in mounted apps."""

AnyHandle: TypeAlias = OrchestrationHandle[Any] | SyncOrchestrationHandle[Any]

LINKS_STATE: Final = "tenuto_links"

_STATUSES: Final = range(200, 600)
_NO_CONTENT: Final = 204
_PARTS: Final = 2


def response_of(result: object) -> Response:
    """What a function returned, as a response.

    Raises:
        PayloadError: it cannot be written as JSON.
        TypeError: it is a tuple that is no ``(value, status)``.
    """
    status = None
    if isinstance(result, tuple) and not hasattr(result, "_fields"):
        result, status = _value_and_status(result)
    if isinstance(result, Response):
        if status is not None:
            raise TypeError("a Response has its own status; return it alone")
        return result
    if result is None:
        return Response(None, _NO_CONTENT if status is None else status)
    return Response(encode(result), 200 if status is None else status, media_type=JSON)


def _value_and_status(result: tuple[Any, ...]) -> tuple[Any, int]:
    if len(result) == _PARTS and type(result[1]) is int and result[1] in _STATUSES:
        return result[0], result[1]
    raise TypeError(
        f"a tuple means (value, status) with a status from 200 to 599, got {len(result)} items; "
        "return a list for a JSON array"
    )


def check_status_response(request: Request, instance: AnyHandle | str) -> Response:
    """The answer 202 with links to ask and steer an instance, as Durable Functions gives it.

    Args:
        request: The one that is answered: of a function behind HTTP, of an app mounted with
            ``app.mount``, or of an app around Tenuto whose lifespan is that of ``app.asgi()``.
        instance: The handle, or the instance id.

    Raises:
        InputError: the request does not come from a server that knows its own address, such as
            in a program that holds a client of ``Client.open``.

    Example:
        ::

            @app.http("POST", "/trips")
            async def book(request: Request, trip: Trip, client: Client) -> Response:
                return check_status_response(request, await client.start(book_trip, trip))
    """
    instance_id = check_instance_id(_id_of(instance))
    return links_answer(_links(request, instance_id))


async def wait_or_check_status_response(
    request: Request,
    instance: AnyHandle | str,
    timeout: timedelta = timedelta(seconds=10),
) -> Response:
    """The instance's result when it ends in time, else what ``check_status_response`` gives.

    Answers 200 with the output when the instance completes, 200 with its status when it is
    terminated, 500 with its status when it fails.

    Args:
        request: As for ``check_status_response``.
        instance: The handle, or the instance id.
        timeout: How long to wait.

    Raises:
        InputError: as for ``check_status_response``, or the timeout is negative.
        InstanceNotFoundError: there is no such instance.

    Example:
        ``return await wait_or_check_status_response(request, handle, timedelta(seconds=5))``
    """
    if timeout < timedelta(0):
        raise InputError(f"timeout must be at least zero, got {timeout!r}")
    instance_id = check_instance_id(_id_of(instance))
    later = check_status_response(request, instance_id)
    client: Client = _state(request)[CLIENT_STATE]
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            record = await client.gateway.wait(instance_id)
    except TimeoutError:
        return later
    return outcome_answer(record, failed=500)


def _id_of(instance: object) -> str:
    if isinstance(instance, OrchestrationHandle | SyncOrchestrationHandle):
        return instance.instance_id
    if isinstance(instance, str):
        return instance
    raise InputError(f"give an orchestration's handle or its instance id, got {instance!r}")


def _state(request: Request) -> Mapping[str, Any]:
    if not isinstance(request, Request):
        raise InputError(f"give the request that is answered first, got {request!r}")
    state: Mapping[str, Any] = request.scope.get("state", {})
    if LINKS_STATE not in state:
        raise InputError(
            "this request does not come from a Tenuto server, so there are no addresses to link "
            "to; use functions of `@app.http`, `app.mount`, or `FastAPI(lifespan=...)` with the "
            "lifespan of `app.asgi()`"
        )
    return state


def _links(request: Request, instance_id: InstanceId) -> dict[str, str]:
    links: Links = _state(request)[LINKS_STATE]
    call = Call(request.scope, request.receive, 0)
    # Whoever may start it may steer it; never more.
    call.role = Role.OPERATE
    return links.of(call).management(instance_id)
