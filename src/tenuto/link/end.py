"""One end of a link: gives what waits, takes what comes. The same whoever has dialled.

What a request that was cut has brought is kept, what it has not brought comes again: the place in
the store says which, and nothing else does.
"""

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from msgspec import Struct, structs

from tenuto.engine.linking import LinkStore
from tenuto.engine.outside import Outside
from tenuto.engine.pipeline import CommitPipeline
from tenuto.engine.ports import Clock, Observer
from tenuto.engine.rows import InboxRow
from tenuto.link.options import MOST_BYTES
from tenuto.link.translation import Arrival, frames_of, marked, most_envelope, placed, taken
from tenuto.model.codec import decode_any_message
from tenuto.model.errors import LinkError, LinkRefusedError
from tenuto.model.ids import address_of
from tenuto.model.limits import Limits
from tenuto.model.linking import Frame, LinkedHub, Parcel, Place, Refusal
from tenuto.model.texts import said
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.model.topics import PublishedEvent

P = ParamSpec("P")
T = TypeVar("T")

_NOTE_EVERY: Final[Microseconds] = 30 * MICROSECONDS
"""When a hub was heard of is for people: it is not written more often, unless it is news."""
_TELL_EVERY: Final[Microseconds] = 60 * MICROSECONDS
_THREAD_CHARACTERS: Final = 64 * 1024
"""A message that is longer is read in a thread: the loop goes on meanwhile."""


class LinkMeans(Struct, frozen=True, kw_only=True):
    """What the ends of links need of their host.

    Attributes:
        store: Keeps links.
        life: Of the store.
        outside: What the engine may send.
        pipeline: Commits what is told to who waits.
        clock: The host's time.
        observer: Is told what a person should know.
        limits: Of what comes in.
        partitions: Of the store.
        arrived: Called when something was stored: whether messages, and whether events.
    """

    store: LinkStore
    life: str
    outside: Outside
    pipeline: CommitPipeline
    clock: Clock
    observer: Observer
    limits: Limits
    partitions: int
    arrived: Callable[[bool, bool], None]


class LinkEnd:
    """This hub's end of a link.

    Args:
        hub: The link.
        means: What it needs of the host.

    Attributes:
        hub: The link, as it was when it was last read.
        heard_at: When the other hub was last heard of.
        delivered: The last number that the other hub is known to have.
    """

    def __init__(self, hub: LinkedHub, means: LinkMeans) -> None:
        self.hub = hub
        self._problems: dict[str, str] = {}
        self.heard_at: Microseconds | None = hub.heard_at
        self.delivered: int = hub.delivered
        self._mark = hub.delivered_mark
        self._means = means
        self._taking = asyncio.Lock()
        self._giving = asyncio.Lock()
        self._news = asyncio.Event()
        self._noted = hub.heard_at or 0, hub.problem
        self._held_bytes = hub.held_bytes
        self._most_envelope = most_envelope(means.limits)
        self._told: dict[str, Microseconds] = {}

    @property
    def name(self) -> str:
        """Of the link."""
        return self.hub.name

    @property
    def problem(self) -> str | None:
        """Why something does not go over it now; None while all is well."""
        return next(iter(self._problems.values()), None)

    # --- giving -----------------------------------------------------------------------------------

    def has_news(self) -> None:
        """Something waits for the other hub, or there may be."""
        self._news.set()

    async def until_news(self) -> None:
        """Wait until something may have come to be sent."""
        await self._news.wait()

    async def give(self, place: Place, most_bytes: int = MOST_BYTES) -> Parcel:
        """What the other hub is to have next; what it has by now waits no longer.

        Args:
            place: How far it is.
            most_bytes: As much goes into one request.
        """
        store, means = self._means.store, self._means
        async with self._giving:
            if self._is_news(place):
                gone = await self._delivered(place)
                means.outside.has_left(self.name, *gone)
            self._news.clear()
            waiting = await store.outgoing(self.name, place.received, most_bytes)
            if not waiting:
                means.outside.has_left_all(self.name)
            held = place.piece_of, place.held
            frames = frames_of(waiting, held, most_bytes)
            return Parcel(life=means.life, after=self.delivered, frames=frames)

    def _is_news(self, place: Place) -> bool:
        """Whether the other hub has more than is known here, or something else."""
        if place.received == self.delivered:
            return bool(place.mark and self._mark) and place.mark != self._mark
        return place.received > self.delivered

    async def _delivered(self, place: Place) -> tuple[int, int]:
        """What the other hub has waits no longer; how many messages, and how long they were.

        Raises:
            LinkError: it has what this store has not sent.
        """
        now = self._means.clock.now()
        try:
            gone = await self._means.store.delivered(self.name, place.received, now, place.mark)
        except LinkError as error:  # said at this end, too, where the other one has asked
            await self.failed("give", f"{error.code} {error}")
            raise
        self._problems.pop("give", None)
        self.delivered, self._mark = place.received, place.mark
        return gone

    async def give_up(self, refusal: Refusal) -> None:
        """The other hub refuses a message: who waits for what it asks hears so."""
        means = self._means
        found = await means.store.outgoing(self.name, refusal.sequence - 1, 1)
        if not found or found[0].sequence != refusal.sequence:
            return
        one = found[0]
        message = decode_any_message(one.message)
        reason = said(refusal.reason)
        error = LinkRefusedError(f"the linked hub {self.name!r} refuses it: {reason}")
        address = address_of(self.name, one.instance_id)
        is_told = asyncio.Event()
        batch = means.pipeline.batch
        means.outside.give_up(message, address, error, batch)
        batch.acknowledge.append(is_told.set)
        # Crash points: before the batch is durable it is refused once more; after that, and before
        # the row is gone, it is refused twice, and told twice: a parent takes one answer alone.
        await means.pipeline.passed()
        if not is_told.is_set():
            return  # taken back: it is refused once more
        await means.store.drop_outgoing(self.name, refusal.sequence)
        means.outside.has_left(self.name, 1, memoryview(one.message).nbytes)

    # --- taking -----------------------------------------------------------------------------------

    async def place(self, life: str | None = None) -> Place:
        """How far the other hub's messages are here.

        Raises:
            LinkInUseError: another store has come with the key of this link meanwhile.
        """
        return await self._means.store.place(self.name, life)

    async def take(self, parcel: Parcel) -> Place:
        """Take in what is new of a parcel.

        Returns:
            How far they are here now; with the next message, if that is refused.

        Raises:
            LinkInUseError: another store has come with the key of this link meanwhile.
        """
        if parcel.refused is not None:
            await self.give_up(parcel.refused)
        async with self._taking:
            return await self._take(parcel)

    async def _take(self, parcel: Parcel) -> Place:
        means = self._means
        place = await self.place(parcel.life)
        if parcel.after > place.received:
            if place.received:  # else it is a new life: what came before was another one's
                means.observer.problem(
                    None,
                    f"link {self.name!r}: messages {place.received + 1:,} to {parcel.after:,} had "
                    "come, and are not in this store: it is a copy that is older than they are",
                )
            await means.store.take_in(self.name, parcel.after, [], means.clock.now())
            place = Place(received=parcel.after)
        rows: list[InboxRow] = []
        events: list[PublishedEvent] = []
        last, newest, refused = place.received, "", None
        for frame in parcel.frames:
            if frame.sequence <= last:
                continue  # it is here
            try:
                text = await self._whole(frame, place)
                if text is None:
                    break
                one = await self._read(parcel.life, frame.sequence, text)
            except LinkRefusedError as error:
                refused = Refusal(sequence=frame.sequence, reason=said(str(error)))
                await self._drop_pieces()
                break
            if isinstance(one, InboxRow):
                rows.append(placed(one, means.partitions))
            else:
                events.append(one)
            last, newest = frame.sequence, text
        if last > place.received:
            mark = await _beside(newest, marked, newest)
            await means.store.take_in(self.name, last, rows, means.clock.now(), events, mark)
            self._held_bytes = 0
            means.arrived(bool(rows), bool(events))
        return structs.replace(await self.place(), refused=refused)

    async def _read(self, life: str, sequence: int, text: str) -> InboxRow | PublishedEvent:
        """What a message says; see ``taken``."""
        means = self._means
        arrival = Arrival(self.name, life, sequence, text, means.clock.now())
        return await _beside(text, taken, arrival, means.limits)

    async def _whole(self, frame: Frame, place: Place) -> str | None:
        """The text of a message, when this frame makes it whole.

        Raises:
            LinkRefusedError: it is longer than any that this hub takes.
        """
        text, size = frame.text, len(frame.text.encode())
        is_begun = place.piece_of == frame.sequence
        held, held_bytes = (place.held, self._held_bytes) if is_begun else (0, 0)
        if frame.of > self._most_envelope or held_bytes + size > self._most_envelope:
            raise LinkRefusedError(
                f"message {frame.sequence} has more than {self._most_envelope:,} bytes, which is "
                "as long as one may be for this hub (setting limits.payload_bytes)"
            )
        if frame.at == 0 and len(text) == frame.of:
            return text
        if frame.at != held:
            return None  # another request has brought more, or less, than this one goes on from
        store = self._means.store
        if text:
            await store.keep_piece(self.name, frame.sequence, frame.at, text)
            self._held_bytes = held_bytes + size
        if held + len(text) < frame.of:
            return None
        return await store.pieces(self.name, frame.sequence)

    async def _drop_pieces(self) -> None:
        """What was kept of a message that is refused."""
        if self._held_bytes:
            await self._means.store.drop_pieces(self.name)
            self._held_bytes = 0

    # --- how it is --------------------------------------------------------------------------------

    async def heard(self, way: str) -> None:
        """The other hub answers, or asks.

        Args:
            way: To which kind of request.
        """
        now = self.heard_at = self._means.clock.now()
        self._means.outside.heard(self.name, now)
        self._problems.pop(way, None)
        await self._note(now)

    async def failed(self, way: str, problem: str) -> None:
        """It cannot be reached, or refuses this hub.

        Args:
            way: With which kind of request.
            problem: What is wrong, with its code.
        """
        problem = said(problem)
        self._tell(problem)
        self._problems[way] = problem
        await self._note(self._noted[0])

    def _tell(self, problem: str) -> None:
        """Into the log, but not each time that a bad line is cut."""
        code, now = problem.partition(" ")[0], self._means.clock.monotonic()
        told_at = self._told.get(code)
        if told_at is None or now - told_at >= _TELL_EVERY:
            self._told[code] = now
            self._means.observer.notice(f"link {self.name!r}: {problem}")

    async def _note(self, now: Microseconds) -> None:
        noted_at, noted = self._noted
        if self.problem != noted or now - noted_at >= _NOTE_EVERY:
            self._noted = now, self.problem
            await self._means.store.heard(self.name, self.heard_at, self.problem)


async def _beside(text: str, read: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Read a text: a long one in a thread."""
    if len(text) <= _THREAD_CHARACTERS:
        return read(*given, **named)
    return await asyncio.to_thread(read, *given, **named)
