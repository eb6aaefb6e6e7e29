"""The store on SQLite keeps the promises of the Storage port: in a file and in memory."""

from pathlib import Path

import pytest

from tenuto.engine.ports import Storage
from tenuto.storage import open_storage
from tests.conformance.storage_suite import StorageSuite


class SqliteFile:
    shared = True

    def __init__(self, folder: Path) -> None:
        self._url = f"sqlite:///{folder}/hub.db"

    def handle(self, partitions: int = 1) -> Storage:
        return open_storage(self._url, partitions=partitions)


class SqliteMemory:
    shared = False

    def handle(self, partitions: int = 1) -> Storage:
        return open_storage("sqlite://", partitions=partitions)


class TestSqlite(StorageSuite):
    @pytest.fixture(params=["file", "memory"])
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> SqliteFile | SqliteMemory:
        return SqliteFile(tmp_path) if request.param == "file" else SqliteMemory()
