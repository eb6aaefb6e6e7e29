"""All hosts of a living hub are replaced, one after another, by hosts of a newer app version."""

import time

from tests.cluster.checks import repeated
from tests.cluster.living_hub import LivingHub
from tests.cluster.rounds import MANY, often


async def upgraded(hub: LivingHub, version: int) -> None:
    """Each host: a new one comes, an old one stops as deployments stop hosts."""
    began = time.monotonic()
    for place, old in enumerate(hub.hosts):
        new = await hub.begin_host("--version", version)
        assert await new.is_up(), hub.said
        hub.hosts[place] = new
        await old.stop()
    await hub.until_shared()
    hub.note("rolling upgrade", time.monotonic() - began)
    await hub.until_all_beat(await hub.beats())


async def test_nothing_fails_or_runs_twice_in_a_rolling_upgrade(hub: LivingHub) -> None:
    await upgrades(hub, 1)


@often
async def test_nothing_fails_or_runs_twice_in_many_rolling_upgrades(hub: LivingHub) -> None:
    await upgrades(hub, MANY)


async def upgrades(hub: LivingHub, many: int) -> None:
    await hub.start(*[("--version", 1)] * 3)
    for version in range(2, many + 2):
        await upgraded(hub, version)
    assert repeated(hub) == 0
