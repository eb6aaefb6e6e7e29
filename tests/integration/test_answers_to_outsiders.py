"""Clients outside the host get the owner's answer to their own request, whatever races."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tenuto import App, Client, Context, Host, RuntimeStatus, Settings
from tenuto.model.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    InstanceStateError,
)
from tenuto.model.requests import IdReuse
from tests.support.waiting import until

app = App()


@app.orchestrator
async def nightly(ctx: Context) -> None:
    await ctx.wait_for_external_event("never")


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    settings = Settings(storage=f"sqlite:///{tmp_path}/hub.db", drain_seconds=1)
    async with Host(app, settings=settings) as host:
        yield host


@pytest.fixture
async def outside(host: Host, tmp_path: Path) -> AsyncIterator[Client]:
    async with Client.open(f"sqlite:///{tmp_path}/hub.db", app) as client:
        yield client


async def test_a_purge_is_answered_although_the_id_is_started_anew_at_once(
    host: Host, outside: Client
) -> None:
    await host.client.start(nightly, instance_id="nightly")

    async def supervisor() -> None:
        while True:
            try:
                await host.client.start(nightly, instance_id="nightly")
            except InstanceExistsError:
                await asyncio.sleep(0.001)
            else:
                return

    other = asyncio.create_task(supervisor())
    began = time.monotonic()
    assert await outside.purge("nightly", force=True)
    assert time.monotonic() - began < 10
    await other


async def test_every_request_about_an_id_is_answered(host: Host, outside: Client) -> None:
    """A load of starts with reuse and purges on one id, in process and from outside."""

    async def load(client: Client, seed: int) -> int:
        answered = 0
        for number in range(12):
            with suppress(InstanceExistsError, InstanceNotFoundError):
                if (number + seed) % 3:
                    await client.start(nightly, instance_id="few", reuse=IdReuse.ALWAYS)
                else:
                    await client.purge("few", force=True)
            answered += 1
        return answered

    async with asyncio.timeout(25):
        counts = await asyncio.gather(
            load(outside, 0), load(outside, 1), load(outside, 2), load(host.client, 0)
        )
    assert [*counts] == [12] * 4


async def test_requests_to_pause_and_go_on_are_taken_while_the_earlier_ones_wait(
    tmp_path: Path,
) -> None:
    """No host runs: the row says Running all the time."""
    url = f"sqlite:///{tmp_path}/hub.db"
    async with Host(app, url) as host:
        await host.client.start(nightly, instance_id="nightly")
    async with Client.open(url, app) as outside:
        with pytest.raises(InstanceStateError, match="cannot resume"):
            await outside.resume("nightly")
        await outside.suspend("nightly")
        await outside.resume("nightly")
        await outside.suspend("nightly")
        await outside.resume("nightly")
    async with Host(app, url) as host:
        await until(lambda: host.engine.is_idle)
        status = await host.client.handle("nightly").status()
        assert status.runtime_status is RuntimeStatus.RUNNING
