"""Topics, their subscriptions, and flows over HTTP. Publishing is in ``messages``."""

import re
from typing import Final

from starlette.responses import Response

from tenuto.client.flows import MOST_ITEMS
from tenuto.client.gateway import Gateway
from tenuto.client.message_bodies import CountBody
from tenuto.client.topic_bodies import TopicEventBody
from tenuto.client.wire import ADMIN, MOST_ROWS
from tenuto.engine.topic_ports import SubscriptionStanding, TopicStanding
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.flow import Flow
from tenuto.model.topics import checked_place

ROWS: Final = 100
_FLOW_ITEMS: Final = 1_000
_MOST_NUMBER: Final = 2**62


class TopicsApi:
    """The routes that show topics and flows.

    Args:
        gateway: Where requests go.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def topics(self, call: Call) -> Response:
        del call
        return json_answer(await self._gateway.topics.all())

    async def events(self, call: Call) -> Response:
        topic = checked_place(call.parameters["topic"], "a topic")
        after = whole_number(call, "after", None, least=0)
        limit = whole_number(call, "limit", ROWS, most=MOST_ROWS)
        assert limit is not None, "it has a default"
        events = await self._gateway.topics.events(topic, after, limit)
        return json_answer(list(map(TopicEventBody.of, events)))

    async def subscriptions(self, call: Call) -> Response:
        del call
        return json_answer(await self._gateway.topics.subscriptions())

    async def remove_subscription(self, call: Call) -> Response:
        name = checked_place(call.parameters["name"], "a subscription")
        given = call.one("topic")
        topic = checked_place(given, "a topic") if given else None
        was_there = await self._gateway.topics.remove_subscription(name, topic)
        return json_answer(CountBody(count=int(was_there)))

    async def flow(self, call: Call) -> Response:
        of = call.one("of")
        if not of:
            raise HttpError(
                "query parameter of must say whose flow: an instance id, or topic/event-id"
            )
        limit = whole_number(call, "limit", _FLOW_ITEMS, most=MOST_ITEMS)
        assert limit is not None, "it has a default"
        return json_answer(await self._gateway.topics.flow(of, limit))


def whole_number(
    call: Call, name: str, otherwise: int | None, *, least: int = 1, most: int = _MOST_NUMBER
) -> int | None:
    """A whole number of the query.

    Raises:
        HttpError: it is none, or out of range.
    """
    text = call.one(name)
    if text is None or text == "":
        return otherwise
    if not re.fullmatch("[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise HttpError(
            f"query parameter {name} must be a whole number from {least} to {most:,}, got {text!r}"
        )
    return int(text)


def limit_parameter(most: int, otherwise: int, what: str) -> Parameter:
    """How many are wanted."""
    return Parameter(
        name="limit",
        text=f"The most {what} in the answer (default {otherwise:,}).",
        schema={"type": "integer", "minimum": 1, "maximum": most},
    )


NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": _MOST_NUMBER}
_PLACE: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": 256,
    "pattern": r"^[A-Za-z0-9_-][A-Za-z0-9._ -]*(?<! )$",
}
_TOPICS: Final = Operation(
    summary="All topics that have events: how many, how long, since when",
    tag="admin",
    answers={200: Answer(text="The topics, by name.", kind=list[TopicStanding])},
)
_EVENTS: Final = Operation(
    summary="Events of a topic: the newest, or those after a position",
    tag="admin",
    path_schemas={"topic": _PLACE},
    parameters=(
        Parameter(
            name="after",
            text="Only events after this position, oldest first; without it the newest come first.",
            schema=NUMBER,
        ),
        limit_parameter(MOST_ROWS, ROWS, "events"),
    ),
    answers={200: Answer(text="The events.", kind=list[TopicEventBody])},
)
_SUBSCRIPTIONS: Final = Operation(
    summary="All subscriptions: how far each is, and how many of its deliveries were put aside",
    tag="admin",
    answers={200: Answer(text="The subscriptions, by name.", kind=list[SubscriptionStanding])},
)
_REMOVE: Final = Operation(
    summary="Forget a subscription that no host serves, with what was put aside for it",
    tag="admin",
    path_schemas={"name": _PLACE},
    parameters=(
        Parameter(
            name="topic",
            text="Only of this topic; without it, of all that the subscription has read.",
            schema=_PLACE,
        ),
    ),
    answers={
        200: Answer(text="It is not there any more; `count` is 0 if it never was.", kind=CountBody)
    },
)
_FLOW: Final = Operation(
    summary="What has led to an instance, an event or a message, and all that followed",
    tag="admin",
    parameters=(
        Parameter(
            name="of",
            text="An instance id, or `topic/event-id`; also `queue/message-id`.",
            required=True,
            schema={"type": "string", "minLength": 1},
        ),
        limit_parameter(MOST_ITEMS, _FLOW_ITEMS, "items"),
    ),
    answers={200: Answer(text="The flow, from its first cause on.", kind=Flow)},
    errors=(404,),
)
_ENDPOINTS: Final[tuple[Endpoint[TopicsApi], ...]] = (
    Endpoint("GET", f"{ADMIN}/topics", Role.READ, TopicsApi.topics, _TOPICS),
    Endpoint("GET", f"{ADMIN}/topics/{{topic}}/events", Role.READ, TopicsApi.events, _EVENTS),
    Endpoint("GET", f"{ADMIN}/subscriptions", Role.READ, TopicsApi.subscriptions, _SUBSCRIPTIONS),
    Endpoint(
        "DELETE",
        f"{ADMIN}/subscriptions/{{name}}",
        Role.ADMIN,
        TopicsApi.remove_subscription,
        _REMOVE,
    ),
    Endpoint("GET", f"{ADMIN}/flow", Role.READ, TopicsApi.flow, _FLOW),
)
