"""A pytest plugin: write ``pytest_plugins = ["tenuto.testing.plugin"]`` in ``conftest.py``.

Not registered by itself: pytest would import Tenuto at every start, in every project beside it.
Needs pytest-asyncio, whose fixtures live in the loop of the test.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from tenuto.engine.ports import Observer, Storage
from tenuto.functions.registry import FunctionRegistry
from tenuto.host.programs import Hosted
from tenuto.host.settings import Settings
from tenuto.testing.clock import START
from tenuto.testing.histories import check_histories
from tenuto.testing.host import MEMORY, TestHost


class MakeTestHost(Protocol):
    """What the fixture ``tenuto_host`` gives: opens a test host, which the fixture closes."""

    async def __call__(
        self,
        app: FunctionRegistry,
        *,
        start: datetime = START,
        settings: Settings | None = None,
        observer: Observer | None = None,
        storage: str | Storage = MEMORY,
    ) -> TestHost:
        """Open a test host; the arguments are those of ``TestHost``."""


@pytest_asyncio.fixture
async def tenuto_host() -> AsyncIterator[MakeTestHost]:
    """Opens test hosts and closes them when the test is over."""
    async with AsyncExitStack() as opened:

        async def open_host(
            app: FunctionRegistry,
            *,
            start: datetime = START,
            settings: Settings | None = None,
            observer: Observer | None = None,
            storage: str | Storage = MEMORY,
        ) -> TestHost:
            host = TestHost(app, start=start, settings=settings, observer=observer, storage=storage)
            return await opened.enter_async_context(host)

        yield open_host


class CheckHistories(Protocol):
    """What the fixture ``tenuto_histories`` gives: checks that code fits recorded histories."""

    def __call__(
        self, app: Hosted, histories: str | Path, *, settings: Settings | None = None
    ) -> int:
        """Replay them; the arguments are those of ``tenuto.testing.check_histories``. A relative
        path begins in the folder of the test's file.
        """


@pytest.fixture
def tenuto_histories(request: pytest.FixtureRequest) -> CheckHistories:
    """Checks that code fits histories that ``tenuto instances export`` wrote."""

    def check(app: Hosted, histories: str | Path, *, settings: Settings | None = None) -> int:
        return check_histories(app, request.path.parent / histories, settings=settings)

    return check
