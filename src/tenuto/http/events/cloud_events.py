"""CloudEvents over HTTP: each of the three forms in, and the handshake of their webhooks.

An event is durable before it is acknowledged. One that comes again, as senders send it who have had
no answer, is recognised by its source and id, and left alone.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.publishing import Stamp, event_of_text
from tenuto.client.wire import PublishedBody
from tenuto.http.bodies import beside, json_text
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.cloud_events import (
    BATCH,
    HEADER,
    JSON,
    STRUCTURED,
    CloudEvent,
    is_json,
    read_batch,
    read_binary,
    read_structured,
)
from tenuto.model.limits import Limits
from tenuto.model.payload.plain import MAX_DEPTH
from tenuto.model.topics import PublishedEvent

PATH: Final = "/runtime/topics/{topic}"
_QUOTE: Final = '"'
_UNSUPPORTED: Final = 415

_PUBLISH: Final = Operation(
    summary="Publish CloudEvents 1.0 to a topic, all or none: one with its attributes in headers "
    f"(ce-id, ...), one as {STRUCTURED}, or several as {BATCH}; answers when they are durable",
    tag="events",
    body=object,
    answers={200: Answer(text="They are durable.", kind=PublishedBody)},
    errors=(413, 415),
)
HANDSHAKE: Final = (
    Parameter(name="WebHook-Request-Origin", text="Who wants to send events.", place="header"),
    Parameter(name="WebHook-Request-Rate", text="How many a minute.", place="header"),
)
_ASK: Final = Operation(
    summary="The handshake of CloudEvents' webhooks: whether somebody may send events here",
    tag="events",
    parameters=HANDSHAKE,
    answers={
        200: Answer(
            text="It may, as many as it likes.",
            headers={
                "WebHook-Allowed-Origin": "Who may send.",
                "WebHook-Allowed-Rate": "How many a minute.",
            },
        )
    },
)


class CloudEventsApi:
    """The routes at which topics take CloudEvents.

    Args:
        gateway: Where they are published.
        limits: Of these, ``payload_bytes`` holds for the data of each.
    """

    def __init__(self, gateway: Gateway, limits: Limits) -> None:
        self._gateway = gateway
        self._limits = limits

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def publish(self, call: Call) -> Response:
        events = await posted_rows(call, call.parameters["topic"], self._gateway, self._limits)
        if events:
            await self._gateway.publish(events, [])
        return json_answer(PublishedBody(events=tuple(one.event_id for one in events), messages=()))

    async def handshake(self, call: Call) -> Response:
        return granted(call)


async def posted_rows(
    call: Call, topic: str, gateway: Gateway, limits: Limits
) -> list[PublishedEvent]:
    """The CloudEvents of a request as a topic takes them.

    Raises:
        InputError: one is none, something of it cannot be kept, or it is no name of a topic.
        LimitError: one is too long.
        HttpError: the body is in a form that is not known here, or no JSON.
        RequestTooLargeError: the body is longer than allowed.
    """
    size, read = await _reader(call)
    stamp = Stamp(gateway.now(), None, limits.payload_bytes)
    return await beside(
        size,
        lambda: [
            event_of_text(topic, one.data, one.head, event_id=one.event_id, stamp=stamp)
            for one in read()
        ],
    )


def is_cloud_event(call: Call) -> bool:
    """Whether a request says that it is a CloudEvent, in whichever form."""
    return call.content_type.startswith("application/cloudevents") or bool(
        call.header(f"{HEADER}specversion")
    )


async def _reader(call: Call) -> tuple[int, Callable[[], list[CloudEvent]]]:
    """How long the body of a request is, and what reads its CloudEvents, in whichever form."""
    kind = call.content_type
    if kind == STRUCTURED:
        text = await json_text(await call.body(), levels=MAX_DEPTH + 1)
        return len(text), lambda: [read_structured(text)]
    if kind == BATCH:
        text = await json_text(await call.body(), levels=MAX_DEPTH + 2)
        return len(text), lambda: read_batch(text)
    if kind.startswith("application/cloudevents"):
        raise HttpError(
            f"CloudEvents as {kind} are not taken; send {STRUCTURED} or {BATCH}",
            status=_UNSUPPORTED,
        )
    headers = _attributes(call)
    if not headers:
        raise HttpError(
            f"the request is no CloudEvent: it has neither the type {STRUCTURED} or {BATCH} nor "
            "headers ce-id, ce-source, ce-type and ce-specversion; events of other forms are "
            "published at /admin/publish",
            status=_UNSUPPORTED,
        )
    body = await call.body()
    if body and is_json(kind or JSON):
        await json_text(body)
    return len(body), lambda: [read_binary(headers, call.header("content-type"), body)]


def _attributes(call: Call) -> dict[str, str]:
    """The headers of an event in the binary form, decoded as its rules say."""
    found = {}
    for raw_name, raw_value in call.scope["headers"]:
        name = raw_name.decode("latin-1")
        if not name.startswith(HEADER):
            continue
        name = name.removeprefix(HEADER)
        if name in found:
            raise HttpError(f"the header {HEADER}{name} comes more than once")
        try:
            found[name] = unquote(_unquoted(raw_value.decode()), errors="strict")
        except UnicodeDecodeError:
            raise HttpError(f"the header {HEADER}{name} is no UTF-8 once it is decoded") from None
    return found


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == _QUOTE:
        return text[1:-1].replace('\\"', _QUOTE).replace("\\\\", "\\")
    return text


def granted(call: Call) -> Response:
    """The answer to who asks whether it may send: it may, since its key was right."""
    headers = {"Allow": "POST, OPTIONS"}
    origin = call.header("webhook-request-origin")
    if origin is not None:
        headers["WebHook-Allowed-Origin"] = origin
        headers["WebHook-Allowed-Rate"] = "*"
    return Response(status_code=200, headers=headers)


_ENDPOINTS: Final[tuple[Endpoint[CloudEventsApi], ...]] = (
    Endpoint("POST", PATH, Role.OPERATE, CloudEventsApi.publish, _PUBLISH),
    Endpoint("OPTIONS", PATH, Role.OPERATE, CloudEventsApi.handshake, _ASK),
)
