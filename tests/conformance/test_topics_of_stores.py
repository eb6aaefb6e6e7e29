"""Every store keeps the promises of topics."""

from pathlib import Path

import pytest

from tests.conformance.storage_suite import Backend
from tests.conformance.test_shared_store import Shared
from tests.conformance.test_sqlite import SqliteFile, SqliteMemory
from tests.conformance.topic_suite import TopicSuite


class TestTopicsOfStores(TopicSuite):
    @pytest.fixture(params=["file", "memory", "plain Python"])
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
        if request.param == "plain Python":
            return Shared()
        return SqliteMemory() if request.param == "memory" else SqliteFile(tmp_path, 1)
