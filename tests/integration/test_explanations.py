"""Why an instance does not go on: a sentence and its facts for each wait, however it is asked for.

From another process through the store, over HTTP, and in a test on a virtual clock. Who is asked
knows more or less: queues, functions that are not there and a store that cannot be written to are
known to the host alone, which other processes ask by its address.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import httpx2
import msgspec
import pytest
from msgspec import Struct, structs

from tenuto import App, Client, Context, RetryPolicy, RuntimeStatus, Settings
from tenuto.engine.engine import Engine
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.model.explanation import (
    ActivityWait,
    ChildWait,
    EventWait,
    Explanation,
    Fact,
    Held,
    NothingOpen,
    NotServed,
    Pending,
    StoreUnavailable,
    Suspended,
    TimerWait,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import InstanceId
from tenuto.model.timing import to_datetime
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing import TestHost
from tests.support.terminal import tenuto

HOUR = timedelta(hours=1)

app = App()


class Gate:
    """What the activity waits for."""

    is_open = False


gate = Gate()


@app.activity(max_concurrent=1)
async def busy() -> None:
    while not gate.is_open:  # noqa: ASYNC110 - of several loops, one after another
        await asyncio.sleep(0.001)


@app.activity(retry=RetryPolicy(max_attempts=3, first_interval=HOUR))
async def breaks() -> None:
    raise ValueError("no seat")


@app.orchestrator
async def sleeps(ctx: Context) -> None:
    await ctx.create_timer(HOUR)


@app.orchestrator
async def waits(ctx: Context) -> None:
    await ctx.wait_for_external_event("approved")


@app.orchestrator
async def waits_twice(ctx: Context) -> None:
    wanted = ("other", "approved", "approved")
    await asyncio.gather(*map(ctx.wait_for_external_event, wanted))


@app.orchestrator
async def waits_until(ctx: Context) -> None:
    await ctx.wait_for_external_event("approved", timeout=HOUR)


@app.orchestrator
async def works(ctx: Context) -> None:
    await ctx.call_activity(busy)


@app.orchestrator
async def works_much(ctx: Context) -> None:
    await asyncio.gather(*(ctx.call_activity(busy) for _ in range(20)))


@app.orchestrator
async def tries_again(ctx: Context) -> None:
    await ctx.call_activity(breaks)


@app.orchestrator
async def calls(ctx: Context) -> None:
    await ctx.call_sub_orchestrator(waits.options(instance_id=f"{ctx.instance_id}-child"))


@app.orchestrator
async def gathers(ctx: Context) -> None:
    await asyncio.gather(
        ctx.wait_for_external_event("approved"),
        ctx.create_timer(HOUR),
        ctx.call_sub_orchestrator(waits.options(instance_id=f"{ctx.instance_id}-child")),
        ctx.call_activity(breaks),
    )


@app.orchestrator
async def waits_for_itself(ctx: Context) -> None:
    await ctx.call_activity(at_once)
    await asyncio.Event().wait()


@app.activity
async def at_once() -> None: ...


@app.orchestrator
async def calls_many(ctx: Context, count: int) -> None:
    calls = [waits.options(instance_id=f"{ctx.instance_id}-{n}") for n in range(count)]
    await asyncio.gather(*(ctx.call_sub_orchestrator(one) for one in calls))


poorer = App()
"""What a deployment has left of the app."""


@poorer.orchestrator(name="works")
async def works_still(ctx: Context) -> None:
    await ctx.call_activity("busy")


# --- what is expected -----------------------------------------------------------------------------

NOW = 0
"""Stands for each moment, in facts that are expected."""

MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:Z| UTC)?"
SINCE = rf"since {MOMENT} \([^)]+\)"
NO_SEAT = FailureDetails("ValueError", "no seat")

EVENT = EventWait(name="approved", since=NOW)
CHILD = ChildWait(name="waits", since=NOW, status="Running")
RETRY = ActivityWait(id=NOW, name="breaks", since=NOW, attempt=2, until=NOW, failure=NO_SEAT)


class Expected(Struct, frozen=True):
    """What is said of an instance.

    Attributes:
        sentence: A pattern.
        facts: With ``NOW`` for each moment.
    """

    sentence: str
    facts: tuple[Fact, ...]


EVERYWHERE: Mapping[str, Expected] = {
    "sleeps": Expected(rf"waits for a timer due at {MOMENT}", (TimerWait(since=NOW, until=NOW),)),
    "waits": Expected(rf"waits for event 'approved' {SINCE}", (EVENT,)),
    "waits_until": Expected(
        rf"waits for event 'approved' {SINCE}, until {MOMENT}",
        (structs.replace(EVENT, until=NOW),),
    ),
    "tries_again": Expected(
        rf"waits for attempt 2 of activity breaks at {MOMENT}, after ValueError: no seat",
        (RETRY,),
    ),
    "calls": Expected(
        rf"waits for sub-orchestration waits \(calls-child\) {SINCE}",
        (structs.replace(CHILD, instance_id="calls-child"),),
    ),
    "asks": Expected(
        rf"waits for sub-orchestration waits \(asks-child, Suspended\) {SINCE}",
        (structs.replace(CHILD, instance_id="asks-child", status="Suspended"),),
    ),
    "gathers": Expected(
        rf"waits for attempt 2 of activity breaks at {MOMENT}, after ValueError: no seat; "
        rf"event 'approved' {SINCE}; a timer due at {MOMENT}; 1 more",
        (
            RETRY,
            EVENT,
            TimerWait(since=NOW, until=NOW),
            structs.replace(CHILD, instance_id="gathers-child"),
        ),
    ),
    "is_held": Expected(
        rf"held since {MOMENT} \(guard\): time.time\(\) is new here",
        (Held(reason=HoldReason.GUARD, message="time.time() is new here", since=NOW), EVENT),
    ),
    "suspended": Expected(
        rf"suspended since {MOMENT} \([^)]+\): for lunch",
        (Suspended(since=NOW, reason="for lunch"), EVENT),
    ),
    "later": Expected(rf"begins at {MOMENT}", (Pending(since=NOW, until=NOW),)),
    "later_suspended": Expected(
        rf"suspended since {MOMENT} \([^)]+\), and not to begin before {MOMENT}",
        (Suspended(since=NOW, until=NOW),),
    ),
}
"""What everybody says."""

BEHIND = "the limit of activity 'busy', 1 at once"

ASKED = ActivityWait(id=NOW, name="busy", since=NOW)

AT_HOST: Mapping[str, Expected] = {
    "works-0": Expected(
        rf"waits for activity busy, running {SINCE}",
        (structs.replace(ASKED, stage="running", begun_at=NOW),),
    ),
    "works-2": Expected(
        rf"waits for activity busy, queued at place 2 behind {BEHIND}, {SINCE}",
        (structs.replace(ASKED, stage="queued", place=2, behind=BEHIND),),
    ),
}
"""What the host alone knows of activities."""

BESIDE: Mapping[str, Expected] = {
    name: Expected(rf"waits for activity busy {SINCE}", (ASKED,)) for name in AT_HOST
}
"""What others say of the same."""

UNSERVED: Mapping[str, Expected] = {
    "waits": Expected(
        "waits for a host that serves it: the app has no orchestrator 'waits'",
        (NotServed(kind="orchestrator", name="waits"), EVENT),
    ),
    "works": Expected(
        rf"held since {MOMENT} \(not_served\): no activity named 'busy' is registered.*",
        (
            Held(
                reason=HoldReason.NOT_SERVED,
                message="",
                since=NOW,
                recorded="activity 'busy'",
                produced="no activity of that name; registered: none",
            ),
            ASKED,
        ),
    ),
}
"""What a host says that does not have what it needs; of what has nothing to do, only the host."""

LOCKED: Mapping[str, Expected] = {
    "waits": Expected(
        "waits for the store, which its host cannot write to: .*another process keeps it locked.*",
        (StoreUnavailable(error=""), EVENT),
    )
}
"""What a host says whose store cannot be written to."""


# --- the three ways -------------------------------------------------------------------------------

Explaining = Callable[[str], Awaitable[Explanation]]


def settings_of(folder: Path) -> Settings:
    return Settings(
        storage=f"sqlite:///{folder / 'store.db'}",
        on_mismatch="hold",
        drain_seconds=0,
        http=HttpSettings(port=0),
    )


class Side(Struct):
    """A host, however it is asked.

    Attributes:
        client: Of the host.
        engine: Of the host.
        explain: Asks it.
        url: Its address, when it has one.
        test: The host of a test, whose time stands still.
    """

    client: Client
    engine: Engine
    explain: Explaining
    url: str = ""
    test: TestHost | None = None


@asynccontextmanager
async def in_a_test(what: App, folder: Path) -> AsyncIterator[Side]:
    settings = settings_of(folder)
    async with TestHost(what, settings=settings, storage=settings.storage) as test:
        yield Side(test.client, test.host.engine, test.host.explain, test=test)


@asynccontextmanager
async def over_http(what: App, folder: Path) -> AsyncIterator[Side]:
    async with (
        Server(what, settings=settings_of(folder)) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):

        async def explain(name: str) -> Explanation:
            found = (await http.get(f"/admin/instances/{name}")).json()
            return msgspec.convert(found["explanation"], Explanation)

        yield Side(server.host.client, server.host.engine, explain, server.url)


Way = Callable[[App, Path], AbstractAsyncContextManager[Side]]

WAYS = pytest.mark.parametrize("way", [in_a_test, over_http])
"""The store alone is asked by ``shown_by_command``, in a process of its own."""


@pytest.fixture(autouse=True)
def _nothing_is_blocked_at_the_end() -> Iterator[None]:
    gate.is_open = False
    yield
    gate.is_open = True


def shown_by_command(folder: Path, place: str, name: str) -> Explanation:
    option = "--url" if place.startswith("http") else "--storage"
    done = tenuto(folder, "instances", "show", name, "--json", option, place)
    return msgspec.convert(json.loads(done.stdout)["explanation"], Explanation)


def state_shown(folder: Path, place: str, name: str) -> str:
    """The state of its first step."""
    done = tenuto(folder, "instances", "show", name, "--json", "--url", place)
    state: str = json.loads(done.stdout)["steps"][0]["state"]
    return state


def told_by_the_doctor(folder: Path, place: str) -> dict[str, tuple[str, tuple[Fact, ...]]]:
    """Sentence and facts of all instances."""
    option = "--url" if place.startswith("http") else "--storage"
    done = tenuto(folder, "doctor", "--json", option, place)
    return {
        one["instanceId"]: (
            one["text"].partition(") ")[2],
            msgspec.convert(one["facts"], tuple[Fact, ...]),
        )
        for one in json.loads(done.stdout)["findings"]
        if one["instanceId"] is not None
    }


MOMENTS = ("id", "since", "until", "tried", "begun_at")


def timeless(fact: Fact) -> Fact:
    """A fact without what differs from run to run."""
    known: dict[str, Any] = structs.asdict(fact)
    changed: dict[str, Any] = {name: NOW for name in MOMENTS if known.get(name) is not None}
    if known.get("failure") is not None:
        changed["failure"] = FailureDetails(
            known["failure"].error_type, known["failure"].error_message
        )
    if isinstance(fact, StoreUnavailable):
        changed["error"] = ""
    if isinstance(fact, Held) and fact.reason is HoldReason.NOT_SERVED:
        changed["message"] = ""
    return structs.replace(fact, **changed)


def fits(told: Explanation, expected: Expected) -> bool:
    return (
        re.fullmatch(expected.sentence, told.sentence) is not None
        and tuple(map(timeless, told.facts)) == expected.facts
    )


def check(found: Mapping[str, Explanation], expected: Mapping[str, Expected]) -> None:
    for name, one in expected.items():
        assert re.fullmatch(one.sentence, found[name].sentence), (name, found[name].sentence)
        assert tuple(map(timeless, found[name].facts)) == one.facts, name
    assert {name for name, one in found.items() if one.is_stuck} == {"is_held"}
    assert found["waits"].advice.startswith("tenuto instances raise-event waits approved")
    assert found["suspended"].advice.startswith("tenuto instances resume suspended")


async def settled(explain: Explaining, expected: Mapping[str, Expected]) -> dict[str, Explanation]:
    """What is said once all have come to their waits, or what is said by then."""
    told: dict[str, Explanation] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(20):
            while not told or not all(fits(told[name], one) for name, one in expected.items()):
                told = {name: await explain(name) for name in expected}
                await asyncio.sleep(0.01)
    return told


async def prepare_all(client: Client, engine: Engine) -> None:
    """One instance for each wait, under the name of the wait."""
    for name in ("sleeps", "waits", "waits_until", "tries_again", "calls", "gathers"):
        await client.start(name, instance_id=name)
    for number in range(3):
        await client.start(works, instance_id=f"works-{number}")
    for name in ("suspended", "is_held"):
        await client.start(waits, instance_id=name)
        await client.wait(name, started=True)
    await client.suspend("suspended", "for lunch")
    await client.start(calls, instance_id="asks")
    await client.wait("asks", started=True)
    await client.wait("asks-child", started=True)
    await client.suspend("asks-child")
    held = engine.residents.named(InstanceId("is_held"))
    assert held is not None
    engine.holding.hold(held, Hold(HoldReason.GUARD, "time.time() is new here", engine.clock.now()))
    later = to_datetime(client.gateway.now()) + HOUR
    for name in ("later", "later_suspended"):
        await client.start(waits, instance_id=name, start_at=later)
    await client.suspend("later_suspended")


# --- tests ----------------------------------------------------------------------------------------


async def test_a_host_explains_in_a_test_on_a_virtual_clock() -> None:
    async with TestHost(app, settings=Settings(on_mismatch="hold")) as test:
        await prepare_all(test.client, test.host.engine)
        await test.advance(timedelta(seconds=2), with_activities=False)
        found = {name: await test.explain(name) for name in EVERYWHERE}
        check(found, EVERYWHERE)
        for name, one in AT_HOST.items():
            assert fits(await test.explain(name), one)
        began = test.client.gateway.now() - 2_000_000
        hour = 3_600_000_000
        assert found["sleeps"].facts == (TimerWait(since=began, until=began + hour),)
        assert found["later"].facts == (Pending(since=began, until=began + hour),)
        gate.is_open = True


async def test_a_server_and_its_store_explain_to_other_processes(tmp_path: Path) -> None:
    url = settings_of(tmp_path).storage
    async with over_http(app, tmp_path) as side:
        await prepare_all(side.client, side.engine)
        told = await settled(side.explain, EVERYWHERE)
        check(told, EVERYWHERE)
        for name, one in AT_HOST.items():
            assert fits(await side.explain(name), one)
            beside = await asyncio.to_thread(shown_by_command, tmp_path, url, name)
            assert fits(beside, BESIDE[name])
            assert not beside.is_stuck
        assert (await side.client.get_status("works-2")) is not None
        states = [await asyncio.to_thread(state_shown, tmp_path, side.url, one) for one in AT_HOST]
        assert states == ["running", "waiting"]
        shown = [asyncio.to_thread(shown_by_command, tmp_path, url, name) for name in EVERYWHERE]
        found = dict(zip(EVERYWHERE, await asyncio.gather(*shown), strict=True))
        check(found, EVERYWHERE)
        for name, explained in told.items():
            assert found[name].facts == explained.facts, name
        resumed = await asyncio.to_thread(shown_by_command, tmp_path, side.url, "suspended")
        assert resumed.advice == f"tenuto instances resume suspended --url {side.url}"
        at_host = await asyncio.to_thread(told_by_the_doctor, tmp_path, side.url)
        for name, one in {**EVERYWHERE, **AT_HOST}.items():
            sentence, facts = at_host[name]
            assert fits(Explanation(sentence=sentence, facts=facts), one), name
        gate.is_open = True


@WAYS
async def test_what_a_deployment_has_left_out_is_said(way: Way, tmp_path: Path) -> None:
    async with way(app, tmp_path) as side:
        await side.client.start(waits, instance_id="waits")
        await side.client.start(works, instance_id="works")
        for name in ("waits", "works"):
            await side.client.wait(name, started=True)
    async with way(poorer, tmp_path) as side:
        told = await settled(side.explain, UNSERVED)
        for name, one in UNSERVED.items():
            assert fits(told[name], one), told[name]
            assert told[name].is_stuck
        if side.url:
            at_host = await asyncio.to_thread(shown_by_command, tmp_path, side.url, "waits")
            assert fits(at_host, UNSERVED["waits"])
            url = settings_of(tmp_path).storage
            beside = await asyncio.to_thread(shown_by_command, tmp_path, url, "works")
            assert fits(beside, UNSERVED["works"])
        gate.is_open = True


@WAYS
async def test_a_store_that_cannot_be_written_to_is_said(way: Way, tmp_path: Path) -> None:
    async with way(app, tmp_path) as side:
        await side.client.start(waits, instance_id="waits")
        await side.client.wait("waits", started=True)
        await a_short_patience(side.engine)
        blocker = apsw.Connection(str(tmp_path / "store.db"))
        blocker.execute("BEGIN IMMEDIATE")
        asking = asyncio.create_task(side.client.raise_event("waits", "other"))
        told = await settled(side.explain, LOCKED)
        assert fits(told["waits"], LOCKED["waits"]), told
        assert not told["waits"].is_stuck
        if side.url:
            at_host = await asyncio.to_thread(shown_by_command, tmp_path, side.url, "waits")
            assert fits(at_host, LOCKED["waits"])
        blocker.execute("ROLLBACK")
        blocker.close()
        if side.test is not None:
            await side.test.advance(timedelta(minutes=1))
        await asking


async def a_short_patience(engine: Engine) -> None:
    """Let the host give a locked store up soon."""
    storage = engine.storage
    assert isinstance(storage, SqliteStorage)
    await storage._write(lambda one: one.connection.set_busy_timeout(10))
    assert (await storage.get(InstanceId("waits"))) is not None


async def test_each_of_many_attempts_says_how_far_it_has_come(tmp_path: Path) -> None:
    async with in_a_test(app, tmp_path) as side:
        await side.client.start(works_much, instance_id="much")
        assert side.test is not None
        await side.test.idle(with_activities=False)
        facts = (await side.explain("much")).facts
        found = [(one.stage, one.place) for one in facts if isinstance(one, ActivityWait)]
        assert found == [("running", None), *(("queued", place) for place in range(1, 20))]
        gate.is_open = True


async def test_an_instance_that_has_ended_says_so(tmp_path: Path) -> None:
    async with in_a_test(app, tmp_path) as side:
        handle = await side.client.start(sleeps, instance_id="s")
        await handle.result()
        assert (await side.explain("s")).sentence == f"has ended ({RuntimeStatus.COMPLETED.label})"


NOTHING_OPEN = (
    "waits for something that nothing can bring: no timer, event, activity or child is open"
)


@WAYS
async def test_code_that_waits_for_itself_is_stuck(way: Way, tmp_path: Path) -> None:
    expected = {"itself": Expected(NOTHING_OPEN, (NothingOpen(),))}
    async with way(app, tmp_path) as side:
        await side.client.start(waits_for_itself, instance_id="itself")
        told = (await settled(side.explain, expected))["itself"]
        assert fits(told, expected["itself"])
        assert told.is_stuck
        await side.client.raise_event("itself", "go")  # a turn that changes nothing
        assert fits((await settled(side.explain, expected))["itself"], expected["itself"])
        if side.url:
            url = settings_of(tmp_path).storage
            beside = await asyncio.to_thread(shown_by_command, tmp_path, url, "itself")
            assert beside.sentence == NOTHING_OPEN
            at_host = await asyncio.to_thread(shown_by_command, tmp_path, side.url, "itself")
            assert at_host.advice == (
                "mend its code, which waits for something of its own, such as a lock or an "
                "asyncio.Event; then end it, and run it again: "
                f"tenuto instances terminate itself --url {side.url}, "
                f"then tenuto instances restart itself --url {side.url}"
            )


async def test_an_event_that_has_come_for_one_who_is_suspended_is_said_of_one_wait() -> None:
    async with TestHost(app) as test:
        handle = await test.start(waits_twice)
        await test.idle()
        await handle.suspend()
        await handle.raise_event("Approved")
        await test.idle()
        found = await test.explain(handle.instance_id)
        come = [(one.name, one.has_come) for one in found.facts if isinstance(one, EventWait)]
        assert come == [("other", False), ("approved", True), ("approved", False)]
        assert "; waits for event 'approved', which has come and counts when it goes on" in (
            found.sentence
        )
        await handle.resume()
        for name in ("other", "approved"):
            await handle.raise_event(name)
        await handle.result()


async def test_what_lies_in_the_inbox_while_no_host_runs_is_said(tmp_path: Path) -> None:
    url = settings_of(tmp_path).storage
    async with in_a_test(app, tmp_path) as side:
        for name in ("waits", "suspended", "kept"):
            await side.client.start(waits, instance_id=name)
            await side.client.wait(name, started=True)
        for name in ("suspended", "kept"):
            await side.client.suspend(name)
        await side.client.raise_event("kept", "approved")  # waits for the end of the pause
    async with Client.open(url) as outside:
        await outside.raise_event("waits", "approved")
        await outside.resume("suspended")
    for name in ("waits", "suspended"):
        found = await asyncio.to_thread(shown_by_command, tmp_path, url, name)
        assert found.sentence == "1 message waits to be taken in; no host runs"
        assert found.advice == f"start a host: tenuto start APP --storage {url}"
        assert found.is_stuck
    kept = await asyncio.to_thread(shown_by_command, tmp_path, url, "kept")
    come = "waits for event 'approved', which has come and counts when it goes on"
    assert re.fullmatch(rf"suspended {SINCE}; {come}; no host runs", kept.sentence)
    told = await asyncio.to_thread(told_by_the_doctor, tmp_path, url)
    assert told["waits"][0] == "1 message waits to be taken in; no host runs"


async def test_a_parent_is_as_stuck_as_the_worst_of_its_children(tmp_path: Path) -> None:
    async with in_a_test(app, tmp_path) as side:
        await side.client.start(calls_many, 30, instance_id="many")
        await side.client.wait("many", started=True)
        await side.client.wait("many-29", started=True)
        assert not (await side.explain("many")).is_stuck
        engine = side.engine
        held = engine.residents.named(InstanceId("many-29"))
        assert held is not None
        engine.holding.hold(held, Hold(HoldReason.GUARD, "no", engine.clock.now()))
        assert side.test is not None
        await side.test.idle(with_activities=False)
        told = await side.explain("many")
        assert told.is_stuck
        first, *_ = told.sentence.split(" since ")
        assert first == "waits for sub-orchestration waits (many-29), which is held (guard),"
        assert told.advice == "see tenuto instances show many-29"


async def test_the_code_of_a_child_that_is_gone_is_said_of_its_parent(tmp_path: Path) -> None:
    async with in_a_test(app, tmp_path) as side:
        await side.client.start(calls, instance_id="calls")
        await side.client.wait("calls", started=True)
        await side.client.wait("calls-child", started=True)
    half = App()
    half.orchestrator(name="calls")(calls.function)
    async with in_a_test(half, tmp_path) as side:
        told = await side.explain("calls")
        assert re.fullmatch(
            r"waits for sub-orchestration waits \(calls-child\), whose orchestrator is not there, "
            rf"{SINCE}",
            told.sentence,
        )
        assert told.is_stuck


@app.orchestrator
async def calls_down(ctx: Context, levels: int) -> None:
    if levels:
        deeper = calls_down.options(instance_id=f"down-{levels - 1}")
        await ctx.call_sub_orchestrator(deeper, levels - 1)
    else:
        await ctx.call_activity(breaks)


async def test_what_keeps_an_instance_far_below_is_said_at_the_top(tmp_path: Path) -> None:
    async with in_a_test(app, tmp_path) as side:
        assert side.test is not None
        await side.client.start(calls_down, 4, instance_id="down-4")
        await side.test.idle()
        failing = await side.explain("down-4")
        assert re.fullmatch(
            rf"waits for sub-orchestration calls_down \(down-3\) {SINCE}, "
            r"and 3 calls below that for "
            rf"down-0 \(calls_down\), which waits for attempt 2 of activity breaks at {MOMENT}, "
            r"after ValueError: no seat",
            failing.sentence,
        )
        assert failing.advice == "see tenuto instances show down-0"
        assert not failing.is_stuck, "it is tried again by itself"
        child = await side.explain("down-1")
        assert ", which waits for attempt 2 of activity breaks" in child.sentence
        assert "below" not in child.sentence

        engine = side.engine
        held = engine.residents.named(InstanceId("down-1"))
        if held is None:
            await side.client.raise_event("down-1", "wakes it")
            await side.test.idle()
            held = engine.residents.named(InstanceId("down-1"))
        assert held is not None
        engine.holding.hold(held, Hold(HoldReason.GUARD, "no", engine.clock.now()))
        await side.test.idle()
        stuck = await side.explain("down-4")
        assert stuck.sentence.endswith(
            "and 2 calls below that for down-1 (calls_down), which is held (guard)"
        )
        assert stuck.advice == "see tenuto instances show down-1"
        assert stuck.is_stuck
        await side.client.suspend("down-2")
        paused = await side.explain("down-4")
        assert "for down-2 (calls_down), which is suspended" in paused.sentence
    shown = await asyncio.to_thread(
        shown_by_command, tmp_path, settings_of(tmp_path).storage, "down-4"
    )
    assert "for down-2 (calls_down), which is suspended" in shown.sentence


async def test_so_much_is_looked_at_below_and_no_more(tmp_path: Path) -> None:
    async with in_a_test(app, tmp_path) as side:
        assert side.test is not None
        await side.client.start(calls_down, 30, instance_id="down-30")
        await side.test.idle()
        assert " below " not in (await side.explain("down-30")).sentence
        assert " 20 calls below " in (await side.explain("down-21")).sentence
