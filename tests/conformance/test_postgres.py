"""The store on PostgreSQL keeps the promises of the Storage port."""

import pytest

from tenuto.engine.ports import Storage
from tenuto.storage import open_storage
from tests.conformance.queue_suite import QueueSuite
from tests.conformance.storage_suite import StorageSuite
from tests.conformance.topic_suite import TopicSuite
from tests.conformance.topics_suite import TopicsSuite
from tests.conformance.usage_suite import UsageSuite
from tests.support.postgres import Postgres


class PostgresHub:
    shared = True

    def __init__(self, server: Postgres, partitions: int) -> None:
        self._url = server.fresh_url()
        self.partitions = partitions

    def handle(self, partitions: int | None = None) -> Storage:
        return open_storage(self._url, partitions=partitions or self.partitions)


class TestPostgres(StorageSuite, TopicsSuite):
    @pytest.fixture(params=[1, 8], ids=["1 partition", "8 partitions"])
    def backend(self, request: pytest.FixtureRequest, postgres: Postgres) -> PostgresHub:
        return PostgresHub(postgres, request.param)


class TestQueuesOfPostgres(QueueSuite):
    @pytest.fixture
    def backend(self, postgres: Postgres) -> PostgresHub:
        return PostgresHub(postgres, 8)


class TestTopicsOfPostgres(TopicSuite):
    @pytest.fixture
    def backend(self, postgres: Postgres) -> PostgresHub:
        return PostgresHub(postgres, 1)


class TestUsageOfPostgres(UsageSuite):
    @pytest.fixture
    def backend(self, postgres: Postgres) -> PostgresHub:
        return PostgresHub(postgres, 8)
