"""Tenuto's own API under ``/admin``: exact where that of Durable Functions is not.

Times are microseconds, failures keep their chain, payloads stay to the letter. ``HttpGateway`` is
its first reader; the shapes that both share stand in ``tenuto.client.wire``.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar, get_args

import msgspec
from starlette.responses import Response

from tenuto.client.client import Client
from tenuto.client.gateway import has_come
from tenuto.client.starting import StartOptions, start_request
from tenuto.client.wire import (
    ADMIN,
    LONGEST_WAIT_SECONDS,
    MOST_ROWS,
    DeadLetterBody,
    EventBody,
    ExplanationBody,
    InstanceBody,
    ReasonBody,
    StartBody,
    StartedBody,
    TerminateBody,
    WaitBody,
    text_of,
)
from tenuto.engine.program import Program
from tenuto.engine.standing import Look
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.queries import (
    BOOLEAN,
    INSTANCE_ID,
    MOMENT,
    STATUS_NAMES,
    moment,
    statuses,
)
from tenuto.http.routing import Call, Handler, Route, json_answer
from tenuto.http.waiting import Waiting
from tenuto.insight.explanation import Surroundings
from tenuto.insight.inquiry import explained
from tenuto.insight.reading import GatewayReader
from tenuto.insight.steps import Step, StepState, run_of
from tenuto.insight.wording import utc_moment
from tenuto.model.codec import decode_turn
from tenuto.model.control import CONTROLS, Control
from tenuto.model.errors import InstanceNotFoundError, LimitError
from tenuto.model.events import EventRaised
from tenuto.model.ids import ExecutionId, InstanceId, check_instance_id
from tenuto.model.limits import check_payload
from tenuto.model.messages import Purge, RaiseEvent, Terminate
from tenuto.model.payload import encode
from tenuto.model.requests import InstancePage, InstanceQuery, ListingOrder
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import LATEST
from tenuto.model.trace import checked_trace

B = TypeVar("B")

_INSTANCES: Final = f"{ADMIN}/instances"
_INSTANCE: Final = f"{_INSTANCES}/{{instanceId}}"
_EXECUTION_ID_DIGITS: Final = 32

_LIMIT: Final = Parameter(
    name="limit",
    text="The most rows wanted (100).",
    schema={"type": "integer", "minimum": 1, "maximum": MOST_ROWS},
)
_ORDERS: Final[tuple[ListingOrder, ...]] = get_args(ListingOrder)
_LISTING: Final = (
    Parameter(
        name="status", text=f"Statuses with commas between them, or repeated: {STATUS_NAMES}."
    ),
    Parameter(name="name", text="This orchestrator."),
    Parameter(name="prefix", text="Ids that begin so."),
    Parameter(name="createdFrom", text="Created at this moment or later.", schema=MOMENT),
    Parameter(name="createdTo", text="Created before this moment.", schema=MOMENT),
    Parameter(name="completedFrom", text="Ended at this moment or later.", schema=MOMENT),
    Parameter(name="completedTo", text="Ended before this moment.", schema=MOMENT),
    Parameter(name="held", text="Only instances that are held, or only others.", schema=BOOLEAN),
    Parameter(
        name="order",
        text="What comes first (newest); by completion only what has ended is listed.",
        schema={"type": "string", "enum": list(_ORDERS)},
    ),
    Parameter(name="after", text="Where the page before ended: its `after`."),
    _LIMIT,
    Parameter(
        name="payloads", text="Whether inputs and outputs are wanted (true).", schema=BOOLEAN
    ),
)
_WAITING_FOR: Final = Parameter(
    name="waitingFor",
    text="Whether it is wanted what the instance waits for (true).",
    schema=BOOLEAN,
)
_WAIT: Final = Parameter(
    name="wait",
    text="Answer when it has ended, or after so many seconds.",
    schema={"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_SECONDS},
)
_UNTIL: Final = Parameter(
    name="until",
    text="What `wait` waits for (ended); started: it is not Pending any more.",
    schema={"type": "string", "enum": ["ended", "started"]},
)
_FORCE: Final = Parameter(
    name="force", text="Also when it has not ended: it is terminated first.", schema=BOOLEAN
)
_DONE: Final = Answer(text="It is durable.")


class AdminApi:
    """The routes that start, ask and steer instances, for Tenuto's own clients.

    Args:
        client: Where requests go.
        program: The orchestrators that may be started.
        waiting: For callers that wait for the end.
        history_bytes: Longest history that is shown.
        look: What the host knows of an instance, by its id and its orchestrator.
    """

    def __init__(
        self,
        client: Client,
        program: Program,
        waiting: Waiting,
        history_bytes: int,
        look: Callable[[str, str], Look | None],
    ) -> None:
        self._client = client
        self._look = look
        self._history_bytes = history_bytes
        self._program = program
        self._waiting = waiting

    def routes(self) -> Iterator[Route]:
        """All of them."""
        yield from self._starting_and_asking()
        yield from self._steering()

    def _starting_and_asking(self) -> Iterator[Route]:
        yield Route(
            method="POST",
            path=_INSTANCES,
            role=Role.OPERATE,
            handler=self._start,
            summary="Start an orchestration; answers when the start is durable",
            operation=_described(
                Answer(text="The instance is durable.", kind=StartedBody),
                status=201,
                body=StartBody,
                errors=(409, 413),
            ),
        )
        yield Route(
            method="GET",
            path=_INSTANCES,
            role=Role.READ,
            handler=self._list,
            summary="A page of instances, newest first",
            operation=_described(Answer(text="A page.", kind=InstancePage), parameters=_LISTING),
        )
        yield Route(
            method="GET",
            path=_INSTANCE,
            role=Role.READ,
            handler=self._get,
            summary="An instance as it is stored; waits until it has ended, if asked to",
            operation=_described(
                Answer(text="The instance.", kind=InstanceBody),
                parameters=(_WAIT, _UNTIL, _WAITING_FOR),
                errors=(404,),
            ),
        )
        yield Route(
            method="GET",
            path=f"{_INSTANCE}/history",
            role=Role.READ,
            handler=self._history,
            summary="The turns of an instance's current execution, as they are stored",
            operation=_described(
                Answer(text="Turns, each an array of events.", kind=list[list[Any]]), errors=(404,)
            ),
        )
        yield Route(
            method="GET",
            path=f"{ADMIN}/dead-letters",
            role=Role.READ,
            handler=self._dead_letters,
            summary="Messages that nobody could take, newest first",
            operation=_described(
                Answer(text="They are.", kind=list[DeadLetterBody]), parameters=(_LIMIT,)
            ),
        )

    def _steering(self) -> Iterator[Route]:
        yield Route(
            method="POST",
            path=f"{_INSTANCE}/raise-event",
            role=Role.OPERATE,
            handler=self._raise_event,
            summary="Raise an external event",
            operation=_described(_DONE, status=204, body=EventBody, errors=(404, 410, 413)),
        )
        words: list[tuple[str, Handler, str]] = [
            ("terminate", self._terminate, "End an instance now"),
            *((one.name, partial(self._steer, one), one.summary) for one in CONTROLS),
        ]
        for name, handler, summary in words:
            yield Route(
                method="POST",
                path=f"{_INSTANCE}/{name}",
                role=Role.OPERATE,
                handler=handler,
                summary=summary,
                operation=_described(
                    _DONE, status=204, body=ReasonBody, errors=(404, 409, 410, 413)
                ),
            )
        yield Route(
            method="DELETE",
            path=_INSTANCE,
            role=Role.ADMIN,
            handler=self._purge,
            summary="Delete an instance and its history",
            operation=_described(_DONE, status=204, parameters=(_FORCE,), errors=(404, 409)),
        )

    # --- starting ----------------------------------------------------------------------------

    async def _start(self, call: Call) -> Response:
        body = await _body(call, StartBody)
        orchestrator = self._program.get_orchestrator(body.name)
        text = text_of(body.input)
        options = StartOptions(
            instance_id=body.instance_id,
            execution_id=_execution_id(body.execution_id),
            version=body.version,
            tags=body.tags,
            trace=checked_trace(body.trace),
            scheduled_at=_scheduled(body.scheduled_at),
            reuse=body.replaced,
        )
        request = start_request(
            orchestrator, text, self._client.gateway.now(), self._client.limits, options
        )
        self._program.check_input(orchestrator.name, text)
        await self._client.gateway.start(request)
        return json_answer(StartedBody(instance_id=request.instance_id), 201)

    # --- asking ------------------------------------------------------------------------------

    async def _get(self, call: Call) -> Response:
        instance_id = _instance_id(call)
        seconds = call.number("wait", most=LONGEST_WAIT_SECONDS)
        started = _until_started(call)
        record = await self._client.gateway.get(instance_id)
        if record is not None and seconds and not has_come(record, started=started):
            record = await self._waiting.until(call, instance_id, seconds, started=started)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        if not record.status.is_finished and call.flag("waitingFor", default=True):
            return json_answer(await self._explained(record))
        return json_answer(record)

    async def _explained(self, record: InstanceRecord) -> InstanceBody:
        """With what it waits for; without, when its history is too long to be looked at."""
        gateway = self._client.gateway
        try:
            turns = await gateway.history(record.instance_id, self._history_bytes)
        except LimitError:
            return InstanceBody.of(record, (), None)
        run = run_of(record, [decode_turn(turn) for turn in turns])
        around = Surroundings(
            now=gateway.now(),
            has_host=True,
            look=self._look(record.instance_id, record.name),
            at=utc_moment,
        )
        why = await explained(GatewayReader(gateway), run, around)
        told = ExplanationBody(sentence=why.sentence, advice=why.advice, is_stuck=why.is_stuck)
        return InstanceBody.of(record, tuple(map(_wait_body, run.open_steps())), told)

    async def _list(self, call: Call) -> Response:
        query = InstanceQuery(
            statuses=_statuses(call),
            name=call.one("name"),
            id_prefix=call.one("prefix"),
            created_from=moment(call, "createdFrom"),
            created_to=moment(call, "createdTo"),
            completed_from=moment(call, "completedFrom"),
            completed_to=moment(call, "completedTo"),
            order=_order(call),
            limit=_rows(call),
            after=call.one("after"),
            held=_held(call),
            payloads=call.flag("payloads", default=True),
        )
        return json_answer(await self._client.gateway.query(query))

    async def _history(self, call: Call) -> Response:
        instance_id = _instance_id(call)
        gateway = self._client.gateway
        turns = await gateway.history(instance_id, self._history_bytes)
        if not turns and await gateway.get(instance_id) is None:
            raise InstanceNotFoundError(instance_id)
        return Response(b"[" + b",".join(turns) + b"]", media_type="application/json")

    async def _dead_letters(self, call: Call) -> Response:
        letters = await self._client.gateway.dead_letters(_rows(call))
        return json_answer([DeadLetterBody.of(letter) for letter in letters])

    # --- steering ----------------------------------------------------------------------------

    async def _raise_event(self, call: Call) -> Response:
        instance_id = _instance_id(call)
        body = await _body(call, EventBody)
        if not body.name:
            raise HttpError("an event needs a name, a non-empty string")
        text = text_of(body.input)
        check_payload(text, self._client.limits.payload_bytes, f"event {body.name!r}")
        event = RaiseEvent(event=EventRaised(body.name, text))
        await self._client.gateway.tell(instance_id, event)
        return _done()

    async def _terminate(self, call: Call) -> Response:
        instance_id = _instance_id(call)
        body = await _body(call, TerminateBody, otherwise=TerminateBody())
        check_payload(body.reason, self._client.limits.payload_bytes, "the reason")
        text = None if body.reason is None else encode(body.reason)
        await self._client.gateway.tell(instance_id, Terminate(reason=text, recurse=body.recurse))
        return _done()

    async def _steer(self, control: Control, call: Call) -> Response:
        instance_id = _instance_id(call)
        body = await _body(call, ReasonBody, otherwise=ReasonBody())
        check_payload(body.reason, self._client.limits.payload_bytes, "the reason")
        await self._client.gateway.tell(instance_id, control.message(reason=body.reason))
        return _done()

    async def _purge(self, call: Call) -> Response:
        instance_id = _instance_id(call)
        force = call.flag("force", default=False)
        await self._client.gateway.tell(instance_id, Purge(force=force))
        return _done()


def _described(
    answer: Answer,
    *,
    status: int = 200,
    parameters: tuple[Parameter, ...] = (),
    body: type | None = None,
    errors: tuple[int, ...] = (),
) -> Operation:
    return Operation(
        tag="admin",
        path_schemas={"instanceId": INSTANCE_ID},
        parameters=parameters,
        body=body,
        body_required=body is not None and body is not ReasonBody,
        answers={status: answer},
        errors=errors,
    )


# --- what stands in requests ---------------------------------------------------------------------


async def _body(call: Call, kind: type[B], *, otherwise: B | None = None) -> B:
    """The body as what it must be.

    Raises:
        HttpError: it is no JSON, or not of this shape; naming the place.
    """
    text = await call.json_text()
    if text is None:
        if otherwise is not None:
            return otherwise
        raise HttpError("the request needs a body: a JSON object")
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise HttpError(f"the body does not fit: {error}") from None


def _wait_body(step: Step) -> WaitBody:
    """What stands in an answer of an open step."""
    return WaitBody(
        kind=step.kind.value,  # type: ignore[arg-type]  # messages are never open
        name=step.name or None,
        since=step.changed_at,
        until=step.due_at,
        attempt=step.attempt + (step.state is StepState.RETRYING),
        instance_id=step.instance_id,
        purpose=step.purpose,
    )


def _instance_id(call: Call) -> InstanceId:
    return check_instance_id(call.parameters["instanceId"])


def _execution_id(given: ExecutionId | None) -> ExecutionId | None:
    if given is None:
        return None
    if len(given) != _EXECUTION_ID_DIGITS or set(given) - set("0123456789abcdef"):
        raise HttpError(
            f"executionId must be {_EXECUTION_ID_DIGITS} hexadecimal digits (lower case)"
        )
    return given


def _scheduled(microseconds: int | None) -> int | None:
    if microseconds is not None and not 0 <= microseconds <= LATEST:
        raise HttpError("scheduledAt must be microseconds since 1970 UTC, before the year 10000")
    return microseconds


def _statuses(call: Call) -> tuple[RuntimeStatus, ...] | None:
    """Those asked for; an empty list, which a program may have made, asks for nothing."""
    return (statuses(call, "status", strict=True) or ()) if "status" in call.query else None


def _held(call: Call) -> bool | None:
    return call.flag("held", default=False) if "held" in call.query else None


def _until_started(call: Call) -> bool:
    text = call.one("until") or "ended"
    if text not in {"ended", "started"}:
        raise HttpError(f"query parameter until must be ended or started, got {text!r}")
    return text == "started"


def _order(call: Call) -> ListingOrder:
    text = call.one("order") or "newest"
    for order in _ORDERS:
        if order == text:
            return order
    raise HttpError(f"query parameter order must be one of {', '.join(_ORDERS)}, got {text!r}")


def _rows(call: Call) -> int:
    text = call.one("limit")
    if text is None:
        return 100
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= MOST_ROWS:
        raise HttpError(f"query parameter limit must be a whole number from 1 to {MOST_ROWS:,}")
    return int(text)


def _done() -> Response:
    return Response(status_code=204)
