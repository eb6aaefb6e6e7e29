"""Live updates as server-sent events: one instance, or the list of all.

The form is that of the HTML standard (https://html.spec.whatwg.org/multipage/server-sent-events.html):
each event carries an id, and a client that comes back sends the last one it has seen in
``Last-Event-ID``. ``event: update`` tells a step, ``event: reset`` that steps are missing and the
state must be read anew (for one instance it is in the event). One instance tells each step, the
list of several in a short time the last. Comments keep the connection alive.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tenuto.client.gateway import Gateway
from tenuto.client.status import HoldStatus, hold_of
from tenuto.client.wire import ADMIN
from tenuto.engine.updates import Subscription, Update, UpdateFeed
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import TooManyWatchersError
from tenuto.http.masking import Masking
from tenuto.http.options import Role
from tenuto.http.payloads import raw
from tenuto.http.queries import ON_INSTANCE
from tenuto.http.routing import Call, Endpoint, Route, bound
from tenuto.model.errors import InstanceNotFoundError, StorageError
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import to_datetime

HEARTBEAT_SECONDS = 15.0
"""The longest time in which nothing is sent; then a comment is."""

PAUSE_SECONDS: Final = 0.05
"""What comes of the list within so much time after another update is sent together: one write to
the socket takes longer than all that is written. Of an instance that is the last step."""

_LAST_SEEN: Final = (
    Parameter(
        name="Last-Event-ID",
        text="The id of the last event that the caller has seen; the stream goes on after it, or "
        "begins with `reset` when that cannot be.",
        place="header",
    ),
    Parameter(
        name="lastEventId",
        text="The same as header Last-Event-ID, for callers that cannot set headers.",
    ),
)
_STREAM: Final = Answer(
    text="A stream of events `update` and `reset`, each with an id and data in JSON.",
    kind=str,
    media_type="text/event-stream",
)
_HEARTBEAT: Final = b": still here\n\n"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class LiveApi:
    """The streams under ``/admin``.

    Args:
        gateway: Where states are read.
        feed: Where updates come from.
        watchers: Most streams at a time.
        masking: Hides addresses from who may only look.
    """

    def __init__(
        self,
        gateway: Gateway,
        feed: UpdateFeed,
        watchers: int,
        masking: Masking,
    ) -> None:
        self._masking = masking
        self._gateway = gateway
        self._feed = feed
        self._watchers = watchers
        self._open: set[Subscription] = set()

    def routes(self) -> list[Route]:
        """The routes of the table below."""
        return bound(_ENDPOINTS, self)

    def close(self) -> None:
        """End all streams: the server stops."""
        for subscription in list(self._open):
            subscription.close()

    async def follow_all(self, call: Call) -> Response:
        self._check_room()
        # Who is new has read nothing yet, and any position but a known one leads to a reset.
        after = _last_seen(call) or "new"
        return self._stream(call, self._feed.subscribe(after=after))

    async def follow_one(self, call: Call) -> Response:
        instance_id = call.instance_id
        self._check_room()
        last_seen = _last_seen(call)
        record = await self._gateway.get(instance_id)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        if (
            record.status.is_finished
            and last_seen is not None
            and not await self._feed.missed_turns(instance_id, last_seen)
        ):
            return Response(status_code=204)  # tells browsers not to come back
        return self._stream(call, self._feed.subscribe(instance_id, after=last_seen or "new"))

    def _check_room(self) -> None:
        if len(self._open) >= self._watchers:
            raise TooManyWatchersError(
                f"there are {self._watchers:,} live streams already (setting http.watchers); "
                "try again later"
            )

    def _stream(self, call: Call, subscription: Subscription) -> "EventStream":
        try:
            self._check_room()  # again: others may have come while the instance was read
        except TooManyWatchersError:
            subscription.close()
            raise
        self._open.add(subscription)
        return EventStream(self, subscription, call)

    async def run(
        self, subscription: Subscription, receive: Receive, send: Send, call: Call
    ) -> None:
        """Send what comes until the end of the instance, of the caller, of the caller's session or
        of the server.
        """
        is_masked = call.role is Role.READ
        gone = asyncio.ensure_future(_disconnected(receive))
        following: asyncio.Future[Update | None] | None = None
        try:
            while not gone.done() and (call.session is None or call.session.is_open()):
                if following is None:
                    following = asyncio.ensure_future(_next(subscription))
                watched: list[asyncio.Future[Any]] = [gone, following]
                await asyncio.wait(
                    watched,
                    timeout=HEARTBEAT_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not following.done():
                    await send(
                        {"type": "http.response.body", "body": _HEARTBEAT, "more_body": True}
                    )
                    continue
                update = await following
                following = None
                if update is None:
                    break  # the server stops
                body, is_last = await self._events(subscription, update)
                if is_masked:
                    body = await self._masking.masked(body)
                await send({"type": "http.response.body", "body": body, "more_body": True})
                if is_last:
                    break
                if subscription.instance_id is None:
                    await asyncio.wait([gone], timeout=PAUSE_SECONDS)
        except StorageError:
            pass  # it cannot be read now: the caller comes back with its last id
        finally:
            gone.cancel()
            if following is not None:
                following.cancel()
            await self.end(subscription, send)

    async def end(self, subscription: Subscription, send: Send) -> None:
        """End a stream: its subscription and its body."""
        self._open.discard(subscription)
        subscription.close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self, subscription: Subscription, first: Update) -> tuple[bytes, bool]:
        """An update and all that wait behind it; whether one of them is the last."""
        bodies: list[bytes] = []
        updates: Iterable[Update] = (first, *subscription.at_hand())
        if subscription.instance_id is None:
            updates = _latest(updates)
        for update in updates:
            body, is_last = await self._event(subscription, update)
            bodies.append(body)
            if is_last:
                return b"".join(bodies), True
        return b"".join(bodies), False

    async def _event(self, subscription: Subscription, update: Update) -> tuple[bytes, bool]:
        is_last = subscription.instance_id is not None and (update.has_ended or update.is_purged)
        record = update.record
        name = "update"
        if update.is_reset:
            name = "reset"
            if subscription.instance_id is not None:
                record = await self._gateway.get(subscription.instance_id)
                is_last = record is None or record.status.is_finished
        data = msgspec.json.encode(_step(update, record))
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (
            update.position.encode(),
            name.encode(),
            data,
        ), is_last


_ALL: Final = Operation(
    summary="Updates of all instances, as server-sent events",
    tag="live",
    parameters=_LAST_SEEN,
    answers={200: _STREAM},
)
_ONE: Final = Operation(
    summary="Updates of one instance, as server-sent events",
    tag="live",
    path_schemas=ON_INSTANCE,
    parameters=_LAST_SEEN,
    answers={
        200: _STREAM,
        204: Answer(text="The instance has ended and the caller has seen that; do not come back."),
    },
    errors=(404,),
)
_ENDPOINTS: Final = (
    Endpoint("GET", f"{ADMIN}/events", Role.READ, LiveApi.follow_all, _ALL),
    Endpoint(
        "GET", f"{ADMIN}/instances/{{instanceId}}/events", Role.READ, LiveApi.follow_one, _ONE
    ),
)


class EventStream(Response):
    """An answer whose body is what comes of a subscription."""

    def __init__(self, live: LiveApi, subscription: Subscription, call: Call) -> None:
        super().__init__(headers=_HEADERS, media_type="text/event-stream")
        del self.headers["content-length"]
        self._live = live
        self._subscription = subscription
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, then what comes."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        if scope["method"] == "HEAD":
            await self._live.end(self._subscription, send)
        else:
            await self._live.run(self._subscription, receive, send, self._call)


async def _next(subscription: Subscription) -> Update | None:
    return await anext(subscription, None)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _last_seen(call: Call) -> str | None:
    return call.header("last-event-id") or call.one("lastEventId")


class _Step(Struct, rename="camel", kw_only=True):
    """What is told of a step."""

    instance_id: InstanceId | None
    generation: int
    turn: int
    ended: bool
    purged: bool
    name: str | UnsetType = UNSET
    runtime_status: str | UnsetType = UNSET
    custom_status: Raw | UnsetType = UNSET
    created_time: datetime | UnsetType = UNSET
    last_updated_time: datetime | UnsetType = UNSET
    failure: FailureDetails | UnsetType = UNSET
    hold: HoldStatus | UnsetType = UNSET


def _step(update: Update, record: InstanceRecord | None) -> _Step:
    if record is None:
        return _Step(
            instance_id=update.instance_id or None,
            generation=update.generation,
            turn=update.turn,
            ended=update.has_ended,
            purged=update.is_purged,
        )
    return _Step(
        instance_id=update.instance_id or record.instance_id,
        generation=update.generation,
        turn=update.turn,
        ended=update.has_ended or record.status.is_finished,
        purged=update.is_purged,
        name=record.name,
        runtime_status=record.status.label,
        custom_status=raw(record.custom_status),
        created_time=to_datetime(record.created_at),
        last_updated_time=to_datetime(record.updated_at or record.created_at),
        failure=record.failure or UNSET,
        hold=hold_of(record) or UNSET,
    )


def _latest(updates: Iterable[Update]) -> list[Update]:
    """Of those of one instance the last: whoever looks at all of them shows how they are now."""
    found: dict[InstanceId | Update, Update] = {}
    for update in updates:
        has_it_all = update.record is not None or update.is_purged
        key = update.instance_id if has_it_all else update
        found.pop(key, None)  # it stands where the last does: a caller comes back with its position
        found[key] = update
    return list(found.values())
