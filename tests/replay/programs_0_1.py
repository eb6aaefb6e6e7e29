"""The programs whose histories release 0.1 recorded. Never change them: their histories are kept.

Each uses another part of what orchestrators can do. ``SCENARIOS`` plays the world for them when
``record_histories.py`` records; replaying needs only the functions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, Final

from tenuto import (
    ActivityContext,
    App,
    Context,
    EventDetails,
    HttpCallOptions,
    HttpRetry,
    RetryPolicy,
    SubOrchestrationError,
)
from tenuto.client.engine_gateway import EngineGateway
from tenuto.model.events import TaskScheduled
from tenuto.model.ids import InstanceId
from tenuto.model.messages import RedeemWebhook
from tenuto.model.webhook import digest_of
from tenuto.testing import TestHost
from tests.support.answering_server import Asked, Reply, answering_server

app = App()


@app.activity
def greet(name: str) -> str:
    return f"Hello {name}!"


@app.activity
def square(number: int) -> int:
    return number * number


_attempts: dict[str, int] = {}


@app.activity(retry=RetryPolicy(max_attempts=4, first_interval=timedelta(seconds=2), backoff=2.0))
def book(what: str, failures: int) -> str:
    """Fails so many times before it succeeds."""
    _attempts[what] = _attempts.get(what, 0) + 1
    if _attempts[what] <= failures:
        raise ConnectionError(f"{what} is not available")
    return f"{what} booked"


@app.activity
async def slow(context: ActivityContext, what: str) -> str:
    await context.cancellation.wait()
    return what


# --- programs -------------------------------------------------------------------------------------


@app.orchestrator
async def hello_sequence(ctx: Context, names: list[str]) -> list[str]:
    return [await ctx.call_activity(greet, name) for name in names]


@app.orchestrator
async def fan_out(ctx: Context, count: int) -> list[Any]:
    squares = await asyncio.gather(*(ctx.call_activity(square, one) for one in range(count)))
    first, _ = await asyncio.wait(
        [ctx.call_activity(square, one) for one in (10, 20)], return_when=asyncio.FIRST_COMPLETED
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ctx.call_activity(square, one)) for one in (5, 6)]
    completed = [await one for one in asyncio.as_completed([ctx.call_activity(square, 7)])]
    return [sum(squares), len(first), [task.result() for task in tasks], completed]


@app.orchestrator
async def retries(ctx: Context) -> list[str]:
    kept = await ctx.call_activity(book, "hotel", 2)
    try:
        await ctx.call_activity(book, "flight", 9)
    except Exception as error:  # noqa: BLE001 - whatever it is
        ctx.set_custom_status({"gave up": type(error).__name__})
    impatient = book.options(retry=RetryPolicy(max_attempts=9, timeout=timedelta(seconds=2)))
    with suppress(Exception):
        await ctx.call_activity(impatient, "train", 9)
    return [kept, "and a bus"]


@app.orchestrator
def approval(ctx: Context, days: int) -> Generator[Any, Any, str]:
    """In the generator style."""
    asked = yield ctx.call_activity(greet, "boss")
    deadline = ctx.create_timer(timedelta(days=days))
    answer = ctx.wait_for_external_event("Approval")
    winner = yield ctx.task_any([answer, deadline])
    if winner is deadline:
        return "expired"
    deadline.cancel()
    both = yield ctx.task_all([ctx.call_activity(square, 3), ctx.call_activity(square, 4)])
    return f"{asked} {answer.result()} {both}"


@app.orchestrator(version="2")
async def trip(ctx: Context, stops: list[str]) -> list[str]:
    done = []
    try:
        for stop in stops:
            done.append(await ctx.call_sub_orchestrator(leg, stop))  # noqa: PERF401 - as people write
    except SubOrchestrationError as error:
        done.append(f"stopped: {error.failure.error_message}")
        await ctx.call_activity(greet, "everybody who waits")
    return done


@app.orchestrator
async def leg(ctx: Context, stop: str) -> str:
    if stop == "nowhere":
        raise ValueError("there is no such place")
    return await ctx.call_activity(greet, stop)


@app.orchestrator
async def rounds(ctx: Context, number: int) -> int:
    """Goes on as new, with the events that it has not read."""
    await ctx.wait_for_external_event("tick")
    if number < 3:
        ctx.continue_as_new(number + 1)
    return number


@app.orchestrator
async def deadlines(ctx: Context) -> list[Any]:
    seen: list[Any] = []
    for _ in range(2):
        async with asyncio.timeout(3 * 86_400):
            seen.append(await ctx.call_activity(square, 2))
    try:
        await asyncio.wait_for(ctx.call_activity(slow, "never"), 30)
    except TimeoutError:
        seen.append("wait_for")
    sleeper = asyncio.create_task(asyncio.sleep(60, "slept"))
    try:
        async with asyncio.timeout(5):
            await asyncio.shield(sleeper)
    except TimeoutError:
        seen.append("shield")
    dropped = ctx.create_timer(timedelta(days=1))
    await asyncio.sleep(1)
    dropped.cancel()
    try:
        await ctx.wait_for_external_event("never", timeout=timedelta(seconds=10))
    except TimeoutError as error:
        seen.append(str(error))
    return [*seen, await sleeper]


@app.orchestrator
async def synchronised(ctx: Context, count: int) -> list[Any]:
    semaphore, lock, queue = asyncio.Semaphore(2), asyncio.Lock(), asyncio.Queue[int](1)
    order: list[Any] = []

    async def worker(number: int) -> None:
        async with semaphore:
            result = await ctx.call_activity(square, number)
        async with lock:
            order.append(result)
            await asyncio.sleep(1)
        await queue.put(number)

    workers = [asyncio.create_task(worker(number)) for number in range(count)]
    order.append(sorted([await queue.get() for _ in range(count)]))
    await asyncio.gather(*workers)
    return [len(order), order[-1]]


@app.orchestrator
async def facts(ctx: Context) -> list[str]:
    ctx.logger.info("for whom it may concern")
    other = ctx.start_orchestrator(hello_sequence, ["stranger"])
    ctx.send_event("approval", "Approval", "yes")
    await ctx.create_timer(ctx.current_time + timedelta(hours=1))
    ctx.set_custom_status(None)
    return [
        str(ctx.new_uuid()),
        f"{ctx.random.random():.12f}",
        str(ctx.current_time),
        str(other == f"{ctx.execution_id}:0001"),
    ]


@app.orchestrator
async def failing(ctx: Context) -> None:
    async def cleanup() -> None:
        await ctx.call_activity(greet, "cleaner")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.call_activity(book, "nothing", 9))
            await ctx.wait_for_external_event("never")
    finally:
        await cleanup()


@app.orchestrator
async def http_calls(ctx: Context, server: str) -> list[Any]:
    """Polls by seconds, by date and by default; retries; a timeout; an error as a value."""
    job = await ctx.call_http("POST", f"{server}/jobs", content={"size": 3})
    again = HttpRetry(max_attempts=3, first_interval=timedelta(seconds=2), statuses=(503,))
    busy = await ctx.call_http("GET", f"{server}/busy", options=HttpCallOptions(retry=again))
    once = await ctx.call_http("POST", f"{server}/jobs", options=HttpCallOptions(poll=False))
    impatient = HttpCallOptions(timeout=timedelta(minutes=1))
    with suppress(TimeoutError):
        await ctx.call_http("GET", f"{server}/endless", options=impatient)
    missing = await ctx.call_http("GET", f"{server}/missing")
    return [job.json(), busy.content, once.status_code, missing.status_code, missing.ok]


@app.orchestrator
async def by_webhook(ctx: Context) -> list[Any]:
    """One webhook is used, one expires unused."""
    ctx.set_custom_status(await ctx.create_webhook("answer", expires_in=timedelta(days=2)))
    unused = await ctx.create_webhook("answer", expires_in=timedelta(hours=1))
    answer = await ctx.wait_for_external_event("answer", timeout=timedelta(days=3))
    await ctx.create_timer(timedelta(days=3))
    return [answer, "/callbacks/by_webhook/" in unused]


@app.orchestrator
async def by_topics(ctx: Context, trip: str) -> list[Any]:
    """Events of topics: two waits for one key, one that nobody ends, one that follows."""
    details = EventDetails(subject="trips/1", attributes={"by": "rail"})
    await ctx.publish("trips", {"trip": trip}, key=trip, type="trip.begun", details=details)
    await ctx.enqueue("tickets", [trip], delay=timedelta(minutes=5))
    hotels = [ctx.wait_for_event("hotels", match=trip) for _ in range(2)]
    flight = await ctx.wait_for_event("flights", match=trip, timeout=timedelta(days=1))
    with suppress(TimeoutError):
        await ctx.wait_for_event("cars", match=trip, timeout=timedelta(hours=1))
    both = await asyncio.gather(*hotels)
    last = await ctx.wait_for_event("hotels", match=trip)
    return [flight.data, flight.type, *(one.data for one in both), last.data]


# --- the world ------------------------------------------------------------------------------------


async def _plain(test: TestHost, name: str, *arguments: object) -> None:
    handle = await test.start(name, *arguments, instance_id=name)
    await handle.result()


async def _approval(test: TestHost) -> None:
    handle = await test.start(approval, 3, instance_id="approval")
    await test.advance(timedelta(days=1))
    await handle.raise_event("APPROVAL", "granted")
    await handle.result()
    await _plain_as(test, "approval", "expired", 3)


async def _plain_as(test: TestHost, name: str, instance_id: str, *arguments: object) -> None:
    await (await test.start(name, *arguments, instance_id=instance_id)).result()


async def _rounds(test: TestHost) -> None:
    handle = await test.start(rounds, 1, instance_id="rounds")
    for _ in range(3):
        await handle.raise_event("tick")
    await handle.result()


async def _trip(test: TestHost) -> None:
    handle = await test.start(
        trip, ["Oslo", "nowhere"], instance_id="trip", tags={"kind": "business"}
    )
    await handle.result()


async def _facts(test: TestHost) -> None:
    await test.start(approval, 3, instance_id="approval")
    await _plain(test, "facts")
    await test.idle()


async def _deadlines(test: TestHost) -> None:
    handle = await test.start(deadlines, instance_id="deadlines")
    # Only the history tells when the activity that never ends has begun.
    while not await _has_begun(test, "deadlines", "slow"):
        await test.idle(with_activities=False)
    await test.advance(timedelta(seconds=31), with_activities=False)
    await handle.result()


async def _has_begun(test: TestHost, instance_id: str, activity: str) -> bool:
    history = await test.client.history(instance_id)
    return any(isinstance(event, TaskScheduled) and event.name == activity for event in history)


async def _failing(test: TestHost) -> None:
    with suppress(Exception):
        await _plain(test, "failing")


async def _paused(test: TestHost) -> None:
    handle = await test.start(rounds, 3, instance_id="paused")
    await test.client.suspend("paused")
    await handle.raise_event("tick")
    await test.advance(timedelta(hours=1))
    await test.client.resume("paused")
    await handle.result()
    await test.start(rounds, 3, instance_id="terminated")
    await test.idle()
    await test.client.terminate("terminated")
    await test.idle()


async def _http_calls(test: TestHost) -> None:
    asked: list[str] = []

    def answer(request: Asked) -> Reply:
        asked.append(request.target)
        date = format_datetime(test.clock.current_time + timedelta(minutes=2), usegmt=True)
        answers = {
            "/jobs": [Reply(202, headers=[("Location", "jobs/1"), ("Retry-After", "5")])],
            "/jobs/1": [
                Reply(202, headers=[("Retry-After", date)]),
                Reply(202, headers=[("Location", "../jobs/2?part=1")]),
            ],
            "/jobs/2?part=1": [Reply(200, b'{"done": 3}')],
            "/busy": [Reply(503), Reply(503), Reply(200, b"at last")],
            "/endless": [Reply(202, headers=[("Location", "/endless"), ("Retry-After", "25")])],
        }.get(request.target, [Reply(404)])
        return answers[min(asked.count(request.target), len(answers)) - 1]

    async with answering_server(answer) as server:
        await _plain(test, "http_calls", server.url)


async def _by_webhook(test: TestHost) -> None:
    handle = await test.start(by_webhook, instance_id="by_webhook")
    await test.idle()
    status = await handle.status()
    gateway = test.host.client.gateway
    assert isinstance(gateway, EngineGateway)
    digest = digest_of(str(status.custom_status).rpartition("/")[2].partition("?")[0])
    await gateway.tell(
        InstanceId("by_webhook"),
        RedeemWebhook(digest=digest, requested_at=gateway.now(), input='{"yes": true}'),
    )
    await handle.result()


async def _by_topics(test: TestHost) -> None:
    client = test.client
    await client.publish("hotels", "Ritz", key="lyon", event_id="h1")
    handle = await test.start(by_topics, "lyon", instance_id="by_topics")
    await test.idle()
    await client.publish("flights", {"seat": 7}, key="lyon", event_id="f1", type="flight.booked")
    await client.publish("hotels", "Ritz again", key="lyon", event_id="h1")
    await client.publish("hotels", "Grand", key="lyon", event_id="h2")
    await test.advance(timedelta(hours=2))
    await client.publish("hotels", "Savoy", key="lyon", event_id="h3")
    assert await handle.result() == [{"seat": 7}, "flight.booked", "Ritz", "Grand", "Savoy"]


SCENARIOS: Final[dict[str, Callable[[TestHost], Awaitable[None]]]] = {
    "hello_sequence": lambda test: _plain(test, "hello_sequence", ["Tokyo", "Seattle", "London"]),
    "fan_out": lambda test: _plain(test, "fan_out", 20),
    "retries": lambda test: _plain(test, "retries"),
    "approval": _approval,
    "trip": _trip,
    "rounds": _rounds,
    "deadlines": _deadlines,
    "synchronised": lambda test: _plain(test, "synchronised", 5),
    "facts": _facts,
    "failing": _failing,
    "paused": _paused,
    "http_calls": _http_calls,
    "by_webhook": _by_webhook,
    "by_topics": _by_topics,
}
