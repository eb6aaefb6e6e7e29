"""Clients of hosts on one hub in a real PostgreSQL: what they ask for and wait for goes on while
hosts come, stop and die.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tenuto import Client, Host
from tenuto.host.settings import Settings
from tenuto.model.errors import InstanceExistsError, InstanceFinishedError
from tenuto.testing import RecordingObserver
from tests.support.asked_app import app, collects
from tests.support.http_in_process import http_to_host
from tests.support.postgres import Postgres
from tests.support.waiting import until

SETTINGS = Settings(lease_seconds=1, drain_seconds=1)


class Hosts:
    """Hosts that come and go."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self._stack = stack
        self.all: list[Host] = []

    async def come(self) -> Host:
        host = Host(app, storage=self.url, settings=SETTINGS, observer=RecordingObserver())
        await host.start()
        self._stack.push_async_callback(host.stop)
        self.all.append(host)
        return host

    async def settled(self) -> None:
        """Until each partition has its host, and each host some."""
        await until(self._is_settled)

    def _is_settled(self) -> bool:
        owned = [set(host.engine.partitions) for host in self.all]
        return all(owned) and sum(map(len, owned)) == self.all[0].hub.partitions

    def id_on(self, host: Host, begin: str) -> str:
        """An id of a partition that this host has now."""
        names = (f"{begin}-{number}" for number in range(999))
        return next(name for name in names if host.engine.find(name) is not None)  # type: ignore[arg-type]


@pytest.fixture
async def hosts(postgres: Postgres) -> AsyncIterator[Hosts]:
    async with AsyncExitStack() as stack:
        hosts = Hosts(postgres.fresh_url(), stack)
        await hosts.come()
        await hosts.come()
        await hosts.settled()
        yield hosts


async def test_a_client_of_one_host_acts_on_instances_of_the_other(hosts: Hosts) -> None:
    first, second = hosts.all
    name = hosts.id_on(second, "there")
    began = time.monotonic()
    handle = await first.client.start(collects, instance_id=name)
    assert second.engine.find(handle.instance_id) is not None  # type: ignore[arg-type]
    await handle.raise_event("item", 1)
    await handle.suspend()
    await handle.resume()
    waiting = asyncio.create_task(handle.result())
    with pytest.raises(InstanceExistsError):
        await first.client.start(collects, instance_id=name)
    await handle.raise_event("item", -1)
    assert await waiting == [1]
    with pytest.raises(InstanceFinishedError):
        await handle.raise_event("item", 2)
    assert await first.client.purge(name)
    assert time.monotonic() - began < 5
    async with http_to_host(first, app) as http:
        begun = await http.post(f"/runtime/webhooks/durabletask/orchestrators/collects/{name}")
        again = await http.post(f"/runtime/webhooks/durabletask/orchestrators/collects/{name}")
        assert (begun.status_code, again.status_code) == (202, 409)


async def test_who_waits_and_asks_does_not_notice_that_hosts_come_and_go(hosts: Hosts) -> None:
    """Each event counts once, each waiter hears of the end, whichever host goes."""
    first, second = hosts.all
    names = [f"moves-{number}" for number in range(40)]
    for name in names:
        await first.client.start(collects, instance_id=name)
    waiting = [asyncio.create_task(first.client.wait(name)) for name in names]
    asked = 0

    async def ask_all() -> None:
        nonlocal asked
        asked += 1
        await asyncio.gather(*(first.client.raise_event(name, "item", asked) for name in names))

    async with asyncio.timeout(60):
        await ask_all()
        joining = asyncio.create_task(hosts.come())
        while not joining.done():
            await ask_all()
        for _ in range(5):  # partitions move to it
            await ask_all()
        hosts.all.remove(second)
        stopping = asyncio.create_task(second.stop())
        while not stopping.done():
            await ask_all()
        third = hosts.all.pop()
        await third.abandon()
        await ask_all()
        async with Client.open(hosts.url, app) as outside:
            await asyncio.gather(*(outside.raise_event(name, "item", -1) for name in names))
        ended = await asyncio.gather(*waiting)
    assert [one.output for one in ended] == [list(range(1, asked + 1))] * len(names)


async def test_live_updates_go_on_over_a_host_that_comes(hosts: Hosts) -> None:
    first, _second = hosts.all
    names = [f"live-{number}" for number in range(12)]
    for name in names:
        await (await first.client.start(collects, instance_id=name)).started()
    listeners = [first.engine.updates.subscribe(name, after="0.0") for name in names]  # type: ignore[arg-type]
    for number in range(3):
        await asyncio.gather(*(first.client.raise_event(name, "item", number) for name in names))
    await hosts.come()
    await hosts.settled()
    await asyncio.gather(*(first.client.raise_event(name, "item", -1) for name in names))
    for listener in listeners:
        async with asyncio.timeout(10):
            told = [await anext(listener)]
            while not told[-1].has_ended:
                told.append(await anext(listener))
        assert not any(one.is_reset for one in told)
        assert [one.turn for one in told] == [*range(1, told[-1].turn + 1)]
        listener.close()
