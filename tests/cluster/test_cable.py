"""A host in a network namespace of its own, whose cable is pulled: no reset reaches either side.

Needs the right to make namespaces.
"""

import asyncio
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.living_hub import LEASE_SECONDS, LivingHub
from tests.cluster.rounds import MANY, living_hub, often, rounds
from tests.support.postgres import Postgres
from tests.support.tcp_proxy import tcp_proxy

_NEAR: Final = "10.213.77.1"
_FAR: Final = "10.213.77.2"


def _may_make_networks() -> bool:
    tools = shutil.which("ip") and shutil.which("unshare")
    return bool(tools) and os.getuid() == 0 and _ran("unshare", "-n", "true")


def _ran(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Cable:
    """Between this machine and a network namespace; pulled, it is silent on both ends.

    Attributes:
        name: Of the namespace.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._near = f"{name}a"

    def lay(self) -> None:
        """Make the namespace and its only line."""
        far = f"{self.name}b"
        for words in (
            f"netns add {self.name}",
            f"link add {self._near} type veth peer name {far} netns {self.name}",
            f"addr add {_NEAR}/30 dev {self._near}",
            f"link set {self._near} up",
            f"-n {self.name} addr add {_FAR}/30 dev {far}",
            f"-n {self.name} link set {far} up",
            f"-n {self.name} link set lo up",
        ):
            assert _ran("ip", *words.split()), words

    def pull(self) -> None:
        """Nothing passes, and nobody is told."""
        assert _ran("ip", "link", "set", self._near, "down")

    def plug(self) -> None:
        """It works again."""
        assert _ran("ip", "link", "set", self._near, "up")

    def remove(self) -> None:
        """With the namespace."""
        _ran("ip", "link", "del", self._near)
        _ran("ip", "netns", "del", self.name)


@contextmanager
def cable() -> Iterator[Cable]:
    """One for the length of a block."""
    one = Cable(f"tn{os.getpid() % 100_000}")
    try:
        one.lay()
        yield one
    finally:
        one.remove()


needs_networks = pytest.mark.skipif(
    not _may_make_networks(), reason="needs the right to make network namespaces"
)


async def pull_cable(hub: LivingHub, chance: random.Random, line: Cable) -> None:
    """The lease ends, others go on; when it is plugged in again, the host takes part again."""
    victim = hub.hosts[0]
    lost = (await hub.owned())[victim.pid]
    began = time.monotonic()
    line.pull()
    before = await hub.beats()
    await hub.until_all_beat({one: before[one] for one in lost})
    hub.note("pulled cable", seconds=time.monotonic() - began, partitions=len(lost))
    await asyncio.sleep(chance.uniform(0, LEASE_SECONDS))
    line.plug()
    await hub.until_shared()
    hub.hit(victim.pid, began)


async def with_cable(server: Postgres, folder: Path, many: int) -> None:
    with cable() as line:
        async with tcp_proxy(server.port, _NEAR) as proxy, living_hub(server, folder) as hub:
            hub.proxy = proxy
            await hub.start(before=("ip", "netns", "exec", line.name), host=_NEAR)
            await rounds(hub, [partial(pull_cable, line=line)], many)


@needs_networks
async def test_a_pulled_cable_loses_nothing(postgres: Postgres, tmp_path: Path) -> None:
    await with_cable(postgres, tmp_path, 1)


@often
@needs_networks
async def test_a_cable_that_is_pulled_often_loses_nothing(
    postgres: Postgres, tmp_path: Path
) -> None:
    await with_cable(postgres, tmp_path, MANY)
