"""Deliveries of topics and queues that were put aside, over HTTP: read, given back, deleted."""

from typing import Final

import msgspec
from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.messages_wire import CountBody, FailedDeliveryBody, NumbersBody
from tenuto.client.wire import ADMIN, MOST_ROWS
from tenuto.http.admin.topics import NUMBER, ROWS, limit_parameter, whole_number
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.requests import FailedQuery

_SOURCES: Final = ("topic", "queue")
_MOST_NUMBERS: Final = 10_000
_MOST_NUMBER: Final = 2**62


class FailedDeliveriesApi:
    """The routes of what was put aside.

    Args:
        gateway: Where requests go.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def failed(self, call: Call) -> Response:
        source = call.one("source") or None
        if source not in {None, *_SOURCES}:
            raise HttpError(f"query parameter source must be topic or queue, got {source!r}")
        query = FailedQuery(
            source=source,
            name=call.one("name") or None,
            function=call.one("function") or None,
            after=whole_number(call, "after", 0, least=0) or 0,
            limit=whole_number(call, "limit", ROWS, most=MOST_ROWS) or ROWS,
        )
        found = await self._gateway.messages.failed_deliveries(query)
        return json_answer(list(map(FailedDeliveryBody.of, found)))

    async def redrive(self, call: Call) -> Response:
        numbers = await _numbers(call)
        return json_answer(CountBody(await self._gateway.messages.redrive(numbers)))

    async def drop(self, call: Call) -> Response:
        numbers = await _numbers(call)
        return json_answer(CountBody(await self._gateway.messages.drop_failed(numbers)))


async def _numbers(call: Call) -> tuple[int, ...]:
    text = await call.json_text(wrapped=True)
    if text is None:
        raise HttpError('the request needs a body: {"numbers": [...]}')
    try:
        numbers = msgspec.json.decode(text, type=NumbersBody).numbers
    except msgspec.ValidationError as error:
        raise HttpError(f"the body does not fit: {error}") from None
    if not 1 <= len(numbers) <= _MOST_NUMBERS:
        raise HttpError(f"a request names 1 to {_MOST_NUMBERS:,} failed deliveries")
    if any(not 0 <= one <= _MOST_NUMBER for one in numbers):
        raise HttpError("failed deliveries have numbers from 1")
    return numbers


_DONE: Final = Answer(text="Done; `count` says to how many, for some may be gone.", kind=CountBody)
_LIST: Final = Operation(
    summary="Deliveries of topics and queues that were put aside, oldest first",
    tag="admin",
    parameters=(
        Parameter(
            name="source",
            text="Only those of topics, or of queues.",
            schema={"type": "string", "enum": list(_SOURCES)},
        ),
        Parameter(name="name", text="Only those of this topic or queue."),
        Parameter(name="function", text="Only those of this subscription or function."),
        Parameter(
            name="after", text="Only those with a higher number: the next page.", schema=NUMBER
        ),
        limit_parameter(MOST_ROWS, ROWS, "deliveries"),
    ),
    answers={200: Answer(text="The deliveries.", kind=list[FailedDeliveryBody])},
)
_REDRIVE: Final = Operation(
    summary="Give failed deliveries back to their function, with all attempts",
    tag="admin",
    body=NumbersBody,
    body_required=True,
    answers={200: _DONE},
)
_DROP: Final = Operation(
    summary="Delete failed deliveries",
    tag="admin",
    body=NumbersBody,
    body_required=True,
    answers={200: _DONE},
)
_FAILED: Final = f"{ADMIN}/failed-deliveries"
_ENDPOINTS: Final[tuple[Endpoint[FailedDeliveriesApi], ...]] = (
    Endpoint("GET", _FAILED, Role.READ, FailedDeliveriesApi.failed, _LIST),
    Endpoint("POST", f"{_FAILED}/redrive", Role.OPERATE, FailedDeliveriesApi.redrive, _REDRIVE),
    Endpoint("POST", f"{_FAILED}/drop", Role.ADMIN, FailedDeliveriesApi.drop, _DROP),
)
