"""From a picture to a line in a table, by events alone; a step that fails holds up no other."""

import csv
import importlib
import shutil
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from examples.licence_plates import licence_plates
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

SHIPPED = Path(licence_plates.__file__).with_name("pictures")


@pytest.fixture
def example(folder: Path) -> ModuleType:
    """The folder is that of the app, so it is loaded there."""
    from examples.licence_plates_by_events import licence_plates_by_events

    return importlib.reload(licence_plates_by_events)


@pytest.fixture
async def test(example: ModuleType, open_host: OpenHost) -> TestHost:
    return await open_host(example.app)


def arrive(folder: Path, *names: str) -> None:
    for name in names:
        shutil.copy(SHIPPED / f"{name}.txt", folder / "pictures")


def stored(folder: Path) -> list[str]:
    table = folder / "sightings.csv"
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as lines:
        return sorted(row[1] for row in csv.reader(lines))


async def test_pictures_become_lines_and_mud_is_reported(
    test: TestHost, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrive(folder, "car-1", "mud")
    await test.advance(timedelta(seconds=10))
    arrive(folder, "car-2")
    await test.advance(timedelta(seconds=10))
    assert stored(folder) == ["LAX427", "TEA100"]
    told = capsys.readouterr().out.splitlines()
    assert sorted(told) == [
        "cannot read mud.txt: this may be A or 8",
        "welcome, LAX427",
        "welcome, TEA100",
    ]
    await test.restart()
    await test.advance(timedelta(seconds=10))
    assert stored(folder) == ["LAX427", "TEA100"]
    assert capsys.readouterr().out == ""


async def test_a_step_that_fails_is_put_aside_and_given_back(
    test: TestHost, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sightings.csv").mkdir()  # nobody can write there
    arrive(folder, "car-1")
    await test.advance(timedelta(minutes=1))
    assert "welcome, LAX427" in capsys.readouterr().out
    storage = test.host.engine.storage
    failed = await storage.failed_deliveries()
    assert [(one.function, one.attempts) for one in failed] == [("plates.store", 3)]
    assert "IsADirectoryError" in failed[0].error
    (folder / "sightings.csv").rmdir()
    await test.host.client.gateway.redrive([failed[0].number])
    await test.advance(timedelta(seconds=5))
    assert stored(folder) == ["LAX427"]
    assert await storage.failed_deliveries() == []
