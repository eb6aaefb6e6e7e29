"""Fakes for the world around activities: a clock that tests move, and a place for outcomes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import pytest

from tenuto.engine.ports import ActivityWork
from tenuto.functions.activities import ActivityExecutor
from tenuto.functions.registry import FunctionRegistry
from tenuto.model.events import TaskCompleted
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.payload import decoder


class FakeTimer:
    def __init__(self, when: int, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = 1_000_000
        self.timers: list[FakeTimer] = []

    def now(self) -> int:
        return self.time

    def monotonic(self) -> int:
        return self.time

    def call_at(self, when: int, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(when, callback)
        self.timers.append(timer)
        return timer

    def call_later(self, delay: int, callback: Callable[[], None]) -> FakeTimer:
        return self.call_at(self.time + delay, callback)

    @property
    def pending(self) -> list[FakeTimer]:
        return [timer for timer in self.timers if not timer.is_cancelled]

    def advance(self, microseconds: int) -> None:
        target = self.time + microseconds
        while due := sorted(
            (one for one in self.pending if one.when <= target), key=lambda one: one.when
        ):
            self.timers.remove(due[0])
            self.time = max(self.time, due[0].when)
            due[0].callback()
        self.time = target


class Outcomes:
    """Collects what an executor delivers; one list per delivery in ``bursts``."""

    def __init__(self) -> None:
        self.bursts: list[list[ActivityWork]] = []

    def __call__(self, outcomes: list[ActivityWork]) -> None:
        self.bursts.append(outcomes)

    @property
    def all(self) -> list[ActivityWork]:
        return [one for burst in self.bursts for one in burst]

    async def wait(self, count: int) -> list[ActivityWork]:
        await until(lambda: len(self.all) >= count)
        assert len(self.all) == count
        return self.all

    def results(self) -> dict[int, Any]:
        return {one.task_id: outcome_value(one) for one in self.all}


def outcome_value(outcome: ActivityWork) -> object:
    """The decoded result, or the failure."""
    event = outcome.answer
    assert event is not None
    if isinstance(event, TaskCompleted):
        return decoder()(event.result or "null")
    return event.failure_details


def failure(outcome: ActivityWork) -> FailureDetails:
    found = outcome_value(outcome)
    assert isinstance(found, FailureDetails)
    return found


async def until(condition: Callable[[], object]) -> None:
    """Wait in real time; the test's own timeout ends a wait that is in vain."""
    while not condition():  # noqa: ASYNC110 - threads cannot set an asyncio.Event
        await asyncio.sleep(0.001)


def work(
    name: str,
    input: str | None = None,  # noqa: A002 - the field's name
    *,
    task_id: int = 1,
    attempt: int = 1,
    timeout: int | None = None,
    start_by: int | None = None,
) -> ActivityWork:
    return ActivityWork(
        partition=0,
        iid=1,
        instance_id=InstanceId("trip-1"),
        execution_id=ExecutionId("exec"),
        sequence=task_id,
        task_id=task_id,
        name=name,
        input=input,
        attempt=attempt,
        call_id=7,
        timeout=timeout,
        start_by=start_by,
    )


class MakeExecutor(Protocol):
    def __call__(
        self,
        *,
        payload_bytes: int = 1_000_000,
        max_threads: int | None = 8,
        max_async: int = 1_000,
    ) -> ActivityExecutor: ...


@pytest.fixture
def app() -> FunctionRegistry:
    return FunctionRegistry()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.fixture
async def make_executor(
    app: FunctionRegistry, clock: FakeClock, outcomes: Outcomes
) -> AsyncIterator[MakeExecutor]:
    made: list[ActivityExecutor] = []

    def make(
        *,
        payload_bytes: int = 1_000_000,
        max_threads: int | None = 8,
        max_async: int = 1_000,
    ) -> ActivityExecutor:
        executor = ActivityExecutor(
            app, clock, payload_bytes=payload_bytes, max_threads=max_threads, max_async=max_async
        )
        executor.bind(outcomes)
        made.append(executor)
        return executor

    yield make
    for executor in made:
        await executor.stop()


@pytest.fixture
def executor(make_executor: MakeExecutor) -> ActivityExecutor:
    return make_executor()
