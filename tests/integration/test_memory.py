"""What a fan-in of much text takes in memory, as a multiple of that text."""

import asyncio
import sys
from pathlib import Path

import pytest

_SOURCES = Path(__file__).resolve().parents[2]
_RESULTS = 64


async def _peak(mode: str, path: Path) -> float:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.fan_in_process", mode, str(_RESULTS), str(path)),
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
    return float(answer)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("mode", "most"), [("async", 3.4), ("sync", 4.4)])
async def test_a_fan_in_of_text_takes_a_few_times_its_bytes_hot_and_replayed(
    tmp_path: Path, mode: str, most: float
) -> None:
    """The results themselves, and what the orchestrator makes of them, are two of these times.

    Memory that threads have freed stays with them: theirs take more.
    """
    path = tmp_path / "store.db"
    assert await _peak(mode, path) < most
    assert await _peak("load", path) < 3
