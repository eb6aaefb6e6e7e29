"""Queues on real hosts and real stores, in virtual time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tenuto import (
    App,
    Client,
    Context,
    Event,
    InputError,
    QueueMessage,
    RegistrationError,
    RetryPolicy,
    Settings,
    SyncClient,
)
from tenuto.client.gateway import Gateway
from tenuto.engine.queue_ports import QueueNotes, TakenMessage
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import Redriven
from tenuto.host.host import Host
from tenuto.messaging import suspects
from tenuto.model.errors import StorageUnavailableError
from tenuto.model.timing import to_microseconds
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing import TestHost
from tenuto.testing.observer import RecordingObserver
from tests.support.away import own_store_away

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
THRICE = RetryPolicy(max_attempts=3, first_interval=SECOND, backoff=2)

Work = Callable[[QueueMessage], Awaitable[None]]


async def nothing(_message: QueueMessage) -> None:
    pass


async def give_way(_message: QueueMessage) -> None:
    await asyncio.sleep(0)


class Noted:
    """An app with one queue, what its function was told, and when."""

    def __init__(self, *, concurrency: int = 16, retry: RetryPolicy | None = None) -> None:
        self.app = App()
        self.told: list[QueueMessage] = []
        self.work: Work = nothing
        self.running: list[Any] = []
        self.most_at_once = 0

        @self.app.queue("numbers", concurrency=concurrency, retry=retry, name="note")
        async def note(message: QueueMessage) -> None:
            self.told.append(message)
            self.running.append(message.data)
            self.most_at_once = max(self.most_at_once, len(self.running))
            try:
                await self.work(message)
            finally:
                self.running.remove(message.data)

    @property
    def seen(self) -> list[tuple[Any, int]]:
        return [(one.data, one.attempt) for one in self.told]


def gateway_of(host: TestHost) -> Gateway:
    return host.client.gateway


def observer_of(host: TestHost) -> RecordingObserver:
    assert isinstance(host.observer, RecordingObserver)
    return host.observer


async def standing(host: TestHost) -> dict[str, int] | None:
    found = await gateway_of(host).queues()
    names = ("ready", "delayed", "in_work", "failed")
    return {name: getattr(found[0], name) for name in names} if found else None


# --- delivery ------------------------------------------------------------------------------------


async def test_a_message_reaches_its_function_once_and_is_gone() -> None:
    noted = Noted()
    async with TestHost(noted.app) as host:
        now = host.clock.now()
        key = await host.client.enqueue("numbers", {"n": 7})
        await host.idle()
        (told,) = noted.told
        assert (told.id, told.queue, told.attempt, told.data) == (key, "numbers", 1, {"n": 7})
        assert to_microseconds(told.queued_at) == now
        assert await gateway_of(host).queues() == []
        await host.crash()
        await host.idle()
        assert len(noted.told) == 1
        assert host.problems == []


class Order(Struct):
    number: int


async def test_a_payload_has_its_type_and_functions_their_clients() -> None:
    app = App()
    got: list[object] = []

    @app.queue("orders")
    async def first(order: Order, client: Client) -> None:
        got.append(order)
        await client.enqueue("bills", order.number)

    @app.queue("bills")
    def second(number: int, client: SyncClient, message: QueueMessage) -> None:
        got.append((number, message.data))
        client.enqueue("ends", [number])

    @app.queue("ends")
    async def third(data: list[int]) -> None:
        got.append(data)

    async with TestHost(app) as host:
        await host.client.enqueue("orders", Order(7))
        await host.idle()
    assert got == [Order(7), (7, 7), [7]]


async def test_an_orchestration_puts_a_message_into_a_queue_when_its_turn_is_durable() -> None:
    noted = Noted()

    @noted.app.orchestrator
    async def order(ctx: Context) -> str:
        await ctx.enqueue("numbers", 1)
        await ctx.enqueue("numbers", 2, delay=HOUR)
        await ctx.create_timer(timedelta(minutes=1))
        return "done"

    async with TestHost(noted.app) as host:
        assert await host.run(order) == "done"
        assert [one.data for one in noted.told] == [1]
        await host.advance(HOUR)
        assert [one.data for one in noted.told] == [1, 2]


async def test_a_delayed_message_waits_for_its_time_over_a_restart() -> None:
    noted = Noted()
    async with TestHost(noted.app) as host:
        await host.client.enqueue("numbers", 1, delay=2 * HOUR)
        await host.idle()
        await host.advance(HOUR)
        assert await standing(host) == {"ready": 0, "delayed": 1, "in_work": 0, "failed": 0}
        await host.restart()
        await host.advance(HOUR - SECOND)
        assert noted.told == []
        await host.advance(SECOND)
        assert noted.seen == [(1, 1)]


async def test_the_same_id_is_there_once() -> None:
    noted = Noted()
    async with TestHost(noted.app) as host:
        for _ in range(2):
            await host.client.enqueue("numbers", 1, message_id="one", delay=HOUR)
        await host.advance(HOUR)
        assert noted.seen == [(1, 1)]


async def test_one_at_a_time_they_come_in_the_order_of_their_arrival() -> None:
    noted = Noted(concurrency=1)
    noted.work = give_way
    async with TestHost(noted.app) as host:
        for number in range(20):
            await host.client.enqueue("numbers", number)
        await host.idle()
    assert [one.data for one in noted.told] == list(range(20))
    assert noted.most_at_once == 1


async def test_no_more_run_at_once_than_are_allowed() -> None:
    noted = Noted(concurrency=3)
    gate = asyncio.Event()

    async def wait(_message: QueueMessage) -> None:
        await gate.wait()

    noted.work = wait
    async with TestHost(noted.app) as host:
        await asyncio.gather(*(host.client.enqueue("numbers", number) for number in range(10)))
        await until(lambda: len(noted.running) == 3)
        gate.set()
        await host.idle()
    assert noted.most_at_once == 3
    assert len(noted.told) == 10


async def test_what_one_delivery_sets_is_nothing_to_the_next() -> None:
    noted = Noted(concurrency=1)
    mark: ContextVar[int] = ContextVar("mark", default=0)
    found: list[int] = []

    async def work(message: QueueMessage) -> None:
        found.append(mark.get())
        mark.set(message.data)
        await gate.wait()

    noted.work = work
    gate = asyncio.Event()
    async with TestHost(noted.app) as host:
        for number in (1, 2):
            await host.client.enqueue("numbers", number)
        # What has begun the first is over: only the function itself runs.
        await until(lambda: noted.running == [1] and host.host.engine.deliveries_running == 1)
        gate.set()
        await host.idle()
    assert found == [0, 0]


async def test_what_a_function_sets_off_knows_its_cause() -> None:
    app = App()

    @app.orchestrator
    async def flow(ctx: Context) -> None:
        await ctx.enqueue("next", 1, delay=HOUR)

    @app.queue("numbers")
    async def begin(client: Client) -> None:
        await client.start(flow, instance_id="f-1")
        await client.enqueue("next", 2, delay=HOUR)

    async with TestHost(app) as host:
        await host.client.enqueue("numbers", 1, message_id="m-1")
        await host.idle()
        found = await gateway_of(host).queue_messages("next", 10, 1_000)
        causes = sorted(one.cause or "" for one in found)
    assert causes == ["instance:f-1", "message:numbers/m-1"]


async def test_what_a_function_returns_may_be_the_next_event() -> None:
    app = App()
    told: list[tuple[str, Any]] = []

    @app.queue("numbers", name="double")
    @app.publishes("doubled")
    async def double(number: int) -> int:
        return 2 * number

    @app.subscribe("doubled")
    async def note(event: Event) -> None:
        told.append((event.id, event.data))

    async with TestHost(app) as host:
        await host.client.enqueue("numbers", 4, message_id="m-1")
        await host.idle()
    assert told == [("double:1:m-1", 8)]


async def test_a_result_is_published_once_however_long_the_id_is_that_it_is_for() -> None:
    app = App()
    told: list[tuple[str, Any]] = []

    @app.queue("numbers", name="double")
    @app.publishes("doubled")
    async def double(number: int) -> int:
        return 2 * number

    @app.subscribe("doubled", name="again")
    @app.publishes("doubled again")
    async def again(number: int) -> int:
        return 2 * number

    @app.subscribe("doubled again")
    async def note(event: Event) -> None:
        told.append((event.id, event.data))

    async with TestHost(app) as host:
        for end in "ab":
            for _ in range(2):
                await host.client.enqueue("numbers", 4, message_id="m" * 511 + end)
                await host.idle()
    assert [data for _, data in told] == [16] * 4
    keys = {key for key, _ in told}
    assert len(keys) == 4, "each message has its own, also under an id that was used before"
    assert all(len(key) == 512 and ":double:" in key for key in keys)
    assert observer_of(host).put_aside == []


# --- failures ------------------------------------------------------------------------------------


async def test_a_message_that_fails_is_tried_again_with_growing_pauses_and_put_aside() -> None:
    noted = Noted(retry=THRICE)
    moments: list[int] = []

    async def fail(message: QueueMessage) -> None:
        moments.append(host.clock.now())
        raise ValueError(f"not {message.data}")

    noted.work = fail
    async with TestHost(noted.app) as host:
        start = host.clock.now()
        key = await host.client.enqueue("numbers", 5)
        await host.idle()
        assert await standing(host) == {"ready": 0, "delayed": 1, "in_work": 0, "failed": 0}
        await host.advance(HOUR)
        assert [(one - start) // 1_000_000 for one in moments] == [0, 1, 3]
        assert [one.attempt for one in noted.told] == [1, 2, 3]
        assert {one.id for one in noted.told} == {key}
        (failed,) = await gateway_of(host).failed_deliveries("queue", "numbers")
        assert (failed.function, failed.message_id, failed.attempts) == ("note", key, 3)
        assert (failed.error, failed.content) == ("ValueError: not 5", "5")
        assert observer_of(host).put_aside == [("note", key)]
        assert await standing(host) == {"ready": 0, "delayed": 0, "in_work": 0, "failed": 1}

        noted.work = nothing
        noted.told.clear()
        assert await gateway_of(host).redrive([failed.number, 99]) == Redriven(1)
        await host.idle()
        assert [(one.id, one.attempt) for one in noted.told] == [(key, 1)]
        assert await gateway_of(host).queues() == []


async def test_one_that_fails_holds_nobody_up() -> None:
    noted = Noted(concurrency=1, retry=THRICE)

    async def fail(message: QueueMessage) -> None:
        if message.data == 0:
            raise ValueError

    noted.work = fail
    async with TestHost(noted.app) as host:
        for number in range(5):
            await host.client.enqueue("numbers", number)
        await host.idle()
        assert [one.data for one in noted.told] == list(range(5))
        await host.advance(HOUR)
        assert [one.data for one in noted.told] == [*range(5), 0, 0]


async def test_a_payload_that_does_not_fit_is_put_aside_after_its_attempts() -> None:
    app = App()

    @app.queue("orders", retry=RetryPolicy(max_attempts=2))
    async def take(order: Order) -> None:
        raise AssertionError(order)

    async with TestHost(app) as host:
        await host.client.enqueue("orders", "no order")
        await host.advance(HOUR)
        (failed,) = await gateway_of(host).failed_deliveries()
        assert failed.attempts == 2
        assert "PayloadError: value at $ does not fit: Expected `object`" in failed.error
        assert await gateway_of(host).drop_failed([failed.number]) == 1
        assert await gateway_of(host).queues() == []


async def test_a_store_that_is_away_is_no_fault_of_the_message() -> None:
    noted = Noted(retry=RetryPolicy(max_attempts=2))

    async def publish(_message: QueueMessage) -> None:
        if len(noted.seen) <= 3:
            raise own_store_away()

    noted.work = publish
    async with TestHost(noted.app) as host:
        await host.client.enqueue("numbers", 1)
        await host.advance(HOUR)
        assert noted.seen == [(1, 1)] * 4
        assert observer_of(host).put_aside == []


class AwayStorage(SqliteStorage):
    """A store whose queues cannot be written for a while, or slowly."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.failures: list[Exception] = []
        self.told = asyncio.Event()
        self.told.set()
        self.written = 0

    async def work_on_queue(self, lease: Lease, notes: QueueNotes) -> list[TakenMessage]:
        taken = [] if self.failures else await super().work_on_queue(lease, notes)
        if self.failures:
            raise self.failures.pop()
        self.written += 1
        await self.told.wait()
        return taken


@pytest.mark.parametrize("error", [StorageUnavailableError("away"), KeyError("a fault")])
async def test_what_cannot_be_noted_is_noted_later(tmp_path: Path, error: Exception) -> None:
    noted = Noted()
    storage = AwayStorage(str(tmp_path / "hub.db"))

    async def work(_message: QueueMessage) -> None:
        storage.failures = [error, error]

    noted.work = work
    async with TestHost(noted.app, storage=storage) as host:
        await host.client.enqueue("numbers", 1)
        await host.idle()
        assert await standing(host) == {"ready": 0, "delayed": 0, "in_work": 1, "failed": 0}
        noted.work = nothing
        await host.client.enqueue("numbers", 2)
        await host.advance(timedelta(seconds=30))
        assert noted.seen == [(1, 1), (2, 1)]
        assert await gateway_of(host).queues() == []
        assert any("queue 'numbers'" in text for _, text in host.problems)


async def test_that_a_message_is_to_be_tried_again_is_noted_later(tmp_path: Path) -> None:
    noted = Noted(retry=THRICE)
    storage = AwayStorage(str(tmp_path / "hub.db"))

    async def fail(message: QueueMessage) -> None:
        storage.failures = [StorageUnavailableError("away")] * (message.attempt == 1)
        raise ValueError

    noted.work = fail
    async with TestHost(noted.app, storage=storage) as host:
        key = await host.client.enqueue("numbers", 1)
        await host.advance(HOUR)
        assert noted.seen == [(1, 1), (1, 2), (1, 3)]
        assert observer_of(host).put_aside == [("note", key)]


class DoubtfulStorage(AwayStorage):
    """A store whose answers are lost: what was written stands."""

    async def work_on_queue(self, lease: Lease, notes: QueueNotes) -> list[TakenMessage]:
        failures, self.failures = self.failures, []
        taken = await super().work_on_queue(lease, notes)
        self.failures = failures
        if failures:
            raise failures.pop()
        return taken


async def test_what_was_taken_by_a_write_whose_answer_is_lost_is_worked_on_by_the_same_attempt(
    tmp_path: Path,
) -> None:
    """It was in work for ever, and nobody worked on it. Lines of hosts that were cut showed it."""
    noted = Noted(retry=RetryPolicy(max_attempts=2))
    storage = DoubtfulStorage(str(tmp_path / "hub.db"))
    async with TestHost(noted.app, storage=storage) as host:
        for number in range(4):
            # The answer to the note of its end is lost, too, and of what is taken again.
            storage.failures = [StorageUnavailableError("away")] * (number + 1)
            await host.client.enqueue("numbers", number)
            await host.advance(timedelta(minutes=1))
            assert noted.seen[-1] == (number, 1)
        assert noted.seen == [(number, 1) for number in range(4)]
        assert await gateway_of(host).queues() == []
        assert observer_of(host).put_aside == []


# --- hosts that come and go ----------------------------------------------------------------------


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - functions that run tell nobody
            await asyncio.sleep(0.001)


async def test_what_was_in_work_when_its_host_died_is_worked_on_again() -> None:
    noted = Noted()
    never = asyncio.Event()

    async def hang(_message: QueueMessage) -> None:
        await never.wait()

    noted.work = hang
    async with TestHost(noted.app) as host:
        for number in range(3):
            await host.client.enqueue("numbers", number)
        await until(lambda: len(noted.running) == 3)
        noted.work = nothing
        await host.crash()
        await host.idle()
        assert noted.seen[3:] == [(0, 2), (1, 2), (2, 2)]
        assert await gateway_of(host).queues() == []


async def test_a_message_that_ends_its_host_again_and_again_is_put_aside_and_no_other() -> None:
    noted = Noted(retry=RetryPolicy(max_attempts=5))
    never, gate = asyncio.Event(), asyncio.Event()
    beside: list[list[Any]] = []

    async def work(message: QueueMessage) -> None:
        beside.append([*noted.running])
        await (never if message.data == "deadly" else gate).wait()

    noted.work = work
    async with TestHost(noted.app) as host:
        for data in (1, "deadly", 2, 3):
            await host.client.enqueue("numbers", data)
        for _ in range(2):  # all of them are in work at two deaths
            await until(lambda: len(noted.running) == 4)
            await host.crash()
        gate.set()
        await until(lambda: noted.running == ["deadly"])
        await host.client.enqueue("numbers", "late")
        await host.crash()
        await host.idle()
        (failed,) = await gateway_of(host).failed_deliveries()
        assert (failed.content, failed.attempts) == ('"deadly"', 3)
        assert "its host ended 3 times while it was worked on" in failed.error
        assert [one for one in beside[8:] if "deadly" in one] == [["deadly"]]
        attempts = {one.data: one.attempt for one in noted.told}
        assert attempts == {"deadly": 3, 1: 3, 2: 3, 3: 3, "late": 1}
        assert await standing(host) == {"ready": 0, "delayed": 0, "in_work": 0, "failed": 1}


async def test_a_message_that_does_not_end_holds_up_no_other_after_deaths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspects, "_PATIENCE_SECONDS", 0.01)
    noted = Noted()
    never = asyncio.Event()

    async def work(message: QueueMessage) -> None:
        if message.data == "hangs":
            await never.wait()

    noted.work = work
    async with TestHost(noted.app) as host:
        await host.client.enqueue("numbers", "hangs")
        for _ in range(2):
            await until(lambda: noted.running == ["hangs"])
            await host.crash()
        await until(lambda: noted.running == ["hangs"])
        await host.client.enqueue("numbers", 1)
        await until(lambda: (1, 1) in noted.seen)
        await host.crash()


async def test_one_death_puts_nothing_aside_even_where_one_attempt_is_wanted() -> None:
    noted = Noted(retry=RetryPolicy(max_attempts=1))
    never = asyncio.Event()

    async def hang(_message: QueueMessage) -> None:
        await never.wait()

    noted.work = hang
    async with TestHost(noted.app) as host:
        await host.client.enqueue("numbers", 1)
        for _ in range(2):
            await until(lambda: len(noted.running) == 1)
            await host.crash()
        await until(lambda: len(noted.running) == 1)
        noted.work = nothing
        await host.crash()
        await host.idle()
        assert [one.attempt for one in noted.told] == [1, 2, 3]
        assert len(observer_of(host).put_aside) == 1


async def test_a_death_in_the_last_attempt_puts_nothing_aside_and_costs_none() -> None:
    noted = Noted(retry=THRICE)
    never = asyncio.Event()

    async def fail(message: QueueMessage) -> None:
        if message.attempt == 3:
            await never.wait()
        raise ValueError

    noted.work = fail
    async with TestHost(noted.app) as host:
        await host.client.enqueue("numbers", 1)
        await host.idle()
        await host.advance(SECOND)
        passing = asyncio.create_task(host.advance(2 * SECOND))
        await until(lambda: noted.running)
        passing.cancel()
        await host.crash()
        await host.idle()
        assert [one.attempt for one in noted.told] == [1, 2, 3, 4]
        (failed,) = await gateway_of(host).failed_deliveries()
        assert (failed.attempts, failed.error) == (4, "ValueError: ")


async def test_a_host_that_stops_waits_for_what_runs_and_gives_back_the_rest() -> None:
    noted = Noted(concurrency=2)
    never, gate = asyncio.Event(), asyncio.Event()

    async def work(message: QueueMessage) -> None:
        await (never if message.data == 1 else gate).wait()

    noted.work = work
    settings = Settings(drain_seconds=0.2)
    async with TestHost(noted.app, settings=settings) as host:
        for number in (1, 2, 3):
            await host.client.enqueue("numbers", number)
        await until(lambda: len(noted.running) == 2)
        asyncio.get_running_loop().call_later(0.05, gate.set)
        noted_before = [one.data for one in noted.told]
        await host.restart()
        noted.work = nothing
        await host.idle()
        assert noted_before == [1, 2]
        assert noted.seen == [(1, 1), (2, 1), (1, 1), (3, 1)]
        assert await gateway_of(host).queues() == []
        assert host.problems == []


async def test_what_a_host_gives_back_comes_first_where_order_counts(tmp_path: Path) -> None:
    noted = Noted(concurrency=1)
    never = asyncio.Event()

    async def work(message: QueueMessage) -> None:
        if message.data == 2:
            await never.wait()

    noted.work = work
    settings = Settings(storage=f"sqlite:///{tmp_path}/hub.db", drain_seconds=0.1)
    async with Host(noted.app, settings=settings) as host:
        for number in range(1, 6):
            await host.client.enqueue("numbers", number)
        await until(lambda: noted.running == [2])
    noted.work = nothing
    async with Host(noted.app, settings=settings):
        await until(lambda: len(noted.told) == 6)
    assert noted.seen == [(1, 1), (2, 1), (2, 1), (3, 1), (4, 1), (5, 1)]


async def test_a_clock_that_is_set_back_holds_up_no_message_without_a_delay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = Noted(concurrency=1)
    app = noted.app

    @app.orchestrator
    async def send(ctx: Context) -> None:
        await ctx.enqueue("numbers", 5)

    async with Host(app, "sqlite://") as host:
        right, gate = time.time_ns, asyncio.Event()

        async def wait(_message: QueueMessage) -> None:
            await gate.wait()

        noted.work = wait
        monkeypatch.setattr(time, "time_ns", lambda: right() + 3_600 * 10**9)
        for number in range(5):
            await host.client.enqueue("numbers", number)
        await (await host.client.start(send)).result()
        monkeypatch.setattr(time, "time_ns", right)
        await host.client.enqueue("numbers", 6)
        gate.set()
        await until(lambda: len(noted.told) == 7)
        assert [one.data for one in noted.told] == list(range(7))


async def test_what_a_host_that_stops_cannot_note_is_worked_on_again(tmp_path: Path) -> None:
    noted = Noted()
    storage = AwayStorage(str(tmp_path / "hub.db"))
    gate = asyncio.Event()

    async def wait(message: QueueMessage) -> None:
        await gate.wait()
        storage.failures = [StorageUnavailableError("away")] * (message.attempt == 1)

    noted.work = wait
    async with TestHost(noted.app, storage=storage) as host:
        await host.client.enqueue("numbers", 1)
        await until(lambda: noted.running)
        asyncio.get_running_loop().call_later(0.05, gate.set)
        await host.restart()
        await host.idle()
        assert noted.seen == [(1, 1), (1, 2)]
        assert any("they are worked on again" in text for _, text in host.problems)
        assert await gateway_of(host).queues() == []


async def test_what_is_taken_while_its_host_stops_is_given_back(tmp_path: Path) -> None:
    noted = Noted()
    storage = AwayStorage(str(tmp_path / "hub.db"))
    gate = asyncio.Event()

    async def wait(_message: QueueMessage) -> None:
        await gate.wait()

    noted.work = wait
    settings = Settings(drain_seconds=0.1)
    async with TestHost(noted.app, storage=storage, settings=settings) as host:
        await host.idle()
        storage.told.clear()
        before = storage.written
        await host.client.enqueue("numbers", 1)
        await until(lambda: storage.written > before)
        asyncio.get_running_loop().call_later(0.05, storage.told.set)
        await host.restart()
        gate.set()
        await host.idle()
        assert noted.seen == [(1, 1)], "the host that stopped has begun nothing"
        assert await gateway_of(host).queues() == []


# --- looking and deleting ------------------------------------------------------------------------


async def test_messages_are_looked_at_and_deleted() -> None:
    app = App()
    async with TestHost(app) as host:
        gateway, now = gateway_of(host), host.clock.now()
        await host.client.enqueue("b", 3, message_id="later", delay=HOUR)
        for number in (1, 2):
            await host.client.enqueue("b", number, message_id=f"m-{number}")
        await host.client.enqueue("a", "x")
        names = [(one.name, one.ready, one.delayed, one.oldest) for one in await gateway.queues()]
        assert names == [("a", 1, 0, now), ("b", 2, 1, now)]
        found = await gateway.queue_messages("b", 10, 1_000)
        assert [(one.id, one.data, one.attempts) for one in found] == [
            ("m-1", "1", 0),
            ("m-2", "2", 0),
            ("later", "3", 0),
        ]
        assert len(await gateway.queue_messages("b", 10, 0)) == 1
        assert await gateway.drop_queued("b", ["m-1", "m-1", "nobody"]) == 1
        assert await gateway.drop_queued("b") == 2
        assert await gateway.drop_queued("b") == 0
        assert [one.name for one in await gateway.queues()] == ["a"]


async def test_a_message_that_is_deleted_while_it_is_worked_on_is_not_missed() -> None:
    noted = Noted(retry=THRICE)
    gate = asyncio.Event()

    async def wait(message: QueueMessage) -> None:
        await gate.wait()
        if message.data:
            raise ValueError

    noted.work = wait
    async with TestHost(noted.app) as host:
        for data in (0, 1):
            await host.client.enqueue("numbers", data)
        await until(lambda: len(noted.running) == 2)
        assert await gateway_of(host).drop_queued("numbers") == 2
        gate.set()
        await host.advance(HOUR)
        assert len(noted.told) == 2
        assert await gateway_of(host).queues() == []
        assert host.problems == []


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"queue": "a/b"}, "the name of a queue"),
        ({"queue": ""}, "a queue"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"retry": 3}, "RetryPolicy"),
        ({"retry": RetryPolicy(max_attempts=2, retry_if=bool)}, "retry_if"),
    ],
)
def test_what_cannot_be_is_refused_at_registration(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(RegistrationError, match=words):

        @App().queue(**{"queue": "numbers"} | arguments)
        async def note() -> None:
            pass


def test_a_function_takes_the_payload_once() -> None:
    with pytest.raises(RegistrationError, match="parameters 'one', 'two' are all the payload"):

        @App().queue("numbers")
        async def note(one: int, two: int) -> None:
            pass


async def test_two_functions_on_one_queue_are_refused_at_the_start() -> None:
    app = App()

    @app.queue("numbers")
    async def one() -> None:
        pass

    @app.queue("numbers")
    async def two() -> None:
        pass

    with pytest.raises(RegistrationError, match="'one' and 'two' both take the messages of queue"):
        async with Host(app, "sqlite://"):
            pass


async def test_bad_input_is_refused_whole_where_it_enters() -> None:
    async with TestHost(App()) as host:
        with pytest.raises(InputError):
            await host.client.enqueue("a/b", 1)
        with pytest.raises(InputError):
            await host.client.enqueue("a", 1, delay=-SECOND)
        assert await gateway_of(host).queues() == []
