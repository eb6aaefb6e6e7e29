"""Steering instances over the management API: events, pause, end, deletion."""

from functools import partial
from typing import Final, TypeVar

from msgspec import structs
from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.purging import check_ended, purge_fitting
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.durable_functions.answers import ACCEPTED, accepted
from tenuto.http.errors import HttpError, RouteNotFoundError
from tenuto.http.options import Role
from tenuto.http.payloads import PurgedPayload
from tenuto.http.queries import (
    BOOLEAN,
    CREATED,
    FORCE,
    ID_PREFIX,
    ON_INSTANCE,
    STATUSES,
    moment,
    statuses,
)
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.control import CONTROLS, Control
from tenuto.model.errors import InputError
from tenuto.model.events import EventRaised
from tenuto.model.limits import Limits, check_payload
from tenuto.model.messages import Purge, RaiseEvent, Terminate
from tenuto.model.payload import encode
from tenuto.model.requests import InstanceQuery
from tenuto.model.texts import checked_text_or_none
from tenuto.model.topics import checked_event_name

T = TypeVar("T")


class Steering:
    """Events, termination, words of control, deletion.

    Args:
        gateway: Where requests go.
        limits: Of these, ``payload_bytes`` holds for what goes in.
    """

    def __init__(self, gateway: Gateway, limits: Limits) -> None:
        self._gateway = gateway
        self._limits = limits

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    # --- events and control ------------------------------------------------------------------

    async def raise_event(self, call: Call) -> Response:
        instance_id = call.instance_id
        name = checked_event_name(call.parameters["eventName"])
        text = await call.json_text()
        if text is not None:
            _check_content_type(call)
        check_payload(text, self._limits.payload_bytes, f"event {name!r}")
        event = RaiseEvent(event=EventRaised(name, text))
        await self._gateway.tell(instance_id, event)
        return accepted()

    async def terminate(self, call: Call) -> Response:
        instance_id = call.instance_id
        reason = checked_text_or_none(call.one("reason"), "the reason")
        text = None if reason is None else encode(reason)
        recurse = call.flag("recurse", default=False)
        await self._gateway.tell(instance_id, Terminate(reason=text, recurse=recurse))
        return accepted()

    async def steer(self, call: Call, control: Control) -> Response:
        instance_id = call.instance_id
        reason = checked_text_or_none(call.one("reason"), "the reason")
        await self._gateway.tell(instance_id, control.message(reason=reason))
        return accepted()

    # --- deletion ----------------------------------------------------------------------------

    async def purge(self, call: Call) -> Response:
        instance_id = call.instance_id
        force = call.flag("force", default=False)
        await self._gateway.tell(instance_id, Purge(force=force))
        return json_answer(PurgedPayload(1))

    async def purge_many(self, call: Call) -> Response:
        if moment(call, "createdTimeFrom") is None:
            raise HttpError("Please provide value for 'createdTimeFrom' parameter.")
        force = call.flag("force", default=False)
        query = self.purge_query(call)
        try:
            check_ended(query.statuses, force=force)
        except InputError as error:  # what is asked for is well-formed
            raise HttpError(str(error), status=409) from None
        return await self.purge_all(query, force=force)

    def purge_query(self, call: Call) -> InstanceQuery:
        """What a caller wants to be deleted."""
        created_to = _filled(call, "createdTimeTo", moment(call, "createdTimeTo"))
        return InstanceQuery(
            statuses=_filled(call, "runtimeStatus", statuses(call, strict=True)),
            id_prefix=_filled(call, "instanceIdPrefix", call.one("instanceIdPrefix") or None),
            created_from=_filled(call, "createdTimeFrom", moment(call, "createdTimeFrom")),
            created_to=self._gateway.now() + 1 if created_to is None else created_to,
            order="oldest",
        )

    async def purge_all(self, query: InstanceQuery, *, force: bool) -> Response:
        """Delete what fits, and say how many that was.

        Raises:
            RouteNotFoundError: none fits.
        """
        bites = purge_fitting(self._gateway, query, force=force)
        deleted = sum([purged async for purged in bites])
        if not deleted:
            what = "" if force else " that has ended (force=true purges others too)"
            raise RouteNotFoundError(f"nothing was purged: there is no instance{what} that fits")
        return json_answer(PurgedPayload(deleted))


def _filled(call: Call, name: str, value: T | None) -> T | None:
    """A filter; one that is given but empty was meant to hold something, and would delete all."""
    if value is None and name.lower() in call.query:
        raise HttpError(f"query parameter {name} is empty; leave it out to delete any")
    return value


def _check_content_type(call: Call) -> None:
    given = call.content_type
    if given not in {"application/json", "text/json"} and not given.endswith("+json"):
        raise HttpError(
            "the data of an event must be JSON with header Content-Type: application/json, got "
            f"{given or 'none'!r} (curl sends it with --json instead of -d)"
        )


# --- the table of routes, below the mount ---------------------------------------------------------

_REASON: Final = Parameter(name="reason", text="The reason, which is kept in the history.")
_PURGED: Final = Answer(text="The number of deleted instances.", kind=PurgedPayload)


def _word(summary: str, *parameters: Parameter) -> Operation:
    """What is told an instance, with a reason."""
    return Operation(
        summary=summary,
        tag="instances",
        path_schemas=ON_INSTANCE,
        parameters=(_REASON, *parameters),
        answers={202: ACCEPTED},
        errors=(404, 409, 410),
    )


_RAISE_EVENT: Final = Operation(
    summary="Raise an external event",
    tag="instances",
    path_schemas={**ON_INSTANCE, "eventName": {"type": "string", "minLength": 1}},
    body=object,
    answers={202: ACCEPTED},
    errors=(404, 410, 413),
)
_TERMINATE: Final = _word(
    "End an instance now",
    Parameter(
        name="recurse",
        text="Whether its sub-orchestrations end too, at all levels (default false).",
        schema=BOOLEAN,
    ),
)
_PURGE: Final = Operation(
    summary="Delete an instance and its history",
    tag="instances",
    path_schemas=ON_INSTANCE,
    parameters=(FORCE,),
    answers={200: _PURGED},
    errors=(404, 409),
)
_PREFIX: Final = structs.replace(ID_PREFIX, schema={"type": "string", "minLength": 1})
_PURGE_MANY: Final = Operation(
    summary="Delete instances and their histories",
    tag="instances",
    parameters=(structs.replace(CREATED[0], required=True), CREATED[1], STATUSES, _PREFIX, FORCE),
    answers={200: _PURGED},
    errors=(404, 409),
)

_INSTANCE: Final = "/instances/{instanceId}"
_EVENT: Final = "/instances/{instanceId}/raiseEvent/{eventName}"


def _steered(control: Control) -> Endpoint[Steering]:
    steer = partial(Steering.steer, control=control)
    operation = _word(control.summary)
    return Endpoint("POST", f"{_INSTANCE}/{control.name}", Role.OPERATE, steer, operation)


_ENDPOINTS: Final[tuple[Endpoint[Steering], ...]] = (
    Endpoint("POST", _EVENT, Role.OPERATE, Steering.raise_event, _RAISE_EVENT),
    Endpoint("POST", f"{_INSTANCE}/terminate", Role.OPERATE, Steering.terminate, _TERMINATE),
    *map(_steered, CONTROLS),
    Endpoint("DELETE", _INSTANCE, Role.ADMIN, Steering.purge, _PURGE),
    Endpoint("DELETE", "/instances", Role.ADMIN, Steering.purge_many, _PURGE_MANY),
)
