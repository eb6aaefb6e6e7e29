"""Answers that several operations of the management API share."""

from typing import Final

from starlette.responses import Response

from tenuto.http.description import Answer
from tenuto.http.links import CallersLinks
from tenuto.http.outcomes import links_answer, outcome_answer
from tenuto.http.payloads import StatusPayload
from tenuto.http.routing import Call
from tenuto.http.waiting import Waiting
from tenuto.model.ids import InstanceId

_LOCATION: Final = {
    "Location": "The address of the instance's status.",
    "Retry-After": "The number of seconds after which to ask for it.",
}
FINISHED: Final = Answer(text="The instance has ended.", kind=StatusPayload)
UNDER_WAY: Final = Answer(
    text="The instance has not ended yet.", kind=StatusPayload, headers=_LOCATION
)
ACCEPTED: Final = Answer(text="The request is durable.")
LINKS: Final = Answer(
    text="The instance is durable; the links ask for its status and steer it.",
    kind=dict[str, str],
    headers=_LOCATION,
)
RESULT: Final = Answer(
    text="The instance ended within `timeout`: its output if it completed, else its status.",
    kind=object,
)


def accepted() -> Response:
    """202 without a body: what was asked for is durable."""
    return Response(status_code=202)


def failed_status(call: Call) -> int:
    """The HTTP status that the caller wants for an instance that has failed."""
    return 500 if call.flag("returnInternalServerErrorOnFailure", default=False) else 200


async def begun_answer(
    call: Call,
    links: CallersLinks,
    waiting: Waiting,
    instance_id: InstanceId,
    seconds: float | None,
) -> Response:
    """The result if the instance ends in so many seconds, else its links."""
    own = links.management(instance_id)
    record = await waiting.until(call, instance_id, seconds) if seconds else None
    if record is None or not record.status.is_finished:
        return links_answer(own)
    return outcome_answer(record, failed=failed_status(call))
