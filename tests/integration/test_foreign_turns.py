"""Turns that a runner answers later: what happens while they are out, and when nobody answers."""

import asyncio
import contextlib
import json
import random
from datetime import timedelta
from itertools import pairwise

import pytest

from tenuto import App, Context, Host, Settings
from tenuto.engine.commands import Commands
from tenuto.engine.ports import GivenBack
from tenuto.model.errors import (
    InstanceStateError,
    NonDeterminismError,
    WebhookClosedError,
)
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    HistoryEvent,
    TaskCompleted,
    TaskScheduled,
    TimerCreated,
    WebhookOpened,
)
from tenuto.model.hold import HoldReason
from tenuto.model.ids import InstanceId, new_execution_id
from tenuto.model.messages import RedeemWebhook
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.webhook import digest_of
from tenuto.testing import RecordingObserver, TestHost
from tests.support.facts import asks
from tests.support.late_runner import HandRunner, Request, WorkerRunner, beside
from tests.support.waiting import until

COMPLETED, RUNNING = RuntimeStatus.COMPLETED, RuntimeStatus.RUNNING


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> HandRunner:
    runner = HandRunner()
    beside(monkeypatch, runner)
    return runner


def done(result: str = "1") -> ExecutionCompleted:
    return ExecutionCompleted(COMPLETED, result)


async def start(host: Host, instance_id: str, text: str = "1") -> None:
    request = asks(
        instance_id=instance_id,
        execution_id=new_execution_id(host.clock.now()),
        name="chain",
        input=text,
    )
    await host.client.gateway.start(request)


async def row(host: Host, instance_id: str) -> InstanceRecord:
    record = await host.engine.storage.get(InstanceId(instance_id))
    assert record is not None
    return record


async def turn_out(host: Host, runner: HandRunner, number: int = 1) -> Request:
    """The turn that was let out as the so many-th."""
    await until(lambda: len(runner.requests) >= number and host.engine.pipeline.is_idle)
    return runner.requests[number - 1]


async def pass_time(test: TestHost, duration: timedelta) -> None:
    """Also while a turn is out."""
    await test.advance(duration, with_activities=False)


async def out(test: TestHost, runner: HandRunner, instance_id: str = "a") -> Request:
    await start(test.host, instance_id)
    return await turn_out(test.host, runner)


async def test_a_start_is_acknowledged_and_stored_while_its_first_turn_is_out(
    runner: HandRunner,
) -> None:
    async with TestHost(App()) as test:
        request = await out(test, runner)
        assert (await row(test.host, "a")).status is RuntimeStatus.PENDING
        assert not test.host.engine.is_idle
        request.complete(done('"late"'))
        assert await test.client.handle("a").result() == "late"
        assert [type(one) for one in request.incoming] == [ExecutionStarted]
        assert test.problems == []


async def test_requests_are_durable_and_acknowledged_and_come_in_order_with_the_next_turn(
    runner: HandRunner,
) -> None:
    async with TestHost(App()) as test:
        request = await out(test, runner)
        for number in range(3):
            await test.client.raise_event("a", "word", number)
        await test.client.suspend("a")
        await test.client.resume("a")
        await test.crash()
        # What was acknowledged is there; the turn goes out again, with the same messages.
        again = await turn_out(test.host, runner, 2)
        assert again.events[1:2] == request.events[1:2]
        words: list[HistoryEvent] = [EventRaised("word", str(number)) for number in range(3)]
        # What pauses it, and lets it go on, stands before what it takes in.
        assert again.incoming[1:] == [ExecutionSuspended(), ExecutionResumed(), *words]
        again.complete(done())
        assert await test.client.handle("a").result() == 1


async def test_results_gather_for_the_next_turn(runner: HandRunner) -> None:
    async with TestHost(App()) as test:
        request = await out(test, runner)
        request.complete(*(TaskScheduled(number, "step", "1") for number in range(20)))
        first = await turn_out(test.host, runner, 2)
        await until(lambda: not test.host.engine.running)
        first.complete()
        count = sum(isinstance(one, TaskCompleted) for one in first.incoming)
        if count < 20:
            second = await turn_out(test.host, runner, 3)
            assert count + len(second.incoming) == 20
            second.complete(done())
        assert len(runner.requests) <= 3


@pytest.mark.parametrize("force", [False, True])
async def test_terminate_and_forced_purge_recall_the_turn_and_a_late_answer_goes_unheard(
    runner: HandRunner,
    force: bool,
) -> None:
    async with TestHost(App()) as test:
        request = await out(test, runner)
        await test.client.raise_event("a", "word", 1)
        if force:
            with pytest.raises(InstanceStateError, match="still going"):
                await test.client.purge("a")
            assert await test.client.purge("a", force=True)
        else:
            await test.client.terminate("a", "enough")
        request.complete(TaskScheduled(1, "step"))
        await test.idle()
        status = await test.client.get_status("a")
        if force:
            assert status is None
        else:
            assert status is not None
            assert status.runtime_status is RuntimeStatus.TERMINATED
        assert runner.ran == []
        assert len(test.host.engine.residents) == 0


async def test_a_pause_is_ended_by_the_engine_itself(runner: HandRunner) -> None:
    async with TestHost(App()) as test:
        request = await out(test, runner)
        request.complete(TimerCreated(1, test.clock.now() + 10_000_000))
        await test.idle()
        await test.client.suspend("a")
        await test.client.resume("a")
        await test.idle()
        assert (await row(test.host, "a")).status is RUNNING
        assert len(runner.requests) == 1


async def test_a_webhook_is_decided_while_the_turn_is_out(runner: HandRunner) -> None:
    async with TestHost(App()) as test:
        request = await out(test, runner)
        later = test.clock.now() + 10_000_000
        request.complete(WebhookOpened(1, "paid", digest_of("token"), later))
        await test.idle()
        await test.client.raise_event("a", "word")
        second = await turn_out(test.host, runner, 2)
        gateway = Commands(test.host.engine)
        await gateway.tell(
            InstanceId("a"),
            RedeemWebhook(digest=digest_of("token"), requested_at=gateway.now(), input='"first"'),
        )
        for digest in (digest_of("token"), digest_of("another")):
            with pytest.raises(WebhookClosedError):
                await gateway.tell(
                    InstanceId("a"),
                    RedeemWebhook(digest=digest, requested_at=gateway.now(), input='"second"'),
                )
        second.complete()
        third = await turn_out(test.host, runner, 3)
        (paid,) = third.incoming
        assert isinstance(paid, EventRaised)
        assert (paid.name, paid.input) == ("paid", '"first"')
        third.complete(done())
        await test.idle()


async def test_a_turn_that_nobody_can_run_is_offered_again_ever_later_and_never_fails(
    runner: HandRunner,
) -> None:
    async with TestHost(App()) as test:
        await start(test.host, "a")
        moments = []
        for number in range(1, 8):
            request = await turn_out(test.host, runner, number)
            moments.append(test.clock.now())
            request.late.answer(GivenBack("no worker"))
            await test.client.raise_event("a", "word", number)
            await test.idle()
            assert len(runner.requests) == number
            await pass_time(test, timedelta(microseconds=50_000 * 2 ** (number - 1)))
        request = await turn_out(test.host, runner, 8)
        pauses = [later - before for before, later in pairwise(moments)]
        assert pauses == sorted(pauses)
        assert pauses[-1] > 30 * pauses[0]
        assert len([one for one in request.incoming if isinstance(one, EventRaised)]) == 7
        request.complete(done())
        assert await test.client.handle("a").result() == 1
        assert (await row(test.host, "a")).deliveries == 0


async def test_terminate_does_not_wait_for_the_next_offer(runner: HandRunner) -> None:
    async with TestHost(App()) as test:
        request = await out(test, runner)
        request.late.answer(GivenBack("no worker"))
        await test.client.terminate("a", "enough")
        await test.advance(timedelta(minutes=1))
        assert (await row(test.host, "a")).status is RuntimeStatus.TERMINATED
        assert len(runner.requests) == 1


async def test_what_kills_its_worker_is_counted_durably_and_held(runner: HandRunner) -> None:
    settings = Settings(max_deliveries=2, on_mismatch="hold")
    async with TestHost(App(), settings=settings) as test:
        await start(test.host, "killer")
        for number in (1, 2, 3):
            request = await turn_out(test.host, runner, number)
            assert (await row(test.host, "killer")).deliveries == number - 1
            request.late.answer(GivenBack("the worker has died", has_killed=True))
            await test.idle()
            await pass_time(test, timedelta(seconds=1))
        await test.idle()
        record = await row(test.host, "killer")
        assert record.hold is not None
        assert record.hold.reason is HoldReason.CRASHED
        assert "died 3 times" in record.hold.message
        assert len(runner.requests) == 3
        await test.client.raise_event("killer", "word")
        await test.client.resume("killer")
        request = await turn_out(test.host, runner, 4)
        request.complete(done())
        assert await test.client.handle("killer").result() == 1


async def test_one_that_was_counted_and_goes_on_begins_anew(runner: HandRunner) -> None:
    async with TestHost(App()) as test:
        request = await out(test, runner)
        request.late.answer(GivenBack("the worker has died", has_killed=True))
        await test.idle()
        assert (await row(test.host, "a")).deliveries == 1
        await pass_time(test, timedelta(seconds=1))
        (await turn_out(test.host, runner, 2)).complete(TimerCreated(1, test.clock.now() + 10**9))
        await test.idle()
        assert (await row(test.host, "a")).deliveries == 0


async def test_what_does_not_fit_is_held_and_a_fault_is_tried_once_more(
    runner: HandRunner,
) -> None:
    settings = Settings(on_mismatch="hold")
    observer = RecordingObserver()
    async with TestHost(App(), settings=settings, observer=observer) as test:
        await start(test.host, "misfit")
        request = await turn_out(test.host, runner)
        request.late.answer(NonDeterminismError("misfit", "other decisions"))
        await start(test.host, "faulty")
        for number in (2, 3):
            request = await turn_out(test.host, runner, number)
            request.late.answer(RuntimeError("no answer that makes sense"))
        await test.idle()
        holds = [(await row(test.host, name)).hold for name in ("misfit", "faulty")]
        reasons = [None if one is None else one.reason for one in holds]
        assert reasons == [HoldReason.DECISIONS, HoldReason.POISON]


async def test_a_generation_ends_and_the_next_is_let_out(runner: HandRunner) -> None:
    async with TestHost(App()) as test:
        request = await out(test, runner)
        request.complete(ContinueAsNew(new_execution_id(test.clock.now()), "2"))
        second = await turn_out(test.host, runner, 2)
        (begun,) = second.incoming
        assert isinstance(begun, ExecutionStarted)
        assert (begun.input, begun.generation) == ("2", 1)
        second.complete(done())
        assert await test.client.handle("a").result() == 1


async def test_a_host_that_stops_waits_for_the_turns_that_are_out(
    runner: HandRunner, tmp_path: object
) -> None:
    async with Host(App(), f"sqlite:///{tmp_path}/hub.db") as host:
        await start(host, "a")
        request = await turn_out(host, runner)
        stopping = asyncio.ensure_future(host.stop())
        await asyncio.sleep(0.05)
        assert not stopping.done()
        request.complete(done())
        await stopping
    async with Host(App(), f"sqlite:///{tmp_path}/hub.db") as host:
        assert (await row(host, "a")).status is COMPLETED


async def test_names_that_nobody_serves_wait_outside_memory(runner: HandRunner) -> None:
    settings = Settings(on_mismatch="hold")
    async with TestHost(App(), settings=settings) as test:
        runner.names = []
        for number in range(50):
            await start(test.host, f"i{number}")
        await test.client.raise_event("i7", "word")
        await test.idle()
        assert len(test.host.engine.residents) == 0
        record = await row(test.host, "i7")
        assert record.hold is not None
        assert record.hold.reason is HoldReason.NOT_SERVED
        runner.names = ["chain"]
        runner.appeared()
        await until(lambda: len(runner.requests) == 50)
        for request in list(runner.requests):
            request.complete(done())
        await test.idle()


@pytest.mark.timeout(120)
async def test_chains_finish_through_deaths_of_the_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """60 chains of 20, 30 deaths: each turn is answered once, and hydration asks nobody."""
    runner = WorkerRunner()
    beside(monkeypatch, runner)
    app = App()

    @app.orchestrator
    async def native(ctx: Context) -> None:
        await ctx.create_timer(timedelta(milliseconds=5))

    settings = Settings(hot_sessions=10, on_mismatch="hold")
    async with Host(app, f"sqlite:///{tmp_path}/hub.db", settings=settings) as host:
        for number in range(60):
            await start(host, f"c{number}", "20")

        async def kill() -> None:
            moment = random.Random(7)
            while runner.deaths < 30:
                await asyncio.sleep(moment.uniform(0.02, 0.15))
                runner.kill()

        killing = asyncio.ensure_future(kill())
        try:
            for number in range(60):
                await (await host.client.start(native, instance_id=f"n{number}")).result()
                record = await host.client.handle(f"c{number}").result()
                assert record == list(range(20))
            await killing
        finally:
            killing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await killing
        assert runner.deaths >= 30
        # The answer that counts comes once; one that was lost with the worker was no answer.
        assert len(runner.ran) == 60 * 20
        assert len({work.idempotency_key for work in runner.ran}) == 60 * 20
        assert runner.rebuilt > 0
        assert set(runner.answered.values()) == {1}
        page = await host.engine.storage.query(InstanceQuery(limit=1000))
        assert {one.status for one in page.records} == {COMPLETED}
        assert {one.deliveries for one in page.records} == {0}
        for number in range(60):
            turns = await host.engine.storage.history(InstanceId(f"c{number}"))
            scheduled = sum(
                event["type"] == "TaskScheduled" for turn in turns for event in json.loads(turn)
            )
            assert scheduled == 20
