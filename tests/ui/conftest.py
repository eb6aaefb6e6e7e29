"""A browser for all tests of the page, a visit for each: it fails a test for what no page may do.

One event loop serves all of them, so that browser and hosts can be shared. A module has its own
``hub``, the server that is looked at.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.support.browser import chromium
from tests.support.dashboard import Look, Visit, visiting
from tests.support.http_server import Serving
from tests.support.leftovers import SERVERS, descendants


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=20_000)
    before = {one.pid for one in descendants()}
    async with chromium() as opened:
        # What is below it comes and goes: a process for each page.
        own = {one.pid for one in descendants() if one.parent == os.getpid()} - before
        SERVERS.update(own)
        yield opened
    SERVERS.difference_update(own)


@pytest_asyncio.fixture(loop_scope="session")
async def look(browser: Browser) -> AsyncIterator[Look]:
    """Opens visits; what any of them did that it must not fails the test."""
    async with AsyncExitStack() as stack:

        async def one(base: str, **options: Any) -> Visit:
            return await stack.enter_async_context(visiting(browser, base, **options))

        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def visit(hub: Serving, look: Look) -> Visit:
    """Somebody at a desk."""
    return await look(hub.url)
