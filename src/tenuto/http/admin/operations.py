"""What the OpenAPI document says of the routes that start, ask and steer instances. Pure data."""

from typing import Any, Final, get_args

from msgspec import structs

from tenuto.client.message_bodies import CountBody
from tenuto.client.wire import (
    CONTINUATION,
    LONGEST_WAIT_SECONDS,
    AnswerBody,
    DeadLetterBody,
    DeadLetterIdsBody,
    EventBody,
    InstanceBody,
    ReasonBody,
    StartBody,
    StartedBody,
    TerminateBody,
)
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.queries import BOOLEAN, FORCE, ON_INSTANCE, STATUS_NAMES, limit_parameter, period
from tenuto.model.requests import InstancePage, ListingOrder

ORDERS: Final[tuple[ListingOrder, ...]] = get_args(ListingOrder)
_LISTING: Final = (
    Parameter(
        name="status",
        text=f"One or more statuses, with commas between them or repeated: {STATUS_NAMES}.",
    ),
    Parameter(name="name", text="The name of the orchestrator."),
    Parameter(name="prefix", text="What the instance ids begin with."),
    *period("Created", "createdFrom", "createdTo"),
    *period("Ended", "completedFrom", "completedTo"),
    Parameter(
        name="held", text="Only held instances (true), or only others (false).", schema=BOOLEAN
    ),
    Parameter(
        name="order",
        text="What comes first (default newest); by completion, only ended instances are listed.",
        schema={"type": "string", "enum": list(ORDERS)},
    ),
    Parameter(name="after", text="The `after` of the page before."),
    limit_parameter(),
    Parameter(
        name="payloads", text="Whether inputs and outputs are shown (default true).", schema=BOOLEAN
    ),
)
_WAITING_FOR: Final = Parameter(
    name="waitingFor",
    text="Whether the answer says what the instance waits for, and why (default true).",
    schema=BOOLEAN,
)
_WAIT: Final = Parameter(
    name="wait",
    text="How many seconds to wait for `until` before answering.",
    schema={"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_SECONDS},
)
_UNTIL: Final = Parameter(
    name="until",
    text="What `wait` waits for: that the instance has ended (default), or is no longer Pending.",
    schema={"type": "string", "enum": ["ended", "started"]},
)
_AFTER: Final = Parameter(
    name="after", text=f"The header `{CONTINUATION}` of the page before; empty for the first."
)
_NEXT: Final = {CONTINUATION: "What to send as `after` for the next page; empty on the last."}
_DONE: Final = Answer(text="The request is durable.")


def _described(
    summary: str,
    answer: Answer,
    *,
    status: int = 200,
    parameters: tuple[Parameter, ...] = (),
    body: type | None = None,
    errors: tuple[int, ...] = (),
) -> Operation:
    return Operation(
        summary=summary,
        tag="admin",
        path_schemas=ON_INSTANCE,
        parameters=parameters,
        body=body,
        body_required=body not in {None, ReasonBody, TerminateBody},
        answers={status: answer},
        errors=errors,
    )


def steering(summary: str, body: type = ReasonBody) -> Operation:
    """What is told an instance, with a reason."""
    return _described(summary, _DONE, status=204, body=body, errors=(404, 409, 410, 413))


START: Final = _described(
    "Start an orchestration; answers when the start is durable",
    Answer(text="The instance is durable.", kind=StartedBody),
    status=201,
    body=StartBody,
    errors=(409, 413),
)
LIST: Final = _described(
    "A page of instances, newest first",
    Answer(text="A page of instances; `after` asks for the next one.", kind=InstancePage),
    parameters=_LISTING,
)
GET: Final = _described(
    "An instance as it is stored; waits until it has ended, if asked to",
    Answer(text="The instance, with what it waits for until it has ended.", kind=InstanceBody),
    parameters=(_WAIT, _UNTIL, _WAITING_FOR),
    errors=(404,),
)
HISTORY: Final = _described(
    "The turns of an instance's current execution, as they are stored",
    Answer(
        text="The turns, oldest first, each an array of events: all of them, or those of a page.",
        kind=list[list[Any]],
        headers=_NEXT,
    ),
    parameters=(
        structs.replace(
            _AFTER,
            text=f"Asks for pages: empty for the first one, then the header `{CONTINUATION}` of "
            "the page before. Without it a history that is too long for one answer is refused.",
        ),
    ),
    errors=(404, 413),
)
DEAD_LETTERS: Final = _described(
    "Messages that nobody could take, newest first",
    Answer(
        text="The messages, each with the reason why nobody could take it.",
        kind=list[DeadLetterBody],
        headers=_NEXT,
    ),
    parameters=(limit_parameter(), _AFTER),
)
ACKNOWLEDGE: Final = _described(
    "Say that dead letters were seen to; they stay, and are listed",
    Answer(text="Of how many that was not known yet.", kind=CountBody),
    body=DeadLetterIdsBody,
    errors=(413,),
)
RAISE_EVENT: Final = _described(
    "Raise an external event", _DONE, status=204, body=EventBody, errors=(404, 410, 413)
)
ANSWER: Final = _described(
    "Answer what an orchestration asks",
    _DONE,
    status=204,
    body=AnswerBody,
    errors=(404, 409, 410, 413),
)
TERMINATE: Final = steering("End an instance now", TerminateBody)
PURGE: Final = _described(
    "Delete an instance and its history",
    _DONE,
    status=204,
    parameters=(FORCE,),
    errors=(404, 409),
)
