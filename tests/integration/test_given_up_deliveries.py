"""A host that stops gives up what runs: whatever that raises then costs no attempt.

Drivers of databases and clients of HTTP make another error of a cancellation.
"""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tenuto import App, ArrivedFile, Event, RetryPolicy, Settings
from tenuto.testing import TestHost
from tests.support.waiting import until

ONCE = RetryPolicy(max_attempts=1)
HASTY = Settings(drain_seconds=0.1)


class Driver:
    """Code that makes an error of its own of a cancellation."""

    def __init__(self) -> None:
        self.begun = 0
        self.is_slow = True

    async def work(self) -> None:
        self.begun += 1
        if self.is_slow:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ConnectionError("closed in the middle of an operation") from None


@pytest.mark.parametrize("kind", ["queue", "topic", "files"])
async def test_an_error_made_of_a_cancellation_puts_nothing_aside(
    kind: str, tmp_path: Path
) -> None:
    """Promise no_silent_drop."""
    app, driver = App(), Driver()
    inbox = tmp_path / "inbox"
    inbox.mkdir()

    @app.queue("numbers", retry=ONCE)
    async def take(number: int) -> None:
        await driver.work()

    @app.subscribe("readings", retry=ONCE)
    async def note(event: Event) -> None:
        await driver.work()

    @app.files(inbox, retry=ONCE, settled=timedelta(0))
    async def read(file: ArrivedFile) -> None:
        await driver.work()

    async with TestHost(app, settings=HASTY) as host:
        await host.idle()
        if kind == "queue":
            await host.client.enqueue("numbers", 1)
        elif kind == "topic":
            await host.client.publish("readings", 1)
        else:
            (inbox / "car.txt").write_text("LAX427")
        passing = asyncio.create_task(host.advance(timedelta(seconds=2)))
        await until(lambda: driver.begun == 1)
        passing.cancel()
        driver.is_slow = False
        await host.restart()
        await host.advance(timedelta(seconds=2))
        assert driver.begun == 2
        assert await host.client.gateway.failed_deliveries() == []


async def test_a_timer_that_is_given_up_so_is_run_again_for_the_same_moment() -> None:
    app, driver = App(), Driver()

    @app.timer("0 0 * * * *")
    async def hourly() -> None:
        await driver.work()

    async with TestHost(app, settings=HASTY) as host:
        passing = asyncio.create_task(host.advance(timedelta(hours=1)))
        await until(lambda: driver.begun == 1)
        passing.cancel()
        driver.is_slow = False
        await host.restart()
        await host.idle()
        assert driver.begun == 2
