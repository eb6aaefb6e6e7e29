"""Held, not failed: ``a_deploy_loses_nothing`` (ENGINE rules 29 and 36).

Whatever is wrong with the code of a deployment, its instances keep all that they were sent, and go
on with the code that fits: when a host with it starts, or when somebody resumes them.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from tenuto import (
    App,
    Context,
    InstanceFinishedError,
    Limits,
    OrchestrationFailedError,
    RetryPolicy,
    RuntimeStatus,
    WebhookClosedError,
)
from tenuto.client.engine_gateway import EngineGateway
from tenuto.engine.ports import Observer
from tenuto.functions.runner import NativeRunner
from tenuto.model.codec import decode_turn
from tenuto.model.hold import HoldReason
from tenuto.model.ids import InstanceId, MemoryId
from tenuto.model.messages import ChildResult, Fail, Message, RaiseEvent, RedeemWebhook
from tenuto.model.requests import IdReuse
from tenuto.model.webhook import digest_of
from tenuto.orchestration.session import Session
from tenuto.testing import CRASH_POINTS, CrashAt, TestHost
from tests.support.deployments import Deployments, deployments, untried
from tests.support.held import holding
from tests.support.histories import check_invariants

JOB = InstanceId("job")

HOUR = timedelta(hours=1)
RUNNING, PENDING, SUSPENDED = (
    RuntimeStatus.RUNNING,
    RuntimeStatus.PENDING,
    RuntimeStatus.SUSPENDED,
)


class Open(Protocol):
    async def __call__(self, app: App, *, observer: Observer | None = None) -> Deployments: ...


@pytest.fixture(params=["hot", "replayed", "file"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[Deployments] = []
    async with AsyncExitStack() as stack:

        async def open_one(app: App, *, observer: Observer | None = None) -> Deployments:
            storage = f"sqlite:///{tmp_path / 'hub.db'}" if request.param == "file" else "sqlite://"
            opening = deployments(app, mode=request.param, storage=storage, observer=observer)
            opened.append(await stack.enter_async_context(opening))
            return opened[-1]

        yield open_one
        for one in opened:
            await _check_histories(one)


async def _check_histories(one: Deployments) -> None:
    async for status in one.test.client.query():
        turns = await one.storage.history(InstanceId(status.instance_id))
        check_invariants([event for turn in turns for event in decode_turn(turn)])


# --- one program, and the ways in which a deployment may not fit it ------------------------------


def job_app(begin: str = "one", kind: type = int, extra: Callable[[], object] | None = None) -> App:
    """An orchestrator that calls an activity, waits for three events and a timer, calls another."""
    app = App()

    @app.activity
    def one(number: int) -> kind:  # type: ignore[valid-type]  # it differs from version to version
        return number + 1

    @app.activity
    def two(number: int) -> int:
        return number * 10

    @app.orchestrator
    async def job(ctx: Context, number: int) -> list[int]:
        if extra is not None:
            begun = extra()
            if begun is not None:
                return []
        first = await ctx.call_activity(begin, number)
        timer = ctx.create_timer(HOUR)
        got = [await ctx.wait_for_external_event("go", int) for _ in range(3)]
        await timer
        return [first, *got, await ctx.call_activity(two, first)]

    return app


def other_input_app() -> App:
    app = App()

    @app.orchestrator
    async def job(ctx: Context, number: dict[str, int]) -> list[int]:
        return []

    return app


def refuse_replay(monkeypatch: pytest.MonkeyPatch, error: Exception) -> App:
    def broken(*_arguments: object) -> Session:
        raise error

    monkeypatch.setattr(NativeRunner, "replay_session", broken)
    return job_app()


BAD: dict[HoldReason, Callable[[pytest.MonkeyPatch], App]] = {
    HoldReason.DECISIONS: lambda _: job_app("two"),
    HoldReason.NOT_SERVED: lambda _: App(),
    HoldReason.GUARD: lambda _: job_app(extra=time.time),
    HoldReason.PAYLOAD: lambda _: job_app(kind=dict),
    HoldReason.POISON: lambda patch: refuse_replay(patch, RuntimeError("broken machinery")),
    HoldReason.MEMORY: lambda patch: refuse_replay(patch, MemoryError()),
}
"""The code that holds the job for each reason."""

TOLD = {
    HoldReason.DECISIONS: "TaskScheduled #1 'one', the code produced TaskScheduled #1 'two'",
    HoldReason.NOT_SERVED: "it goes on when a host starts that has it",
    HoldReason.GUARD: "time.time() inside an orchestrator",
    HoldReason.PAYLOAD: "the result of 'one' does not fit",
    HoldReason.POISON: "RuntimeError('broken machinery')",
    HoldReason.MEMORY: "MemoryError()",
}


SIDES = {
    HoldReason.DECISIONS: ("TaskScheduled #1 'one'", "TaskScheduled #1 'two' at "),
    HoldReason.NOT_SERVED: ("orchestrator 'job'", "no orchestrator of that name; registered: none"),
    HoldReason.GUARD: ("TaskScheduled #1 'one'", "time.time() inside an orchestrator, at "),
    HoldReason.PAYLOAD: (
        "the result of 'one': 5",
        "result of job_app.<locals>.one: value at $ does not fit: ",
    ),
}
"""Of each misfit, what is stored and what the code says to it."""


def events_of(messages: list[Message]) -> list[str | None]:
    return [one.event.input for one in messages if isinstance(one, RaiseEvent)]


async def begun_job(one: Deployments) -> None:
    """A job whose first activity has ended; it waits for events and its timer."""
    await one.test.start("job", 4, instance_id="job")
    await one.test.idle()


@pytest.mark.parametrize("reason", BAD)
async def test_a_deploy_loses_nothing_it_is_held_for_each_reason_and_goes_on(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, reason: HoldReason
) -> None:
    one = await open_store(job_app())
    await begun_job(one)
    history = await one.storage.history(JOB)
    with monkeypatch.context() as patch:
        await one.deploy(BAD[reason](patch))
        await one.test.client.raise_event("job", "go", 0)
        hold = await one.check_held("job", reason)
        assert TOLD[reason] in hold.message
        recorded, produced = SIDES.get(reason, (None, None))
        assert hold.recorded == recorded
        assert (hold.produced or "").startswith(produced or "")
        assert (hold.produced is None) == (produced is None)
        assert hold.since == one.test.clock.now()

        # Nothing runs, whatever comes and whatever time it is; all is kept, in order.
        await one.test.advance(2 * HOUR)
        await one.test.client.raise_event("job", "go", 1)
        assert await one.check_held("job", reason) == hold
        # The next hosts do not fit either.
        await one.test.restart()
        assert untried(await one.check_held("job", reason)) == hold
        await one.crash()
        assert untried(await one.check_held("job", reason)) == hold
        await one.test.advance(HOUR)
        await one.test.client.resume("job")
        again = await one.check_held("job", reason)
        assert again.tried == one.test.clock.now()
        assert untried(again) == hold
        await one.test.client.raise_event("job", "go", 2)
        assert untried(await one.check_held("job", reason)) == hold
        assert events_of(await one.inbox("job")) == ["0", "1", "2"]
        row = await one.row("job")
        assert row.status is RUNNING
        assert await one.storage.history(JOB) == history

    await one.deploy(job_app())
    if reason.is_harmful:
        assert untried(await one.check_held("job", reason)) == hold
        await one.test.client.resume("job")
    assert await one.test.client.handle("job").result() == [5, 0, 1, 2, 50]
    assert await one.inbox("job") == []
    assert (await one.row("job")).hold is None
    assert await one.test.client.dead_letters() == []


@pytest.mark.parametrize("reason", BAD)
async def test_a_resume_alone_lets_it_go_on_once_it_fits(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, reason: HoldReason
) -> None:
    """The code is repaired in the running host: nothing but the resume says so."""
    one = await open_store(job_app())
    await begun_job(one)
    with monkeypatch.context() as patch:
        await one.deploy(BAD[reason](patch))
        for number in range(3):
            await one.test.client.raise_event("job", "go", number)
        await one.check_held("job", reason)
        repaired = NativeRunner(job_app(), one.test.clock, limits=one.test.settings.limits)
    engine = one.test.host.engine
    if reason not in {HoldReason.POISON, HoldReason.MEMORY}:
        repaired.bind(engine._ended)
        engine.runner, old = repaired, engine.runner
        await old.stop()
    await one.test.client.resume("job")
    assert await one.test.client.handle("job").result() == [5, 0, 1, 2, 50]


async def test_an_input_that_does_not_fit_holds_what_has_begun_and_what_has_not(
    open_store: Open,
) -> None:
    one = await open_store(job_app())
    await begun_job(one)
    await one.test.client.start(
        "job", 1, instance_id="later", start_at=one.test.clock.current_time + HOUR
    )
    await one.deploy(other_input_app())
    await one.test.client.raise_event("job", "go", 0)
    await one.test.advance(2 * HOUR)
    for name, status in {"job": RUNNING, "later": PENDING}.items():
        hold = await one.check_held(name, HoldReason.PAYLOAD)
        assert "the input does not fit" in hold.message
        assert (await one.row(name)).status is status
    await one.deploy(job_app())
    for name in ("job", "later"):
        for number in range(1, 4):
            await one.test.client.raise_event(name, "go", number)
    assert await one.test.client.handle("job").result() == [5, 0, 1, 2, 50]
    assert await one.test.client.handle("later").result() == [2, 1, 2, 3, 20]


# --- activities that are not here ----------------------------------------------------------------


elsewhere = App()


@elsewhere.activity
def left() -> str:
    raise AssertionError


@elsewhere.activity
def right() -> str:
    raise AssertionError


def fan_app(*served: str, retry: RetryPolicy | None = None, seconds: float = 86_400) -> App:
    """An orchestrator that calls two activities, of which the host has some."""
    app = App()
    notes: list[str] = []
    app.ran = notes  # type: ignore[attr-defined]

    if "left" in served:

        @app.activity(name="left")
        def left_here() -> str:
            notes.append("left")
            return "left"

    if "right" in served or "fails" in served:

        @app.activity(name="right")
        def right_here() -> str:
            notes.append("right")
            if "fails" in served:
                raise ValueError("not yet")
            return "right"

    @app.orchestrator
    async def fan(ctx: Context) -> list[str]:
        try:
            async with asyncio.timeout(seconds):
                calls = [ctx.call_activity(one.options(retry=retry)) for one in (left, right)]
                return list(await asyncio.gather(*calls))
        except TimeoutError:
            return ["too late"]

    return app


def ran(app: App) -> list[str]:
    return app.ran  # type: ignore[attr-defined,no-any-return]


async def test_an_activity_that_is_not_here_holds_its_instance_and_the_others_results_are_kept(
    open_store: Open,
) -> None:
    first = fan_app("left")
    one = await open_store(first)
    await one.test.start("fan", instance_id="fan")
    hold = await one.check_held("fan", HoldReason.NOT_SERVED)
    assert "'right'" in hold.message
    await one.test.advance(HOUR)
    await one.test.restart()
    again = await one.check_held("fan", HoldReason.NOT_SERVED)
    assert again.since == hold.since
    both = fan_app("left", "right")
    await one.deploy(both)
    assert await one.test.client.handle("fan").result() == ["left", "right"]
    # What has ended before the hold, or while it was held, does not run again.
    assert ran(first) == ["left"]
    assert ran(both) == ["right"]


async def test_an_activity_that_goes_away_between_its_attempts(open_store: Open) -> None:
    retry = RetryPolicy(max_attempts=3, first_interval=HOUR)
    failing = fan_app("left", "fails", retry=retry)
    one = await open_store(failing)
    await one.test.start("fan", instance_id="fan")
    await one.test.idle()
    assert sorted(ran(failing)) == ["left", "right"]
    gone = fan_app("left", retry=retry)
    await one.deploy(gone)
    await one.test.advance(2 * HOUR)
    await one.check_held("fan", HoldReason.NOT_SERVED)
    back = fan_app("left", "right", retry=retry)
    await one.deploy(back)
    assert await one.test.client.handle("fan").result() == ["left", "right"]
    assert ran(gone) == []
    assert ran(back) == ["right"]


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_deadline_waits_while_it_is_held(open_store: Open, is_late: bool) -> None:
    one = await open_store(fan_app("left", seconds=1800))
    await one.test.start("fan", instance_id="fan")
    await one.check_held("fan", HoldReason.NOT_SERVED)
    if is_late:
        await one.test.advance(HOUR)
        await one.check_held("fan", HoldReason.NOT_SERVED)
    complete = fan_app("left", "right", seconds=1800)
    await one.deploy(complete)
    expected = ["too late"] if is_late else ["left", "right"]
    assert await one.test.client.handle("fan").result() == expected


async def test_the_next_step_of_a_sequence_is_not_here(open_store: Open) -> None:
    one = await open_store(job_app("missing"))
    await one.test.start("job", 4, instance_id="job")
    hold = await one.check_held("job", HoldReason.NOT_SERVED)
    await one.test.advance(HOUR)
    await one.test.client.resume("job")
    again = await one.check_held("job", HoldReason.NOT_SERVED)
    assert again.tried == one.test.clock.now()
    assert untried(again) == hold
    await one.test.client.terminate("job", "enough")
    assert (await one.test.client.wait("job")).runtime_status is RuntimeStatus.TERMINATED


# --- what operators do with what is held ---------------------------------------------------------


async def held_job(open_store: Open, observer: Observer | None = None) -> Deployments:
    """A job that is held, with one event that waits."""
    one = await open_store(job_app(), observer=observer)
    await begun_job(one)
    await one.deploy(job_app("two"))
    await one.test.client.raise_event("job", "go", 0)
    await one.check_held("job", HoldReason.DECISIONS)
    return one


async def test_suspend_and_resume_while_it_is_held(open_store: Open) -> None:
    one = await held_job(open_store)
    await one.test.client.suspend("job", "wait")
    hold = await one.check_held("job", HoldReason.DECISIONS)
    assert (await one.row("job")).status is SUSPENDED
    await one.test.client.raise_event("job", "go", 1)
    await one.test.restart()
    assert untried(await one.check_held("job", HoldReason.DECISIONS)) == hold
    # Code that fits lets it go on, but for the pause.
    await one.deploy(job_app())
    await one.test.advance(2 * HOUR)
    row = await one.row("job")
    assert row.status is SUSPENDED
    await one.test.client.raise_event("job", "go", 2)
    assert events_of(await one.inbox("job")) == ["0", "1", "2"]
    await one.test.client.resume("job")
    assert await one.test.client.handle("job").result() == [5, 0, 1, 2, 50]


async def test_one_resume_ends_a_pause_and_a_hold(open_store: Open) -> None:
    one = await held_job(open_store)
    await one.test.client.suspend("job")
    await one.test.client.resume("job")
    # It does not fit still: held again, but not paused any more.
    await one.check_held("job", HoldReason.DECISIONS)
    assert (await one.row("job")).status is RUNNING
    await one.test.client.suspend("job")
    for number in (1, 2):
        await one.test.client.raise_event("job", "go", number)
    await one.deploy(job_app())
    await one.test.client.resume("job")
    assert await one.test.client.handle("job").result() == [5, 0, 1, 2, 50]


async def test_a_resume_and_a_pause_in_one_turn_of_what_does_not_fit(open_store: Open) -> None:
    one = await held_job(open_store)
    client = one.test.client
    await client.suspend("job")
    await asyncio.gather(client.resume("job"), client.suspend("job"))
    await one.check_held("job", HoldReason.DECISIONS)
    assert (await one.row("job")).status is SUSPENDED
    await one.deploy(job_app())
    for number in (1, 2):
        await client.raise_event("job", "go", number)
    await client.resume("job")
    assert await client.handle("job").result() == [5, 0, 1, 2, 50]


@pytest.mark.parametrize("end", ["terminate", "fail", "purge", "replace"])
async def test_what_is_held_can_be_ended(open_store: Open, end: str) -> None:
    one = await held_job(open_store)
    client = one.test.client
    if end == "terminate":
        await client.terminate("job", "enough")
        assert (await client.wait("job")).runtime_status is RuntimeStatus.TERMINATED
    elif end == "fail":
        engine = one.test.host.engine
        home = engine.find(JOB)
        assert home is not None
        engine.arrivals.dispatch(home, JOB, Fail(message_id=MemoryId(10**9), reason="of no use"))
        await one.test.idle()
        status = await client.wait("job")
        assert status.runtime_status is RuntimeStatus.FAILED
        assert status.failure is not None
        assert "ended as failed by an operator: of no use" in status.failure.error_message
    elif end == "purge":
        assert await client.purge("job", force=True)
        assert await client.get_status("job") is None
        return
    else:
        await client.start("job", 7, instance_id="job", reuse=IdReuse.ALWAYS)
        await one.test.idle()
        assert await one.hold("job") is None
        for number in range(3):
            await client.raise_event("job", "go", number)
        assert await client.handle("job").result() == [70, 0, 1, 2, 700]
    await one.test.idle()
    assert (await one.row("job")).hold is None
    assert await one.inbox("job") == []
    # The event that had waited is not gone without a word.
    assert [letter.instance_id for letter in await client.dead_letters()] == ["job"]


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize("hit", [1, 2, 3])
async def test_a_deploy_loses_nothing_at_any_commit(
    tmp_path: Path, point: str, hit: int, is_held: bool
) -> None:
    """The power goes on the way into the hold, or on the way out of it."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with deployments(job_app(), storage=url) as one:
        await begun_job(one)
        if is_held:
            await one.deploy(job_app("two"))
            await one.test.client.raise_event("job", "go", 0)
    acknowledged = 1 if is_held else 0
    crash = CrashAt(point, hit)
    async with deployments(
        job_app() if is_held else job_app("two"), storage=url, observer=crash
    ) as one:
        while acknowledged < 3:
            sending = asyncio.ensure_future(one.test.client.raise_event("job", "go", acknowledged))
            happened = asyncio.ensure_future(crash.happened())
            await asyncio.wait([sending, happened], return_when="FIRST_COMPLETED")
            happened.cancel()
            if not sending.done():
                sending.cancel()
                break
            acknowledged += 1
        crash.hits_left = 0
        one.test.app = job_app()
        await one.test.crash()
        await one.test.idle()
        status = await one.test.client.get_status("job")
        assert status is not None
        if status.runtime_status is RUNNING:  # with what was sent without an answer, or without
            for number in range(acknowledged, 3):
                with contextlib.suppress(InstanceFinishedError):
                    await one.test.client.raise_event("job", "go", number)
        result = await one.test.client.handle("job").result()
        got = result[1:4]
        assert [result[0], result[4]] == [5, 50]
        assert list(dict.fromkeys([*got, *range(acknowledged, 3)])) == [0, 1, 2]


async def test_messages_that_come_while_the_hold_is_not_durable_yet(open_store: Open) -> None:
    one = await open_store(job_app())
    await begun_job(one)
    await one.deploy(job_app("two"))
    client = one.test.client
    async with holding(one.storage, "commit", "before") as held:
        sending = [asyncio.ensure_future(client.raise_event("job", "go", 0))]
        await held.arrived.wait()
        sending += [asyncio.ensure_future(client.raise_event("job", "go", n)) for n in (1, 2)]
        sending.append(asyncio.ensure_future(client.resume("job")))
        await asyncio.sleep(0.01)
        assert not any(one.done() for one in sending)
        held.let_go()
        await asyncio.gather(*sending)
    await one.check_held("job", HoldReason.DECISIONS)
    assert events_of(await one.inbox("job")) == ["0", "1", "2"]
    await one.deploy(job_app())
    assert await client.handle("job").result() == [5, 0, 1, 2, 50]


async def test_a_good_host_starts_while_messages_arrive(open_store: Open) -> None:
    one = await held_job(open_store)
    one.test.app = job_app()
    await one.test.restart()
    for number in (1, 2):
        await one.test.client.raise_event("job", "go", number)
    assert await one.test.client.handle("job").result() == [5, 0, 1, 2, 50]


# --- what has not begun --------------------------------------------------------------------------


@pytest.mark.parametrize("is_due", [False, True])
@pytest.mark.parametrize("way", ["held", "paused", "both"])
async def test_a_scheduled_start_waits_for_its_time_and_for_the_hold(
    open_store: Open, way: str, is_due: bool
) -> None:
    one = await open_store(job_app())
    client = one.test.client
    moment = one.test.clock.current_time + HOUR
    await client.start("job", 4, instance_id="job", start_at=moment)
    if way != "held":
        await client.suspend("job")
    if way != "paused":
        await one.deploy(App())
    await client.raise_event("job", "go", 0)
    if way == "held":
        await one.check_held("job", HoldReason.NOT_SERVED)
    await one.test.restart()
    if is_due:
        await one.test.advance(3 * HOUR)
    row = await one.row("job")
    assert (row.status, row.wake_at) == (PENDING if way == "held" else SUSPENDED, None)
    await one.deploy(job_app())
    if way != "held":
        await client.resume("job")
    if not is_due:
        assert (await one.row("job")).status is PENDING
        assert (await one.row("job")).hold is None
        await one.test.advance(timedelta(minutes=59))
        assert (await one.row("job")).status is PENDING
        await one.test.advance(timedelta(minutes=2))
    for number in (1, 2):
        await client.raise_event("job", "go", number)
    assert (await one.row("job")).status is RUNNING
    assert await client.handle("job").result() == [5, 0, 1, 2, 50]


@pytest.mark.parametrize("error", [RuntimeError("broken machinery"), MemoryError()])
async def test_a_first_turn_that_cannot_be_taken(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    one = await open_store(job_app())
    client = one.test.client

    def broken(*_arguments: object) -> Session:
        raise error

    reason = HoldReason.MEMORY if isinstance(error, MemoryError) else HoldReason.POISON
    with monkeypatch.context() as patch:
        patch.setattr(NativeRunner, "open_session", broken)
        await client.start("job", 4, instance_id="job")
        await one.check_held("job", reason)
        assert (await one.row("job")).status is PENDING
        await client.raise_event("job", "go", 0)
        await one.crash()
        await one.check_held("job", reason)
    await client.resume("job")
    for number in (1, 2):
        await client.raise_event("job", "go", number)
    assert await client.handle("job").result() == [5, 0, 1, 2, 50]


async def test_neighbours_of_what_is_held_go_on(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await open_store(job_app())
    client = one.test.client
    for name in ("job", "other"):
        await client.start("job", 4, instance_id=name)
    await one.test.idle()
    whole = NativeRunner.replay_session

    def broken(runner: NativeRunner, info: Any, turns: Any) -> Any:  # noqa: ANN401 - as it is
        if info.instance_id == "job":
            raise RuntimeError("broken machinery")
        return whole(runner, info, turns)

    monkeypatch.setattr(NativeRunner, "replay_session", broken)
    await one.test.restart()
    for number in range(3):
        for name in ("job", "other"):
            await client.raise_event(name, "go", number)
    assert await client.handle("other").result() == [5, 0, 1, 2, 50]
    await one.check_held("job", HoldReason.POISON)


# --- limits in bytes -----------------------------------------------------------------------------


async def test_who_decides_too_many_bytes_fails_and_its_neighbours_go_on() -> None:
    app = job_app()
    decided: list[int] = []

    @app.activity
    def big(text: str) -> str:
        return text

    @app.orchestrator
    async def greedy(ctx: Context) -> None:
        calls = []
        for number in range(1_000):
            calls.append(ctx.call_activity(big, "x" * 10_000))
            decided.append(number)
        await asyncio.gather(*calls)

    @app.orchestrator
    async def long_story(ctx: Context) -> None:
        while True:
            await ctx.call_activity(big, "x" * 10_000)

    limits = Limits(turn_bytes=100_000, history_bytes=300_000)
    async with deployments(app, limits=limits) as one:
        await begun_job(one)
        with pytest.raises(OrchestrationFailedError, match=r"limits\.turn_bytes"):
            await one.test.run("greedy")
        assert len(decided) < 12  # it is stopped where it crosses the limit, not after the turn
        with pytest.raises(OrchestrationFailedError, match=r"limits\.history_bytes"):
            await one.test.run("long_story")
        # What comes in is cut, and never the fault of who gets it.
        for number in range(3):
            await one.test.client.raise_event("job", "go", number)
        assert await one.test.client.handle("job").result() == [5, 0, 1, 2, 50]


# --- relatives -----------------------------------------------------------------------------------


def family_app(*, child_waits: int = 1, kind: type = int, parent_calls: str = "child") -> App:
    app = App()

    @App().orchestrator(name="child")
    async def as_the_parent_knows_it(ctx: Context) -> kind: ...  # type: ignore[valid-type]  # it differs from version to version

    @app.orchestrator
    async def child(ctx: Context) -> int:
        for _ in range(child_waits):
            await ctx.wait_for_external_event("go", int)
        return 7

    @app.orchestrator
    async def other(ctx: Context) -> int:
        return 8

    @app.orchestrator
    async def parent(ctx: Context) -> object:
        if parent_calls != "child":
            return await ctx.call_sub_orchestrator(parent_calls, instance_id="child")
        known = as_the_parent_knows_it.options(instance_id="child")
        return await ctx.call_sub_orchestrator(known)

    return app


def other_child_app() -> App:
    app = App()

    @app.orchestrator
    async def child(ctx: Context) -> int:
        await ctx.create_timer(HOUR)
        return 7

    @app.orchestrator
    async def parent(ctx: Context) -> object:
        return await ctx.call_sub_orchestrator("child", instance_id="child")

    return app


async def test_a_child_is_held_while_its_parent_waits(open_store: Open) -> None:
    one = await open_store(family_app())
    await one.test.start("parent", instance_id="parent")
    await one.test.idle()
    await one.deploy(other_child_app())
    await one.test.client.raise_event("child", "go", 1)
    await one.check_held("child", HoldReason.DECISIONS)
    assert await one.hold("parent") is None
    assert (await one.row("parent")).status is RUNNING
    await one.deploy(family_app())
    assert await one.test.client.handle("parent").result() == 7


@pytest.mark.parametrize("reason", [HoldReason.DECISIONS, HoldReason.PAYLOAD])
async def test_a_parent_is_held_while_its_child_ends(open_store: Open, reason: HoldReason) -> None:
    one = await open_store(family_app())
    await one.test.start("parent", instance_id="parent")
    await one.test.idle()
    if reason is HoldReason.DECISIONS:
        await one.deploy(family_app(parent_calls="other"))
    else:
        await one.deploy(family_app(kind=dict))
    await one.test.client.raise_event("child", "go", 1)
    await one.test.idle()
    assert (await one.row("child")).status is RuntimeStatus.COMPLETED
    await one.check_held("parent", reason)
    assert [type(message) for message in await one.inbox("parent")] == [ChildResult]
    await one.deploy(family_app())
    assert await one.test.client.handle("parent").result() == 7


async def test_terminate_of_the_parent_reaches_a_held_child(open_store: Open) -> None:
    one = await open_store(family_app())
    await one.test.start("parent", instance_id="parent")
    await one.test.idle()
    await one.deploy(other_child_app())
    await one.test.client.raise_event("child", "go", 1)
    await one.check_held("child", HoldReason.DECISIONS)
    await one.test.client.terminate("parent", recurse=True)
    await one.test.idle()
    assert (await one.row("child")).status is RuntimeStatus.TERMINATED


# --- generations ---------------------------------------------------------------------------------


def loop_app() -> App:
    app = App()

    @app.orchestrator
    async def loop(ctx: Context, number: int) -> list[Any]:
        await ctx.wait_for_external_event("begin")
        ctx.continue_as_new(number + 1)
        return []

    return app


def next_loop_app(kind: type) -> App:
    app = App()

    @app.orchestrator
    async def loop(ctx: Context, number: kind) -> list[Any]:  # type: ignore[valid-type]
        return [number, *[await ctx.wait_for_external_event("go", int) for _ in range(3)]]

    return app


async def test_continue_as_new_into_code_that_does_not_fit(open_store: Open) -> None:
    """What a generation has brought along is there still when the code fits."""
    one = await open_store(loop_app())
    client = one.test.client
    await one.test.start("loop", 1, instance_id="loop")
    await one.test.idle()
    await asyncio.gather(*(client.raise_event("loop", "go", number) for number in range(2)))
    one.test.app = next_loop_app(dict)
    # Paused in the very turn that ends the generation: the next one has begun nothing.
    await asyncio.gather(client.raise_event("loop", "begin"), client.suspend("loop"))
    await one.crash()
    assert (await one.row("loop")).status is SUSPENDED
    await client.resume("loop")
    hold = await one.check_held("loop", HoldReason.PAYLOAD)
    row = await one.row("loop")
    assert (row.generation, row.input) == (1, "2")
    await client.raise_event("loop", "go", 2)
    await one.test.restart()
    assert untried(await one.check_held("loop", HoldReason.PAYLOAD)) == hold
    await client.resume("loop")
    assert untried(await one.check_held("loop", HoldReason.PAYLOAD)) == hold
    await client.suspend("loop")
    await one.crash()
    await client.resume("loop")
    assert untried(await one.check_held("loop", HoldReason.PAYLOAD)) == hold
    await one.deploy(next_loop_app(int))
    assert await client.handle("loop").result() == [2, 0, 1, 2]
    assert await client.dead_letters() == []


# --- webhooks ------------------------------------------------------------------------------------


def hook_app(begin: str = "paid") -> App:
    app = App()

    @app.orchestrator
    async def hook(ctx: Context) -> object:
        ctx.set_custom_status(await ctx.create_webhook(begin, expires_in=HOUR))
        return await ctx.wait_for_external_event(begin)

    return app


async def test_a_webhook_of_a_held_instance_is_used_once(open_store: Open) -> None:
    one = await open_store(hook_app())
    one.test.host.webhook_base = "https://flows.example.org/"
    await one.test.start("hook", instance_id="hook")
    await one.test.idle()
    url = (await one.test.client.handle("hook").status()).custom_status
    digest = digest_of(str(url).partition("?")[0].rsplit("/", 1)[1])
    await one.deploy(hook_app("sent"))

    async def use(text: str) -> None:
        gateway = one.test.host.client.gateway
        assert isinstance(gateway, EngineGateway)
        await gateway.tell(
            InstanceId("hook"), RedeemWebhook(digest=digest, requested_at=gateway.now(), input=text)
        )

    await use('"first"')
    await one.check_held("hook", HoldReason.DECISIONS)
    for _ in range(2):
        with pytest.raises(WebhookClosedError):
            await use('"second"')
        await one.test.restart()
    await one.check_held("hook", HoldReason.DECISIONS)
    await one.deploy(hook_app())
    assert await one.test.client.handle("hook").result() == "first"


# --- tests of users ------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [one for one in BAD if one is not HoldReason.NOT_SERVED])
async def test_in_a_test_host_it_fails_at_once(
    monkeypatch: pytest.MonkeyPatch, reason: HoldReason
) -> None:
    async with TestHost(job_app()) as test:
        await test.start("job", 4, instance_id="job")
        await test.idle()
        with monkeypatch.context() as patch:
            test.app = BAD[reason](patch)
            await test.restart()
            await test.client.raise_event("job", "go", 0)
            with pytest.raises(OrchestrationFailedError):
                await test.client.handle("job").result()


async def test_in_a_test_host_a_missing_activity_fails_its_call() -> None:
    async with TestHost(fan_app("left")) as test:
        with pytest.raises(OrchestrationFailedError, match="right"):
            await test.run("fan")
