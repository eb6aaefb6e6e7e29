"""Harm to the database of a living hub: it is restarted, stopped, has no connection left.

``durable_before_visible``, ``exactly_once_turns``: hosts wait and go on by themselves.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from tenuto.storage.postgres.address import address_of
from tests.cluster.living_hub import LEASE_SECONDS, LivingHub
from tests.cluster.rounds import FEW, MANY, Fault, living_hub, often, rounds
from tests.support.postgres import running_postgres

CONNECTIONS = 40
_DISK_BYTES: Final = 512 * 1024 * 1024

# The driver leaves those that break while they are made.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed connection:ResourceWarning")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[LivingHub]:
    """On a server of its own, which keeps what it has said to be durable when it is killed."""
    with running_postgres(synchronous_commit="on", max_connections=str(CONNECTIONS)) as server:
        async with living_hub(server, tmp_path) as one:
            yield one


async def restart(hub: LivingHub, chance: random.Random) -> None:
    """As ``pg_ctl restart --mode immediate``: nothing is finished or written."""
    await asyncio.sleep(chance.uniform(0, 0.5))  # the random moment is the test
    began = time.monotonic()
    await asyncio.to_thread(hub.server.stop_at_once)
    await asyncio.sleep(chance.choice([0, 0, LEASE_SECONDS]))
    await asyncio.to_thread(hub.server.start)
    hub.hit(0, began)


async def stop_backend(hub: LivingHub, chance: random.Random) -> None:
    """SIGSTOP of the process that serves the commits of one host, for longer than the lease.

    What it has locked nobody can take over until it goes on.
    """
    found = await hub.ask(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'tenuto commits' ORDER BY pid"
    )
    pid = chance.choice(found)["pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(LEASE_SECONDS * chance.uniform(0.5, 2))
    os.kill(pid, signal.SIGCONT)
    hub.hit(0, began)


async def end_backends(hub: LivingHub, chance: random.Random) -> None:
    """Every connection is ended by the server, as an administrator does."""
    began = time.monotonic()
    for _ in range(3):
        await hub.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'tenuto%'"
        )
        await asyncio.sleep(chance.uniform(0, 0.3))  # the random moment is the test
    hub.hit(0, began)


async def use_up(hub: LivingHub, chance: random.Random) -> None:
    """Others take every connection that there is, while those of the hosts are ended."""
    began = time.monotonic()
    dsn = address_of(hub.url).dsn
    others: list[asyncpg.Connection[asyncpg.Record]] = []
    await hub.beats()  # we keep ours
    last = time.monotonic() + LEASE_SECONDS * chance.uniform(0.3, 1.5)
    while time.monotonic() < last:
        try:
            others.append(await asyncpg.connect(dsn, timeout=5))
        except asyncpg.TooManyConnectionsError:
            await hub.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = ANY ($1::text[])",
                ["tenuto commits", "tenuto leases", "tenuto reads"],
            )
            await asyncio.sleep(0.05)
    for one in others:
        one.terminate()
    hub.hit(0, began)


async def fill_disk(hub: LivingHub, chance: random.Random) -> None:
    """The server may end of it; whoever makes room starts it again."""
    began = time.monotonic()
    ballast = await asyncio.to_thread(hub.server.fill_disk)
    await asyncio.sleep(LEASE_SECONDS * chance.uniform(0.5, 2))
    ballast.unlink()
    if hub.server.has_ended:
        await asyncio.to_thread(hub.server.start)
    hub.hit(0, began)


def harm(fault: Fault) -> Fault:
    """And then everything goes on."""

    async def whole(hub: LivingHub, chance: random.Random) -> None:
        await fault(hub, chance)
        hub.note(fault.__name__, await hub.until_all_beat(await hub.beats()))
        await hub.until_shared()

    return whole


FAULTS: Final = [restart, stop_backend, end_backends, use_up]

needs_disk = pytest.mark.skipif(os.getuid() != 0, reason="only root mounts a disk that is small")


async def with_small_disk(folder: Path, many: int) -> None:
    settings = {"synchronous_commit": "on", "min_wal_size": "8MB", "max_wal_size": "12MB"}
    with running_postgres(most_bytes=_DISK_BYTES, **settings) as server:
        async with living_hub(server, folder) as hub:
            await hub.start()
            await rounds(hub, [harm(fill_disk)], many)


async def test_a_few_rounds_of_all_lose_double_and_stick_nothing(hub: LivingHub) -> None:
    await hub.start()
    await rounds(hub, [*map(harm, FAULTS)], FEW)


@often
@pytest.mark.parametrize("fault", FAULTS)
async def test_many_rounds_lose_double_and_stick_nothing(hub: LivingHub, fault: Fault) -> None:
    await hub.start()
    await rounds(hub, [harm(fault)], MANY)


@needs_disk
async def test_a_few_full_disks_lose_double_and_stick_nothing(tmp_path: Path) -> None:
    await with_small_disk(tmp_path, FEW)


@often
@needs_disk
async def test_many_full_disks_lose_double_and_stick_nothing(tmp_path: Path) -> None:
    await with_small_disk(tmp_path, MANY)
