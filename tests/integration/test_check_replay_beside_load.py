"""The code that runs always fits, whenever it is asked: beside a working host, and after a kill."""

import asyncio
from pathlib import Path

import pytest

from tenuto import Client
from tenuto.host.checking import fit_check
from tenuto.insight.fit_words import fit_lines
from tenuto.insight.fitting import FitReport, check_store
from tenuto.storage import open_storage
from tests.support import mixed_load
from tests.support.load_process import LoadProcess, check_all, finish
from tests.support.mixed_load import Item, drive, wave

_WAVES = range(12)


async def checked(store: Path) -> FitReport:
    storage = open_storage(f"sqlite:///{store}", create=False)
    await storage.open()
    try:
        return await check_store(fit_check(mixed_load.app), storage)
    finally:
        await storage.close()


@pytest.mark.timeout(300)
async def test_the_running_code_fits_at_every_moment_of_a_mixed_load(tmp_path: Path) -> None:
    store = tmp_path / "hub.db"
    host = await LoadProcess.start(store)
    assert await host.said("up")
    await host.stop()
    items: list[Item] = [item for number in _WAVES for item in wave(number)]
    looked_at = 0
    async with Client.open(f"sqlite:///{store}", mixed_load.app) as client:
        driving = [asyncio.create_task(drive(client, item)) for item in items]
        for _ in range(2):
            host = await LoadProcess.start(store, _WAVES)
            await host.said("up")
            for _ in range(4):
                looked_at += fits(await checked(store))
            await host.kill()
            looked_at += fits(await checked(store))
        await finish(client, store, _WAVES, driving)
    check_all(store, items)  # the checks have changed nothing
    assert looked_at > 100


def fits(report: FitReport) -> int:
    assert report.fits, "\n".join(fit_lines(report, 5))
    return report.goes_on
