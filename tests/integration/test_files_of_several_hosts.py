"""Of several hosts on one store, one looks at a folder."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenuto import App, ArrivedFile, Client
from tenuto.client.engine_gateway import EngineGateway
from tenuto.functions.outbound import OutboundSettings
from tenuto.host.programs import program_of
from tenuto.host.triggers import HostTriggers, check_triggered
from tenuto.model.limits import Limits
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster, Member
from tests.support.waiting import until

NAMES = [f"folder-{number}" for number in range(12)]


class WatchingCluster:
    """Two members that both have all the functions."""

    def __init__(self, inbox: Path) -> None:
        self.app = App()
        self.inbox = inbox
        self.runs = Counter[tuple[str, str]]()
        for name in NAMES:
            self._add(name)
        self.cluster = Cluster(SharedHub(8), self.app, ["left", "right"])
        self.triggers: list[HostTriggers] = []

    def _add(self, name: str) -> None:
        @self.app.files(self.inbox, name=name)
        async def run(file: ArrivedFile) -> None:
            self.runs[name, file.name] += 1

    async def serve(self, member: Member) -> None:
        program = program_of(self.app)
        gateway = EngineGateway(member.commands, member.engine.storage)
        client = Client(gateway, program, Limits())
        functions = check_triggered(program.triggered)
        triggers = HostTriggers(functions, member.engine, client, OutboundSettings())
        await triggers.start()
        self.triggers.append(triggers)

    async def arrive(self, name: str) -> None:
        """A file arrives, and time passes until each function has run for it."""
        (self.inbox / name).write_bytes(b"")
        async with asyncio.timeout(10):
            while {function for function, file in self.runs if file == name} != {*NAMES}:
                self.cluster.pass_time(1)
                await self.cluster.rounds(80)
        for _ in range(3):
            self.cluster.pass_time(1)
            await self.cluster.rounds(80)


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[WatchingCluster]:
    watching = WatchingCluster(tmp_path)
    await watching.cluster.start()
    for member in watching.cluster.members:
        await watching.serve(member)
    yield watching
    for triggers in watching.triggers:
        await triggers.abandon()
    await watching.cluster.stop()


async def test_each_function_runs_on_the_owner_of_its_partition(watching: WatchingCluster) -> None:
    await watching.arrive("a")
    await watching.arrive("b")
    assert watching.runs == Counter([(name, file) for name in NAMES for file in "ab"])


async def test_a_partition_that_is_taken_brings_its_folders_along(
    watching: WatchingCluster,
) -> None:
    left, right = watching.cluster.members
    await watching.arrive("a")
    await left.lifecycle.take(right.owned)
    # The one that has lost them has not heard of it: what it would note is refused.
    assert right.engine.partitions
    await watching.arrive("b")
    for partition in list(right.engine.partitions):
        right.engine.drop(partition)
    await watching.arrive("c")
    assert watching.runs == Counter([(name, file) for name in NAMES for file in "abc"])
    await until(lambda: not left.engine.deliveries_running)


async def test_what_comes_back_is_looked_at_again(watching: WatchingCluster) -> None:
    left, right = watching.cluster.members
    await watching.arrive("a")
    theirs = list(right.owned)
    await left.lifecycle.take(theirs)
    await watching.arrive("b")
    for partition in theirs:
        left.engine.drop(partition)
        if partition in right.engine.partitions:
            right.engine.drop(partition)
    await right.lifecycle.take(theirs)
    await watching.arrive("c")
    assert watching.runs == Counter([(name, file) for name in NAMES for file in "abc"])
