"""A device and a hub, linked: starts, events and results go both ways."""

import pytest

from tenuto import App, Context
from tests.support.linked import linked

hub = App()
device = App()


@hub.orchestrator
async def collect(ctx: Context, count: int) -> list[str]:
    return [await ctx.wait_for_external_event("reading", str) for _ in range(count)]


async def test_an_event_of_a_device_reaches_an_instance_of_the_hub() -> None:
    async with linked(hub, device) as both:
        handle = await both.there.start(collect, 2, instance_id="x")
        await both.here.raise_event("hub/x", "reading", "first")
        await both.here.raise_event("hub/x", "reading", "second")
        assert await handle.result() == ["first", "second"]
