"""Listeners: what brings the deliveries of a trigger to its function, on one host.

Owns what all kinds have in common: one attempt of a function, and the pauses between attempts.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from contextvars import copy_context
from typing import Any, Final, Protocol, TypeAlias

from tenuto.client.causes import running_for
from tenuto.client.client import Client
from tenuto.client.own_store import is_refused_by
from tenuto.engine.engine import Engine
from tenuto.engine.partition import Partition
from tenuto.engine.program import Delivery, Redelivery, TriggeredFunction
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import Tried
from tenuto.functions.http_activity import HttpActivity, http_of_host
from tenuto.functions.outbound import OutboundSettings
from tenuto.functions.user_calls import failure_apart, flush_output
from tenuto.messaging.budget import Budget
from tenuto.messaging.suspects import Suspects
from tenuto.messaging.topics.feed import TopicFeed
from tenuto.model.errors import StorageUnavailableError
from tenuto.model.failure import failure_of
from tenuto.model.ids import InstanceId
from tenuto.model.lines import one_line
from tenuto.model.plain_errors import stand_in
from tenuto.model.texts import storable_text
from tenuto.model.timing import MICROSECONDS, Microseconds

_END_SECONDS: Final = 1.0
STORE_PAUSE: Final[Microseconds] = 1_000_000
"""Before a function is run again that the store, or the host, was not there for."""
NO_ATTEMPT: Final = "no attempt: the store, or the host, is away"
"""What is said of a failure that is no fault of what is delivered."""
_LONGEST_STORE_PAUSE: Final = 15_000_000


Turn: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
"""What is around an attempt; it may wait, and raise what is wrong with the store."""


class Listener(Protocol):
    """Brings deliveries to one function. Made when its host starts; runs on the host's loop.

    A class may have a static method ``check(function)``, which is called before the host opens its
    store, and raises RegistrationError for what cannot be served.

    Attributes:
        place: The host serves it that has the partition of this name.
    """

    place: str

    def take_up(self) -> None:
        """Partitions have become ours, or the host has begun: see whether there is work for us."""

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, and wait for what runs, at most this long; note how far it is."""

    async def abandon(self) -> None:
        """Go as a process goes that dies."""


class ListenerMeans:
    """What a listener has: the host it runs on.

    Args:
        engine: Knows which partitions are ours, the clock and the store.
        client: What functions are given.
        outbound: Where their requests may go.

    Attributes:
        suspects: What runs one at a time, as it may have ended the host before.
        is_stopping: Nobody waits for another attempt any more.
        topics: Tells subscriptions of new events.
        queues: Whom to tell, by queue, that it may have new messages.
        budget: What subscriptions and queues have in hand, of all of them.
        given_back: Whom to tell that something may have been given back, of what is no event.
    """

    def __init__(self, engine: Engine, client: Client, outbound: OutboundSettings) -> None:
        self.engine = engine
        self.client = client
        self.clock = engine.clock
        self.storage = engine.storage
        self.observer = engine.observer
        # What one delivery sets in its context is nothing to the next one.
        self._context = copy_context()
        self.http: HttpActivity = HttpActivity(
            {}, engine.clock, outbound, client.limits.payload_bytes
        )
        self.topics: TopicFeed = TopicFeed(engine)
        self.suspects: Suspects = Suspects(lambda: engine.careful is not None)
        self.budget: Budget = Budget(engine.options.delivery_bytes)
        self.queues: dict[str, Callable[[], None]] = {}
        self.given_back: list[Callable[[], None]] = []
        self._between: set[asyncio.Task[Any]] = set()
        self.is_stopping: bool = False

    def lease_for(self, name: str) -> Lease | None:
        """The lease of the partition that a name is hashed to; None when it is not ours."""
        home = self._home_of(name)
        return None if home is None or self.engine.gone is not None else home.lease

    def serves(self, name: str) -> bool:
        """Whether the partition of a name is ours, and stays so as far as is known."""
        home = self._home_of(name)
        return home is not None and not home.is_closing

    def has_died(self, name: str) -> bool:
        """Whether the host died that had the partition of a name before."""
        home = self._home_of(name)
        return home is not None and home.deaths > 0

    def _home_of(self, name: str) -> Partition | None:
        return self.engine.find(InstanceId(name))

    @contextmanager
    def busy(self) -> Generator[None]:
        """Something of a delivery is under way: tests do not let time pass meanwhile."""
        self.engine.deliveries_running += 1
        try:
            yield
        finally:
            self.engine.deliveries_running -= 1

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Run something on the host's loop; whose errors it reports itself."""
        return self.engine.loop.create_task(work, name=name, context=self._context.copy())

    async def pause(self, duration: Microseconds) -> None:
        """Let the host's time pass."""
        over = asyncio.Event()
        handle = self.clock.call_later(duration, over.set)
        try:
            await over.wait()
        finally:
            handle.cancel()

    def stopping(self) -> None:
        """Nobody waits for another attempt any more: the next host makes it."""
        self.is_stopping = True
        self.suspects.is_stopping = True
        for one in self._between:
            one.cancel()

    def end_pauses(self, tasks: "Tasks") -> None:
        """Of these nobody waits for another attempt here: another host makes it."""
        for one in self._between & tasks.running:
            one.cancel()

    async def _until_next_attempt(self, duration: Microseconds) -> None:
        if self.is_stopping:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None, "deliveries run in tasks"
        self._between.add(task)
        try:
            await self.pause(duration)
        finally:
            self._between.discard(task)

    async def attempt(
        self, function: TriggeredFunction, delivery: Delivery
    ) -> BaseException | None:
        """Run a function once; what it has raised. A delivery is busy meanwhile (see ``busy``).

        Returns:
            None when it has succeeded; a StorageUnavailableError when our own store is away, which
            is no failure of the function; else what it has raised, as it can be handed on.
        """
        refused: list[StorageUnavailableError] = []

        async def run() -> None:
            http_of_host.set(self.http)  # of the task, which runs nothing of another host
            try:
                await function.run(delivery)
            except StorageUnavailableError as error:
                # That another hub is away is a failure like any other.
                if is_refused_by(error, self.client.gateway):
                    refused.append(StorageUnavailableError(storable_text(str(error))))
                raise

        with running_for(self.client, delivery.cause, delivery.trace):
            failure = await failure_apart(run)
        flush_output()
        is_away = failure is not None and bool(refused)
        if is_away:
            failure = refused[0]
        elif isinstance(failure, StorageUnavailableError):
            failure = stand_in(failure)
        is_last = delivery.last_attempt and not is_away
        self.observer.delivery_ended(function.name, failure, is_last=is_last)
        return failure

    def tell_again(
        self,
        function: TriggeredFunction,
        delivery: str,
        failure: BaseException,
        pause: Microseconds,
        which: str,
    ) -> None:
        """Say, in one line, that a function has failed and is tried again.

        Args:
            function: The function.
            delivery: What it was run for.
            failure: What it has raised.
            pause: Before it is tried again.
            which: The attempt that has failed, of how many (``attempt_of``); or ``NO_ATTEMPT``.
        """
        self.observer.notice(
            f"function {function.name!r} failed for {delivery!r} ({which}), and is tried again in "
            f"{pause / MICROSECONDS:g} s: {one_line(failure_text(failure))}"
        )

    async def attempt_with_store(
        self, function: TriggeredFunction, delivery: Delivery, turn: Turn = nullcontext
    ) -> BaseException | None:
        """Run a function once, in its turn; again, as the same attempt, for as long as the store is
        away.
        """
        pause = STORE_PAUSE
        while True:
            failure: BaseException | None
            with self.busy():
                try:
                    async with turn():
                        failure = await self.attempt(function, delivery)
                except StorageUnavailableError as error:
                    failure = error  # it has not had its turn
            if not isinstance(failure, StorageUnavailableError):
                return failure
            # No fault of what is delivered: the store, or the host, is not there now.
            self.tell_again(function, delivery.id, failure, pause, NO_ATTEMPT)
            await self._until_next_attempt(pause)
            pause = min(2 * pause, _LONGEST_STORE_PAUSE)

    async def deliver(
        self,
        function: TriggeredFunction,
        make: Callable[[int, bool], Delivery],
        redelivery: Redelivery,
        tried: Tried,
        note_failed: Callable[[int, Microseconds], None],
        turn: Turn = nullcontext,
    ) -> BaseException | None:
        """Run a function until it succeeds, or its attempts are used up.

        Args:
            function: The function.
            make: The delivery, given which attempt it is and whether it is the last.
            redelivery: How often, with which pauses.
            tried: How often it was tried already, by hosts before this one.
            note_failed: Told of each attempt that has failed and is not the last: how many it were,
                and when the next is due.
            turn: Is around each attempt.

        Returns:
            None when it has succeeded; else what the last attempt has raised.
        """
        # At least the last one: fewer may be wanted by now than there were.
        attempt = min(tried.attempts + 1, redelivery.attempts)
        rest = tried.due - self.clock.now()
        if rest > 0:
            await self._until_next_attempt(min(rest, redelivery.longest_pause))
        while True:
            pause = redelivery.pause_before(attempt + 1)
            delivery = make(attempt, pause is None)
            failure = await self.attempt_with_store(function, delivery, turn)
            if failure is None or pause is None:
                return failure
            note_failed(attempt, self.clock.now() + pause)
            which = attempt_of(attempt, redelivery.attempts)
            self.tell_again(function, delivery.id, failure, pause, which)
            attempt += 1
            await self._until_next_attempt(pause)


def attempt_of(attempt: int, attempts: int) -> str:
    """Which attempt of how many."""
    return f"attempt {attempt} of {attempts}"


def failure_text(failure: BaseException) -> str:
    """What a function has raised, as it is listed; whatever code of users its class has."""
    found = failure_of(failure, with_traceback=False)
    return storable_text(f"{type(failure).__name__}: {found.error_message}")


MakeListener: TypeAlias = Callable[[TriggeredFunction, ListenerMeans], Listener]
"""How the listener of a kind of trigger is made."""


class Tasks:
    """The tasks of a listener, ended together."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    @property
    def running(self) -> AbstractSet["asyncio.Task[None]"]:
        """Those that run."""
        return self._running

    def add(self, task: "asyncio.Task[None]") -> None:
        """One more; it is forgotten when it ends."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def wait(self, seconds: float) -> None:
        """Wait for them, at most this long."""
        if self._running and seconds > 0:
            # Real time: a clock of tests may stand still while functions run.
            await asyncio.wait(self._running, timeout=seconds)

    async def end(self, seconds: float) -> int:
        """Wait for them, at most this long, then give up the rest; how many that were."""
        await self.wait(seconds)
        left = list(self._running)
        for one in left:
            one.cancel()
        if left:
            await asyncio.wait(left, timeout=_END_SECONDS)
        return len(left)
