"""Topics and queues over HTTP: publishing."""

from datetime import timedelta
from typing import Final

from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.publishing import Stamp, event_of_text, message_of_text
from tenuto.client.wire import (
    ADMIN,
    EventToPublish,
    MessageToQueue,
    PublishBody,
    PublishedBody,
    text_of,
)
from tenuto.http.bodies import beside
from tenuto.http.description import Answer, Operation
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.queries import fitting_body
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.limits import Limits
from tenuto.model.timing import Microseconds
from tenuto.model.topics import (
    MOST_AT_ONCE,
    EventDetails,
    EventHead,
    PublishedEvent,
    QueuedMessage,
)
from tenuto.orchestration.publishing import LONGEST_DELAY

_WRAPPED: Final = 3
"""So many levels down data stands in a body: of an item, in a list, in an object."""

_PUBLISH: Final = Operation(
    summary="Publish events to topics and put messages into queues, all or none; answers when they "
    "are durable",
    tag="admin",
    body=PublishBody,
    body_required=True,
    answers={200: Answer(text="They are durable.", kind=PublishedBody)},
    errors=(413,),
)


class MessagesApi:
    """The routes that publish and queue.

    Args:
        gateway: Where requests go.
        limits: Of these, ``payload_bytes`` holds for each event and message.
    """

    def __init__(self, gateway: Gateway, limits: Limits) -> None:
        self._gateway = gateway
        self._limits = limits

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def publish(self, call: Call) -> Response:
        text = await call.json_text(wrapped=_WRAPPED)
        if text is None:
            raise HttpError("the request needs a body: a JSON object with events or messages")
        body = fitting_body(text, PublishBody)
        if not 1 <= len(body.events) + len(body.messages) <= MOST_AT_ONCE:
            raise HttpError(f"a request publishes 1 to {MOST_AT_ONCE:,} events and messages")
        now = self._gateway.now()
        events, messages = await beside(
            len(text),
            lambda: (
                [self._event(one, now) for one in body.events],
                [self._message(one, now) for one in body.messages],
            ),
        )
        await self._gateway.publish(events, messages)
        return json_answer(
            PublishedBody(
                events=tuple(one.event_id for one in events),
                messages=tuple(one.message_id for one in messages),
            )
        )

    def _event(self, one: EventToPublish, now: Microseconds) -> PublishedEvent:
        details = EventDetails(source=one.source, subject=one.subject, attributes=one.attributes)
        head = EventHead(key=one.key, type=one.type, details=details)
        stamp = self._stamp(one.cause, now)
        return event_of_text(one.topic, text_of(one.data), head, event_id=one.id, stamp=stamp)

    def _message(self, one: MessageToQueue, now: Microseconds) -> QueuedMessage:
        text = text_of(one.data) or "null"
        if not 0 <= one.delay_seconds <= LONGEST_DELAY.total_seconds():
            raise HttpError(
                f"delaySeconds must be from 0 to {LONGEST_DELAY.total_seconds():,.0f}, got "
                f"{one.delay_seconds:g}"
            )
        delay = timedelta(seconds=one.delay_seconds) if one.delay_seconds else None
        stamp = self._stamp(one.cause, now)
        return message_of_text(one.queue, text, delay, message_id=one.id, stamp=stamp)

    def _stamp(self, cause: str | None, now: Microseconds) -> Stamp:
        return Stamp(now, cause, self._limits.payload_bytes)


_ENDPOINTS: Final[tuple[Endpoint[MessagesApi], ...]] = (
    Endpoint("POST", f"{ADMIN}/publish", Role.OPERATE, MessagesApi.publish, _PUBLISH),
)
