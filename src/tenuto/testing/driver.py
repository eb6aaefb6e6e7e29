"""Between engine and virtual clock: when is the host at rest, and what comes next.

Also the gateway that lets time pass while somebody waits for a result: the clock jumps to the next
due moment only when the host is at rest, no client request is open, and no result that is waited
for is there already. So a test's own code always runs at the time it was woken at.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tenuto.client.gateway import Gateway, has_come
from tenuto.client.topics import TopicsGateway
from tenuto.engine.engine import Engine
from tenuto.engine.queue_ports import QueueStanding, WaitingMessage
from tenuto.engine.topic_ports import FailedDelivery, Redriven
from tenuto.model.errors import TenutoError
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.messages import ClientMessage
from tenuto.model.requests import (
    DeadLetter,
    DeadLetterPage,
    HistoryPage,
    InstancePage,
    InstanceQuery,
    StartRequest,
)
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage
from tenuto.model.usage import Day, Dimension, UsageLine
from tenuto.testing.clock import VirtualClock

_FAR: Final = 1 << 62
_PASSES: Final = 5
"""Passes of the loop that must find the host at rest: what was just answered may ask again."""
_PAUSE_SECONDS: Final = 0.0005
_PATIENCE_SECONDS: Final = 10.0


class EngineDriver:
    """An engine as the virtual clock sees it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.open_requests = 0

    def is_quiet(self, *, with_activities: bool = True) -> bool:
        """Whether nothing can happen before time moves or somebody asks for something."""
        engine = self._engine
        if engine.pipeline.is_pausing:
            return True  # between two tries of a commit: time must pass
        if self.open_requests:
            return False
        if with_activities:
            return engine.is_idle
        return engine.is_settled and not engine.is_deciding and not engine.reads

    async def rest(self, *, with_activities: bool = True) -> None:
        """Wait until the host is at rest.

        Raises:
            TenutoError: an activity is still running after ten seconds of real time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_SECONDS
        passes = 0
        while passes < _PASSES:
            if self.is_quiet(with_activities=with_activities):
                passes += 1
                await asyncio.sleep(0)
                continue
            passes = 0
            await self._wait_a_little(with_activities=with_activities)
            if loop.time() > deadline:
                raise TenutoError(
                    f"the host does not come to rest: {self._engine.running} activities run, "
                    f"{self._engine.timers_running} timers and "
                    f"{self._engine.deliveries_running} deliveries run, {self.open_requests} "
                    f"requests are open after {_PATIENCE_SECONDS:.0f} s of real time; "
                    "with_activities=False lets time pass while activities run"
                )

    async def _wait_a_little(self, *, with_activities: bool) -> None:
        """Let the threads work; most often they need a few passes of the loop at most."""
        for _ in range(20):
            await asyncio.sleep(0)
            if self.is_quiet(with_activities=with_activities):
                return
        await asyncio.sleep(_PAUSE_SECONDS)

    async def next_wake(self) -> Microseconds | None:
        """The first moment at which an instance is due, stored or in memory, or something that
        nothing tells of but a look.
        """
        engine = self._engine
        now = engine.clock.now()
        moments = [
            fire_at
            for resident in engine.residents
            for fire_at in resident.state.work.timers.values()
            if fire_at > now
        ]
        waiting = await engine.storage.due(engine.partitions.keys(), now, _FAR)
        moments += [wake.wake_at for wake in waiting]
        for look in engine.looks:
            moment = await look()
            if moment is not None:
                moments.append(moment)
        return min(moments, default=None)

    async def find(self, instance_ids: list[InstanceId]) -> list[InstanceRecord]:
        """Rows as last committed."""
        return await self._engine.storage.find(instance_ids)


class TimeSkippingGateway:
    """A client's way into whichever host runs now; waiting for a result lets time pass.

    Attributes:
        is_open: Whether there will be another host when there is none.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._inner: Gateway | None = None
        self._driver: EngineDriver | None = None
        self._waited: Counter[tuple[InstanceId, bool]] = Counter()
        self._waits: set[asyncio.Future[InstanceRecord]] = set()
        self._turn = asyncio.Lock()
        self.is_open = False

    def now(self) -> Microseconds:
        """The present of virtual time."""
        return self._clock.now()

    def connect(self, inner: Gateway, driver: EngineDriver) -> None:
        """Go to this host from now on."""
        self._inner = inner
        self._driver = driver

    def disconnect(self) -> None:
        """The host is gone; who waits goes on waiting at the next one."""
        self._inner = self._driver = None
        for wait in self._waits:
            wait.cancel()

    @asynccontextmanager
    async def _request(self) -> AsyncIterator[Gateway]:
        """The present host; the next one, while there is none."""
        while self._inner is None or self._driver is None:
            if not self.is_open:
                raise TenutoError("the test host is not running; use `async with TestHost(app)`")
            await asyncio.sleep(_PAUSE_SECONDS)
        inner, driver = self._inner, self._driver
        driver.open_requests += 1
        try:
            yield inner
        finally:
            driver.open_requests -= 1

    @property
    def topics(self) -> TopicsGateway:
        """Those of the present host."""
        if self._inner is None:
            raise TenutoError("the test host is not running; use `async with TestHost(app)`")
        return self._inner.topics

    async def start(self, request: StartRequest) -> None:
        """Start an instance; returns when it is durable."""
        async with self._request() as inner:
            await inner.start(request)

    async def publish(
        self, events: Sequence[PublishedEvent], messages: Sequence[QueuedMessage]
    ) -> None:
        """See the gateway."""
        async with self._request() as inner:
            await inner.publish(events, messages)

    async def decided(self, instance_id: InstanceId, execution_id: ExecutionId) -> None:
        """See the gateway."""
        async with self._request() as inner:
            await inner.decided(instance_id, execution_id)

    def wake(self) -> None:
        """See the gateway."""
        if self._inner is not None:
            self._inner.wake()

    async def usage(self, first: Day, last: Day, by: Sequence[Dimension]) -> list[UsageLine]:
        """See the gateway."""
        async with self._request() as inner:
            return await inner.usage(first, last, by)

    async def queues(self) -> list[QueueStanding]:
        """See the gateway."""
        async with self._request() as inner:
            return await inner.queues()

    async def queue_messages(self, queue: str, limit: int, most_bytes: int) -> list[WaitingMessage]:
        """See the gateway."""
        async with self._request() as inner:
            return await inner.queue_messages(queue, limit, most_bytes)

    async def drop_queued(self, queue: str, message_ids: Sequence[str] | None = None) -> int:
        """See the gateway."""
        async with self._request() as inner:
            return await inner.drop_queued(queue, message_ids)

    async def failed_deliveries(
        self,
        source: str | None = None,
        name: str | None = None,
        function: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[FailedDelivery]:
        """See the gateway."""
        async with self._request() as inner:
            return await inner.failed_deliveries(source, name, function, after, limit)

    async def redrive(self, numbers: Sequence[int]) -> Redriven:
        """See the gateway."""
        async with self._request() as inner:
            return await inner.redrive(numbers)

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """See the gateway."""
        async with self._request() as inner:
            return await inner.drop_failed(numbers)

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Tell an instance something."""
        async with self._request() as inner:
            await inner.tell(instance_id, message)

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """The row."""
        async with self._request() as inner:
            return await inner.get(instance_id)

    async def query(self, query: InstanceQuery) -> InstancePage:
        """A page of rows."""
        async with self._request() as inner:
            return await inner.query(query)

    async def history(self, instance_id: InstanceId, most_bytes: int | None = None) -> list[bytes]:
        """The turns of the current execution, as JSON arrays."""
        async with self._request() as inner:
            return await inner.history(instance_id, most_bytes)

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest messages that nobody could take."""
        async with self._request() as inner:
            return await inner.dead_letters(limit)

    async def history_page(
        self, instance_id: InstanceId, after: str | None, most_bytes: int
    ) -> HistoryPage:
        """Turns of the current execution, as long as they fit."""
        async with self._request() as inner:
            return await inner.history_page(instance_id, after, most_bytes)

    async def dead_letter_page(
        self, limit: int, after: str | None, most_bytes: int
    ) -> DeadLetterPage:
        """Messages that nobody could take, newest first, as long as they fit."""
        async with self._request() as inner:
            return await inner.dead_letter_page(limit, after, most_bytes)

    async def acknowledge_letters(self, message_ids: Sequence[MessageId]) -> int:
        """See the gateway."""
        async with self._request() as inner:
            return await inner.acknowledge_letters(message_ids)

    async def close(self) -> None:
        """Nothing: the test host opens and closes what it uses."""

    async def wait(self, instance_id: InstanceId, *, started: bool = False) -> InstanceRecord:
        """The row once the instance has ended or begun; time passes meanwhile."""
        key = instance_id, started
        self._waited[key] += 1
        try:
            while True:
                record = await self._wait_here(instance_id, started=started)
                if record is not None:
                    return record
        finally:
            self._waited[key] -= 1
            if not self._waited[key]:
                del self._waited[key]

    async def _wait_here(self, instance_id: InstanceId, *, started: bool) -> InstanceRecord | None:
        """Wait at the present host; None when it went away."""
        inner, driver = self._inner, self._driver
        if inner is None or driver is None:
            async with self._request():
                return None
        waiting = asyncio.ensure_future(inner.wait(instance_id, started=started))
        self._waits.add(waiting)
        try:
            while not waiting.done():
                async with self._turn:
                    if not waiting.done():
                        await self._skip(driver, waiting)
            return None if waiting.cancelled() else waiting.result()
        finally:
            self._waits.discard(waiting)
            waiting.cancel()

    async def _has_come(self, driver: EngineDriver) -> bool:
        """Whether something of what is waited for is there, or never will be."""
        wanted = list(self._waited)
        records = await driver.find(list({instance_id for instance_id, _ in wanted}))
        found = {record.instance_id: record for record in records}
        return any(
            instance_id not in found or has_come(found[instance_id], started=started)
            for instance_id, started in wanted
        )

    async def _skip(self, driver: EngineDriver, waiting: "asyncio.Future[InstanceRecord]") -> None:
        """Move time by one step, if nothing else is left to do."""
        for _ in range(_PASSES):
            if not driver.is_quiet() or waiting.done():
                await asyncio.wait([waiting], timeout=_PAUSE_SECONDS)
                return
            await asyncio.sleep(0)
        if await self._has_come(driver):
            # Somebody is about to get a result and must find the time as it is.
            await asyncio.wait([waiting], timeout=_PAUSE_SECONDS)
            return
        moment = await self._clock.next_moment()
        if moment is None:
            await asyncio.wait([waiting], timeout=_PAUSE_SECONDS)  # only a message can help
        elif driver.is_quiet() and not waiting.done():
            self._clock.jump(moment)
            await asyncio.sleep(0)
