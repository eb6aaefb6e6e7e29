"""``kill -9`` of the host of a queue: no message is lost, and none counts twice for who counts ids.

``no_silent_drop``, at least once: also those in work when their host died, and those that failed.
"""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tenuto import Client
from tenuto.client.store_gateway import StoreGateway
from tests.support import queue_process
from tests.support.queue_process import QUEUE, Ledger

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
_AT_ONCE = 20


class QueueProcess:
    """One host."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, folder: Path) -> "QueueProcess":
        with (folder / "host.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(queue_process.__file__),
                str(folder / "hub.db"),
                str(folder / "ledger.db"),
                env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        return cls(process)

    async def is_up(self) -> None:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await self._process.stdout.readline() == b"up\n"

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._process.communicate()
        assert self._process.returncode == 0


async def until_counted(ledger: Ledger, count: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(ledger.numbers) < count:  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(0.02)


async def put_in(client: Client, numbers: range) -> None:
    """From another process than the host's, which may be there or not."""
    for start in range(numbers.start, numbers.stop, _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, numbers.stop))
        await asyncio.gather(
            *(client.enqueue(QUEUE, number, message_id=f"m-{number}") for number in some)
        )


async def kill_rounds(folder: Path, count: int, kills: int, seed: int) -> None:
    hosts: list[QueueProcess] = []
    try:
        await _kill_rounds(folder, count, kills, seed, hosts)
    finally:
        for host in hosts:
            await host.kill()


async def _kill_rounds(
    folder: Path, count: int, kills: int, seed: int, hosts: list[QueueProcess]
) -> None:
    async def started() -> QueueProcess:
        hosts.append(await QueueProcess.start(folder))
        await hosts[-1].is_up()
        return hosts[-1]

    chance = random.Random(seed)
    await (await started()).kill()
    ledger = Ledger(folder / "ledger.db")
    async with Client.open(f"sqlite:///{folder / 'hub.db'}") as client:
        putting = asyncio.create_task(put_in(client, range(count)))
        for number in range(kills):
            host = await started()
            # A part of them is done, and some are in work.
            await until_counted(ledger, count * (number + 1) // (kills + 2))
            await asyncio.sleep(chance.uniform(0, 0.05))  # the random moment is the test
            await host.kill()
        last = await started()
        await putting
        await until_counted(ledger, count)
        assert isinstance(client.gateway, StoreGateway)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while found := await client.gateway.queues():
                assert [one.failed for one in found] == [0]
                await asyncio.sleep(0.02)
        await last.stop()
    assert sorted(ledger.numbers) == list(range(count))
    assert ledger.times_told > count, "those that were in work were told again"
    ledger.close()


async def test_no_silent_drop_of_200_messages_whose_host_is_killed(tmp_path: Path) -> None:
    await kill_rounds(tmp_path, 200, 1, seed=1)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
async def test_no_silent_drop_of_10_000_messages_over_30_kills(tmp_path: Path, seed: int) -> None:
    await kill_rounds(tmp_path, 10_000, 30, seed)
