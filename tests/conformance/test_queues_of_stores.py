"""Every store keeps the promises of queues."""

from pathlib import Path

import pytest

from tests.conformance.queue_suite import QueueSuite
from tests.conformance.storage_suite import Backend
from tests.conformance.test_shared_store import Shared
from tests.conformance.test_sqlite import SqliteFile, SqliteMemory


class TestQueuesOfStores(QueueSuite):
    @pytest.fixture(params=["file", "file of 8 partitions", "memory", "plain Python"])
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
        if request.param == "plain Python":
            return Shared()
        if request.param == "memory":
            return SqliteMemory()
        return SqliteFile(tmp_path, 1 if request.param == "file" else 8)
