"""A random load on few ids: starts, reuse, terminate, purge, restart, events; from everywhere."""

from pathlib import Path

import pytest

from tests.support.few_ids import run_round


@pytest.mark.parametrize("seed", range(3))
async def test_every_request_about_few_ids_is_answered_and_nothing_is_left(
    tmp_path: Path, seed: int
) -> None:
    load = await run_round(seed, tmp_path / "store.db", requests=30)
    assert load.asked.total() == 4 * 30 + 3 * 15


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_sixty_rounds_on_few_ids(tmp_path: Path) -> None:
    for seed in range(60):
        await run_round(1000 + seed, tmp_path / f"store-{seed}.db", requests=60)
