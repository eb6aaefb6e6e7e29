"""Steering instances over the management API: events, pause, end, deletion."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from msgspec import structs
from starlette.responses import Response

from tenuto.client.client import Client
from tenuto.client.purging import purge_through
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.durable_functions.answers import ACCEPTED, accepted
from tenuto.http.errors import HttpError, RouteNotFoundError
from tenuto.http.options import Role
from tenuto.http.payloads import MOUNT, PurgedPayload
from tenuto.http.queries import (
    BOOLEAN,
    CREATED,
    INSTANCE_ID,
    STATUSES,
    moment,
    statuses,
)
from tenuto.http.routing import Call, Handler, Route, json_answer
from tenuto.model.control import CONTROLS, Control
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId, check_instance_id
from tenuto.model.limits import check_payload
from tenuto.model.messages import Purge, RaiseEvent, Terminate
from tenuto.model.payload import encode
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import FINISHED

_INSTANCE: Final = f"{MOUNT}/instances/{{instanceId}}"
_CHUNK: Final = 100
_REASON: Final = Parameter(name="reason", text="Why; stands in the history.")
_FORCE: Final = Parameter(
    name="force",
    text="Also what has not ended: it is terminated first.",
    schema=BOOLEAN,
)
_PURGED: Final = Answer(text="So many were deleted.", kind=PurgedPayload)


class Steering:
    """Events, terminate, suspend, resume, rewind, purge.

    Args:
        client: Where requests go.
        now: The time, in microseconds since 1970 UTC.
    """

    def __init__(self, client: Client, now: Callable[[], int]) -> None:
        self._client = client
        self._now = now

    def routes(self) -> Iterator[Route]:
        """All of them."""
        yield Route(
            method="POST",
            path=f"{_INSTANCE}/raiseEvent/{{eventName}}",
            role=Role.OPERATE,
            handler=self._raise_event,
            summary="Raise an external event",
            opened_by_link=True,
            hides_methods=True,
            operation=Operation(
                tag="instances",
                path_schemas={
                    "instanceId": INSTANCE_ID,
                    "eventName": {"type": "string", "minLength": 1},
                },
                body=object,
                answers={202: ACCEPTED},
                errors=(404, 410, 413),
            ),
        )
        recurse = Parameter(
            name="recurse",
            text="Whether what it has called ends too, and what that has called (false).",
            schema=BOOLEAN,
        )
        words: list[tuple[str, Handler, str, tuple[Parameter, ...]]] = [
            ("terminate", self._terminate, "End an instance now", (_REASON, recurse)),
            *((one.name, partial(self._steer, one), one.summary, (_REASON,)) for one in CONTROLS),
        ]
        for name, handler, summary, own in words:
            yield Route(
                method="POST",
                path=f"{_INSTANCE}/{name}",
                role=Role.OPERATE,
                handler=handler,
                summary=summary,
                opened_by_link=True,
                hides_methods=True,
                operation=Operation(
                    tag="instances",
                    path_schemas={"instanceId": INSTANCE_ID},
                    parameters=own,
                    answers={202: ACCEPTED},
                    errors=(404, 409, 410),
                ),
            )
        yield Route(
            method="DELETE",
            path=_INSTANCE,
            role=Role.ADMIN,
            handler=self._purge,
            summary="Delete an instance and its history",
            opened_by_link=True,
            hides_methods=True,
            operation=Operation(
                tag="instances",
                path_schemas={"instanceId": INSTANCE_ID},
                parameters=(_FORCE,),
                answers={200: _PURGED},
                errors=(404, 409),
            ),
        )
        yield Route(
            method="DELETE",
            path=f"{MOUNT}/instances",
            role=Role.ADMIN,
            handler=self._purge_many,
            summary="Delete instances and their histories",
            hides_methods=True,
            operation=Operation(
                tag="instances",
                parameters=(
                    structs.replace(CREATED[0], required=True),
                    CREATED[1],
                    STATUSES,
                    _FORCE,
                ),
                answers={200: _PURGED},
                errors=(404, 409),
            ),
        )

    # --- events and control ------------------------------------------------------------------

    async def _raise_event(self, call: Call) -> Response:
        instance_id = _instance_id(call)
        name = call.parameters["eventName"]
        text = await call.json_text()
        if text is not None:
            _check_content_type(call)
        check_payload(text, self._client.limits.payload_bytes, f"event {name!r}")
        event = RaiseEvent(event=EventRaised(name, text))
        await self._client.gateway.tell(instance_id, event)
        return accepted()

    async def _terminate(self, call: Call) -> Response:
        instance_id = _instance_id(call)
        reason = call.one("reason")
        text = None if reason is None else encode(reason)
        recurse = call.flag("recurse", default=False)
        await self._client.gateway.tell(instance_id, Terminate(reason=text, recurse=recurse))
        return accepted()

    async def _steer(self, control: Control, call: Call) -> Response:
        instance_id = _instance_id(call)
        await self._client.gateway.tell(instance_id, control.message(reason=call.one("reason")))
        return accepted()

    # --- deletion ----------------------------------------------------------------------------

    async def _purge(self, call: Call) -> Response:
        instance_id = _instance_id(call)
        force = call.flag("force", default=False)
        await self._client.gateway.tell(instance_id, Purge(force=force))
        return json_answer(PurgedPayload(1))

    async def _purge_many(self, call: Call) -> Response:
        created_from = moment(call, "createdTimeFrom")
        if created_from is None:
            raise HttpError("Please provide value for 'createdTimeFrom' parameter.")
        created_to = moment(call, "createdTimeTo")
        force = call.flag("force", default=False)
        wanted = statuses(call, strict=True)
        if not force:
            going = [one.label for one in wanted or () if not one.is_finished]
            if going:
                raise HttpError(
                    f"instances that are {', '.join(going)} have not ended; terminate them first, "
                    "or purge them with force=true",
                    status=409,
                )
            wanted = wanted or tuple(sorted(FINISHED))
        query = InstanceQuery(
            statuses=wanted,
            created_from=created_from,
            created_to=self._now() + 1 if created_to is None else created_to,
            limit=_CHUNK,
            order="oldest",
            payloads=False,
        )
        deleted = await self._purge_all(query, force=force)
        if not deleted:
            raise RouteNotFoundError("no instance that may be purged fits")
        return json_answer(PurgedPayload(deleted))

    async def _purge_all(self, query: InstanceQuery, *, force: bool) -> int:
        """Delete chunk by chunk, so that a million of them do not come all at once."""
        gateway = self._client.gateway
        deleted, after = 0, query.after
        while True:
            page = await gateway.query(structs.replace(query, after=after))
            bites = purge_through(gateway, page.records, force=force)
            deleted += sum([purged async for purged in bites])
            after = page.after
            if after is None:
                return deleted


def _instance_id(call: Call) -> InstanceId:
    return check_instance_id(call.parameters["instanceId"])


def _check_content_type(call: Call) -> None:
    given = (call.header("content-type") or "").partition(";")[0].strip().lower()
    if given not in {"application/json", "text/json"} and not given.endswith("+json"):
        raise HttpError(
            "the data of an event must be JSON with header Content-Type: application/json, got "
            f"{given or 'none'!r} (curl sends it with --json instead of -d)"
        )
