"""The end that dials: a device behind a router reaches its hub, not the other way round.

Two loops over plain HTTP: one brings what waits here, one fetches what waits there. Each request
says how far this side is, so that one that was cut is just sent again. On a line that lets little
through requests grow shorter, down to a kilobyte; messages that are longer go in pieces.
"""

import asyncio
import contextlib
import random
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from msgspec import structs

from tenuto.client.connection import is_loopback
from tenuto.client.remote_errors import error_of
from tenuto.client.wire import ErrorBody
from tenuto.link.end import LinkEnd
from tenuto.link.options import LEAST_BYTES, MOST_BYTES, WAIT_SECONDS
from tenuto.model.errors import (
    ConnectionFailedError,
    RouteNotFoundError,
    StorageError,
    TenutoError,
    UnexpectedAnswerError,
)
from tenuto.model.linking import Parcel, Place, Refusal, is_life
from tenuto.model.texts import said

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Request

T = TypeVar("T")

PATH: Final = "/runtime/links"
_FIRST_PAUSE_SECONDS: Final = 0.05
_MOST_DOUBLINGS: Final = 20
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 30.0
_OK: Final = 200
_CODE: Final = re.compile("TN-[0-9]{4}")
_MOST_ANSWER_BYTES: Final = 8 * MOST_BYTES
"""No hub answers with more: of as many characters as are asked for each may take some bytes."""
_HASTY_SECONDS: Final = 1.0
"""An answer without messages, that was to be waited for, does not come so soon."""

_decode_place = msgspec.json.Decoder(Place).decode
_decode_parcel = msgspec.json.Decoder(Parcel).decode


class Line:
    """Requests to a hub, with a key.

    Args:
        url: The hub's address.
        called: How it calls this hub.
        key: What opens the link there.
    """

    def __init__(self, url: str, called: str, key: str) -> None:
        self._url = f"{url.rstrip('/')}{PATH}/{called}/messages"
        self._key = key
        self._client: AsyncClient | None = None

    async def bring(self, parcel: Parcel) -> Place:
        """Send messages; how far they are there now."""
        answer = await self._ask("POST", content=msgspec.json.encode(parcel))
        return self._read(answer, _decode_place)

    async def fetch(self, life: str, place: Place, most_bytes: int) -> Parcel:
        """Ask for messages, and wait for them if there are none."""
        query = {
            "life": life,
            "after": str(place.received),
            "mark": place.mark,
            "pieceOf": str(place.piece_of),
            "held": str(place.held),
            "most": str(most_bytes),
            "wait": str(WAIT_SECONDS),
        }
        parcel = self._read(await self._ask("GET", params=query), _decode_parcel)
        if not is_life(parcel.life):
            raise self._strange(_OK)
        return parcel

    async def close(self) -> None:
        """Close connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(
        self, method: str, *, content: bytes | None = None, params: dict[str, str] | None = None
    ) -> bytes:
        import httpx2  # noqa: PLC0415 - it takes long, and most hosts have no link

        if self._client is None:
            is_encrypted = self._url.lower().startswith("https:")
            self._client = httpx2.AsyncClient(
                headers={
                    "x-functions-key": self._key,
                    "Content-Type": "application/json",
                    "Accept-Encoding": "identity",
                },
                verify=httpx2.create_ssl_context() if is_encrypted else False,
                trust_env=not is_loopback(self._url),
                timeout=httpx2.Timeout(_CONNECT_SECONDS, read=WAIT_SECONDS + _ANSWER_SECONDS),
            )
        try:
            return await self._answered(
                self._client,
                self._client.build_request(method, self._url, content=content, params=params),
            )
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise ConnectionFailedError(f"{self._url} cannot be reached: {reason}") from None

    async def _answered(self, client: "AsyncClient", request: "Request") -> bytes:
        """What is answered to a request. Whoever answers may be anybody, and say anything.

        Raises:
            UnexpectedAnswerError: it is more than a hub ever says, or not said in its way.
        """
        answer = await client.send(request, stream=True)
        try:
            body = bytearray()
            if "content-encoding" in answer.headers:  # a few bytes may stand for very many
                raise self._strange(answer.status_code)
            async for part in answer.aiter_raw():
                body += part
                if len(body) > _MOST_ANSWER_BYTES:
                    raise self._strange(answer.status_code)
        finally:
            await answer.aclose()
        if answer.is_success:
            return bytes(body)
        try:
            refused = msgspec.json.decode(body, type=ErrorBody)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._strange(answer.status_code) from None
        is_ours = _CODE.fullmatch(refused.code) and refused.code != RouteNotFoundError.code
        if not is_ours:
            raise self._strange(answer.status_code)
        raise error_of(structs.replace(refused, message=said(refused.message)))

    def _read(self, body: bytes, decode: Callable[[bytes], T]) -> T:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._strange(_OK) from None

    def _strange(self, status: int) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"{self._url} answered with {status}, as no Tenuto hub of this version "
            "does; is it the address of one, without a path behind it?"
        )


class Dialling:
    """Keeps a link up from the end that dials.

    Args:
        end: This hub's end.
        line: To the other one.
        life: Of this store.
        longest_pause_seconds: The longest pause between two tries.
    """

    def __init__(self, end: LinkEnd, line: Line, life: str, longest_pause_seconds: float) -> None:
        self._end = end
        self._line = line
        self._life = life
        self._longest_pause = longest_pause_seconds
        self._refused: Refusal | None = None
        self._refusal_told = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to dial."""
        loops = (_Tries(self, "bring", self._bring), _Tries(self, "fetch", self._fetch))
        self._tasks = [asyncio.get_running_loop().create_task(one.run()) for one in loops]

    async def stop(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._line.close()

    # --- the two directions -----------------------------------------------------------------------

    async def _bring(self, tries: "_Tries") -> None:
        """Say that this hub is there, then bring what waits as soon as there is something."""
        end = self._end
        if tries.place is None:
            tries.place = await self._line.bring(Parcel(life=self._life, after=end.delivered))
        parcel = await end.give(tries.place, tries.most_bytes)
        refused = self._refused
        if not parcel.frames and refused is None:
            await end.until_news()
            return
        parcel = structs.replace(parcel, refused=refused)
        tries.place = await self._line.bring(parcel)
        if refused is not None:
            self._refused = None
            self._refusal_told.set()
        if tries.place.refused is not None:
            await end.give_up(tries.place.refused)

    async def _fetch(self, tries: "_Tries") -> None:
        """Fetch what waits there; what is refused here goes back with what is brought."""
        end = self._end
        asked_at = time.monotonic()
        parcel = await self._line.fetch(self._life, await end.place(), tries.most_bytes)
        await end.heard("fetch")
        is_hasty = not parcel.frames and time.monotonic() - asked_at < _HASTY_SECONDS
        tries.hasty = tries.hasty + 1 if is_hasty else 0
        if tries.hasty > 1:  # that hub stops, or what is between answers for it
            await asyncio.sleep(min(_HASTY_SECONDS, _FIRST_PAUSE_SECONDS * tries.hasty))
        place = await end.take(parcel)
        if place.refused is not None:
            self._refusal_told.clear()
            self._refused = place.refused
            end.has_news()
            await self._refusal_told.wait()

    # --- for both ---------------------------------------------------------------------------------

    async def heard(self, way: str) -> None:
        """A request was answered."""
        await self._end.heard(way)

    async def failed(self, way: str, error: Exception) -> None:
        """A request was not, or was refused."""
        code = getattr(error, "code", "TN-1800")
        text = str(error) if isinstance(error, TenutoError) else repr(error)
        await self._end.failed(way, f"{code} {text}")

    @property
    def longest_pause(self) -> float:
        """Seconds between two tries at most."""
        return self._longest_pause


class _Tries:
    """Does something over a line again and again, with pauses while it fails.

    Attributes:
        most_bytes: What a request may hold now.
        place: How far the other hub is, as far as this loop knows.
        hasty: How many answers without messages have come at once, one after another.
    """

    def __init__(
        self, dialling: Dialling, way: str, once: Callable[["_Tries"], Awaitable[None]]
    ) -> None:
        self._dialling = dialling
        self._way = way
        self._once = once
        self._failures = 0
        self.most_bytes = MOST_BYTES
        self.place: Place | None = None
        self.hasty = 0

    async def run(self) -> None:
        """For as long as the host runs."""
        while True:
            try:
                await self._once(self)
                if self._failures or self.most_bytes < MOST_BYTES:
                    self._failures = 0
                    self.most_bytes = min(MOST_BYTES, 2 * self.most_bytes)
                    await self._dialling.heard(self._way)
            except Exception as error:  # noqa: BLE001 - a boundary: a link must not end for a fault
                self.place = None
                self._failures += 1
                self.most_bytes = max(LEAST_BYTES, self.most_bytes // 2)
                with contextlib.suppress(StorageError):  # it is for people
                    await self._dialling.failed(self._way, error)
                await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Longer each time, and never the same for many devices that have lost one hub."""
        longest = self._dialling.longest_pause
        doublings = min(self._failures - 1, _MOST_DOUBLINGS)
        pause: float = min(longest, _FIRST_PAUSE_SECONDS * 2.0**doublings)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
