"""What holds for every test: no process outlives it, and how many partitions a new store gets."""

import os
from typing import Any

from tenuto.storage.sqlite import SqliteStorage
from tests.support.leftovers import (
    nothing_is_left_running,
    pytest_configure,
    pytest_runtest_makereport,
)

__all__ = ["nothing_is_left_running", "pytest_configure", "pytest_runtest_makereport"]

_PARTITIONS = int(os.environ.get("TENUTO_TEST_PARTITIONS", "0"))

if _PARTITIONS:
    # `make matrix` runs everything once more like this. Stores of other processes have one.
    _make = SqliteStorage.__init__

    def _make_with_more(self: SqliteStorage, *args: Any, **named: Any) -> None:
        if named.get("partitions", 1) == 1:
            named["partitions"] = _PARTITIONS
        _make(self, *args, **named)

    SqliteStorage.__init__ = _make_with_more  # type: ignore[method-assign]
