"""From a picture to a line in a table, each car once, whatever happens on the way."""

import csv
import json
import shutil
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

from examples.licence_plates import licence_plates
from examples.licence_plates.licence_plates import (
    Gate,
    Summary,
    UnreadableError,
    read_plate,
    watch_gate,
)
from tenuto import PayloadError
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

SHIPPED = Path(licence_plates.__file__).with_name("pictures")
PLATES = {"car-1": "LAX427", "car-2": "TEA100", "car-3": "JYC836"}


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(licence_plates.app)


@pytest.fixture
def pictures(folder: Path) -> Path:
    (folder / "pictures").mkdir()
    return folder / "pictures"


def arrive(pictures: Path, *names: str) -> None:
    for name in names:
        shutil.copy(SHIPPED / f"{name}.txt", pictures)


def stored(folder: Path) -> list[str]:
    with (folder / "sightings.csv").open(encoding="utf-8", newline="") as table:
        return sorted(row[2] for row in csv.reader(table))


def published(folder: Path) -> list[str]:
    return sorted(json.loads(file.read_bytes())["plate"] for file in (folder / "events").iterdir())


@pytest.mark.parametrize(("name", "plate"), PLATES.items())
def test_the_recogniser_reads_what_it_was_built_for(name: str, plate: str) -> None:
    assert read_plate((SHIPPED / f"{name}.txt").read_text("utf-8")) == plate


BETWEEN_8_AND_9 = "###\n#.#\n###\n#.#\n##.\n"


@pytest.mark.parametrize("picture", ["", "#", "...\n" * 5, "###\n" * 5, BETWEEN_8_AND_9])
def test_the_recogniser_does_not_guess(picture: str) -> None:
    with pytest.raises(UnreadableError):
        read_plate(picture)


async def test_every_picture_becomes_one_event_and_one_line_and_mud_is_put_aside(
    test: TestHost, folder: Path, pictures: Path
) -> None:
    handle = await test.start(
        watch_gate, Gate(str(pictures), close_after=timedelta(minutes=1)), instance_id="gate"
    )
    arrive(pictures, "car-1", "mud")
    await test.advance(timedelta(seconds=6))
    assert (await handle.status()).custom_status == {"read": 1, "unreadable": 1}
    arrive(pictures, "car-2", "car-3")
    assert await handle.result() == Summary(read=3, unreadable=1)
    assert stored(folder) == published(folder) == sorted(PLATES.values())
    assert sorted(file.name for file in (pictures / "done").iterdir()) == [
        "car-1.txt",
        "car-2.txt",
        "car-3.txt",
    ]
    assert [file.name for file in (pictures / "unreadable").iterdir()] == ["mud.txt"]


async def test_an_event_says_which_picture_and_is_faster_than_looking(
    test: TestHost, folder: Path, pictures: Path
) -> None:
    handle = await test.start(watch_gate, Gate(str(pictures), every=timedelta(days=1)))
    arrive(pictures, "car-3")
    await handle.raise_event("picture", "car-3.txt")
    await test.idle()
    assert stored(folder) == ["JYC836"]
    await handle.terminate()


@pytest.mark.parametrize("name", ["../secret.txt", "nobody.txt", 5, None])
async def test_an_event_about_what_is_no_picture_of_the_folder_does_no_harm(
    test: TestHost, folder: Path, pictures: Path, name: object
) -> None:
    secret = folder / "secret.txt"
    shutil.copy(SHIPPED / "car-1.txt", secret)
    handle = await test.start(watch_gate, Gate(str(pictures)))
    await test.idle()
    refused = nullcontext() if isinstance(name, str) else pytest.raises(PayloadError)
    with refused:
        await handle.raise_event("picture", name)
    arrive(pictures, "car-2")
    await test.advance(timedelta(seconds=6))
    assert stored(folder) == ["TEA100"]
    assert secret.exists()
    await handle.terminate()


async def test_a_power_cut_after_storing_stores_nothing_twice(
    test: TestHost, folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is written, and the attempt fails before it can say so."""
    writer, failures = csv.writer, 1

    class LosesItsAnswer:
        def __init__(self, table: object) -> None:
            self._table = table

        def writerow(self, row: list[str]) -> None:
            nonlocal failures
            writer(self._table).writerow(row)  # type: ignore[arg-type]  # the open table
            failures -= 1
            if failures >= 0:
                raise OSError("the power went")

    monkeypatch.setattr(csv, "writer", LosesItsAnswer)
    arrive(pictures, "car-1")
    gate = Gate(str(pictures), close_after=timedelta(seconds=20))
    assert await test.run(watch_gate, gate) == Summary(read=1, unreadable=0)
    assert stored(folder) == ["LAX427"]


async def test_the_gate_stays_open_after_a_crash_and_its_history_short(
    test: TestHost, folder: Path, pictures: Path
) -> None:
    handle = await test.start(watch_gate, Gate(str(pictures)))
    await test.advance(timedelta(minutes=10))
    await test.crash()
    arrive(pictures, "car-1")
    await test.advance(timedelta(seconds=6))
    assert stored(folder) == ["LAX427"]
    assert len(await test.client.history(handle.instance_id)) < 20
    await handle.terminate()
