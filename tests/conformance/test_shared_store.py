"""The store in memory that many hosts of a test share keeps the promises of the Storage port."""

import pytest

from tenuto.engine.ports import HostIdentity, Storage
from tenuto.model.errors import FencedError, StorageOwnedError
from tests.conformance.storage_suite import Owner, StorageSuite, record, turn
from tests.conformance.topics_suite import TopicsSuite
from tests.support.shared_store import SharedHub


class Shared:
    shared = True
    partitions = 8

    def __init__(self) -> None:
        self._hub: SharedHub | None = None

    def handle(self, partitions: int | None = None) -> Storage:
        if self._hub is None:
            self._hub = SharedHub(partitions or self.partitions)
        return self._hub.handle()


class TestSharedStore(StorageSuite, TopicsSuite):
    @pytest.fixture
    def backend(self) -> Shared:
        return Shared()


async def test_one_owner_of_each_partition_of_many_hosts() -> None:
    hub = SharedHub(4)
    one, other = hub.handle(), hub.handle()
    first = await Owner.of(one)
    await other.open()
    host = HostIdentity(owner="second", description="second")
    with pytest.raises(StorageOwnedError):
        await other.acquire(host)
    second = Owner(other, await other.acquire(host, [1, 2]))
    with pytest.raises(FencedError) as caught:
        await first.commit()
    assert caught.value.partitions == {1, 2}
    await first.commit(fences=[first.leases[0], first.leases[3]], instances=[record(1)])
    await second.commit(history=[turn(1, 0)])
    await one.close()
    assert len(await other.acquire(HostIdentity(owner="third", description="third"))) == 4
    await other.close()
