"""Functions that fork: a child is no second host, and keeps nothing of the first one to itself."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tenuto.http.options import HttpSettings
from tenuto.http.server.socket import listen
from tenuto.model.errors import SettingsError
from tests.support.waiting import until

PROCESS = Path(__file__).parents[1] / "support" / "forking_process.py"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


async def started(kind: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", str(PROCESS), kind, stdout=PIPE, stderr=PIPE
    )


async def told(process: asyncio.subprocess.Process, what: str) -> int:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode().split()
    assert line[0] == what
    return int(line[1])


def can_listen(port: int) -> bool:
    try:
        listen(HttpSettings(port=port)).close()
    except SettingsError:
        return False
    return True


async def test_one_owner_a_child_that_comes_back_to_the_loop_is_ended() -> None:
    process = await started("loop")
    try:
        async with asyncio.timeout(30):
            await told(process, "port")
            assert await told(process, "ended") == 70
    finally:
        process.kill()
        _, said = await process.communicate()
    assert b"come back to the host's loop" in said


async def test_a_child_that_lives_on_does_not_keep_the_port() -> None:
    process = await started("thread")
    async with asyncio.timeout(30):
        port = await told(process, "port")
        child = await told(process, "child")
    try:
        process.kill()  # its end is not waited for: the child has its output
        await until(lambda: can_listen(port))
    finally:
        os.kill(child, signal.SIGKILL)
        await process.communicate()
