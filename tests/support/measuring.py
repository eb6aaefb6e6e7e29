"""Which processes that tests start are measured by coverage: all, but for these.

A process that is killed leaves no figures, and being measured costs it a third of its time. The
lines that only such processes run would be missed anyway.
"""

from collections.abc import Iterator

import pytest

__all__ = ["unmeasured_children"]


@pytest.fixture
def unmeasured_children(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Measure no process that this test starts; what runs in the test's own is measured."""
    with monkeypatch.context() as patch:
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            patch.delenv(name, raising=False)
        yield
