"""The box of the example, linked over a line that cuts at random and is dead for days."""

import asyncio
from datetime import timedelta

from examples.device_life_cycle.over_a_link import Box, Life, box, fleet, live
from tenuto import Client, Settings
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.linked import QUICK
from tests.support.rough_line import rough_line
from tests.support.waiting import until_given

PATIENCE_SECONDS = 20
BOX = Box("box", offered="2.0")


async def asked(client: Client) -> bool:
    """Whether the hub has been asked for the update."""
    return await client.get_status("2.0-approval") is not None


async def is_kept(client: Client) -> bool:
    return await client.get_status("box-readings") is not None


async def test_a_box_lives_over_a_link_that_is_cut_at_random(open_host: OpenHost) -> None:
    served = Settings(storage="sqlite://", http=HttpSettings(port=0), links=QUICK)
    test: TestHost = await open_host(box, settings=Settings(links=QUICK))
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        Server(fleet, settings=served) as server,
        rough_line(server.url) as line,
    ):
        line.cut_at_random(seed=1, most_bytes=6_000)
        there = server.host.client
        key = await server.host.links.let_in("box")
        await test.host.links.dial(line.url, called="box", key=key)
        line.go_down()
        life = await test.start(live, BOX, instance_id="life")
        await test.advance(timedelta(days=3))  # not even provisioned
        line.is_down = False
        await until_given(lambda: asked(there))  # so the answer to the first call has come, too
        assert await is_kept(there)
        await test.advance(timedelta(hours=12, minutes=30))
        await there.raise_event("2.0-approval", "decided", data=True)
        assert await test.client.handle("update").result() == "installed 2.0"

        line.go_down()
        await test.advance(timedelta(days=2))
        line.is_down = False
        await there.start("decommission", "box")
        # The time of the box goes on while it waits for the word of the hub, which is real.
        lived = await life.result()
        assert lived == Life(lived.readings, version="1.0")
        assert lived.readings > 60
        kept = await there.wait("box-readings")
        assert kept.output == {"numbers": list(range(lived.readings))}
        assert line.cuts
        assert await there.dead_letters() == []
