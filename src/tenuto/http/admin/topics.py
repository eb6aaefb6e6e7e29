"""Topics, their subscriptions, and flows over HTTP. Publishing is in ``messages``."""

from typing import Final

from starlette.responses import Response

from tenuto.client.flows import MOST_ITEMS
from tenuto.client.gateway import Gateway
from tenuto.client.message_bodies import CountBody
from tenuto.client.topic_bodies import TopicEventBody
from tenuto.client.wire import ADMIN
from tenuto.engine.topic_ports import SubscriptionStanding, TopicStanding
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.queries import NUMBER, PLACE, limit_parameter, row_limit, whole_number
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.flow import Flow
from tenuto.model.topics import checked_place

_FLOW_ITEMS: Final = 1_000


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
        after = whole_number(call, "after", None)
        events = await self._gateway.topics.events(topic, after, row_limit(call))
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
        limit = row_limit(call, _FLOW_ITEMS, MOST_ITEMS)
        return json_answer(await self._gateway.topics.flow(of, limit))


_TOPICS: Final = Operation(
    summary="All topics that have events: how many, how long, since when",
    tag="admin",
    answers={200: Answer(text="The topics, by name.", kind=list[TopicStanding])},
)
_EVENTS: Final = Operation(
    summary="Events of a topic: the newest, or those after a position",
    tag="admin",
    path_schemas={"topic": PLACE},
    parameters=(
        Parameter(
            name="after",
            text="Only events after this position, oldest first; without it the newest come first.",
            schema=NUMBER,
        ),
        limit_parameter("events"),
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
    path_schemas={"name": PLACE},
    parameters=(
        Parameter(
            name="topic",
            text="Only of this topic; without it, of all that the subscription has read.",
            schema=PLACE,
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
        limit_parameter("items", _FLOW_ITEMS, MOST_ITEMS),
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
