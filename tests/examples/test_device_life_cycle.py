"""A box that is offline half of the time loses no reading, whatever happens to it."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from examples.device_life_cycle import device_life_cycle
from examples.device_life_cycle.device_life_cycle import (
    Device,
    Life,
    OfflineError,
    live,
)
from tenuto import RuntimeStatus
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

HALF_A_DAY = timedelta(hours=12)
BOX = Device("box", every=timedelta(hours=1))


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(device_life_cycle.app)


class Line:
    """The way to the cloud: what is there stays there when the line is cut."""

    def __init__(self, folder: Path) -> None:
        self._cloud = folder / "cloud"
        self._away = folder / "out of reach"
        self._away.mkdir()

    def connect(self) -> None:
        self._away.rename(self._cloud)

    def cut(self) -> None:
        self._cloud.rename(self._away)

    def numbers(self) -> list[int]:
        """The readings that the cloud has."""
        return [json.loads(file.read_bytes())["number"] for file in self._files()]

    def certificate(self) -> str:
        return (self._cloud / "box" / "certificate.txt").read_text("utf-8")

    def _files(self) -> list[Path]:
        place = self._cloud if self._cloud.exists() else self._away
        return sorted((place / "box").glob("*.json"))


@pytest.fixture
def line(folder: Path) -> Line:
    return Line(folder)


async def test_every_reading_of_four_days_arrives_though_half_of_the_time_nothing_can(
    test: TestHost, line: Line
) -> None:
    handle = await test.start(live, BOX, instance_id="box")
    await test.advance(HALF_A_DAY)
    assert line.numbers() == []  # not even provisioned
    for _ in range(4):
        line.connect()
        await test.advance(HALF_A_DAY)
        before = line.numbers()
        line.cut()
        await test.advance(HALF_A_DAY)
        assert line.numbers() == before
        outbox = await test.client.get_status("box-outbox")
        assert outbox is not None
        assert outbox.custom_status["waiting"] == 12
    await handle.raise_event("decommission")
    await test.advance(timedelta(minutes=1))
    assert (await handle.status()).custom_status == "waiting for the outbox to be empty"
    line.connect()
    life = await handle.result()
    assert life == Life(life.readings, life.readings, 0)
    assert line.numbers() == list(range(life.readings))
    assert life.readings == 8 * 12
    assert line.certificate() == "revoked"
    outbox = await test.client.get_status("box-outbox")
    assert outbox is not None
    assert outbox.runtime_status is RuntimeStatus.COMPLETED


async def test_power_cuts_lose_and_double_nothing(test: TestHost, line: Line) -> None:
    line.connect()
    handle = await test.start(live, BOX)
    for _ in range(5):
        await test.advance(timedelta(hours=5))
        line.cut()
        await test.advance(timedelta(hours=5))
        await test.crash()
        line.connect()
    await handle.raise_event("decommission")
    life = await handle.result()
    assert life == Life(life.readings, life.readings, 0)
    assert line.numbers() == list(range(life.readings))


async def test_a_line_that_breaks_in_the_middle_of_an_upload_does_no_harm(
    test: TestHost, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await test.start(live, BOX)
    line.connect()
    await test.advance(timedelta(minutes=30))
    line.cut()
    await test.advance(timedelta(hours=6))
    line.connect()
    put, left = device_life_cycle._put, 3

    def breaking(name: str, data: bytes) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise OfflineError("the line broke")
        put(name, data)

    monkeypatch.setattr(device_life_cycle, "_put", breaking)
    await test.advance(timedelta(hours=1))
    await handle.raise_event("decommission")
    life = await handle.result()
    assert life == Life(life.readings, life.readings, 0)
    assert line.numbers() == list(range(life.readings))


async def test_a_full_outbox_drops_the_oldest_and_says_how_many(test: TestHost, line: Line) -> None:
    line.connect()
    handle = await test.start(live, replace(BOX, capacity=5))
    await test.idle()
    line.cut()
    await test.advance(timedelta(hours=8, minutes=30))
    await handle.raise_event("decommission")
    await test.advance(timedelta(hours=1))
    line.connect()
    assert await handle.result() == Life(readings=9, sent=6, dropped=3)
    assert line.numbers() == [0, 4, 5, 6, 7, 8]
