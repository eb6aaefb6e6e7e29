"""Harm to hosts of a living hub: they die, or hang for longer than their leases.

``exactly_once_turns``, ``durable_before_visible``, ``one_owner``: nothing is lost, doubled or stuck.
"""

import asyncio
import random
import signal
import time

import pytest

from tests.cluster.living_hub import LEASE_SECONDS, LivingHub

FEW = 2
MANY = 50


async def kill(hub: LivingHub, chance: random.Random) -> float:
    """SIGKILL of a random host: its instances go on elsewhere; then another one comes."""
    await asyncio.sleep(chance.uniform(0, 0.5))  # the random moment is the test
    place = chance.randrange(len(hub.hosts))
    victim = hub.hosts[place]
    lost = (await hub.owned())[victim.pid]
    began = time.monotonic()
    await victim.kill()
    hub.hit(victim.pid, began)
    before = await hub.beats()
    await hub.until_all_beat({partition: before[partition] for partition in lost})
    seconds = time.monotonic() - began
    hub.note("kill", seconds=round(seconds, 2), partitions=len(lost))
    hub.hosts[place] = await hub.begin_host()
    assert await hub.hosts[place].is_up(), hub.said
    await hub.until_shared()
    return seconds


async def zombie(hub: LivingHub, chance: random.Random) -> float:
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
    await hub.until_shared()
    assert not victim.has_ended, hub.said
    hub.note("zombie", seconds=round(seconds, 2), partitions=len(lost))
    return seconds


@pytest.mark.parametrize("fault", [kill, zombie])
@pytest.mark.parametrize(
    "rounds", [FEW, pytest.param(MANY, marks=[pytest.mark.faults, pytest.mark.timeout(1500)])]
)
async def test_nothing_is_lost_doubled_or_stuck(hub: LivingHub, fault, rounds: int) -> None:  # type: ignore[no-untyped-def]
    chance = random.Random(rounds)
    await hub.start()
    for _ in range(rounds):
        await fault(hub, chance)
