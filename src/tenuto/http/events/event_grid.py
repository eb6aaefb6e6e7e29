"""The webhook of Event Grid, at the path that the host of Azure Functions has it.

Event Grid asks once whether its events are wanted, then posts them, in its own schema or as
CloudEvents. They are durable, in a topic of their function, before it is answered; it posts again
what it had no answer for, and that is recognised by the ids of the events.
"""

from typing import Final

from msgspec import structs
from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.publishing import Stamp, event_of_text
from tenuto.client.wire import PublishedBody
from tenuto.engine.program import EventGridTrigger, Program
from tenuto.http.access import Access
from tenuto.http.bodies import beside, json_text
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError, RouteNotFoundError
from tenuto.http.events.cloud_events import HANDSHAKE, granted, is_cloud_event, posted_rows
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.event_grid import GridEvent, read_grid_events, topic_of
from tenuto.model.limits import Limits
from tenuto.model.payload.plain import MAX_DEPTH
from tenuto.model.topics import PublishedEvent

PATH: Final = "/runtime/webhooks/eventgrid"
KEY: Final = "eventgrid_extension"
"""What the key is called that opens this webhook and nothing else."""

_KIND: Final = "aeg-event-type"
_GOODBYES: Final = frozenset({"subscriptiondeletion", "unsubscribe"})
_FUNCTION: Final = Parameter(
    name="functionName", text="The function that the events are for.", required=True
)
_POST: Final = Operation(
    summary="The webhook of Event Grid: answers its question whether events are wanted, and takes "
    "events in its schema and as CloudEvents; answers when they are durable",
    tag="events",
    parameters=(
        _FUNCTION,
        Parameter(name="aeg-event-type", text="What Event Grid wants.", place="header"),
    ),
    body=object,
    answers={
        200: Answer(text="They are durable, or wanted.", kind=PublishedBody),
        202: Answer(text="Event Grid says that it sends no more."),
    },
    errors=(404, 413, 415),
)
_ASK: Final = Operation(
    summary="The handshake of CloudEvents' webhooks, for Event Grid",
    tag="events",
    parameters=(_FUNCTION, *HANDSHAKE),
    answers={200: Answer(text="It may send, as much as it likes.")},
    errors=(404,),
)
_SHOW: Final = Operation(
    summary="The key that stands in the address of Event Grid's webhook, as parameter code; empty "
    "when the server has no keys",
    tag="events",
    answers={200: Answer(text="The key.", kind=dict[str, str])},
)


class EventGridApi:
    """The webhook.

    Args:
        gateway: Where events are kept.
        limits: Of these, ``payload_bytes`` holds for the data of each.
        program: The functions.
        access: Knows the key.
    """

    def __init__(self, gateway: Gateway, limits: Limits, program: Program, access: Access) -> None:
        self._gateway = gateway
        self._limits = limits
        self._program = program
        self._access = access

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module; a key of its own opens the webhook."""
        return [
            structs.replace(route, opened_by_event_grid_key=route.path == PATH)
            for route in bound(_ENDPOINTS, self)
        ]

    async def post(self, call: Call) -> Response:
        topic = topic_of(self._function(call))
        kind = (call.header(_KIND) or "").lower()
        if kind in _GOODBYES:
            return Response(status_code=202)
        if is_cloud_event(call):
            rows = await posted_rows(call, topic, self._gateway, self._limits)
        else:
            body = await call.body()
            text = await json_text(body, levels=MAX_DEPTH + 1 + body.lstrip().startswith(b"["))
            events = await beside(len(text), lambda: read_grid_events(text))
            for one in events:
                code = one.validation_code
                if code is not None:
                    return json_answer({"validationResponse": code})
            rows = await self._rows(events, topic, len(text))
        if rows:
            await self._gateway.publish(rows, [])
        return json_answer(PublishedBody(events=tuple(one.event_id for one in rows), messages=()))

    async def handshake(self, call: Call) -> Response:
        self._function(call)
        return granted(call)

    async def show_key(self, _call: Call) -> Response:
        return json_answer({"name": KEY, "value": self._access.event_grid_key})

    def _function(self, call: Call) -> str:
        """The name of the function that a request is for; of names no case counts."""
        wanted = call.one("functionName")
        if not wanted:
            raise HttpError("say which function the events are for: ?functionName=NAME")
        names = [
            one.name for one in self._program.triggered if isinstance(one.trigger, EventGridTrigger)
        ]
        for name in names:
            if name.lower() == wanted.lower():
                return name
        there = ", ".join(names) or "none"
        raise RouteNotFoundError(
            f"no function {wanted!r} is started by Event Grid here; there are: {there}"
        )

    async def _rows(self, events: list[GridEvent], topic: str, size: int) -> list[PublishedEvent]:
        stamp = Stamp(self._gateway.now(), None, self._limits.payload_bytes)
        return await beside(
            size,
            lambda: [
                event_of_text(topic, one.text, one.head, event_id=one.event_id, stamp=stamp)
                for one in events
            ],
        )


_ENDPOINTS: Final[tuple[Endpoint[EventGridApi], ...]] = (
    Endpoint("POST", PATH, Role.OPERATE, EventGridApi.post, _POST),
    Endpoint("OPTIONS", PATH, Role.OPERATE, EventGridApi.handshake, _ASK),
    Endpoint("GET", f"/admin/host/systemkeys/{KEY}", Role.ADMIN, EventGridApi.show_key, _SHOW),
)
