"""Hosts on one store whose partitions come and go, for whoever wants them."""

from collections.abc import AsyncIterator

import pytest

from tests.support.partitions import PARTITIONS, Slowness, app
from tests.support.two_hosts import Cluster, FussyHub


@pytest.fixture
def slowness() -> Slowness:
    return Slowness()


@pytest.fixture
async def cluster(slowness: Slowness) -> AsyncIterator[Cluster]:
    """One host that owns everything."""
    cluster = Cluster(FussyHub(PARTITIONS, rounds=slowness), app, ["a"])
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest.fixture
async def two(slowness: Slowness) -> AsyncIterator[Cluster]:
    """The first owns partitions 0 and 2, the second partition 1."""
    cluster = Cluster(FussyHub(PARTITIONS, rounds=slowness), app, ["a", "b"])
    await cluster.start()
    yield cluster
    await cluster.stop()
