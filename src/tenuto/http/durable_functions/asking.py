"""Asking for instances over the management API: one with its history, or many."""

import asyncio
from typing import Final

import msgspec
from msgspec import structs
from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.wire import CONTINUATION
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.durable_functions.answers import FINISHED, UNDER_WAY, failed_status
from tenuto.http.durable_functions.history import HistoryProjection, Shown
from tenuto.http.errors import JSON
from tenuto.http.explaining import Explaining
from tenuto.http.links import Links
from tenuto.http.options import HttpSettings, Role
from tenuto.http.outcomes import ended_answer
from tenuto.http.payloads import StatusPayload, status_payload
from tenuto.http.queries import (
    BOOLEAN,
    CREATED,
    FAILURE,
    ID_PREFIX,
    MOST_ROWS,
    ON_INSTANCE,
    STATUSES,
    moment,
    page_size,
    statuses,
)
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.codec import decode_turn
from tenuto.model.errors import InstanceNotFoundError, LimitError
from tenuto.model.ids import InstanceId
from tenuto.model.requests import InstanceQuery

_TURNS_AT_ONCE: Final = 200


class Asking:
    """Status and listing.

    Args:
        gateway: Where requests go.
        links: Makes the links in answers.
        settings: How long histories and pages may be.
        explaining: Why an instance does not go on.
    """

    def __init__(
        self,
        gateway: Gateway,
        links: Links,
        settings: HttpSettings,
        explaining: Explaining,
    ) -> None:
        self._gateway = gateway
        self._history_bytes = settings.history_bytes
        self._page_bytes = settings.page_bytes
        self._links = links
        self._explaining = explaining

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    # --- one ---------------------------------------------------------------------------------

    async def get_status(self, call: Call) -> Response:
        instance_id = call.instance_id
        show_input = call.flag("showInput", default=True)
        show_history = call.flag("showHistory", default=False)
        show_output = call.flag("showHistoryOutput", default=False)
        show_explanation = call.flag("showExplanation", default=False)
        failed = failed_status(call)
        record = await self._gateway.get(instance_id)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        payload = status_payload(record, show_input=show_input)
        if show_history:
            projection = HistoryProjection(show_input=show_input, show_output=show_output)
            events = await self._events(instance_id, projection)
            payload = structs.replace(payload, history_events=events, history=events)
        if record.status.is_finished:
            return ended_answer(payload, record, failed=failed)
        if show_explanation and (why := await self._explaining.why(record)) is not None:
            payload = structs.replace(payload, explanation=why)
        own = self._links.of(call).management(instance_id)["statusQueryGetUri"]
        return json_answer(payload, 202, {"Location": own, "Retry-After": "5"})

    async def _events(self, instance_id: InstanceId, projection: HistoryProjection) -> list[Shown]:
        turns = await self._gateway.history(instance_id, self._history_bytes)
        for number, turn in enumerate(turns):
            projection.take(decode_turn(turn))
            if number % _TURNS_AT_ONCE == _TURNS_AT_ONCE - 1:
                await asyncio.sleep(0)  # a long history must not hold up everything else
        return projection.events

    # --- many --------------------------------------------------------------------------------

    async def list_instances(self, call: Call) -> Response:
        query = self._query(call)
        show_input = call.flag("showInput", default=True)
        page = await self._gateway.query(query)
        payloads = [status_payload(record, show_input=show_input) for record in page.records]
        return json_answer(payloads, 200, {CONTINUATION: page.after or ""})

    def _query(self, call: Call) -> InstanceQuery:
        return InstanceQuery(
            statuses=statuses(call, strict=False),
            id_prefix=call.one("instanceIdPrefix") or None,
            created_from=moment(call, "createdTimeFrom"),
            created_to=moment(call, "createdTimeTo"),
            limit=page_size(call),
            after=call.header(CONTINUATION) or None,
            most_bytes=self._page_bytes,
        )

    async def list_all(self, call: Call) -> Response:
        """All instances that fit, on one page, for callers that know no pages.

        Raises:
            LimitError: they are longer than a page may be.
        """
        query = structs.replace(self._query(call), limit=MOST_ROWS)
        show_input = call.flag("showInput", default=True)
        found: list[bytes] = []
        left = self._page_bytes
        while left >= 0:
            page = await self._gateway.query(query)
            payloads = [status_payload(record, show_input=show_input) for record in page.records]
            found += map(msgspec.json.encode, payloads)
            left -= sum(map(len, found[len(found) - len(payloads) :])) + len(payloads)
            if page.after is None and left >= 0:
                body = b"[" + b",".join(found) + b"]"
                return Response(body, 200, {CONTINUATION: ""}, media_type=JSON)
            query = structs.replace(query, after=page.after)
        raise LimitError(
            f"the instances that fit are longer than {self._page_bytes:,} bytes, the most for one "
            "answer (setting http.page_bytes); ask for some of them, such as with createdTimeFrom "
            "or runtimeStatus"
        )


# --- the table of routes, below the mount ---------------------------------------------------------

_SHOW_INPUT: Final = Parameter(
    name="showInput", text="Whether inputs are shown (default true).", schema=BOOLEAN
)

_STATUS: Final = Operation(
    summary="The status of an instance",
    tag="instances",
    path_schemas=ON_INSTANCE,
    parameters=(
        _SHOW_INPUT,
        Parameter(
            name="showHistory", text="Whether the history is shown (default false).", schema=BOOLEAN
        ),
        Parameter(
            name="showHistoryOutput",
            text="Whether results are shown in the history (default false).",
            schema=BOOLEAN,
        ),
        Parameter(
            name="showExplanation",
            text="Whether it is said why the instance does not go on (default false).",
            schema=BOOLEAN,
        ),
        FAILURE,
    ),
    answers={200: FINISHED, 202: UNDER_WAY},
    errors=(404,),
)
_LIST: Final = Operation(
    summary="A page of instances, newest first",
    tag="instances",
    parameters=(
        *CREATED,
        STATUSES,
        ID_PREFIX,
        Parameter(
            name="top",
            text="The most instances on the page (default 100, at most 1000).",
            schema={"type": "integer", "minimum": 1},
        ),
        _SHOW_INPUT,
        Parameter(
            name=CONTINUATION,
            text="The same header of the page before; left out or empty for the first page.",
            place="header",
            schema={"type": "string", "pattern": r"^(newest\.-?[0-9]{1,18}\.-?[0-9]{1,18})?$"},
        ),
    ),
    answers={
        200: Answer(
            text="A page of instances; it may be shorter than `top` although more follow.",
            kind=list[StatusPayload],
            headers={CONTINUATION: "What to send for the next page; empty on the last page."},
        )
    },
)

_ENDPOINTS: Final = (
    Endpoint("GET", "/instances/{instanceId}", Role.READ, Asking.get_status, _STATUS),
    Endpoint("GET", "/instances", Role.READ, Asking.list_instances, _LIST),
)
