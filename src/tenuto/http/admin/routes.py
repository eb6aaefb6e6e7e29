"""Tenuto's own API under ``/admin``: exact where that of Durable Functions is not.

Times are microseconds, failures keep their chain, payloads stay to the letter. ``HttpGateway`` is
its first reader; the shapes that both share stand in ``tenuto.client.wire``.
"""

from functools import partial
from typing import Final, TypeVar

from starlette.responses import Response

from tenuto.client.gateway import Gateway, has_come
from tenuto.client.message_bodies import CountBody
from tenuto.client.starting import StartOptions, start_request
from tenuto.client.wire import (
    ADMIN,
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
    text_of,
)
from tenuto.engine.program import Program
from tenuto.http.admin.operations import (
    ACKNOWLEDGE,
    ANSWER,
    DEAD_LETTERS,
    GET,
    HISTORY,
    LIST,
    ORDERS,
    PURGE,
    RAISE_EVENT,
    START,
    TERMINATE,
    steering,
)
from tenuto.http.errors import JSON, HttpError
from tenuto.http.explaining import Explaining
from tenuto.http.options import HttpSettings, Role
from tenuto.http.queries import (
    fitting_body,
    moment,
    row_limit,
    statuses,
)
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.http.waiting import Waiting
from tenuto.model.control import CONTROLS, Control
from tenuto.model.errors import InstanceNotFoundError
from tenuto.model.events import EventRaised
from tenuto.model.ids import ExecutionId
from tenuto.model.limits import Limits, check_payload
from tenuto.model.messages import AnswerQuestion, Purge, RaiseEvent, Terminate
from tenuto.model.payload import encode
from tenuto.model.requests import HistoryPage, InstanceQuery, ListingOrder
from tenuto.model.status import RuntimeStatus
from tenuto.model.texts import checked_text_or_none
from tenuto.model.timing import LATEST
from tenuto.model.topics import checked_event_name
from tenuto.model.trace import checked_trace

B = TypeVar("B")

_INSTANCES: Final = f"{ADMIN}/instances"
_INSTANCE: Final = f"{_INSTANCES}/{{instanceId}}"
_ACKNOWLEDGE: Final = f"{ADMIN}/dead-letters/acknowledge"
_EXECUTION_ID_DIGITS: Final = 32


class AdminApi:
    """The routes that start, ask and steer instances, for Tenuto's own clients.

    Args:
        gateway: Where requests go.
        limits: Of these, ``payload_bytes`` holds for what goes in.
        program: The orchestrators that may be started.
        waiting: For callers that wait for the end.
        settings: How long histories and pages may be.
        explaining: Why an instance does not go on.
    """

    def __init__(
        self,
        gateway: Gateway,
        limits: Limits,
        program: Program,
        waiting: Waiting,
        settings: HttpSettings,
        explaining: Explaining,
    ) -> None:
        self._gateway = gateway
        self._limits = limits
        self._explaining = explaining
        self._history_bytes = settings.history_bytes
        self._page_bytes = settings.page_bytes
        self._program = program
        self._waiting = waiting

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    # --- starting ----------------------------------------------------------------------------

    async def start(self, call: Call) -> Response:
        body = await _body(call, StartBody)
        orchestrator = await self._explaining.orchestrator(body.name, self._program)
        text = text_of(body.input)
        options = StartOptions(
            instance_id=body.instance_id,
            execution_id=_execution_id(body.execution_id),
            version=body.version,
            tags=body.tags,
            trace=checked_trace(body.trace) or call.trace,
            scheduled_at=_scheduled(body.scheduled_at),
            reuse=body.replaced,
        )
        what = body.name if orchestrator is None else orchestrator
        request = start_request(what, text, self._gateway.now(), self._limits, options)
        if orchestrator is not None:
            self._program.check_input(orchestrator.name, text)
        await self._gateway.start(request)
        return json_answer(StartedBody(instance_id=request.instance_id), 201)

    # --- asking ------------------------------------------------------------------------------

    async def get_instance(self, call: Call) -> Response:
        instance_id = call.instance_id
        seconds = call.number("wait", most=LONGEST_WAIT_SECONDS)
        started = _until_started(call)
        record = await self._gateway.get(instance_id)
        if record is not None and seconds and not has_come(record, started=started):
            record = await self._waiting.until(call, instance_id, seconds, started=started)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        if not record.status.is_finished and call.flag("waitingFor", default=True):
            return json_answer(InstanceBody.of(record, await self._explaining.why(record)))
        return json_answer(record)

    async def list_instances(self, call: Call) -> Response:
        query = InstanceQuery(
            statuses=_statuses(call),
            name=call.one("name"),
            id_prefix=call.one("prefix"),
            created_from=moment(call, "createdFrom"),
            created_to=moment(call, "createdTo"),
            completed_from=moment(call, "completedFrom"),
            completed_to=moment(call, "completedTo"),
            order=_order(call),
            limit=row_limit(call),
            after=call.one("after"),
            held=_held(call),
            payloads=call.flag("payloads", default=True),
            most_bytes=self._page_bytes,
        )
        return json_answer(await self._gateway.query(query))

    async def history(self, call: Call) -> Response:
        instance_id = call.instance_id
        if (after := call.one("after")) is None:  # nobody takes a part of it for the whole
            page = HistoryPage(await self._gateway.history(instance_id, self._history_bytes), None)
        else:
            page = await self._gateway.history_page(instance_id, after or None, self._page_bytes)
        if not page.turns and await self._gateway.get(instance_id) is None:
            raise InstanceNotFoundError(instance_id)
        body = b"[" + b",".join(page.turns) + b"]"
        return Response(body, headers=_continued(page.after), media_type=JSON)

    async def dead_letters(self, call: Call) -> Response:
        after = call.one("after") or None
        page = await self._gateway.dead_letter_page(row_limit(call), after, self._page_bytes)
        bodies = [DeadLetterBody.of(letter) for letter in page.letters]
        return json_answer(bodies, 200, _continued(page.after))

    async def acknowledge(self, call: Call) -> Response:
        body = await _body(call, DeadLetterIdsBody)
        return json_answer(CountBody(count=await self._gateway.acknowledge_letters(body.ids)))

    # --- steering ----------------------------------------------------------------------------

    async def raise_event(self, call: Call) -> Response:
        instance_id = call.instance_id
        body = await _body(call, EventBody)
        name = checked_event_name(body.name)
        text = text_of(body.input)
        check_payload(text, self._limits.payload_bytes, f"event {name!r}")
        event = RaiseEvent(event=EventRaised(name, text))
        await self._gateway.tell(instance_id, event)
        return _done()

    async def answer(self, call: Call) -> Response:
        instance_id = call.instance_id
        body = await _body(call, AnswerBody)
        text = text_of(body.answer)
        check_payload(text, self._limits.payload_bytes, "the answer")
        check_payload(body.by, self._limits.payload_bytes, "by")
        now = self._gateway.now()
        message = AnswerQuestion(question=body.question, requested_at=now, input=text, by=body.by)
        await self._gateway.tell(instance_id, message)
        return _done()

    async def terminate(self, call: Call) -> Response:
        instance_id = call.instance_id
        body = await _body(call, TerminateBody, otherwise=TerminateBody())
        reason = self._reason(body.reason)
        text = None if reason is None else encode(reason)
        await self._gateway.tell(instance_id, Terminate(reason=text, recurse=body.recurse))
        return _done()

    async def steer(self, call: Call, control: Control) -> Response:
        instance_id = call.instance_id
        body = await _body(call, ReasonBody, otherwise=ReasonBody())
        reason = self._reason(body.reason)
        await self._gateway.tell(instance_id, control.message(reason=reason))
        return _done()

    def _reason(self, given: str | None) -> str | None:
        check_payload(given, self._limits.payload_bytes, "the reason")
        return checked_text_or_none(given, "the reason")

    async def purge(self, call: Call) -> Response:
        instance_id = call.instance_id
        force = call.flag("force", default=False)
        await self._gateway.tell(instance_id, Purge(force=force))
        return _done()


# --- what stands in requests ---------------------------------------------------------------------


async def _body(call: Call, kind: type[B], *, otherwise: B | None = None) -> B:
    """The body as what it must be.

    Raises:
        HttpError: it is no JSON, or not of this shape; naming the place.
    """
    text = await call.json_text(wrapped=1)
    if text is None:
        if otherwise is not None:
            return otherwise
        raise HttpError("the request needs a body: a JSON object")
    return fitting_body(text, kind)


def _execution_id(given: str | None) -> ExecutionId | None:
    if given is None:
        return None
    if len(given) != _EXECUTION_ID_DIGITS or set(given) - set("0123456789abcdef"):
        raise HttpError(
            f"executionId must be {_EXECUTION_ID_DIGITS} hexadecimal digits (lower case)"
        )
    return ExecutionId(given)


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
    for order in ORDERS:
        if order == text:
            return order
    raise HttpError(f"query parameter order must be one of {', '.join(ORDERS)}, got {text!r}")


def _continued(after: str | None) -> dict[str, str]:
    return {CONTINUATION: after or ""}


def _done() -> Response:
    return Response(status_code=204)


# --- the table of routes --------------------------------------------------------------------------


def _steered(control: Control) -> Endpoint[AdminApi]:
    steer = partial(AdminApi.steer, control=control)
    operation = steering(control.summary)
    return Endpoint("POST", f"{_INSTANCE}/{control.name}", Role.OPERATE, steer, operation)


_ENDPOINTS: Final[tuple[Endpoint[AdminApi], ...]] = (
    Endpoint("POST", _INSTANCES, Role.OPERATE, AdminApi.start, START),
    Endpoint("GET", _INSTANCES, Role.READ, AdminApi.list_instances, LIST),
    Endpoint("GET", _INSTANCE, Role.READ, AdminApi.get_instance, GET),
    Endpoint("GET", f"{_INSTANCE}/history", Role.READ, AdminApi.history, HISTORY),
    Endpoint("GET", f"{ADMIN}/dead-letters", Role.READ, AdminApi.dead_letters, DEAD_LETTERS),
    Endpoint("POST", _ACKNOWLEDGE, Role.OPERATE, AdminApi.acknowledge, ACKNOWLEDGE),
    Endpoint("POST", f"{_INSTANCE}/raise-event", Role.OPERATE, AdminApi.raise_event, RAISE_EVENT),
    Endpoint("POST", f"{_INSTANCE}/answer", Role.OPERATE, AdminApi.answer, ANSWER),
    Endpoint("POST", f"{_INSTANCE}/terminate", Role.OPERATE, AdminApi.terminate, TERMINATE),
    *map(_steered, CONTROLS),
    Endpoint("DELETE", _INSTANCE, Role.ADMIN, AdminApi.purge, PURGE),
)
