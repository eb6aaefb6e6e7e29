"""Answers that several operations of the management API share."""

from typing import Final

from starlette.responses import Response

from tenuto.http.description import Answer
from tenuto.http.errors import JSON
from tenuto.http.links import Links
from tenuto.http.payloads import StatusPayload, status_payload
from tenuto.http.routing import Call, json_answer
from tenuto.http.waiting import Waiting
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord, RuntimeStatus

_LOCATION: Final = {
    "Location": "The link that asks for the status.",
    "Retry-After": "Seconds after which to ask.",
}
FINISHED: Final = Answer(text="The instance has ended.", kind=StatusPayload)
UNDER_WAY: Final = Answer(
    text="The instance has not ended yet.", kind=StatusPayload, headers=_LOCATION
)
ACCEPTED: Final = Answer(text="The request is durable.")
LINKS: Final = Answer(
    text="The instance is durable; these links ask and steer it.",
    kind=dict[str, str],
    headers=_LOCATION,
)
RESULT: Final = Answer(
    text="It has ended in time: its output, or its status unless it completed.", kind=object
)


def accepted() -> Response:
    """Done, and nothing to say."""
    return Response(status_code=202)


def links_answer(links: dict[str, str]) -> Response:
    """The links of an instance that has just begun."""
    return json_answer(links, 202, {"Location": links["statusQueryGetUri"], "Retry-After": "10"})


def ended_answer(call: Call, payload: StatusPayload, record: InstanceRecord) -> Response:
    """The status of an ended instance; a failed one is an error if the caller says so."""
    failed = record.status is RuntimeStatus.FAILED
    if failed and call.flag("returnInternalServerErrorOnFailure", default=False):
        return json_answer(payload, 500)
    return json_answer(payload)


async def begun_answer(
    call: Call, links: Links, waiting: Waiting, instance_id: InstanceId, seconds: float | None
) -> Response:
    """The result if the instance ends in so many seconds, else its links."""
    own = links.management(call, instance_id)
    record = await waiting.until(call, instance_id, seconds) if seconds else None
    if record is None or not record.status.is_finished:
        return links_answer(own)
    if record.status is RuntimeStatus.COMPLETED:
        return Response(record.output or "null", media_type=JSON)
    return ended_answer(call, status_payload(record), record)
