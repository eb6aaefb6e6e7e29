"""Live updates as server-sent events: one instance, or the list of all.

The form is that of the HTML standard (https://html.spec.whatwg.org/multipage/server-sent-events.html):
each event carries an id, and a client that comes back sends the last one it has seen in
``Last-Event-ID``. ``event: update`` tells a step, ``event: reset`` that steps are missing and the
state must be read anew (for one instance it is in the event). One instance tells each step, the
list of several in a short time the last. Who asks for a digest of the list is told once a second
how many instances have changed (``event: digest``), and so is who wants no more than ``most``
updates at once, as long as there are more. Comments keep the connection alive.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tenuto.client.gateway import Gateway
from tenuto.client.status import HoldStatus, hold_of
from tenuto.client.wire import ADMIN
from tenuto.engine.digest import digest_of_updates
from tenuto.engine.updates import Digest, DigestSubscription, Subscription, Update, UpdateFeed
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import TooManyWatchersError
from tenuto.http.masking import Masking
from tenuto.http.options import Role
from tenuto.http.payloads import raw
from tenuto.http.queries import BOOLEAN, ON_INSTANCE, whole_number
from tenuto.http.routing import Call, Endpoint, Route, bound
from tenuto.model.errors import (
    InstanceNotFoundError,
    StorageError,
    StorageUnavailableError,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import to_datetime

HEARTBEAT_SECONDS = 15.0
"""The longest time in which nothing is sent; then a comment is."""

PAUSE_SECONDS: Final = 0.05
"""What comes of the list within so much time after another update is sent together: one write to
the socket takes longer than all that is written. Of an instance that is the last step."""

DIGEST_SECONDS: Final = 1.0
"""The time between two digests, while something changes; the first comes at once."""

_NOWHERE: Final = "new"
"""A position that no update has: who comes back with it has missed something."""

_MOST_AT_ONCE: Final = 100
_QUEUED: Final = 2_000
"""Updates that wait for who wants only so many: enough to count them."""

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
_DIGEST: Final = Parameter(
    name="digest",
    text="true: instead of each update, at most once a second, how many instances have changed "
    "(default false). Begins with `reset`, also for who comes back.",
    schema=BOOLEAN,
)
_MOST: Final = Parameter(
    name="most",
    text="When more instances than this have changed within 0.05 s: a `digest` once a second in "
    "place of their updates, until a second brings no more than this.",
    schema={"type": "integer", "minimum": 1, "maximum": _MOST_AT_ONCE},
)
_STREAM: Final = Answer(
    text="A stream of events `update` and `reset`, or `digest`, each with an id and data in JSON.",
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
        self._open: set[Telling] = set()
        self._is_closed = False

    def routes(self) -> list[Route]:
        """The routes of the table below."""
        return bound(_ENDPOINTS, self)

    def close(self) -> None:
        """End all streams, and open no more: the server stops."""
        self._is_closed = True
        for telling in list(self._open):
            telling.close()

    async def follow_all(self, call: Call) -> Response:
        most = whole_number(call, "most", 0, least=1, most=_MOST_AT_ONCE)
        self._check_room()
        if call.flag("digest", default=False):
            return self._stream(call, _Digests(self._feed.subscribe_digests()))
        # Who is new has read nothing yet, and any position but a known one leads to a reset.
        after = _last_seen(call) or "new"
        return self._stream(call, _List(self._feed, after, most))

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
        subscription = self._feed.subscribe(instance_id, after=last_seen or "new")
        return self._stream(call, _One(subscription, self._gateway, instance_id))

    def _check_room(self) -> None:
        if self._is_closed:  # its reader would wait for something that never comes
            raise StorageUnavailableError("the host is stopping: it opens no more live streams")
        if len(self._open) >= self._watchers:
            raise TooManyWatchersError(
                f"there are {self._watchers:,} live streams already (setting http.watchers); "
                "try again later"
            )

    def _stream(self, call: Call, telling: "Telling") -> "EventStream":
        try:
            self._check_room()  # again: others may have come while the instance was read
        except TooManyWatchersError:
            telling.close()
            raise
        self._open.add(telling)
        return EventStream(self, telling, call)

    async def run(self, telling: "Telling", receive: Receive, send: Send, call: Call) -> None:
        """Send what comes until the end of the instance, of the caller, of the caller's session or
        of the server.
        """
        is_masked = call.role is Role.READ
        gone = asyncio.ensure_future(_disconnected(receive))
        following: asyncio.Future[bytes | None] | None = None
        try:
            while not gone.done() and (call.session is None or call.session.is_open()):
                if following is None:
                    following = asyncio.ensure_future(telling.next())
                watched: list[asyncio.Future[Any]] = [gone, following]
                await asyncio.wait(
                    watched,
                    timeout=max(0.0, HEARTBEAT_SECONDS - telling.pause),  # that was one, too
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not following.done():
                    await send(
                        {"type": "http.response.body", "body": _HEARTBEAT, "more_body": True}
                    )
                    continue
                body = await following
                following = None
                if body is None:
                    break  # the server stops
                if is_masked:
                    body = await self._masking.masked(body)
                await send({"type": "http.response.body", "body": body, "more_body": True})
                if telling.is_over:
                    break
                if telling.pause:
                    await asyncio.wait([gone], timeout=telling.pause)
        except StorageError:
            pass  # it cannot be read now: the caller comes back with its last id
        finally:
            gone.cancel()
            if following is not None:
                following.cancel()
            await self.end(telling, send)

    async def end(self, telling: "Telling", send: Send) -> None:
        """End a stream: its subscription and its body."""
        self._open.discard(telling)
        telling.close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Telling(Protocol):
    """What a stream tells, in the form in which it is sent.

    Attributes:
        pause: Seconds from one word to the next at least.
        is_over: Whether the last word was the last.
    """

    is_over: bool

    @property
    def pause(self) -> float: ...

    async def next(self) -> bytes | None:
        """All that there is to tell, once there is something; None when nothing more comes."""

    def close(self) -> None:
        """Nobody listens any more."""


class _One:
    """Each step of one instance, to its end."""

    pause = 0.0

    def __init__(
        self, subscription: Subscription, gateway: Gateway, instance_id: InstanceId
    ) -> None:
        self.is_over = False
        self.close = subscription.close
        self._subscription = subscription
        self._gateway = gateway
        self._instance_id = instance_id

    async def next(self) -> bytes | None:
        first = await anext(self._subscription, None)
        if first is None:
            return None
        bodies: list[bytes] = []
        for update in (first, *self._subscription.at_hand()):
            bodies.append(await self._body(update))
            if self.is_over:
                break
        return b"".join(bodies)

    async def _body(self, update: Update) -> bytes:
        if not update.is_reset:
            self.is_over = update.has_ended or update.is_purged
            return _event("update", update, update.record)
        record = await self._gateway.get(self._instance_id)
        self.is_over = record is None or record.status.is_finished
        return _event("reset", update, record)


class _List:
    """The last steps of all instances, or how many changed while they are more than ``most``.

    Args:
        feed: Where they come from.
        after: The position of the last one that was seen.
        most: So many are told at once; 0 for all.
    """

    is_over = False

    def __init__(self, feed: UpdateFeed, after: str, most: int) -> None:
        self._feed = feed
        self._most = most
        self._steps = self._follow(after)
        self._digests: DigestSubscription | None = None

    @property
    def pause(self) -> float:
        return PAUSE_SECONDS if self._digests is None else DIGEST_SECONDS

    def _follow(self, after: str | None) -> Subscription:
        return self._feed.subscribe(after=after, queued=_QUEUED if self._most else None)

    def close(self) -> None:
        self._steps.close()
        if self._digests is not None:
            self._digests.close()

    async def next(self) -> bytes | None:
        if self._digests is None:
            return await self._each()
        digest = await anext(self._digests, None)
        if digest is None:
            return None
        if digest.changed > self._most:
            return _sent("digest", _NOWHERE, digest)
        # From here on each is told again; who reads anew after this digest misses nothing.
        self._steps = self._follow(None)
        self._digests.close()
        self._digests = None
        return _sent("digest", self._feed.position, digest)

    async def _each(self) -> bytes | None:
        first = await anext(self._steps, None)
        if first is None:
            return None
        updates = _latest((first, *self._steps.at_hand()))
        if self._most and len(updates) > self._most:
            # Nobody has to make updates any more, not even to keep them.
            self._digests = self._feed.subscribe_digests()
            self._steps.close(comes_back=False)
            return _sent("digest", _NOWHERE, digest_of_updates(updates))
        return b"".join(
            _event("reset" if update.is_reset else "update", update, update.record)
            for update in updates
        )


class _Digests:
    """How many instances have changed; who comes has seen none of it, and reads all anew."""

    pause = DIGEST_SECONDS
    is_over = False

    def __init__(self, subscription: DigestSubscription) -> None:
        self.close = subscription.close
        self._subscription = subscription
        self._told = 0

    async def next(self) -> bytes | None:
        if not self._told:
            self._told = 1
            return _sent("reset", "0", {})
        digest = await anext(self._subscription, None)
        if digest is None:
            return None
        self._told += 1
        return _sent("digest", str(self._told - 1), digest)


_ALL: Final = Operation(
    summary="Updates of all instances, as server-sent events",
    tag="live",
    parameters=(*_LAST_SEEN, _DIGEST, _MOST),
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

    def __init__(self, live: LiveApi, telling: Telling, call: Call) -> None:
        super().__init__(headers=_HEADERS, media_type="text/event-stream")
        del self.headers["content-length"]
        self._live = live
        self._telling = telling
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
            await self._live.end(self._telling, send)
        else:
            await self._live.run(self._telling, receive, send, self._call)


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


def _event(name: str, update: Update, record: InstanceRecord | None) -> bytes:
    return _sent(name, update.position, _step(update, record))


def _sent(name: str, position: str, data: "_Step | Digest | dict[str, Any]") -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        position.encode(),
        name.encode(),
        msgspec.json.encode(data),
    )


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
