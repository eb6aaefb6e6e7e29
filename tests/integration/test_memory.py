"""What a fan-in of much text takes in memory, as a multiple of that text."""

import asyncio
import sys
from pathlib import Path

import pytest

_SOURCES = Path(__file__).resolve().parents[2]
_RESULTS = 192


async def _said(module: str, *arguments: object) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.support.{module}", *map(str, arguments)),
        cwd=_SOURCES,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(100):
            answer, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return answer.decode()


async def _peak(mode: str, path: Path) -> float:
    return float(await _said("fan_in_process", mode, _RESULTS, path))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_a_fan_in_of_text_takes_a_few_times_its_bytes_hot_and_replayed(
    tmp_path: Path, mode: str
) -> None:
    """What the orchestrator makes of the results is one of these times, and its own.

    So many that what threads have under way at once counts little.
    """
    path = tmp_path / "store.db"
    assert await _peak(mode, path) < 3
    assert await _peak("load", path) < 3


_ENDS = (["Running held memory", "Completed"], ["Completed"])


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
async def test_one_never_takes_all_for_want_of_memory_it_is_held_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    """The results alone are more than the process may take."""
    said = await _said("short_of_memory", "async", 400, tmp_path / "store.db")
    assert said.splitlines() == _ENDS[0]


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_one_never_takes_all_wherever_memory_runs_out(tmp_path: Path, kind: str) -> None:
    for count in range(240, 600, 24):
        said = await _said("short_of_memory", kind, count, tmp_path / f"{count}.db")
        # An activity that finds no memory for its result has failed, as its orchestrator may see.
        assert said.splitlines() in (*_ENDS, ["Failed"], ["Running held memory", "Failed"])
