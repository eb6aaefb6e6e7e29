"""The eternal loop: what it deletes, what it leaves alone, and that it never grows."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.clean_up import clean_up
from examples.clean_up.clean_up import CleanUp, clean_up_for_ever, delete_old_files
from tenuto import OrchestrationTerminatedError, RuntimeStatus
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(clean_up.app)


def make(file: Path, age: timedelta) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    changed = (START - age).timestamp()
    os.utime(file, (changed, changed))
    return file


def left(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


async def test_only_old_temporary_files_go_each_on_its_day(test: TestHost, folder: Path) -> None:
    make(folder / "old.tmp", timedelta(days=30))
    make(folder / "below" / "older.tmp", timedelta(days=60))
    make(folder / "young.tmp", timedelta(days=5, hours=12))
    make(folder / "old.txt", timedelta(days=30))

    handle = await test.start(clean_up_for_ever, CleanUp(str(folder)))
    await test.idle()
    assert left(folder) == ["old.txt", "young.tmp"]
    await test.advance(timedelta(days=1, hours=1))
    assert left(folder) == ["old.txt", "young.tmp"]
    await test.advance(timedelta(days=1))
    assert left(folder) == ["old.txt"]
    assert (await handle.status()).custom_status["deleted"] == 3
    await handle.terminate("the test is over")


async def test_it_runs_for_years_with_a_short_history_until_somebody_ends_it(
    test: TestHost, folder: Path, mode: str
) -> None:
    handle = await test.start(clean_up_for_ever, CleanUp(str(folder)))
    await test.advance(timedelta(days=1000 if mode == "hot" else 100))
    status = await handle.status()
    assert status.runtime_status is RuntimeStatus.RUNNING
    assert test.clock.current_time - datetime.fromisoformat(
        status.custom_status["last round"]
    ) < timedelta(days=1)
    assert len(await test.client.history(handle.instance_id)) < 10
    await handle.terminate("enough")
    with pytest.raises(OrchestrationTerminatedError, match="enough"):
        await handle.result()


async def test_what_lies_outside_is_never_touched(test: TestHost, folder: Path) -> None:
    outside = make(folder / "outside" / "precious.tmp", timedelta(days=900))
    inside = folder / "inside"
    inside.mkdir()
    (inside / "link.tmp").symlink_to(outside)
    (inside / "folder").symlink_to(outside.parent)
    for pattern in ("*.tmp", "../outside/*.tmp", "**/*.tmp"):
        handle = await test.start(clean_up_for_ever, CleanUp(str(inside), pattern))
        await test.idle()
        await handle.terminate()
    assert outside.exists()
    assert (inside / "link.tmp").is_symlink()


@pytest.mark.parametrize("place", [Path("/"), Path.home()])
def test_the_root_and_the_home_folder_are_refused(place: Path) -> None:
    with pytest.raises(ValueError, match="no folder for temporary files"):
        delete_old_files(str(place), "*.nothing", START)


def test_a_relative_folder_is_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="must be an absolute path"):
        CleanUp("tmp")


async def test_a_folder_that_is_away_today_is_tried_again_tomorrow(
    test: TestHost, folder: Path
) -> None:
    disk = folder / "disk"
    handle = await test.start(clean_up_for_ever, CleanUp(str(disk)))
    await test.idle()
    assert "FileNotFoundError" in (await handle.status()).custom_status["problem"]
    make(disk / "old.tmp", timedelta(days=30))
    await test.advance(timedelta(days=1, hours=1))
    status = await handle.status()
    assert status.custom_status["problem"] is None
    assert status.custom_status["deleted"] == 1
    await handle.terminate()
