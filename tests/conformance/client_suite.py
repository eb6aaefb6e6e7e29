"""What every client keeps, whichever way its requests go. A way's own test is only a fixture."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest

from tenuto import (
    App,
    Client,
    Context,
    Event,
    EventDetails,
    Host,
    IdReuse,
    InputError,
    InstanceExistsError,
    InstanceFilter,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
    InvalidInstanceIdError,
    LimitError,
    NoSuchLinkError,
    NotOverLinksError,
    OrchestrationFailedError,
    OrchestrationHandle,
    OrchestrationTerminatedError,
    PayloadError,
    RuntimeStatus,
    TenutoError,
    UnknownFunctionError,
)
from tenuto.engine.flow_ports import FlowEvent
from tenuto.model.causes import message_cause
from tenuto.model.events import EventRaised, ExecutionStarted
from tenuto.model.ids import InstanceId
from tenuto.model.requests import InstanceQuery, ListingOrder
from tenuto.model.topics import event_of

PAYLOAD_BYTES = 20_000
NOBODY: dict[str, int] = {}
PAYLOADS: tuple[Any, ...] = (
    *(None, True, 0, 1.5, 2**70, ""),
    'ü€😀\n\x00"\\',
    *([], {"a": [1, {"b": None}]}),
)
ALLOWED_IDS = ("a b", "ü😀", "%2F", "a%", "a+b&c=d", "a.", "...", "a;b,c:d", "'\"<>", "x" * 256)
FORBIDDEN_IDS = ("", ".", "..", " a", "a/b", "a\\b", "a#b", "a?b", "@x", "a\nb", "x" * 257)


@dataclass
class Trip:
    city: str
    day: datetime


app = App()


@app.activity
def book(trip: Trip, nights: int) -> Trip:
    return Trip(f"{trip.city} ({nights})", trip.day)


@app.orchestrator
async def book_trip(ctx: Context, trip: Trip, nights: int) -> Trip:
    return await ctx.call_activity(book, trip, nights)


@app.orchestrator(version="1.2")
async def collect(ctx: Context, count: int) -> list[int]:
    ctx.set_custom_status({"wanted": count})
    return [await ctx.wait_for_external_event("item", int) for _ in range(count)]


@app.orchestrator
async def calls(ctx: Context, child: str) -> None:
    await ctx.call_sub_orchestrator(collect.options(instance_id=child), 1)


@app.orchestrator
async def leaves(ctx: Context, child: str) -> None:
    _never_awaited = ctx.call_sub_orchestrator(collect.options(instance_id=child), 1)


@app.orchestrator
async def fails(ctx: Context) -> None:
    try:
        _ = NOBODY["inner"]
    except KeyError as error:
        raise ValueError("outer") from error


@app.orchestrator
async def nothing(ctx: Context) -> None:
    pass


@app.orchestrator
async def echo(ctx: Context, value: Any) -> Any:  # noqa: ANN401 - any JSON
    return value


@app.orchestrator
async def tells(ctx: Context, whom: str) -> None:
    ctx.send_event(whom, "hello", {"from": ctx.instance_id})


@app.orchestrator
async def both(ctx: Context, trip: str) -> list[Any]:
    flight = ctx.wait_for_event("flights", match=trip)
    hotel = ctx.wait_for_event("hotels", match=trip)
    return [(await flight).data, (await hotel).data]


@app.orchestrator
async def asks_for_more(ctx: Context) -> None:
    await ctx.call_activity("later")


@dataclass
class Side:
    """A client under test, and the host that it reaches."""

    client: Client
    host: Host

    async def until(self, instance_id: str, status: RuntimeStatus) -> None:
        """Wait until the client sees this status."""
        async with asyncio.timeout(20):
            while True:
                found = await self.client.get_status(instance_id)
                if found is not None and found.runtime_status is status:
                    return
                await asyncio.sleep(0.01)

    async def published(self, topic: str) -> list[Event]:
        """What the topic has, oldest first."""
        found = await self.host.engine.storage.events(topic, 0, 100, 1_000_000)
        return [event_of(one) for one in found]

    async def queued(self, queue: str, message_id: str) -> FlowEvent | None:
        """The message of this id, if it is in the queue."""
        return await self.host.engine.storage.flow_event(message_cause(queue, message_id))

    async def until_held(self, instance_id: str) -> None:
        """Wait until it is held, and whatever was asked of it before is done."""
        async with asyncio.timeout(20):
            while True:
                found = await self.client.get_status(instance_id)
                residents = self.host.engine.residents
                if (
                    found is not None
                    and found.hold is not None
                    and found.runtime_status is not RuntimeStatus.SUSPENDED
                    and residents.named(InstanceId(instance_id)) is None
                ):
                    return
                await asyncio.sleep(0.01)


async def held(side: Side, instance_id: str) -> None:
    """Have an instance that is held: it asks for an activity that the host does not have."""
    await side.client.start(asks_for_more, instance_id=instance_id)
    await side.until_held(instance_id)


async def all_of(client: Client, which: InstanceFilter | None = None) -> list[str]:
    return [status.instance_id async for status in client.query(which)]


class Text(str):
    """What libraries that write JSON refuse."""

    __slots__ = ()


def texts_of(kind: type) -> list[tuple[str, str]]:
    """The public methods of a class, each with a parameter that is a text or holds some."""
    return [
        (name, parameter.name)
        for name, method in vars(kind).items()
        if inspect.isfunction(method) and not name.startswith("_")
        for parameter in inspect.signature(method).parameters.values()
        if "str" in str(parameter.annotation)
    ]


TEXTS = [(kind, *one) for kind in (Client, OrchestrationHandle) for one in texts_of(kind)]


def called(client: Client, kind: type, method: str, parameter: str, text: str) -> object:
    """What a method gives when one of its texts is this one, and the rest is in order."""
    needed = inspect.signature(getattr(kind, method)).parameters
    given: dict[str, Any] = {"instance_id": "x"} if "instance_id" in needed else {}
    given |= {"orchestrator": echo} if "orchestrator" in needed else {}
    given |= {"name": "item"} if "name" in needed else {}
    given |= {"topic": "orders"} if "topic" in needed else {}
    given |= {"queue": "plates", "data": 1} if "queue" in needed else {}
    given[parameter] = {"key": text} if parameter == "tags" else text
    inputs = [1] if method in {"start", "answer"} else []
    # The first ones by place, as programs do; an input comes after them.
    first = [given.pop(one) for one in ("instance_id", "orchestrator") if one in given][::-1]
    if method == "start":
        given["instance_id"], first = first[1], first[:1]
    elif method == "handle_of":
        first = first[::-1]
    target = client if kind is Client else client.handle("x")
    return getattr(target, method)(*first, *inputs, **given)


WRONG_EVENTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"topic": ""}, "topic"),
    ({"topic": "a/b/c"}, "'b/c' cannot be the name of a topic"),
    ({"topic": "x" * 257}, "257 characters"),
    ({"topic": " a"}, "blank"),
    ({"topic": 7}, "topic"),
    ({"key": ""}, "key .* is empty"),
    ({"key": 7}, "key"),
    ({"key": "x" * 4_097}, "4,097 bytes"),
    ({"type": 7}, "type"),
    ({"type": "x" * 4_097}, "4,097 bytes"),
    ({"event_id": ""}, "id of an event"),
    ({"event_id": "a\nb"}, "id of an event"),
    ({"event_id": "x" * 513}, "id of an event"),
    ({"details": {"source": "x"}}, "EventDetails"),
    ({"details": EventDetails(subject="half \ud800")}, "surrogate"),
    ({"details": EventDetails(attributes={"": "x"})}, "attribute"),
    ({"details": EventDetails(attributes={"a": cast("str", 7)})}, "attribute 'a'"),
    ({"details": EventDetails(attributes={str(n): "" for n in range(65)})}, "at most 64"),
    ({"data": object()}, "object"),
)
WRONG_MESSAGES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"queue": "a#b"}, "'a#b' cannot be the name of a queue"),
    ({"delay": timedelta(seconds=-1)}, "delay of a message"),
    ({"delay": timedelta(days=4_000)}, "delay of a message"),
    ({"delay": 5}, "delay of a message"),
    ({"message_id": ""}, "id of a message"),
    ({"data": object()}, "object"),
)


class ClientSuite:
    """Subclasses bring the fixture ``side``."""

    # --- starting ----------------------------------------------------------------------------

    async def test_a_function_is_started_and_its_result_has_its_type(self, side: Side) -> None:
        trip = Trip("Oslo", datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC))
        handle = await side.client.start(book_trip, trip, 3, instance_id="trip-1")
        assert handle.instance_id == "trip-1"
        assert await handle.result() == Trip("Oslo (3)", trip.day)
        found = side.client.handle_of("trip-1", book_trip)
        assert await found.result() == Trip("Oslo (3)", trip.day)
        plain = await side.client.handle("trip-1").result()
        assert plain["city"] == "Oslo (3)"

    async def test_a_name_is_started_too(self, side: Side) -> None:
        handle = await side.client.start("collect", 0)
        assert await handle.result() == []
        assert len(handle.instance_id) == 32

    async def test_options_of_a_start_are_kept(self, side: Side) -> None:
        later = datetime.now(UTC).replace(microsecond=123_456) + timedelta(days=400)
        await side.client.start(
            collect, 1, instance_id="c", version="2", tags={"team": "ü"}, start_at=later
        )
        status = await side.client.get_status("c")
        assert status is not None
        assert status.runtime_status is RuntimeStatus.PENDING
        assert (status.version, status.tags, status.scheduled_time) == ("2", {"team": "ü"}, later)

    async def test_version_and_tags_are_those_of_the_function_by_default(self, side: Side) -> None:
        await side.client.start(collect.options(tags={"a": "b"}), 0, instance_id="c")
        status = await side.client.wait("c")
        assert (status.version, status.tags) == ("1.2", {"a": "b"})

    async def test_payloads_pass_unchanged(self, side: Side) -> None:
        for value in PAYLOADS:
            handle = await side.client.start(echo, value)
            assert await handle.result() == value
            status = await handle.status()
            assert (status.input, status.output) == (value, value)

    async def test_an_unknown_function_is_refused_with_what_there_is(self, side: Side) -> None:
        with pytest.raises(UnknownFunctionError, match=r"'colect'.*did you mean 'collect'") as e:
            await side.client.start("colect", 1, instance_id="u")
        assert e.value.name == "colect"
        assert await side.client.get_status("u") is None

    async def test_input_that_does_not_fit_is_refused(self, side: Side) -> None:
        with pytest.raises(PayloadError, match="count"):
            await side.client.start("collect", "many", instance_id="p")
        with pytest.raises(PayloadError, match="cannot be stored"):
            await side.client.start(echo, object(), instance_id="p")
        assert await side.client.get_status("p") is None

    async def test_an_id_that_is_taken_is_refused(self, side: Side) -> None:
        await side.client.start(collect, 1, instance_id="x")
        with pytest.raises(InstanceExistsError, match="'x' already exists") as caught:
            await side.client.start(collect, 1, instance_id="x")
        assert caught.value.instance_id == "x"
        assert caught.value.code == "TN-1201"

    async def test_reuse_says_who_gives_way(self, side: Side) -> None:
        first = await side.client.start(nothing, instance_id="x")
        await first.result()
        with pytest.raises(InstanceExistsError):
            await side.client.start(collect, 1, instance_id="x", reuse=IdReuse.NEVER)
        await side.client.start(collect, 1, instance_id="x")
        await side.until("x", RuntimeStatus.RUNNING)
        again = await side.client.start(collect, 0, instance_id="x", reuse=IdReuse.ALWAYS)
        assert await again.result() == []

    async def test_ids_may_be_any_allowed_text(self, side: Side) -> None:
        for instance_id in ALLOWED_IDS:
            handle = await side.client.start(collect, 1, instance_id=instance_id)
            await handle.raise_event("item", 7)
            assert await handle.result() == [7]
            assert (await handle.status()).instance_id == instance_id
            assert await side.client.history(instance_id)
            assert await side.client.purge(instance_id) is True

    async def test_ids_that_break_the_rules_are_refused(self, side: Side) -> None:
        client = side.client
        asked: list[Callable[[str], Awaitable[object]]] = [
            lambda name: client.start(collect, 1, instance_id=name),
            client.get_status,
            client.wait,
            lambda name: client.raise_event(name, "item"),
            client.terminate,
            client.suspend,
            client.resume,
            client.restart,
            client.purge,
            client.history,
        ]
        for instance_id in FORBIDDEN_IDS:
            for ask in asked:
                # An event may be for an instance of a linked hub; here none is linked.
                with pytest.raises((InvalidInstanceIdError, NoSuchLinkError, NotOverLinksError)):
                    await ask(instance_id)
        assert await all_of(client) == []

    # --- asking ------------------------------------------------------------------------------

    async def test_a_status_is_exactly_that_of_the_host(self, side: Side) -> None:
        await side.client.start(collect, 0, instance_id="done", tags={"a": "b"})
        await side.client.wait("done")
        with pytest.raises(OrchestrationFailedError):
            await (await side.client.start(fails, instance_id="failed")).result()
        for instance_id in ("done", "failed"):
            seen = await side.client.get_status(instance_id)
            assert seen is not None
            assert seen == await side.host.client.get_status(instance_id)
            assert seen == await side.client.wait(instance_id)
        assert (await side.client.handle("done").status()).custom_status == {"wanted": 0}

    async def test_the_beginning_of_an_instance_is_waited_for(self, side: Side) -> None:
        client = side.client
        running = await client.start(collect, 1, instance_id="now")
        assert (await running.started()).runtime_status is RuntimeStatus.RUNNING
        assert (await client.wait("now", started=True)).runtime_status is RuntimeStatus.RUNNING
        assert await client.history("now") != []
        await running.raise_event("item", 7)
        await running.result()
        assert (await running.started()).runtime_status is RuntimeStatus.COMPLETED
        with pytest.raises(InstanceNotFoundError):
            await client.wait("nobody", started=True)

    async def test_what_begins_later_is_waited_for_until_then(self, side: Side) -> None:
        client = side.client
        soon = datetime.now(UTC) + timedelta(seconds=0.5)
        handle = await client.start(collect, 1, instance_id="soon", start_at=soon)
        waiting = asyncio.create_task(handle.started())
        await side.until("soon", RuntimeStatus.PENDING)
        assert not waiting.done()
        assert (await waiting).runtime_status is RuntimeStatus.RUNNING

        for name in ("paused", "ended"):
            later = datetime.now(UTC) + timedelta(days=1)
            await client.start(collect, 1, instance_id=name, start_at=later)
        paused = asyncio.create_task(client.wait("paused", started=True))
        ended = asyncio.create_task(client.wait("ended", started=True))
        await client.suspend("paused")
        await client.terminate("ended")
        assert (await paused).runtime_status is RuntimeStatus.SUSPENDED
        assert (await ended).runtime_status is RuntimeStatus.TERMINATED

    async def test_a_failure_comes_with_its_causes(self, side: Side) -> None:
        handle = await side.client.start(fails, instance_id="f")
        with pytest.raises(OrchestrationFailedError, match="ValueError: outer") as caught:
            await handle.result()
        failure = caught.value.failure
        assert failure.is_caused_by(KeyError)
        assert failure.stack_trace is not None
        assert (await side.client.wait("f")).failure == failure

    async def test_waiting_ends_with_the_instance(self, side: Side) -> None:
        handle = await side.client.start(collect, 1)
        waiting = asyncio.ensure_future(handle.result())
        await side.until(handle.instance_id, RuntimeStatus.RUNNING)
        assert not waiting.done()
        await handle.raise_event("item", 5)
        assert await waiting == [5]

    async def test_what_is_not_there_is_none_or_an_error(self, side: Side) -> None:
        client = side.client
        assert await client.get_status("nobody") is None
        assert await client.history("nobody") == []
        assert await client.purge("nobody") is False
        asked: list[Callable[[], Awaitable[object]]] = [
            lambda: client.wait("nobody"),
            lambda: client.handle("nobody").status(),
            lambda: client.handle("nobody").result(),
            lambda: client.raise_event("nobody", "item"),
            lambda: client.terminate("nobody"),
            lambda: client.suspend("nobody"),
            lambda: client.resume("nobody"),
            lambda: client.restart("nobody"),
        ]
        for ask in asked:
            with pytest.raises(InstanceNotFoundError, match="'nobody'") as caught:
                await ask()
            assert caught.value.instance_id == "nobody"

    async def test_a_history_is_that_of_the_host(self, side: Side) -> None:
        handle = await side.client.start(collect, 1, instance_id="h")
        await handle.raise_event("other", {"b": 1, "a": [2.50]})  # which nobody reads
        await handle.raise_event("item", 5)
        assert await handle.result() == [5]
        events = await side.client.history("h")
        assert events == await side.host.client.history("h")
        started = next(event for event in events if isinstance(event, ExecutionStarted))
        raised = next(event for event in events if isinstance(event, EventRaised))
        assert (started.name, raised.name) == ("collect", "other")

    async def test_a_listing_is_filtered(self, side: Side) -> None:
        client = side.client
        before = datetime.now(UTC) - timedelta(microseconds=1)
        await (await client.start(nothing, instance_id="n-1")).result()
        await (await client.start(collect, 0, instance_id="c-1")).result()
        await client.start(collect, 1, instance_id="c-2")
        await side.until("c-2", RuntimeStatus.RUNNING)
        c_1 = await client.handle("c-1").status()

        assert await all_of(client) == ["c-2", "c-1", "n-1"]
        assert await all_of(client, InstanceFilter(name="nothing")) == ["n-1"]
        assert await all_of(client, InstanceFilter(id_prefix="c-")) == ["c-2", "c-1"]
        running = InstanceFilter(statuses=[RuntimeStatus.RUNNING, RuntimeStatus.FAILED])
        assert await all_of(client, running) == ["c-2"]
        assert await all_of(client, InstanceFilter(statuses=[])) == []
        assert await all_of(client, InstanceFilter(created_to=before)) == []
        assert await all_of(client, InstanceFilter(created_from=c_1.created_time)) == [
            "c-2",
            "c-1",
        ]
        assert await all_of(client, InstanceFilter(created_to=c_1.created_time)) == ["n-1"]
        bare = [s async for s in client.query(InstanceFilter(name="collect", payloads=False))]
        assert [(s.input, s.output) for s in bare] == [(None, None)] * 2
        with pytest.raises(InputError, match="aware"):
            await all_of(client, InstanceFilter(created_to=datetime(2026, 1, 1)))  # noqa: DTZ001

    async def test_instances_are_found_by_when_they_ended(self, side: Side) -> None:
        client = side.client
        await client.start(collect, 1, instance_id="c")
        for name in ("n-1", "n-2"):
            await (await client.start(nothing, instance_id=name)).result()
        await client.raise_event("c", "item", 7)
        moment = (await client.wait("c")).completed_time
        await client.start(collect, 1, instance_id="open")
        latest = InstanceFilter(order="last_completed")
        assert await all_of(client, latest) == ["c", "n-2", "n-1"]
        assert await all_of(client, InstanceFilter(order="first_completed", name="nothing")) == [
            "n-1",
            "n-2",
        ]
        assert await all_of(client, InstanceFilter(order="oldest")) == ["c", "n-1", "n-2", "open"]
        assert await all_of(client, InstanceFilter(completed_from=moment)) == ["c"]
        assert await all_of(client, InstanceFilter(completed_to=moment)) == ["n-2", "n-1"]
        with pytest.raises(InputError, match="'oldest'"):
            await all_of(client, InstanceFilter(order="backwards"))  # type: ignore[arg-type]

    async def test_a_listing_is_read_page_by_page_to_its_end(self, side: Side) -> None:
        names = [f"i-{number}" for number in range(205)]
        for name in names:
            await side.host.client.start(nothing, instance_id=name)
        assert sorted(await all_of(side.client)) == sorted(names)
        first = [status async for status in _first(side.client, 3)]
        assert len(first) == 3

    async def test_what_nobody_could_take_is_listed(self, side: Side) -> None:
        await (await side.client.start(tells, "nobody", instance_id="t")).result()
        async with asyncio.timeout(20):
            while not (letters := await side.client.dead_letters()):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        assert letters == await side.host.client.dead_letters()
        for wrong in (0, -1, 10_001, True, "5"):
            with pytest.raises(InputError, match="limit must be a whole number from 1 to 10,000"):
                await side.client.dead_letters(wrong)  # type: ignore[arg-type]
        (letter,) = letters
        assert (letter.instance_id, letter.name, letter.data) == ("nobody", "hello", {"from": "t"})
        gateway = getattr(side.client, "gateway", side.host.client.gateway)  # the sync one has none
        (stored,) = await gateway.dead_letters()
        assert await gateway.acknowledge_letters([stored.message_id]) == 1
        assert await gateway.acknowledge_letters([stored.message_id]) == 0
        (stored,) = await gateway.dead_letters()
        assert stored.acknowledged_at is not None

    # --- steering ----------------------------------------------------------------------------

    async def test_terminate_ends_with_the_reason(self, side: Side) -> None:
        handle = await side.client.start(collect, 1)
        await handle.terminate('enough "now"')
        with pytest.raises(OrchestrationTerminatedError, match="enough"):
            await handle.result()
        assert (await handle.status()).output == 'enough "now"'
        other = await side.client.start(collect, 1)
        await other.terminate()
        with pytest.raises(OrchestrationTerminatedError):
            await other.result()

    async def test_terminate_with_recurse_ends_what_was_called(self, side: Side) -> None:
        handle = await side.client.start(calls, "below")
        await side.until("below", RuntimeStatus.RUNNING)
        await handle.terminate("enough", recurse=True)
        with pytest.raises(OrchestrationTerminatedError, match="its parent was terminated"):
            await side.client.handle("below").result()

    async def test_terminate_with_recurse_reaches_what_an_ended_instance_had_called(
        self, side: Side
    ) -> None:
        handle = await side.client.start(leaves, "left")
        await handle.result()
        await side.until("left", RuntimeStatus.RUNNING)
        with pytest.raises(InstanceFinishedError):
            await handle.terminate("enough")
        await handle.terminate("enough", recurse=True)
        with pytest.raises(OrchestrationTerminatedError, match="its parent was terminated"):
            await side.client.handle("left").result()
        assert (await handle.status()).runtime_status is RuntimeStatus.COMPLETED
        with pytest.raises(InstanceNotFoundError):
            await side.client.terminate("nobody", recurse=True)

    async def test_suspend_holds_back_and_resume_lets_go(self, side: Side) -> None:
        handle = await side.client.start(collect, 1, instance_id="s")
        await side.until("s", RuntimeStatus.RUNNING)
        with pytest.raises(InstanceStateError, match="cannot resume"):
            await handle.resume()
        await handle.suspend("lunch")
        await side.until("s", RuntimeStatus.SUSPENDED)
        with pytest.raises(InstanceStateError, match="cannot suspend"):
            await handle.suspend()
        await handle.raise_event("item", 1)
        await handle.resume("back")
        assert await handle.result() == [1]

    async def test_a_request_follows_one_that_was_acknowledged_before_it(self, side: Side) -> None:
        """The row may not tell yet what the first one has made of the instance."""
        for number in range(20):
            handle = await side.client.start(collect, 1, instance_id=f"s-{number}")
            await handle.suspend()
            await handle.resume()
            await handle.suspend()
            await handle.resume()
            await handle.terminate()
            assert await side.client.purge(handle.instance_id)
            assert await side.client.get_status(handle.instance_id) is None

    async def test_what_has_ended_takes_nothing_more(self, side: Side) -> None:
        await (await side.client.start(nothing, instance_id="e")).result()
        client = side.client
        asked: list[Callable[[], Awaitable[object]]] = [
            lambda: client.raise_event("e", "item"),
            lambda: client.terminate("e"),
            lambda: client.suspend("e"),
            lambda: client.resume("e"),
        ]
        for ask in asked:
            with pytest.raises(InstanceFinishedError, match="'e' has already ended") as caught:
                await ask()
            assert caught.value.instance_id == "e"

    async def test_restart_repeats_name_and_input(self, side: Side) -> None:
        await (await side.client.start(echo, {"a": 1}, instance_id="r", version="7")).result()
        fresh = await side.client.restart("r")
        assert fresh.instance_id != "r"
        assert await fresh.result() == {"a": 1}
        assert (await fresh.status()).version == "7"
        own = await side.client.restart("r", new_instance_id=False)
        assert own.instance_id == "r"
        assert await own.result() == {"a": 1}
        await side.client.start(collect, 1, instance_id="going")
        with pytest.raises(InstanceExistsError):
            await side.client.restart("going", new_instance_id=False)

    # --- held instances ----------------------------------------------------------------------

    async def test_what_holds_an_instance_is_told_and_listed(self, side: Side) -> None:
        await held(side, "h")
        await side.client.start(collect, 1, instance_id="free")
        found = await side.client.get_status("h")
        assert found is not None
        assert found.runtime_status in {RuntimeStatus.PENDING, RuntimeStatus.RUNNING}
        assert found.hold is not None
        assert found.hold.reason == "not_served"
        assert "later" in found.hold.message
        assert await all_of(side.client, InstanceFilter(held=True)) == ["h"]
        assert await all_of(side.client, InstanceFilter(held=True, id_prefix="x")) == []
        assert await all_of(side.client, InstanceFilter(held=False)) == ["free"]

    async def test_a_held_instance_is_failed_with_the_reason(self, side: Side) -> None:
        await held(side, "h")
        await side.client.fail("h", 'written "off"')
        failed = await side.client.wait("h")
        assert failed.runtime_status is RuntimeStatus.FAILED
        assert failed.hold is None
        assert failed.failure is not None
        assert 'written "off"' in failed.failure.error_message
        assert await all_of(side.client, InstanceFilter(held=True)) == []
        with pytest.raises(InstanceFinishedError):
            await side.client.fail("h")

    async def test_fail_ends_what_is_not_held_too(self, side: Side) -> None:
        handle = await side.client.start(collect, 1, instance_id="f")
        await handle.fail()
        with pytest.raises(OrchestrationFailedError):
            await handle.result()
        with pytest.raises(InstanceNotFoundError):
            await side.client.fail("nobody")

    async def test_a_held_instance_takes_what_others_take(self, side: Side) -> None:
        await held(side, "h")
        await side.client.raise_event("h", "item", 1)
        await side.client.resume("h")
        await side.until_held("h")
        await side.client.suspend("h")
        await side.until("h", RuntimeStatus.SUSPENDED)
        await side.client.resume("h", "one word for both")
        await side.until_held("h")
        with pytest.raises(InstanceStateError):
            await side.client.purge("h")
        assert await side.client.purge("h", force=True) is True
        await held(side, "t")
        await side.client.terminate("t", "enough")
        ended = await side.client.wait("t")
        assert ended.runtime_status is RuntimeStatus.TERMINATED
        assert ended.hold is None

    async def test_restart_of_a_held_instance_ends_it(self, side: Side) -> None:
        await held(side, "h")
        before = await side.client.get_status("h")
        assert before is not None
        own = await side.client.restart("h", new_instance_id=False)
        assert own.instance_id == "h"
        await side.until_held("h")
        after = await own.status()
        assert after.execution_id != before.execution_id
        assert (await side.client.restart("h")).instance_id != "h"

    async def test_purge_deletes_what_has_ended_and_by_force_what_has_not(self, side: Side) -> None:
        await (await side.client.start(nothing, instance_id="p")).result()
        assert await side.client.purge("p") is True
        assert await side.client.get_status("p") is None
        assert await side.client.purge("p") is False
        await side.client.start(collect, 1, instance_id="p")
        with pytest.raises(InstanceStateError, match="still going"):
            await side.client.purge("p")
        assert await side.client.purge("p", force=True) is True
        assert await side.client.get_status("p") is None

    async def test_many_are_purged_that_fit_and_have_ended(self, side: Side) -> None:
        client = side.client
        for number in range(3):
            await (await client.start(nothing, instance_id=f"a-{number}")).result()
        await (await client.start(nothing, instance_id="b")).result()
        await client.start(collect, 1, instance_id="a-going")
        await side.until("a-going", RuntimeStatus.RUNNING)
        assert await client.purge_many(InstanceFilter(id_prefix="c")) == 0
        assert await client.purge_many(InstanceFilter(id_prefix="a")) == 3
        assert set(await all_of(client)) == {"a-going", "b"}
        done = InstanceFilter(statuses=[RuntimeStatus.COMPLETED], completed_to=datetime.now(UTC))
        assert await client.purge_many(done) == 1
        assert await client.purge_many(InstanceFilter()) == 0
        assert await all_of(client) == ["a-going"]

    async def test_many_are_purged_by_force_that_have_not_ended(self, side: Side) -> None:
        client = side.client
        for number in range(3):
            await client.start(collect, 1, instance_id=f"going-{number}")
        await (await client.start(nothing, instance_id="ended")).result()
        going = InstanceFilter(statuses=[RuntimeStatus.RUNNING, RuntimeStatus.COMPLETED])
        with pytest.raises(InputError, match="Running have not ended; terminate them first"):
            await client.purge_many(going)
        assert len(await all_of(client)) == 4
        assert await client.purge_many(InstanceFilter(), force=True) == 4
        assert await all_of(client) == []

    async def test_of_more_than_a_page_all_are_purged(
        self, side: Side, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tenuto.client.purging._PAGE", 2)
        orders: tuple[ListingOrder, ...] = ("newest", "first_completed")
        for order in orders:
            handles = await asyncio.gather(*(side.client.start(nothing) for _ in range(5)))
            await asyncio.gather(*(one.result() for one in handles))
            assert await side.client.purge_many(InstanceFilter(order=order)) == 5
            assert await all_of(side.client) == []

    # --- topics and queues -------------------------------------------------------------------

    async def test_an_event_is_in_its_topic_with_all_that_is_said_of_it(self, side: Side) -> None:
        details = EventDetails(source="shop", subject="order/7", attributes={"tenant": "x"})
        before = datetime.now(UTC)
        event_id = await side.client.publish(
            "orders", {"id": 7}, key="customer-1", type="order.placed", details=details
        )
        (event,) = await side.published("orders")
        assert before <= event.published_at <= datetime.now(UTC)
        assert event == Event(
            id=event_id,
            topic="orders",
            data={"id": 7},
            published_at=event.published_at,
            key="customer-1",
            type="order.placed",
            source="shop",
            subject="order/7",
            attributes={"tenant": "x"},
        )

    async def test_data_of_events_pass_unchanged(self, side: Side) -> None:
        for payload in PAYLOADS:
            await side.client.publish("any", payload)
        assert [one.data for one in await side.published("any")] == list(PAYLOADS)

    async def test_what_is_published_again_under_its_id_is_there_once(self, side: Side) -> None:
        client = side.client
        assert await client.publish("orders", 1, event_id="o-1") == "o-1"
        await client.publish("orders", 2, event_id="o-1")
        await client.publish("bills", 3, event_id="o-1")
        assert [one.data for one in await side.published("orders")] == [1]
        assert [one.data for one in await side.published("bills")] == [3]
        assert await client.enqueue("plates", 1, message_id="m-1") == "m-1"
        await client.enqueue("plates", 2, message_id="m-1")
        fresh = await client.enqueue("plates", 3, delay=timedelta(hours=1))
        assert await side.queued("plates", "m-1") is not None
        assert await side.queued("plates", fresh) is not None

    async def test_what_is_published_finds_who_waits_for_it(self, side: Side) -> None:
        """Published before the start and after it, by this very client."""
        client = side.client
        await client.publish("hotels", "Grand", key="t-1", event_id="h")
        await client.publish("flights", "OS1", key="t-2")
        trip = await client.start(both, "t-1")
        await side.until(trip.instance_id, RuntimeStatus.RUNNING)
        await client.publish("hotels", "Ritz", key="t-1", event_id="h")
        await client.publish("flights", "LX7", key="t-1")
        assert await trip.result() == ["LX7", "Grand"]

    async def test_a_topic_of_a_hub_that_is_not_linked_is_refused(self, side: Side) -> None:
        with pytest.raises(NoSuchLinkError, match="no link 'nowhere' here"):
            await side.client.publish("nowhere/orders", 1)

    async def test_an_event_or_a_message_that_cannot_be_is_refused(self, side: Side) -> None:
        for wrong, words in WRONG_EVENTS:
            event: dict[str, Any] = {"topic": "orders", "data": 1} | wrong
            with pytest.raises((InputError, LimitError), match=words):
                await side.client.publish(**event)
        for wrong, words in WRONG_MESSAGES:
            message: dict[str, Any] = {"queue": "plates", "data": 1, "message_id": "m"} | wrong
            with pytest.raises((InputError, LimitError), match=words):
                await side.client.enqueue(**message)
        assert await side.published("orders") == []
        assert await side.queued("plates", "m") is None

    # --- limits ------------------------------------------------------------------------------

    async def test_too_long_payloads_are_refused_whole_and_name_the_setting(
        self, side: Side
    ) -> None:
        long = "x" * PAYLOAD_BYTES
        client = side.client
        await client.start(collect, 1, instance_id="c")
        await side.until("c", RuntimeStatus.RUNNING)
        asked: list[Callable[[], Awaitable[object]]] = [
            lambda: client.start(echo, long, instance_id="l"),
            lambda: client.raise_event("c", "item", long),
            lambda: client.suspend("c", long + "x"),
            lambda: client.terminate("c", long + "x"),
            lambda: client.publish("orders", long, event_id="l"),
            lambda: client.enqueue("plates", long, message_id="l"),
        ]
        for ask in asked:
            with pytest.raises(LimitError, match=r"limits\.payload_bytes"):
                await ask()
        assert await client.get_status("l") is None
        assert await side.published("orders") == []
        assert await side.queued("plates", "l") is None
        assert (await client.handle("c").status()).runtime_status is RuntimeStatus.RUNNING

    @pytest.mark.parametrize(("kind", "method", "parameter"), TEXTS)
    async def test_a_text_that_cannot_be_stored_is_refused_where_it_enters(
        self, side: Side, kind: type, method: str, parameter: str
    ) -> None:
        """``bad_input_is_refused_whole``: every text that any method takes."""
        if (method, parameter) != ("start", "instance_id"):
            await side.client.start(collect, 1, instance_id="x")
        before = await all_of(side.client)
        async with asyncio.timeout(20):
            with pytest.raises(InputError, match="surrogate") as caught:
                await cast(
                    "Awaitable[object]",
                    called(side.client, kind, method, parameter, "half \ud800"),
                )
        is_id = parameter == "instance_id"
        assert type(caught.value) is (InvalidInstanceIdError if is_id else PayloadError)
        assert await all_of(side.client) == before
        if before:
            await side.client.raise_event("x", "item", 7)
            assert await side.client.handle("x").result() == [7]

    async def test_texts_with_any_character_pass_unchanged(self, side: Side) -> None:
        """NUL too, and whatever class of text it is."""
        client, odd = side.client, "\x00 \n\u2028 \U0001f600"
        handle = await client.start(
            Text("collect"), 1, instance_id=Text("x"), version=Text(odd), tags={odd: Text(odd)}
        )
        status = await handle.status()
        assert (status.version, status.tags) == (odd, {odd: odd})
        await client.suspend(Text("x"), Text(odd))
        await client.resume("x", Text(odd))
        await client.raise_event("x", Text(odd), 1)
        assert await all_of(client, InstanceFilter(name=Text("collect"), id_prefix=Text("x")))
        await client.fail("x", Text(odd))
        with pytest.raises(OrchestrationFailedError) as failed:
            await handle.result()
        assert odd in failed.value.failure.error_message

    async def test_an_empty_list_of_statuses_is_met_by_nothing(self, side: Side) -> None:
        await (await side.client.start(nothing, instance_id="x")).result()
        assert await all_of(side.client, InstanceFilter(statuses=[])) == []
        for force in (False, True):
            assert await side.client.purge_many(InstanceFilter(statuses=[]), force=force) == 0
        assert await all_of(side.client) == ["x"]

    async def test_a_filter_that_is_used_up_by_reading_it_holds_for_all_pages(
        self, side: Side, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tenuto.client.client.InstanceQuery", partial(InstanceQuery, limit=1))
        for name in ("x", "y"):
            await (await side.client.start(nothing, instance_id=name)).result()
        statuses = iter([RuntimeStatus.COMPLETED])
        assert await all_of(side.client, InstanceFilter(statuses=statuses)) == ["y", "x"]

    async def test_an_event_needs_a_name(self, side: Side) -> None:
        await side.client.start(collect, 1, instance_id="c")
        with pytest.raises(InputError, match="needs a name"):
            await side.client.raise_event("c", "")

    async def test_many_may_ask_at_the_same_time(self, side: Side) -> None:
        handles = await asyncio.gather(*(side.client.start(echo, n) for n in range(40)))
        assert await asyncio.gather(*(one.result() for one in handles)) == list(range(40))

    async def test_errors_are_of_one_tree(self, side: Side) -> None:
        with pytest.raises(TenutoError) as caught:
            await side.client.wait("nobody")
        assert caught.value.code == "TN-1202"


async def _first(client: Client, count: int) -> Any:  # noqa: ANN401 - an async generator of statuses
    async for status in client.query():
        yield status
        count -= 1
        if not count:
            return
