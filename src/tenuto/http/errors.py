"""What goes wrong, as answers: one JSON shape, a stable code, the right status.

The SDKs of Durable Functions read ``ExceptionMessage`` of a refused start and parse every body as
JSON (their names stand beside ours). Nobody but an admin is told addresses, paths and users.
"""

from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from tenuto.model.errors import (
    EventNotFoundError,
    ForbiddenError,
    HttpError,
    InputError,
    InstanceError,
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
    LimitError,
    LinkError,
    LinkFullError,
    MethodNotAllowedError,
    NotImplementedYetError,
    RequestTimeoutError,
    RequestTooLargeError,
    RouteNotFoundError,
    StorageError,
    TenutoError,
    TooManyWatchersError,
    UnauthorizedError,
)

__all__ = [
    "JSON",
    "ErrorBody",
    "ForbiddenError",
    "HttpError",
    "MethodNotAllowedError",
    "NotImplementedYetError",
    "RequestTimeoutError",
    "RequestTooLargeError",
    "RouteNotFoundError",
    "TooManyWatchersError",
    "UnauthorizedError",
    "body_too_large",
    "error_answer",
    "error_body",
    "status_for",
]

JSON: Final = "application/json"


_STATUSES: Final[tuple[tuple[type[TenutoError], int], ...]] = (
    (InstanceNotFoundError, 404),
    (EventNotFoundError, 404),
    (InstanceFinishedError, 410),
    (InstanceExistsError, 409),
    (InstanceStateError, 409),
    (InstanceError, 409),
    (LimitError, 413),
    (LinkFullError, 503),
    (LinkError, 409),
    (InputError, 400),
    (StorageError, 503),
)


def status_for(error: TenutoError) -> int:
    """The HTTP status that says the same."""
    if isinstance(error, HttpError):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


class ErrorBody(Struct, frozen=True):
    """An error: its code, and a message with what happened and what to do next.

    The other fields are for SDKs of Durable Functions, on the routes that those call.
    """

    code: str
    message: str
    kind: str | UnsetType = msgspec.field(name="ExceptionType", default=UNSET)
    message_for_apps: str | UnsetType = msgspec.field(name="Message", default=UNSET)
    message_for_clients: str | UnsetType = msgspec.field(name="ExceptionMessage", default=UNSET)
    stack_trace: str | UnsetType = msgspec.field(name="StackTrace", default=UNSET)


def body_too_large(most_bytes: int, setting: str = "body_bytes") -> RequestTooLargeError:
    """The error for a body that is longer than allowed by a setting below ``http``."""
    return RequestTooLargeError(
        f"the body is longer than {most_bytes:,} bytes (setting http.{setting})"
    )


def error_body(code: str, message: str, kind: str) -> bytes:
    """An error as JSON, with what SDKs of Durable Functions read."""
    return msgspec.json.encode(ErrorBody(code, message, kind, message, message, ""))


def error_answer(error: TenutoError, *, for_sdks: bool = False, whole: bool = False) -> Response:
    """An error as an answer.

    Args:
        error: What went wrong.
        for_sdks: Say it in the fields that SDKs of Durable Functions read, too.
        whole: Say where, too: the caller may know addresses, paths and users.
    """
    status = status_for(error)
    headers = {"Retry-After": "1"} if status == 503 else {}  # noqa: PLR2004 - 503 Service Unavailable
    if status == 401:  # noqa: PLR2004 - 401 Unauthorized
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allowed)
    message = str(error) if whole else error.for_callers
    body = msgspec.json.encode(ErrorBody(error.code, message))
    if for_sdks:
        body = error_body(error.code, message, type(error).__name__)
    return Response(body, status, headers, media_type=JSON)
