"""The store on SQLite keeps the promises of the Storage port: in a file and in memory."""

from pathlib import Path

import pytest

from tenuto.engine.ports import Storage
from tenuto.storage import open_storage
from tests.conformance.storage_suite import StorageSuite
from tests.conformance.topics_suite import TopicsSuite


class SqliteFile:
    shared = True

    def __init__(self, folder: Path, partitions: int) -> None:
        self._url = f"sqlite:///{folder}/hub.db"
        self.partitions = partitions

    def handle(self, partitions: int | None = None) -> Storage:
        return open_storage(self._url, partitions=partitions or self.partitions)


class SqliteMemory:
    shared = False
    partitions = 1

    def handle(self, partitions: int | None = None) -> Storage:
        return open_storage("sqlite://", partitions=partitions or self.partitions)


class TestSqlite(StorageSuite, TopicsSuite):
    @pytest.fixture(params=["file", "file of 8 partitions", "memory"])
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> SqliteFile | SqliteMemory:
        if request.param == "memory":
            return SqliteMemory()
        return SqliteFile(tmp_path, 1 if request.param == "file" else 8)
