"""A living hub for each test here."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.checks import check, shown
from tests.cluster.living_hub import LivingHub
from tests.support.postgres import Postgres


@pytest.fixture(autouse=True)
def nobody_measures_the_killed(unmeasured_children: None) -> None:
    """For each test here."""


@pytest.fixture
async def hub(postgres: Postgres, tmp_path: Path) -> AsyncIterator[LivingHub]:
    """One that is not started yet. When the test is through, its load ends, and is checked."""
    one = LivingHub(postgres, tmp_path, postgres.fresh_url())
    try:
        yield one
        await one.finish()
        wrong = await check(one)
        assert not wrong, f"{shown(wrong)}\n{one.said}"
    finally:
        await one.close()
