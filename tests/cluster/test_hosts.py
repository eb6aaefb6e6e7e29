"""Harm to hosts of a living hub, and to the line between one and the database.

``exactly_once_turns``, ``durable_before_visible``, ``one_owner``: nothing is lost,
doubled or stuck.
"""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.cluster.living_hub import LEASE_SECONDS, LivingHub
from tests.cluster.rounds import FEW, MANY, Fault, living_hub, often, rounds
from tests.cluster.test_open_reader import open_transaction
from tests.support.postgres import Postgres
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

Line: TypeAlias = Callable[[TcpProxy, random.Random], Awaitable[None]]

HOUR_SECONDS = 3600


async def kill(hub: LivingHub, chance: random.Random) -> None:
    """SIGKILL of a random host: its instances go on elsewhere; then another one comes."""
    await asyncio.sleep(chance.uniform(0, 0.5))  # the random moment is the test
    place = chance.randrange(0 if hub.proxy is None else 1, len(hub.hosts))
    victim = hub.hosts[place]
    lost = (await hub.owned())[victim.pid]
    began = time.monotonic()
    await victim.kill()
    hub.hit(victim.pid, began)
    before = await hub.beats()
    await hub.until_all_beat({partition: before[partition] for partition in lost})
    seconds = time.monotonic() - began
    deaths = await hub.deaths(lost)
    hub.note("kill -9", seconds=seconds, partitions=len(lost), deaths=deaths)
    hub.hosts[place] = await hub.begin_host()
    assert await hub.hosts[place].is_up(), hub.said
    await hub.until_shared()


async def zombie(hub: LivingHub, chance: random.Random) -> None:
    """SIGSTOP for longer than the lease, then SIGCONT: it is fenced, stays up, takes part again."""
    await asyncio.sleep(chance.uniform(0, 0.5))  # the random moment is the test
    victim = chance.choice(hub.hosts)
    lost = (await hub.owned())[victim.pid]
    began = time.monotonic()
    victim.send(signal.SIGSTOP)
    before = await hub.beats()
    await hub.until_all_beat({partition: before[partition] for partition in lost})
    seconds = time.monotonic() - began
    await asyncio.sleep(max(0, 2 * LEASE_SECONDS - seconds))
    victim.send(signal.SIGCONT)
    hub.hit(victim.pid, began)
    hub.note("SIGSTOP", seconds=seconds, partitions=len(lost), deaths=await hub.deaths(lost))
    await hub.until_shared()


async def every_host(hub: LivingHub, chance: random.Random) -> None:
    """SIGSTOP of all of them for longer than the lease: nobody takes anything over meanwhile."""
    began = time.monotonic()
    for host in hub.hosts:
        host.send(signal.SIGSTOP)
    await asyncio.sleep(LEASE_SECONDS * chance.uniform(1.2, 2))
    for host in chance.sample(hub.hosts, len(hub.hosts)):
        host.send(signal.SIGCONT)
    hub.hit(0, began)
    seconds = await hub.until_all_beat(await hub.beats())
    hub.note("SIGSTOP of all", seconds=seconds)
    await hub.until_shared()


# --- lines ----------------------------------------------------------------------------------------


async def reset(proxy: TcpProxy, chance: random.Random) -> None:
    """All connections of the host are reset, a few times in a row; it has no lease to lose."""
    for _ in range(3):
        await asyncio.sleep(chance.uniform(0, 0.2))  # the random moment is the test
        proxy.cut()


async def freeze(proxy: TcpProxy, chance: random.Random) -> None:
    """Nothing passes for longer than the lease, and nothing is cut."""
    proxy.is_frozen = True
    await asyncio.sleep(LEASE_SECONDS * chance.uniform(1.2, 2))
    proxy.is_frozen = False


async def freeze_for_a_moment(proxy: TcpProxy, chance: random.Random) -> None:
    """Nothing passes for a part of the lease: nobody notices."""
    proxy.is_frozen = True
    await asyncio.sleep(LEASE_SECONDS * chance.uniform(0.1, 0.4))
    proxy.is_frozen = False


async def mute(proxy: TcpProxy, chance: random.Random) -> None:
    """Requests reach the server, answers are lost and the line is cut: all is in doubt."""
    await asyncio.sleep(chance.uniform(0, 0.3))  # the random moment is the test
    proxy.is_mute = True
    await asyncio.sleep(chance.uniform(0.1, 1.5))
    proxy.is_mute = False


async def mute_once(proxy: TcpProxy, chance: random.Random) -> None:
    """The answer to one commit is lost, again and again, and all else passes."""
    for _ in range(5):
        await asyncio.sleep(chance.uniform(0, 0.1))  # the random moment is the test
        proxy.is_mute = True
        await asyncio.sleep(0.03)
        proxy.is_mute = False


def line(harm: Line) -> Fault:
    """Harm to the line of the first host, as harm to the hub."""

    async def fault(hub: LivingHub, chance: random.Random) -> None:
        victim = hub.hosts[0]
        assert hub.proxy is not None
        began = time.monotonic()
        await harm(hub.proxy, chance)
        hub.hit(victim.pid, began)
        hub.note(harm.__name__, await hub.until_all_beat(await hub.beats()))
        await hub.until_shared()

    return fault


HOSTS: Final = [kill, zombie, every_host]
LINES: Final = [reset, freeze, freeze_for_a_moment, mute, mute_once]


@pytest.fixture
async def cut_off(postgres: Postgres, tmp_path: Path) -> AsyncIterator[LivingHub]:
    """A hub whose first host speaks through a proxy."""
    async with tcp_proxy(postgres.port) as proxy, living_hub(postgres, tmp_path) as hub:
        hub.proxy = proxy
        yield hub


async def test_a_few_rounds_of_all_lose_double_and_stick_nothing(cut_off: LivingHub) -> None:
    await cut_off.start()
    await rounds(cut_off, [*map(line, LINES), *HOSTS, open_transaction], FEW)


@often
@pytest.mark.parametrize("fault", HOSTS)
async def test_many_rounds_lose_double_and_stick_nothing(hub: LivingHub, fault: Fault) -> None:
    await hub.start()
    await rounds(hub, [fault], MANY)


@often
@pytest.mark.parametrize("harm", LINES)
async def test_many_rounds_on_a_line_lose_double_and_stick_nothing(
    cut_off: LivingHub, harm: Line
) -> None:
    await cut_off.start()
    await rounds(cut_off, [line(harm)], MANY)


@often
async def test_a_clock_that_is_an_hour_off_moves_timers_and_no_lease(hub: LivingHub) -> None:
    """Of the three the first is an hour ahead, the second an hour behind."""
    await an_hour_off(hub, MANY)


async def test_clocks_that_are_an_hour_off_for_a_round(hub: LivingHub) -> None:
    await an_hour_off(hub, 1)


async def an_hour_off(hub: LivingHub, many: int) -> None:
    # A timer that is set by one of them comes an hour late on another, as it must.
    hub.kinds = [kind for kind in hub.kinds if kind != "timers"]
    await hub.start(("--ahead", HOUR_SECONDS), ("--ahead", -HOUR_SECONDS))
    before = await hub.owned()
    await asyncio.sleep(2 * LEASE_SECONDS)
    assert await hub.owned() == before
    await rounds(hub, [zombie], many)
