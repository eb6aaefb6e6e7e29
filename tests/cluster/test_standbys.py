"""Failover of a living hub: its server is killed, and a synchronous standby takes its place.

``durable_before_visible``: what was acknowledged is on the standby. Hosts go on by themselves.
"""

import asyncio
import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.living_hub import LEASE_SECONDS, LivingHub
from tests.cluster.rounds import FEW, MANY, living_hub, often, rounds
from tests.support.postgres import fresh_schema, running_postgres, running_standby
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

# The driver leaves those that break while they are made.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed connection:ResourceWarning")

_SAFE: Final = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Failovers:
    """Each standby is made of the one that was promoted before it."""

    def __init__(self, servers: ExitStack, proxy: TcpProxy) -> None:
        self._servers = servers
        self._proxy = proxy
        self._count = 0

    async def promote(self, hub: LivingHub, chance: random.Random) -> None:
        """The primary is killed at a random moment, and hosts are led to the other."""
        old = hub.server
        self._count += 1
        name = f"standby_{self._count}"
        follower = running_standby(old, name)
        standby = await asyncio.to_thread(self._servers.enter_context, follower)
        await asyncio.to_thread(old.synchronize_with, name)
        before = await hub.beats()
        await hub.until_all_beat(before)
        await asyncio.sleep(chance.uniform(0, 0.5))  # the random moment is the test
        before = await hub.beats()
        began = time.monotonic()
        await asyncio.to_thread(old.stop_at_once)
        await asyncio.sleep(chance.choice([0, 0, LEASE_SECONDS]))
        standby.psql("ALTER SYSTEM RESET synchronous_standby_names")
        await asyncio.to_thread(standby.promote)
        hub.server = standby
        self._proxy.lead_to(standby.port)
        hub.hit(0, began)
        hub.note("failover", await hub.until_all_beat(before))
        await hub.until_shared()


async def fail_over(folder: Path, many: int) -> None:
    with ExitStack() as servers:
        primary = servers.enter_context(running_postgres("16", None, **_SAFE))
        async with tcp_proxy(primary.port) as proxy:
            url = primary.tcp_url(fresh_schema(), proxy.port)
            async with living_hub(primary, folder, url) as hub:
                await hub.start()
                await rounds(hub, [Failovers(servers, proxy).promote], many)


async def test_a_few_failovers_lose_double_and_stick_nothing(tmp_path: Path) -> None:
    await fail_over(tmp_path, FEW)


@often
async def test_many_failovers_lose_double_and_stick_nothing(tmp_path: Path) -> None:
    await fail_over(tmp_path, MANY)
