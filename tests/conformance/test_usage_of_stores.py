"""Every store adds usage up."""

from pathlib import Path

import pytest

from tests.conformance.storage_suite import Backend
from tests.conformance.test_shared_store import Shared
from tests.conformance.test_sqlite import SqliteFile, SqliteMemory
from tests.conformance.usage_suite import UsageSuite


class TestUsageOfStores(UsageSuite):
    @pytest.fixture(params=["file", "file of 8 partitions", "memory", "plain Python"])
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
        if request.param == "plain Python":
            return Shared()
        if request.param == "memory":
            return SqliteMemory()
        return SqliteFile(tmp_path, 1 if request.param == "file" else 8)
