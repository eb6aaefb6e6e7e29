"""Hosts for integration tests: the real engine and store, virtual time, two ways of running.

Each test runs twice: with live sessions, and with every session forgotten after each commit, so
that each turn replays all turns before it. At the end of a test all histories in the store must
obey the invariants and replay to the same decisions.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Protocol

import pytest

from tenuto import App, Settings
from tenuto.engine.ports import Observer, Storage
from tenuto.model.codec import decode_turn
from tenuto.model.requests import InstanceQuery
from tenuto.testing import TestHost
from tenuto.testing.clock import START
from tests.support.histories import check_invariants
from tests.support.replaying_observer import ForgetfulObserver


class OpenHost(Protocol):
    async def __call__(
        self,
        app: App,
        *,
        start: datetime = START,
        settings: Settings | None = None,
        observer: Observer | None = None,
        storage: str | Storage = "sqlite://",
    ) -> TestHost: ...


@pytest.fixture(params=["hot", "replayed"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def unreplayable() -> set[str]:
    """Ids of instances that a test makes on purpose so that they cannot be replayed."""
    return set()


@pytest.fixture
async def open_host(mode: str, unreplayable: set[str]) -> AsyncIterator[OpenHost]:
    opened: list[TestHost] = []
    async with AsyncExitStack() as stack:

        async def open_one(
            app: App,
            *,
            start: datetime = START,
            settings: Settings | None = None,
            observer: Observer | None = None,
            storage: str | Storage = "sqlite://",
        ) -> TestHost:
            if observer is None and mode == "replayed":
                observer = ForgetfulObserver()
            test = TestHost(app, start=start, settings=settings, observer=observer, storage=storage)
            if isinstance(observer, ForgetfulObserver):
                observer.engine = lambda: test.host.engine
            opened.append(test)
            return await stack.enter_async_context(test)

        yield open_one
        for test in opened:
            await _check_all(test, unreplayable)


async def _check_all(test: TestHost, unreplayable: set[str]) -> None:
    await test.idle(with_activities=False)
    storage = test.host.engine.storage
    page = await storage.query(InstanceQuery(limit=10_000))
    for record in page.records:
        turns = [decode_turn(turn) for turn in await storage.history(record.instance_id)]
        if turns:
            check_invariants([event for turn in turns for event in turn])
        if record.instance_id not in unreplayable:
            await test.check_replay(record.instance_id)
    assert test.problems == []


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def test(app: App, open_host: OpenHost) -> TestHost:
    """A running host; functions may be registered while it runs."""
    return await open_host(app)
