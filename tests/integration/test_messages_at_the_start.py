"""``no_silent_drop``: what another process hands to the store while a host starts is taken in."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import pytest

from tenuto import App, Client, Context, Host
from tenuto.storage.sqlite import SqliteStorage
from tests.support.held import holding

app = App()


@app.orchestrator
async def waits(ctx: Context) -> str:
    return await ctx.wait_for_external_event("go", str)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["acquire", "load_partition", "due"])
async def test_an_event_that_comes_while_a_host_starts_is_taken_in(
    tmp_path: Path, method: str, when: Literal["before", "after"]
) -> None:
    path = str(tmp_path / "store.db")
    async with Host(app, f"sqlite:///{path}") as host:
        await host.client.start(waits, instance_id="w")
    storage = SqliteStorage(path)
    async with AsyncExitStack() as stack:
        held = await stack.enter_async_context(holding(storage, method, when, only_first=True))
        host = Host(app, storage)
        starting = asyncio.create_task(host.start())
        await held.arrived.wait()
        async with Client.open(f"sqlite:///{path}") as outside:
            await outside.raise_event("w", "go", "heard")
            await outside.start("waits", instance_id="new")
            held.let_go()
            await starting
            try:
                async with asyncio.timeout(30):
                    assert await host.client.handle("w").result() == "heard"
                    await host.client.raise_event("new", "go", "too")
                    assert await host.client.handle("new").result() == "too"
            finally:
                await host.stop()
