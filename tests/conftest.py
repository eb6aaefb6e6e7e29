"""What holds for every test: no process outlives it."""

from tests.support.leftovers import (
    nothing_is_left_running,
    pytest_configure,
    pytest_runtest_makereport,
)

__all__ = ["nothing_is_left_running", "pytest_configure", "pytest_runtest_makereport"]
