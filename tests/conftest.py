"""What holds for every test: no process outlives it, and how many partitions a new store gets."""

import os

import tenuto.host.settings
from tests.support.azurite import azurite
from tests.support.leftovers import (
    nothing_is_left_running,
    pytest_configure,
    pytest_runtest_makereport,
)
from tests.support.measuring import unmeasured_children
from tests.support.postgres import postgres, safe_postgres
from tests.support.suite_storage import suite_storage

__all__ = [
    "azurite",
    "nothing_is_left_running",
    "postgres",
    "pytest_configure",
    "pytest_runtest_makereport",
    "safe_postgres",
    "suite_storage",
    "unmeasured_children",
]

# `make matrix` runs everything once more with more. Stores that other processes make have one.
if partitions := os.environ.get("SUITE_PARTITIONS"):
    tenuto.host.settings.DEFAULT_PARTITIONS = int(partitions)
