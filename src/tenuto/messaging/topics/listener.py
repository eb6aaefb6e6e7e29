"""A subscription at work: reads its topic, has events delivered, and notes how far it is.

Owns the order: events of one key one after another, those without a key in any order, as many at
once as the trigger allows. A subscription is served by the host that owns the partition of its
name; its place is written under that lease (``one_owner``). An event is done with when its function
has succeeded, when the filter does not want it, or when it was put aside after its last attempt
(``no_silent_drop``). A host that dies has what was under way delivered again: at least once.

::

    reading ──▶ lanes (one per key) ──▶ workers ──▶ done ──▶ noting
       ▲                                                       │
       └──────────── fed, taken up ◀───────────────────────────┘
"""

import asyncio
from collections.abc import Coroutine
from contextlib import nullcontext
from functools import partial
from typing import Final, cast

from tenuto.engine.program import Delivery, TopicTrigger, TriggeredFunction
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import FailedDelivery, Place, Progress
from tenuto.messaging.listening import ListenerMeans, Tasks, Turn, failure_text
from tenuto.messaging.topics.feed import say_kept
from tenuto.messaging.topics.lanes import Lanes, Waiting, size_of
from tenuto.messaging.topics.progress import PlaceKeeper
from tenuto.messaging.topics.suspicion import Suspicion
from tenuto.model.causes import event_cause
from tenuto.model.errors import FencedError, StorageError, StorageUnavailableError
from tenuto.model.plain_errors import plain_error
from tenuto.model.timing import Microseconds
from tenuto.model.topics import Event, StoredEvent, event_of
from tenuto.model.trace import trace_of_headers

_PAGE: Final = 500
_PAGE_BYTES: Final = 4 * 1024 * 1024
_MOST_AHEAD: Final = 20_000
"""So many events are read beyond the first that is not done with: they are listed in its place."""
_MOST_LOADED: Final = 2_000
"""So many of those that are not done with are in memory."""
_MOST_BYTES_LOADED: Final = 16 * 1024 * 1024
"""As long may they be together."""
_NOTE_SECONDS: Final = 0.02
"""Between two notes while more is done: each is a commit of its own."""
_NOTE_SECONDS_AHEAD: Final = 10e-6
"""And so much longer for each event that is listed."""
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


class TopicListener:
    """Serves one subscription.

    Args:
        function: What is run; its trigger is a ``TopicTrigger``.
        means: The host.
    """

    def __init__(self, function: TriggeredFunction, means: ListenerMeans) -> None:
        self._function = function
        self._means = means
        self._trigger = cast("TopicTrigger", function.trigger)
        self._lease: Lease | None = None
        self._serving: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._service: _Service | None = None
        self.place: str = self._trigger.subscription
        means.topics.listen(self._trigger, self._wake, self._look_for_redeliveries)

    def take_up(self) -> None:
        """See whether the subscription is ours."""
        lease = self._means.lease_for(self._trigger.subscription)
        if self._is_stopping or lease == self._lease:
            return
        self._lease = lease
        if self._serving is not None:
            self._serving.cancel()
            self._serving = None
        if lease is not None:
            self._serving = self._means.begin(
                self._serve(lease), f"subscription {self._trigger.subscription}"
            )

    def _look_for_redeliveries(self) -> None:
        if self._service is not None:
            self._service.look_for_redeliveries()

    def _wake(self) -> None:
        self.take_up()  # nobody says so when a partition is lost
        if self._service is not None:
            self._service.wake()

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, wait for what runs, and note how far it is."""
        self._is_stopping = True
        self._means.topics.listen_no_more(self._trigger, self._wake)
        service = self._service
        if service is not None:
            await service.drain(seconds)
        await self.abandon()

    async def abandon(self) -> None:
        """Go as a process goes that dies."""
        self._is_stopping = True
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])

    async def _serve(self, lease: Lease) -> None:
        pause = _FIRST_PAUSE
        while not self._is_stopping:
            service = _Service(self._function, self._means, lease)
            self._service = service
            try:
                await service.run()
            except FencedError:
                return  # another host has it; the engine hears of that by itself
            except Exception as error:  # noqa: BLE001 - a background loop: told, and tried again
                self._means.observer.problem(
                    None,
                    f"subscription {self._trigger.subscription!r} goes on soon, with its last "
                    f"note: {type(error).__name__}: {error}",
                )
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            finally:
                if self._service is service:
                    self._service = None
                await service.end()


class _Service:
    """The work on a subscription under one lease, from its last note on."""

    def __init__(self, function: TriggeredFunction, means: ListenerMeans, lease: Lease) -> None:
        self._function = function
        self._trigger = cast("TopicTrigger", function.trigger)
        self._means = means
        self._lease = lease
        self._news = asyncio.Event()
        self._lanes = Lanes(_MOST_LOADED, _MOST_BYTES_LOADED, means.budget, self._news.set)
        self._workers = Tasks()
        self._beginning = 0
        self._is_draining = False
        self._is_stuck = False
        self._failed: list[FailedDelivery] = []
        self._redelivered: list[int] = []
        self._given_back = 0
        self._read_given_back = 0
        self._wants_redeliveries = True
        self._is_held_back = False
        self._noting: asyncio.Task[None] | None = None
        self._is_dirty = False
        self._is_writing = False
        self._counted = False
        self._error: Exception | None = None
        self._suspicion: Suspicion | None = None
        self._is_told_full = False
        place = Place(self._trigger.subscription, self._trigger.topic, 0)
        self._keeper = PlaceKeeper(place, _MOST_AHEAD)

    # --- life --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until something is wrong with the store, or it is cancelled."""
        with self._means.busy():
            self._keeper = PlaceKeeper(await self._place(), _MOST_AHEAD)
            name = self._trigger.subscription
            if self._means.has_died(name):
                self._suspicion = Suspicion(self._means, self._lease, name)
                await self._suspicion.look()
        pause = _FIRST_PAUSE
        while True:
            self._news.clear()
            self._wake_after_error()
            try:
                has_more = await self._read()
            except StorageUnavailableError as error:
                # What runs goes on: nothing of it need be delivered again.
                self._wants_redeliveries = True
                if pause == _FIRST_PAUSE:
                    self._tell_waiting(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            if not has_more:
                await self._news.wait()

    def wake(self) -> None:
        """There may be something to read."""
        self._news.set()

    def look_for_redeliveries(self) -> None:
        """There may be events that were given back."""
        if not self._wants_redeliveries:
            self._wants_redeliveries = True
            self._news.set()

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, wait for what runs at most this long, and note how far it is."""
        self._is_draining = True
        self._lanes.clear()
        self._means.end_pauses(self._workers)
        await self._workers.wait(seconds)
        while self._noting is not None:
            await asyncio.wait([self._noting])
        self._count()

    async def end(self) -> None:
        """Let everything go, at once."""
        self._is_draining = True
        await self._workers.end(0)
        if self._noting is not None:
            self._noting.cancel()
            await asyncio.wait([self._noting])
        self._lanes.clear()
        self._lanes.share.close()
        self._is_dirty = False
        if self._counted:
            self._counted = False
            self._means.engine.deliveries_running -= 1

    def _count(self) -> None:
        """Tests let no time pass while something is about to be delivered or noted."""
        wanted = self._is_dirty or self._is_writing or bool(self._lanes.ready)
        if wanted and not self._counted:
            self._means.engine.deliveries_running += 1
        elif self._counted and not wanted:
            self._means.engine.deliveries_running -= 1
        self._counted = wanted

    # --- reading -----------------------------------------------------------------------------

    async def _place(self) -> Place:
        """Where it stands; a subscription that is new begins now, or at the beginning.

        It is written even when it is known: under our lease it says that we serve it.
        """
        trigger, storage = self._trigger, self._means.storage
        places = {one.topic: one for one in await storage.places([trigger.subscription])}
        place = places.pop(trigger.topic, None)
        if place is None:
            position = 0 if trigger.from_beginning else await storage.last_position()
            place = Place(trigger.subscription, trigger.topic, position)
            say_kept(self._means.observer, place, places)
        await self._write(place)
        return place

    async def _read(self) -> bool:
        """Read the next events and what was given back; whether there may be more."""
        storage, keeper = self._means.storage, self._keeper
        room = min(keeper.room, self._lanes.make_room())
        self._is_held_back = room <= 0
        if self._is_draining or self._is_held_back:
            self._see_whether_full()
            return False
        given = False
        with self._means.busy():
            if self._wants_redeliveries:
                given = await self._read_redeliveries()
            limit, share = min(room, _PAGE), self._lanes.share
            most = share.reserve(_PAGE_BYTES)
            if not most:
                self._is_held_back = True  # until others have done with some, or we
                self._start_workers()
                return given
            try:
                events = await storage.events(self._trigger.topic, keeper.read, limit, most)
                for event in events:
                    if keeper.begin(event.position):
                        self._lanes.offer(event)
            finally:
                share.went(most)
            self._start_workers()
        # A short page was the last: of what comes later there is news. How long a page is the store
        # counts in its own way; half of it is far from both.
        return given or len(events) == limit or 2 * sum(map(size_of, events)) >= most

    async def _read_redeliveries(self) -> bool:
        """Read the next of what was given back, as long as there is room; whether there was any."""
        limit = min(_MOST_AHEAD - self._given_back, self._lanes.make_room(), _PAGE)
        if limit <= 0:
            self._is_held_back = True  # until some of it are done with
            return False
        most = self._lanes.share.reserve(_PAGE_BYTES)
        if not most:
            self._is_held_back = True
            return False
        self._wants_redeliveries = False
        name, after = self._trigger.subscription, self._read_given_back
        try:
            given = await self._means.storage.redeliveries(name, after, limit, most)
            for event in given:
                self._given_back += 1
                self._read_given_back = -event.position
                self._lanes.offer(event)
        finally:
            self._lanes.share.went(most)
        self._wants_redeliveries |= bool(given)
        return bool(given)

    def _see_whether_full(self) -> None:
        """Say so, and note it, when nothing is read any more before the first is done with."""
        if self._keeper.room or self._is_draining or self._is_told_full:
            return
        self._is_told_full = True
        self._means.observer.problem(
            None,
            f"subscription {self._trigger.subscription!r} has read {_MOST_AHEAD:,} events beyond "
            "one that is tried again or still runs, and reads no further before that is done with",
        )
        self._note_soon()

    async def _loaded(self, waiting: Waiting) -> StoredEvent | None:
        """An event that waited; None for one that the topic does not keep any more."""
        if isinstance(waiting, StoredEvent):
            return waiting
        found = None
        pause = _FIRST_PAUSE
        while found is None:
            try:
                with self._means.busy():
                    found = await self._read_again(waiting)
            except StorageUnavailableError as error:
                if pause == _FIRST_PAUSE:
                    self._tell_waiting(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        if not found or found[0].position != waiting:
            return None
        self._lanes.came(found[0])
        return found[0]

    async def _read_again(self, position: int) -> list[StoredEvent]:
        storage, trigger = self._means.storage, self._trigger
        if position > 0:
            return await storage.events(trigger.topic, position - 1, 1, 1)
        return await storage.redeliveries(trigger.subscription, -position - 1, 1, 1)

    # --- working -----------------------------------------------------------------------------

    def _start_workers(self) -> None:
        self._count()
        if self._is_stuck:
            return
        # A worker has an event, or is about to take one: those that have are busy, however many
        # events are ready.
        while (
            len(self._workers) < self._trigger.concurrency and self._beginning < self._lanes.ready
        ):
            self._beginning += 1
            self._workers.add(self._means.begin(self._work(), f"function {self._function.name}"))

    async def _work(self) -> None:
        self._beginning -= 1
        try:
            while self._may_begin:
                key, waiting = self._lanes.take()
                self._count()  # a pause between attempts is no work: then time may pass
                event = await self._loaded(waiting)
                if event is not None and not await self._is_delivered(event):
                    return
                self._done(waiting if event is None else event)
                if not self._is_draining and self._lanes.next_of(key):
                    self._start_workers()
        except Exception as error:  # noqa: BLE001 - raised by who serves
            self._error = error
            self._news.set()

    @property
    def _may_begin(self) -> bool:
        if not self._lanes.ready or self._is_draining or self._is_stuck:
            return False
        return self._error is None and self._is_ours

    async def _is_delivered(self, event: StoredEvent) -> bool:
        """Deliver an event; False when the subscription is another host's by now.

        Whatever goes wrong is the failure of this delivery: a worker that ended with it would leave
        the event, and those of its key, without anybody who comes back to them.
        """
        try:
            await self._deliver(event)
        except FencedError as error:
            self._error = error
            self._news.set()
            return False
        except asyncio.CancelledError as error:
            if self._is_draining or self._means.is_stopping:
                raise
            self._put_aside(event, error)  # by code of users, which can get hold of all tasks
        except Exception as error:  # noqa: BLE001 - the boundary of a worker
            self._put_aside(event, error)
        return True

    @property
    def _is_ours(self) -> bool:
        return self._means.lease_for(self._trigger.subscription) == self._lease

    async def _deliver(self, stored: StoredEvent) -> None:
        trigger = self._trigger
        try:
            event = event_of(stored)
        except Exception as error:  # noqa: BLE001 - put in by something else than Tenuto
            self._put_aside(stored, error)
            return
        # What was given back is wanted, whatever the filter says by now.
        if stored.position > 0 and trigger.accepts is not None and not self._accepts(event):
            return
        cause = event_cause(stored.topic, stored.event_id)
        given = event.attributes
        trace = trace_of_headers(given.get("traceparent"), given.get("tracestate"))

        def make(attempt: int, is_last: bool) -> Delivery:  # noqa: FBT001 - as it is called
            return Delivery(
                id=stored.event_id,
                attempt=attempt,
                last_attempt=is_last,
                data=event.data,
                facts={"event": event},
                cause=cause,
                occurrence=str(stored.published_at),
                trace=trace,
            )

        turn: Turn = nullcontext
        if self._suspicion is not None:
            verdict = self._suspicion.verdict(stored.position)
            if verdict is not None:
                self._put_aside(stored, verdict)
                return
            turn = partial(self._suspicion.turn, stored.position)
        position = stored.position

        def note_failed(attempts: int, due: Microseconds) -> None:
            self._keeper.failed(position, attempts, due)
            self._note_soon()

        tried = self._keeper.tried(position)
        failure = await self._means.deliver(
            self._function, make, trigger.redelivery, tried, note_failed, turn
        )
        if failure is not None:
            self._put_aside(stored, failure)

    def _accepts(self, event: Event) -> bool:
        """Whether the filter wants an event; one that cannot say so gets it, and may fail there."""
        assert self._trigger.accepts is not None
        try:
            wanted: object = self._trigger.accepts(event)
            if isinstance(wanted, Coroutine):
                wanted.close()
                raise TypeError("it gives a coroutine, which nobody awaits")  # noqa: TRY301 - told
            return bool(wanted)
        except BaseException as error:  # noqa: BLE001 - code of users
            name, text = self._trigger.subscription, failure_text(plain_error(error))
            self._means.observer.problem(
                None, f"the filter of subscription {name!r} fails for event {event.id!r}: {text}"
            )
            return True

    def _put_aside(self, event: StoredEvent, failure: BaseException) -> None:
        trigger = self._trigger
        self._means.observer.delivery_failed(self._function.name, event.event_id, failure)
        self._failed.append(
            FailedDelivery(
                number=0,
                source="topic",
                name=event.topic,
                function=trigger.subscription,
                message_id=event.event_id,
                attempts=trigger.redelivery.attempts,
                failed_at=self._means.clock.now(),
                error=failure_text(failure),
                cause=event.cause,
                key=event.key,
                content=bytes(event.event).decode(),
                came_at=event.published_at,
            )
        )

    # --- noting ------------------------------------------------------------------------------

    def _done(self, event: Waiting) -> None:
        position = event
        if isinstance(event, StoredEvent):
            self._lanes.went(event)
            position = event.position
        assert isinstance(position, int)
        if position < 0:
            self._given_back -= 1
            self._redelivered.append(position)
        self._keeper.end([position])
        if self._suspicion is not None:
            self._suspicion.forget(position)
        self._note_soon()

    def _note_soon(self) -> None:
        self._is_dirty = True
        self._count()
        if self._noting is None:
            self._noting = self._means.begin(self._note(), "tenuto-place")

    async def _note(self) -> None:
        """Note how far it is, again as long as more is done with meanwhile.

        While the store takes no notes nothing more is begun, and nothing that is done with is
        delivered again: a full disk can be read.
        """
        pause = _FIRST_PAUSE
        failed: list[FailedDelivery] = []
        redelivered: list[int] = []
        try:
            while self._is_dirty:
                self._is_dirty, self._is_writing = False, True
                failed, self._failed = [*failed, *self._failed], []
                redelivered, self._redelivered = [*redelivered, *self._redelivered], []
                try:
                    await self._write(self._keeper.place(), failed, redelivered)
                except StorageUnavailableError as error:
                    if self._is_draining:
                        raise
                    self._tell_stuck(error)
                    self._is_dirty = True
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    continue
                self._is_writing = False
                pause = _FIRST_PAUSE
                failed, redelivered = [], []
                self._go_on()
                self._count()
                ahead = self._keeper.ahead
                self._is_told_full = self._is_told_full and 2 * ahead > _MOST_AHEAD
                if self._is_held_back and self._keeper.room:
                    self._news.set()
                if self._lanes.ready or len(self._workers):
                    await asyncio.sleep(_NOTE_SECONDS + ahead * _NOTE_SECONDS_AHEAD)
        except Exception as error:  # noqa: BLE001 - raised by who serves
            self._error = error
            self._news.set()
        finally:
            self._noting = None
            self._is_writing = False
            self._count()

    def _tell_stuck(self, error: StorageError) -> None:
        if not self._is_stuck:
            self._is_stuck = True
            self._tell_waiting(error)

    def _tell_waiting(self, error: StorageError) -> None:
        name = self._trigger.subscription
        self._means.observer.problem(None, f"subscription {name!r} waits for the store: {error}")

    def _go_on(self) -> None:
        if self._is_stuck:
            self._is_stuck = False
            self._start_workers()

    def _wake_after_error(self) -> None:
        if self._error is not None:
            raise self._error

    async def _write(
        self,
        place: Place,
        failed: list[FailedDelivery] | None = None,
        redelivered: list[int] | None = None,
    ) -> None:
        progress = Progress(
            place=place,
            failed=failed or (),
            redelivered=redelivered or (),
            at=self._means.clock.now(),
        )
        await self._means.topics.note(self._lease, progress)
