"""Telling other processes that something has come, and hearing it.

A notification after the commit, never inside it: PostgreSQL serialises commits that notify. On one
connection of its own, one channel for each hub, many events as one. It may be lost; whoever listens
looks again every few seconds by itself. What could not be told is told again, and whoever listens
looks more often until it is.
"""

import asyncio
import hashlib
import logging
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import asyncpg
import msgspec

from tenuto.engine.news import ANY_CONTENT, EVERYTHING, Written
from tenuto.model.errors import StorageError, StorageUnavailableError
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.errors import ERRORS, is_the_end, translate
from tenuto.storage.postgres.failing import Failing
from tenuto.storage.postgres.wiring import CONNECT_SECONDS, RawWire, wired

_LOGGER = logging.getLogger("tenuto.storage")
_LOOK_SECONDS: Final = 5.0
_LOOK_ALONE_SECONDS: Final = 1.0
_LOOK_LIVELY_SECONDS: Final = 0.25
_PROBE_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 1.0
_CHANNEL_DIGITS: Final = 24
_USED: Final = "SELECT pg_notification_queue_usage()"
FULL: Final = 0.95
"""The part of the server's queue from which on it takes hardly any more; it takes none before 1."""
FULL_QUEUE: Final = "the server's queue of notifications is full"
FULL_ADVICE: Final = (
    "end the session of the server that has been in a transaction since before and listens: "
    "SELECT pid, usename, xact_start FROM pg_stat_activity ORDER BY xact_start"
)
_MOST_PARTITIONS: Final = 500
"""A notification has less than 8,000 bytes."""

_WRITTEN: Final = msgspec.json.Decoder(Written)


class Listening:
    """Hears what other processes tell, and tells them.

    Args:
        address: Of the store; a pooler that gives each transaction another connection passes no
            notification on, which is found out. Then whoever listens looks for itself: four times
            a second while something happens here, and ever less often, down to once a second.

    Attributes:
        hears: Whether notifications arrive.
        is_deaf: Whether a pooler keeps them from arriving.
        lives: How often the line has broken and was made anew: the server may have been away.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._me = uuid.uuid4().hex
        digest = hashlib.sha256(address.schema.encode()).hexdigest()
        self._channel = f"tenuto_{digest[:_CHANNEL_DIGITS]}"
        self._callbacks: list[tuple[Callable[[], None], Callable[[Written], bool]]] = []
        self._task: asyncio.Task[None] | None = None
        self._untold = _News()
        self._heard = _News()
        self._probes: dict[str, asyncio.Event] = {}
        self._is_stopping = False
        self._pause = _LOOK_ALONE_SECONDS
        self._is_back = False
        self.hears = False
        self.is_deaf = False
        self.lives = 0
        self._sending = Failing(
            f"notifications of the store {address.url!r} cannot be sent",
            f"notifications of the store {address.url!r} are sent again",
            _LOGGER,
        )
        self.on_back: Callable[[], Awaitable[None]] = _nobody_asks
        """Awaited when the server has been away, and is there again."""

    def add(self, callback: Callable[[], None], concerns: Callable[[Written], bool]) -> None:
        """Call back when something has come that concerns it; once soon, too."""
        self._callbacks.append((callback, concerns))
        self._heard.add(EVERYTHING)
        self._begin()

    def tell(self, written: Written) -> None:
        """Something has come, for others."""
        self._untold.add(written)
        self._pause = _LOOK_LIVELY_SECONDS
        self._begin()

    @property
    def mute(self) -> StorageError | None:
        """Why nothing can be told now, by any process, perhaps; None while it can."""
        return self._sending.error

    def wake(self) -> None:
        """Something has come over connections of others, for everybody."""
        self._heard.add(ANY_CONTENT)
        self.tell(ANY_CONTENT)

    def _begin(self) -> None:
        if self._task is None and not self._is_stopping:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="tenuto-listen")

    async def stop(self) -> None:
        """Tell what was not told, and hear nothing more."""
        self._is_stopping = True
        task, self._task = self._task, None
        if task is not None:
            self._heard.add(EVERYTHING)
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await task

    async def _run(self) -> None:
        while not self._is_stopping or (self._untold.has_come and self.mute is None):
            try:
                await self._listen()
            except (StorageError, *ERRORS):
                self.hears = False
                if self._is_stopping:
                    return
                self._call_back(EVERYTHING)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        settings = {"synchronous_commit": "off"}
        wire = await wired(self._address.dsn, "tenuto notifications", settings)
        raw = wire.raw
        try:
            raw.add_termination_listener(lambda _: self._heard.add(EVERYTHING))
            if self._is_back:
                self.lives += 1
                self._heard.add(EVERYTHING)
                await self.on_back()
            self._is_back = True
            while not raw.is_closed():
                await self._once(raw, is_pooled=wire.is_pooled)
                if self._is_stopping and (self.mute is not None or not self._untold.has_come):
                    return
        finally:
            self.hears = False
            with suppress(*ERRORS):
                await raw.close(timeout=1)

    async def _once(self, raw: RawWire, *, is_pooled: bool) -> None:
        """Tell, hear, or find that it is time to look."""
        if self._callbacks and not self.hears and not self.is_deaf:
            await self._begin_to_hear(raw, is_pooled=is_pooled)
        if self._untold.has_come:
            await self._tell_others(raw)
        if self._heard.has_come:
            self._call_back(self._heard.taken())
        if self._is_stopping:
            return  # that was what `stop` has said, and it says it once
        if not await self._something(self._next_pause()):
            self._call_back(EVERYTHING)
            if self.hears:  # a line that has died says nothing by itself
                await self._look_at_queue(raw)

    async def _tell_others(self, raw: RawWire) -> None:
        told = self._untold.taken()
        try:
            await self._notify(raw, f"{self._me} {_told(told)}")
        except BaseException as error:
            self._untold.add(told)
            if not isinstance(error, asyncpg.PostgresError) or is_the_end(error):
                raise
            if isinstance(error, asyncpg.ProgramLimitExceededError):
                self._sending.failed(self._is_full())
            else:
                self._sending.failed(translate(error, self._address.url, "notify through"))
        else:
            self._sending.works()

    async def _look_at_queue(self, raw: RawWire) -> None:
        """Whether others can tell us: who has nothing to tell does not find it out else."""
        used = await raw.fetchval(_USED, timeout=CONNECT_SECONDS)
        if used >= FULL:
            self._sending.failed(self._is_full())
        elif not self._untold.has_come:
            self._sending.works()

    def _is_full(self) -> StorageUnavailableError:
        why = f"{FULL_QUEUE}; {FULL_ADVICE}"
        return StorageUnavailableError(f"{why} ({self._address.url!r})").told_as(why)

    async def _something(self, seconds: float) -> bool:
        """Wait until something is to be told or was heard; whether that has come in time.

        While nothing can be told that is no reason to stop waiting: it is tried after each wait.
        """
        waits = [asyncio.ensure_future(self._heard.wait())]
        if self.mute is None:
            waits.append(asyncio.ensure_future(self._untold.wait()))
        try:
            done, _ = await asyncio.wait(
                waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for one in waits:
                one.cancel()
        return bool(done)

    def _next_pause(self) -> float:
        pause = _LOOK_SECONDS
        if not self.hears or self.mute is not None:
            pause = self._pause
            self._pause = min(2 * pause, _LOOK_ALONE_SECONDS)
        return pause * random.uniform(0.8, 1.2)  # noqa: S311

    async def _begin_to_hear(self, raw: RawWire, *, is_pooled: bool) -> None:
        await asyncio.wait_for(raw.add_listener(self._channel, self._on_told), CONNECT_SECONDS)
        self.hears = not is_pooled or await self._is_passed_on()
        if self.hears:
            return
        self.is_deaf = True
        _LOGGER.warning(
            "notifications of the store %r do not arrive: a pooler is before it that gives each "
            "transaction another connection. The store is looked at once a second instead. Set "
            "storage_direct (--storage-direct) to a URL that leads past the pooler",
            self._address.url,
        )
        with suppress(*ERRORS):
            await raw.remove_listener(self._channel, self._on_told)

    async def _is_passed_on(self) -> bool:
        """Whether what another connection tells arrives here. One's own might, by chance."""
        probe = uuid.uuid4().hex
        arrived = self._probes[probe] = asyncio.Event()
        other = await wired(self._address.dsn, "tenuto probe", {})
        try:
            await self._notify(other.raw, probe)
            async with asyncio.timeout(_PROBE_SECONDS):
                await arrived.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            del self._probes[probe]
            with suppress(*ERRORS):
                await other.raw.close(timeout=1)

    async def _notify(self, raw: RawWire, text: str) -> None:
        await raw.execute("SELECT pg_notify($1, $2)", self._channel, text, timeout=CONNECT_SECONDS)

    def _on_told(self, *told: Any) -> None:
        sender, _, text = told[-1].partition(" ")
        if sender in self._probes:
            self._probes[sender].set()
        elif sender != self._me:
            self._heard.add(_understood(text))

    def _call_back(self, written: Written) -> None:
        for callback, concerns in self._callbacks:
            if concerns(written):
                callback()


class _News:
    """What has come, until it is taken."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._written = Written()

    @property
    def has_come(self) -> bool:
        """Whether there is something."""
        return self._event.is_set()

    def add(self, written: Written) -> None:
        """This has come, too."""
        self._written = self._written.and_also(written)
        self._event.set()

    def taken(self) -> Written:
        """All of it."""
        written, self._written = self._written, Written()
        self._event.clear()
        return written

    async def wait(self) -> None:
        """Until there is something."""
        await self._event.wait()


def _told(written: Written) -> str:
    """For a notification, which is short: very many partitions are any."""
    if written.messages_to is not None and len(written.messages_to) > _MOST_PARTITIONS:
        written = msgspec.structs.replace(written, messages_to=None)
    return msgspec.json.encode(written).decode()


def _understood(text: str) -> Written:
    """What a notification says; another Tenuto's may say what is not known here."""
    try:
        return _WRITTEN.decode(text)
    except msgspec.DecodeError:
        return EVERYTHING


async def _nobody_asks() -> None:
    """Who wants to know that the server has come back takes the place of this."""
