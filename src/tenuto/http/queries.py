"""What the APIs read of a query or a body: moments, statuses, page sizes, names of parameters."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from tenuto.http.description import Parameter
from tenuto.http.errors import HttpError
from tenuto.http.routing import Call
from tenuto.http.waiting import LONGEST_SECONDS
from tenuto.model.ids import MAX_INSTANCE_ID_LENGTH, UNSEEN
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import to_microseconds
from tenuto.model.topics import MOST_NAME

B = TypeVar("B")
D = TypeVar("D", bound=int | None)

MOST_ROWS: Final = 1_000
"""The longest page; a larger ``top`` gets pages of this length."""

ROWS: Final = 100
"""So many rows come when nothing is said."""

MOST_NUMBER: Final = 2**63 - 1
"""The greatest number of a row."""

NUMBER: Final[Mapping[str, Any]] = {"type": "integer", "minimum": 0, "maximum": MOST_NUMBER}

_STATUSES: Final = {status.label.lower(): status for status in RuntimeStatus}
STATUS_NAMES: Final = ", ".join(status.label for status in RuntimeStatus)
_ANY: Final = "|".join(status.label for status in RuntimeStatus)

_SEEN: Final = rf"[^/\\#?\u0000-\u001f\u007f-\u009f{UNSEEN}]"
_INSTANCE_ID: Final[Mapping[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_INSTANCE_ID_LENGTH,
    "pattern": rf"^(?!\.\.?$)(?![@ ]){_SEEN}+(?<! )$",
}
ON_INSTANCE: Final[Mapping[str, Mapping[str, Any]]] = {"instanceId": _INSTANCE_ID}
"""The schemas of a path that names an instance."""

PLACE: Final[Mapping[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MOST_NAME,
    "pattern": rf"^(?!\.\.?$)(?! ){_SEEN}+(?<! )$",
}
"""The name of a topic, a queue or a subscription in a path: ``checked_place`` takes none that does
not fit. Of what fits it refuses what Python does not know yet, and so cannot print.
"""

BOOLEAN: Final[Mapping[str, Any]] = {"type": "boolean"}
_MOMENT: Final[Mapping[str, Any]] = {"type": "string", "format": "date-time"}
_SECONDS: Final[Mapping[str, Any]] = {"type": "number", "minimum": 0, "maximum": LONGEST_SECONDS}


def period(what: str, first: str, end: str) -> tuple[Parameter, Parameter]:
    """The two parameters that say when something must have happened.

    Args:
        what: What happened, as a sentence begins: ``Created``.
        first: The parameter for the first moment.
        end: The parameter for the first moment that is too late.
    """
    return (
        Parameter(name=first, text=f"{what} at this moment or later.", schema=_MOMENT),
        Parameter(name=end, text=f"{what} before this moment.", schema=_MOMENT),
    )


CREATED: Final = period("Created", "createdTimeFrom", "createdTimeTo")
STATUSES: Final = Parameter(
    name="runtimeStatus",
    text="One or more statuses, with commas between them or repeated.",
    schema={"type": "string", "pattern": f"^({_ANY})(,({_ANY}))*$"},
)
ID_PREFIX: Final = Parameter(name="instanceIdPrefix", text="What the instance ids begin with.")
WAITING: Final = (
    Parameter(
        name="timeout",
        text="How many seconds to wait for the end before answering.",
        schema=_SECONDS,
    ),
    Parameter(
        name="pollingInterval",
        text="Accepted for compatibility and ignored: the server hears of the end at once.",
        schema=_SECONDS,
    ),
)
FORCE: Final = Parameter(
    name="force",
    text="Whether to delete what has not ended, too; it is terminated first (default false).",
    schema=BOOLEAN,
)
FAILURE: Final = Parameter(
    name="returnInternalServerErrorOnFailure",
    text="Answer 500, not 200, when the instance has failed.",
    schema=BOOLEAN,
)


def moment(call: Call, name: str) -> int | None:
    """A moment in microseconds; ISO 8601, UTC unless it says otherwise."""
    text = call.one(name)
    if not text:
        return None
    try:
        # In a query an unescaped + is a space.
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text.upper() else text)
        return to_microseconds(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise HttpError(
            f"query parameter {name} must be a time such as 2026-01-31T17:00:00Z, got {text!r}"
        ) from None


def statuses(
    call: Call, parameter: str = "runtimeStatus", *, strict: bool
) -> tuple[RuntimeStatus, ...] | None:
    """The statuses asked for, None for any.

    Args:
        call: The request.
        parameter: The one that holds them.
        strict: Refuse what is no status, rather than pass over it as Durable Functions does; a
            list of nothing else is refused always, as it would stand for all.
    """
    names = call.many(parameter)
    unknown = [name for name in names if name.lower() not in _STATUSES]
    if unknown and (strict or len(unknown) == len(names)):
        raise HttpError(
            f"query parameter {parameter} must be some of {STATUS_NAMES}, got {unknown[0]!r}"
        )
    return tuple(_STATUSES[name.lower()] for name in names if name.lower() in _STATUSES) or None


def page_size(call: Call) -> int:
    """How many rows are asked for; whoever wants more than a page holds gets a page."""
    if re.fullmatch("[1-9][0-9]{18,}", call.one("top") or ""):
        return MOST_ROWS
    return min(whole_number(call, "top", ROWS, least=1), MOST_ROWS)


def whole_number(
    call: Call, name: str, default: D, *, least: int = 0, most: int = MOST_NUMBER
) -> int | D:
    """A whole number of the query; the default when there is none.

    Raises:
        HttpError: it is no number, or out of range.
    """
    text = call.one(name)
    if not text:
        return default
    if not re.fullmatch("[0-9]{1,19}", text) or not least <= int(text) <= most:
        end = "" if most == MOST_NUMBER else f" to {most:,}"
        raise HttpError(
            f"query parameter {name} must be a whole number from {least}{end}, got {text!r:.50}"
        )
    return int(text)


def row_limit(call: Call, default: int = ROWS, most: int = MOST_ROWS) -> int:
    """How many rows are wanted: ``limit_parameter``."""
    return whole_number(call, "limit", default, least=1, most=most)


def limit_parameter(what: str = "rows", default: int = ROWS, most: int = MOST_ROWS) -> Parameter:
    """The parameter that ``row_limit`` reads.

    Args:
        what: What is wanted.
        default: How many when nothing is said.
        most: No more than that.
    """
    return Parameter(
        name="limit",
        text=f"The most {what} in the answer (default {default:,}).",
        schema={"type": "integer", "minimum": 1, "maximum": most},
    )


def fitting_body(text: str, kind: type[B]) -> B:
    """The JSON text of a body as what it must be.

    Raises:
        HttpError: it is not of this shape; naming the place.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise HttpError(f"the body does not fit: {error}") from None
