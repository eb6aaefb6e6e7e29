"""Queues over HTTP, and deliveries that were put aside: of queues, topics and files."""

from typing import Final, TypeVar

from msgspec import Struct
from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.message_bodies import (
    CountBody,
    FailedDeliveryBody,
    MessageIdsBody,
    NumbersBody,
    QueueBody,
    RedrivenBody,
    WaitingMessageBody,
)
from tenuto.client.wire import ADMIN
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.queries import (
    NUMBER,
    PLACE,
    fitting_body,
    limit_parameter,
    row_limit,
    whole_number,
)
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.topics import checked_place

B = TypeVar("B", bound=Struct)

_PAGE_BYTES: Final = 16 * 1024 * 1024
_SOURCES: Final = ("queue", "topic", "files")


class QueuesApi:
    """The routes of queues and failed deliveries.

    Args:
        gateway: Where requests go.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def queues(self, call: Call) -> Response:
        del call
        return json_answer([QueueBody.of(one) for one in await self._gateway.queues()])

    async def messages(self, call: Call) -> Response:
        found = await self._gateway.queue_messages(_queue(call), row_limit(call), _PAGE_BYTES)
        return json_answer([WaitingMessageBody.of(one) for one in found])

    async def drop(self, call: Call) -> Response:
        body = await _body(call, MessageIdsBody)
        return json_answer(CountBody(count=await self._gateway.drop_queued(_queue(call), body.ids)))

    async def failed(self, call: Call) -> Response:
        source = call.one("source") or None
        if source is not None and source not in _SOURCES:
            raise HttpError(
                f"query parameter source must be one of {', '.join(_SOURCES)}, got {source!r}"
            )
        found = await self._gateway.failed_deliveries(
            source,
            call.one("name") or None,
            call.one("function") or None,
            whole_number(call, "after", 0),
            row_limit(call),
        )
        return json_answer([FailedDeliveryBody.of(one) for one in found])

    async def redrive(self, call: Call) -> Response:
        body = await _body(call, NumbersBody)
        redriven = await self._gateway.redrive(body.numbers)
        return json_answer(RedrivenBody(count=redriven.count, left=redriven.left))

    async def drop_failed(self, call: Call) -> Response:
        body = await _body(call, NumbersBody)
        return json_answer(CountBody(count=await self._gateway.drop_failed(body.numbers)))


def _queue(call: Call) -> str:
    return checked_place(call.parameters["queue"], "a queue")


async def _body(call: Call, kind: type[B]) -> B:
    text = await call.json_text()
    if text is None:
        raise HttpError("the request needs a body: a JSON object that says which are meant")
    return fitting_body(text, kind)


_COUNTED: Final = Answer(text="How many there were.", kind=CountBody)

_QUEUES: Final = Operation(
    summary="How each queue stands",
    tag="admin",
    answers={
        200: Answer(
            text="The queues that have messages, or had some that were put aside, by name.",
            kind=list[QueueBody],
        )
    },
)
_MESSAGES: Final = Operation(
    summary="The next messages of a queue, in the order in which they come",
    tag="admin",
    path_schemas={"queue": PLACE},
    parameters=(limit_parameter(),),
    answers={
        200: Answer(
            text="The messages, as many as fit; those that a function has come last.",
            kind=list[WaitingMessageBody],
        )
    },
)
_DROP: Final = Operation(
    summary="Delete messages of a queue",
    tag="admin",
    path_schemas={"queue": PLACE},
    body=MessageIdsBody,
    body_required=True,
    answers={200: _COUNTED},
    errors=(413,),
)
_FAILED: Final = Operation(
    summary="Deliveries that were put aside, of queues, topics and files, oldest first",
    tag="admin",
    parameters=(
        Parameter(
            name="source",
            text="Only those of queues, of topics, or of files.",
            schema={"type": "string", "enum": list(_SOURCES)},
        ),
        Parameter(name="name", text="Only those of this queue, topic or folder."),
        Parameter(name="function", text="Only those of this function or subscription."),
        Parameter(
            name="after",
            text="Only those with a greater number: the last one of the page before.",
            schema=NUMBER,
        ),
        limit_parameter(),
    ),
    answers={
        200: Answer(
            text="The deliveries, as many as fit; the page after the last one is empty.",
            kind=list[FailedDeliveryBody],
        )
    },
)
_REDRIVE: Final = Operation(
    summary="Give failed deliveries back to their functions, with all attempts",
    tag="admin",
    body=NumbersBody,
    body_required=True,
    answers={
        200: Answer(
            text="How many were given back, and which stay put aside because a message of their id "
            "is in the queue again.",
            kind=RedrivenBody,
        )
    },
    errors=(413,),
)
_DROP_FAILED: Final = Operation(
    summary="Delete failed deliveries",
    tag="admin",
    body=NumbersBody,
    body_required=True,
    answers={200: _COUNTED},
    errors=(413,),
)
_QUEUE: Final = f"{ADMIN}/queues/{{queue}}"
_DELIVERIES: Final = f"{ADMIN}/failed-deliveries"
_ENDPOINTS: Final[tuple[Endpoint[QueuesApi], ...]] = (
    Endpoint("GET", f"{ADMIN}/queues", Role.READ, QueuesApi.queues, _QUEUES),
    Endpoint("GET", f"{_QUEUE}/messages", Role.READ, QueuesApi.messages, _MESSAGES),
    Endpoint("POST", f"{_QUEUE}/drop", Role.ADMIN, QueuesApi.drop, _DROP),
    Endpoint("GET", _DELIVERIES, Role.READ, QueuesApi.failed, _FAILED),
    Endpoint("POST", f"{_DELIVERIES}/redrive", Role.OPERATE, QueuesApi.redrive, _REDRIVE),
    Endpoint("POST", f"{_DELIVERIES}/drop", Role.ADMIN, QueuesApi.drop_failed, _DROP_FAILED),
)
