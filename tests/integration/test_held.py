"""Held, not failed: ``a_deploy_loses_nothing`` (ENGINE rules 29 and 36).

Whatever is wrong with the code of a deployment, its instances keep all that they were sent, and go
on with the code that fits: when a host with it starts, or when somebody resumes them.
"""

import asyncio
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
    NonDeterminismError,
    OrchestrationFailedError,
    RetryPolicy,
    RuntimeStatus,
    Settings,
    WebhookClosedError,
)
from tenuto.client.gateway import IdReuse
from tenuto.engine.ports import Observer
from tenuto.functions.runner import NativeRunner
from tenuto.model.codec import decode_turn
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.messages import ChildResult, Fail, Message, RaiseEvent, Resume
from tenuto.model.webhook import digest_of
from tenuto.orchestration.session import Session
from tenuto.testing import CRASH_POINTS, CrashAt, TestHost
from tests.support.deployments import Deployments, deployments
from tests.support.held import holding
from tests.support.histories import check_invariants

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
        turns = await one.storage.history(status.instance_id)
        check_invariants([event for turn in turns for event in decode_turn(turn)])


# --- one program, and the ways in which a deployment may not fit it ------------------------------


def job_app(begin: str = "one", kind: Any = int, extra: Callable[[], object] | None = None) -> App:
    """An orchestrator that calls an activity, waits for three events and a timer, calls another."""
    app = App()

    @app.activity
    def one(number: int) -> kind:
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
    HoldReason.GUARD: lambda _: job_app(extra=lambda: time.time()),
    HoldReason.PAYLOAD: lambda _: job_app(kind=dict[str, int]),
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
    history = await one.storage.history("job")
    with monkeypatch.context() as patch:
        await one.deploy(BAD[reason](patch))
        await one.test.client.raise_event("job", "go", 0)
        hold = await one.check_held("job", reason)
        assert TOLD[reason] in hold.message
        assert (hold.recorded is not None) == (reason is HoldReason.DECISIONS)
        if hold.produced is not None:
            assert hold.recorded == "TaskScheduled #1 'one'"
            assert hold.produced.startswith("TaskScheduled #1 'two' at ")
        assert hold.since == one.test.clock.now()

        # Nothing runs, whatever comes and whatever time it is; all is kept, in order.
        await one.test.advance(2 * HOUR)
        await one.test.client.raise_event("job", "go", 1)
        assert await one.check_held("job", reason) == hold
        # The next hosts do not fit either.
        await one.test.restart()
        assert await one.check_held("job", reason) == hold
        await one.crash()
        assert await one.check_held("job", reason) == hold
        await one.test.client.resume("job")
        assert await one.check_held("job", reason) == hold
        await one.test.client.raise_event("job", "go", 2)
        assert await one.check_held("job", reason) == hold
        assert events_of(await one.inbox("job")) == ["0", "1", "2"]
        row = await one.row("job")
        assert row.status is RUNNING
        assert await one.storage.history("job") == history

    await one.deploy(job_app())
    if reason.is_harmful:
        assert await one.check_held("job", reason) == hold
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
        repaired.bind(engine._outcomes)
        engine.runner, old = repaired, engine.runner
        await old.stop()
    await one.test.client.resume("job")
    assert await one.test.client.handle("job").result() == [5, 0, 1, 2, 50]


async def test_an_input_that_does_not_fit_holds_what_has_begun_and_what_has_not(
    open_store: Open,
) -> None:
    one = await open_store(job_app())
    await begun_job(one)
    await one.test.client.start("job", 1, instance_id="later", start_at=one.test.clock.current_time + HOUR)
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
