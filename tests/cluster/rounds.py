"""How often each kind of harm is done: a few times by default, often by ``make faults-cluster``."""

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import pytest

from tests.cluster.checks import check, shown
from tests.cluster.living_hub import LivingHub
from tests.support.postgres import Postgres

Test = TypeVar("Test", bound=Callable[..., Awaitable[None]])
Fault: TypeAlias = Callable[[LivingHub, random.Random], Awaitable[None]]

FEW: Final = 2
MANY: Final = int(os.environ.get("SUITE_ROUNDS", "50"))


_often: Final = (pytest.mark.faults, pytest.mark.timeout(3600))


def often(test: Test) -> Test:
    """A test that takes long: of ``make faults-cluster``."""
    for mark in _often:
        test = mark(test)
    return test


@asynccontextmanager
async def living_hub(
    server: Postgres, folder: Path, url: str | None = None
) -> AsyncIterator[LivingHub]:
    """One that is not started yet; after the block its load ends, and is checked.

    Args:
        server: What it lives on.
        folder: Where its hosts write what they do.
        url: What its hosts know the server by, unless by its socket.
    """
    one = LivingHub(server, folder, url or server.fresh_url())
    try:
        yield one
        if not one.is_finished:
            await finish(one)
    except BaseException:
        one.keep()
        raise
    finally:
        await one.close()


async def rounds(hub: LivingHub, faults: Sequence[Fault], many: int) -> None:
    """Each kind of harm so many times, on the hub that lives on."""
    chance = random.Random(many)
    for fault in faults:
        for _ in range(many):
            await fault(hub, chance)
            assert not any(host.has_ended for host in hub.hosts), hub.said


async def finish(hub: LivingHub) -> None:
    """The load ends, and what has come of it is looked at."""
    await hub.finish()
    wrong = await check(hub)
    if wrong:
        hub.keep()
    assert not wrong, f"{shown(wrong)}\n{hub.said}"
