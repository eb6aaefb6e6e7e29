"""Answers about an instance that somebody has started: its links, and how it has ended.

As Durable Functions gives them: of its own operations, and to users who answer with them.
"""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from tenuto.http.errors import JSON
from tenuto.http.payloads import StatusPayload, status_payload
from tenuto.http.routing import json_answer
from tenuto.model.status import InstanceRecord, RuntimeStatus


def links_answer(links: Mapping[str, str]) -> Response:
    """The links of an instance that has just begun."""
    # A line for each: people start instances with curl.
    body = msgspec.json.format(msgspec.json.encode(links), indent=2) + b"\n"
    headers = {"Location": links["statusQueryGetUri"], "Retry-After": "10"}
    return Response(body, 202, headers, media_type=JSON)


def outcome_answer(record: InstanceRecord, *, failed: int) -> Response:
    """The output of an instance that has completed; of one that ended otherwise, its status.

    Args:
        record: The instance, ended.
        failed: The HTTP status when it has failed.
    """
    if record.status is RuntimeStatus.COMPLETED:
        return Response(record.output or "null", media_type=JSON)
    return ended_answer(status_payload(record), record, failed=failed)


def ended_answer(payload: StatusPayload, record: InstanceRecord, *, failed: int) -> Response:
    """The status of an instance that has ended.

    Args:
        payload: What is shown of it.
        record: The instance.
        failed: The HTTP status when it has failed.
    """
    return json_answer(payload, failed if record.status is RuntimeStatus.FAILED else 200)
