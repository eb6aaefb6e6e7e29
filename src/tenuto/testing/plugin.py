"""A pytest plugin: write ``pytest_plugins = ["tenuto.testing.plugin"]`` in ``conftest.py``.

Not registered by itself: pytest would import Tenuto at every start, in every project beside it.
Needs pytest-asyncio, whose fixtures live in the loop of the test.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Protocol

import pytest_asyncio

from tenuto.engine.ports import Observer, Storage
from tenuto.functions.registry import FunctionRegistry
from tenuto.host.settings import Settings
from tenuto.testing.clock import START
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
