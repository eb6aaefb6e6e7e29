"""A living hub for each test here."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.living_hub import LivingHub
from tests.cluster.rounds import living_hub
from tests.support.postgres import Postgres


@pytest.fixture
async def hub(postgres: Postgres, tmp_path: Path) -> AsyncIterator[LivingHub]:
    """One that is not started yet. When the test is through, its load ends, and is checked."""
    async with living_hub(postgres, tmp_path) as one:
        yield one
