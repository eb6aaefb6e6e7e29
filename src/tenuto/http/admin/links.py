"""Where linked hubs bring their messages and fetch ours, and how each link is.

What a hub may here is opened by the key of its link, and by no other: neither do the keys of the
server open a link, nor does that of a link open anything else.
"""

import asyncio
from typing import Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

from tenuto.http.access import sent_key
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError, UnauthorizedError
from tenuto.http.options import Role
from tenuto.http.queries import whole_number
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.link.dialling import PATH
from tenuto.link.end import LinkEnd
from tenuto.link.links import Links
from tenuto.link.options import LEAST_BYTES, MOST_BYTES, WAIT_SECONDS
from tenuto.model.linking import LinkedHub, Parcel, Place, is_life

_LONGEST_WAIT_SECONDS: Final = 2 * WAIT_SECONDS
_decode_parcel = msgspec.json.Decoder(Parcel).decode


class LinkBody(Struct, frozen=True, rename="camel"):
    """How a link is.

    Attributes:
        name: How addresses of the other hub begin here.
        dials: Whether this hub dials; otherwise the other one does.
        url: Where the other hub is, if this one dials.
        received: The last number that was taken in.
        delivered: The last number that the other hub is known to have.
        waiting: Messages that it has not yet.
        waiting_bytes: How long they are.
        held_bytes: How much is here of a message of it that has not come as a whole.
        heard_at: When it was last heard of, in microseconds since 1970 UTC.
        problem: Why nothing goes over it now.
    """

    name: str
    dials: bool
    url: str | None
    received: int
    delivered: int
    waiting: int
    waiting_bytes: int
    held_bytes: int
    heard_at: int | None
    problem: str | None

    @classmethod
    def of(cls, hub: LinkedHub) -> "LinkBody":
        """The same of a link as it stands in the store."""
        return cls(
            hub.name,
            hub.url is not None,
            hub.url,
            hub.received,
            hub.delivered,
            hub.waiting,
            hub.waiting_bytes,
            hub.held_bytes,
            hub.heard_at,
            hub.problem,
        )


class LinksApi:
    """Answers linked hubs that dial.

    Args:
        links: Of the host.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._closing = asyncio.Event()

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    def close(self) -> None:
        """Answer those who wait for messages: the server stops."""
        self._closing.set()

    async def list(self, call: Call) -> Response:
        del call
        return json_answer([LinkBody.of(hub) for hub in await self._links.list()])

    async def bring(self, call: Call) -> Response:
        end = self._opened(call)
        try:
            parcel = _decode_parcel(await call.body())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HttpError(f"the body is no parcel of messages: {error}") from None
        _check_life(parcel.life)
        place = await end.take(parcel)
        await end.heard("asked")
        return json_answer(place)

    async def fetch(self, call: Call) -> Response:
        end = self._opened(call)
        life = call.one("life") or ""
        _check_life(life)
        place = Place(
            received=whole_number(call, "after", 0),
            mark=_mark(call),
            piece_of=whole_number(call, "pieceOf", 0),
            held=whole_number(call, "held", 0),
        )
        most = min(max(whole_number(call, "most", MOST_BYTES), LEAST_BYTES), MOST_BYTES)
        seconds = call.number("wait", most=_LONGEST_WAIT_SECONDS) or 0.0
        await end.place(life)
        await end.heard("asked")
        parcel = await end.give(place, most)
        if not parcel.frames and seconds:
            await self._wait(call, end, seconds)
            if self._opened(call) is not end:  # another key, or no link at all, since
                raise _closed()
            parcel = await end.give(place, most)
        return json_answer(parcel)

    async def _wait(self, call: Call, end: LinkEnd, seconds: float) -> None:
        await call.body()
        ways = [
            asyncio.ensure_future(one)
            for one in (end.until_news(), call.until_gone(), self._closing.wait())
        ]
        try:
            await asyncio.wait(ways, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ways:
                one.cancel()

    def _opened(self, call: Call) -> LinkEnd:
        key = sent_key(call)
        end = self._links.opened(call.parameters["name"], key)
        if end is None:
            raise _closed() if key else _keyless()
        call.role = Role.OPERATE  # what it fetches comes to the letter, addresses and all
        return end


def _keyless() -> UnauthorizedError:
    return UnauthorizedError(
        "this needs the key of the link, in the header x-functions-key: `tenuto links add NAME` at "
        "this hub gives one"
    )


def _closed() -> UnauthorizedError:
    return UnauthorizedError(
        "the key does not open the link: it is that of another one, or was replaced, or there is "
        "no such link. `tenuto links add NAME` at this hub gives one"
    )


def _check_life(life: str) -> None:
    if not is_life(life):
        raise HttpError("life must be that of the sending store: up to 64 hexadecimal digits")


def _mark(call: Call) -> str:
    """Of the last message that is there; an older version tells none."""
    mark = call.one("mark") or ""
    if mark and not is_life(mark):
        raise HttpError("mark must be up to 64 hexadecimal digits")
    return mark


_LIST: Final = Operation(
    summary="The links to other hubs: how far each is, and what waits",
    tag="admin",
    answers={200: Answer(text="All of them.", kind=list[LinkBody])},
)
_BRING: Final = Operation(
    summary="A linked hub brings messages; how far they are here",
    tag="admin",
    body=Parcel,
    answers={200: Answer(text="They are durable up to there.", kind=Place)},
    errors=(400, 401, 409),
)
_FETCH: Final = Operation(
    summary="A linked hub fetches messages, or waits for some",
    tag="admin",
    parameters=(
        Parameter(name="life", text="Of the store that asks."),
        Parameter(name="after", text="The last number that it has: that waits no longer."),
        Parameter(name="mark", text="Of the message of that number: is it the one that was sent?"),
        Parameter(name="pieceOf", text="The number of which it has a part."),
        Parameter(name="held", text="How many characters of it."),
        Parameter(name="most", text="Characters in one answer."),
        Parameter(name="wait", text="Seconds to wait when there is nothing."),
    ),
    answers={200: Answer(text="Messages in their order; none when none has come.", kind=Parcel)},
    errors=(400, 401, 409),
)
_MESSAGES: Final = f"{PATH}/{{name}}/messages"
_ENDPOINTS: Final = (
    Endpoint("GET", PATH, Role.READ, LinksApi.list, _LIST),
    Endpoint("POST", _MESSAGES, None, LinksApi.bring, _BRING),
    Endpoint("GET", _MESSAGES, None, LinksApi.fetch, _FETCH),
)
