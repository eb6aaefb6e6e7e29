"""What processes on one hub in a real PostgreSQL tell each other, and whom it concerns."""

from collections.abc import AsyncIterator

import pytest

from tenuto.engine.member_ports import HostLoad, MemberFacts
from tenuto.engine.news import more_than_messages
from tenuto.storage import open_storage
from tenuto.storage.postgres.renewal import Renewal
from tenuto.storage.postgres.store import PostgresStorage
from tests.conformance.storage_suite import Owner, Places, message, record
from tests.support.postgres import Postgres
from tests.support.waiting import until


class Hearing:
    """A store, and how often it was asked to look for something.

    Attributes:
        storage: The store.
        looks: For messages to partition 0, for messages to partition 1, for anything else.
    """

    def __init__(self, storage: PostgresStorage) -> None:
        self.storage = storage
        self.looks = {"0": 0, "1": 0, "else": 0}
        for number in (0, 1):
            storage.on_change(
                lambda number=number: self._count(str(number)),  # type: ignore[misc]
                lambda written, number=number: written.has_messages_to([number]),  # type: ignore[misc]
            )
        storage.on_change(lambda: self._count("else"), more_than_messages)

    def _count(self, what: str) -> None:
        self.looks[what] += 1


@pytest.fixture(autouse=True)
def _two_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Places, "partitions", 2)
    monkeypatch.setattr("tenuto.storage.postgres.listening._LOOK_SECONDS", 60.0)


@pytest.fixture
async def stores(postgres: Postgres) -> AsyncIterator[tuple[PostgresStorage, Hearing]]:
    """One that writes, and another that hears."""
    url = postgres.fresh_url()
    writes, hears = (open_storage(url, partitions=2) for _ in range(2))
    assert isinstance(writes, PostgresStorage)
    assert isinstance(hears, PostgresStorage)
    await writes.open()
    await hears.open()
    hearing = Hearing(hears)
    await until(lambda: hears._opened().listening.hears and all(hearing.looks.values()))
    hearing.looks = dict.fromkeys(hearing.looks, 0)
    yield writes, hearing
    await writes.close()
    await hears.close()


async def test_a_message_concerns_its_partition_alone(
    stores: tuple[PostgresStorage, Hearing],
) -> None:
    storage, hearing = stores
    await storage.append([message("to-1", partition=1)])
    await until(lambda: hearing.looks["1"] > 0)
    assert hearing.looks == {"0": 0, "1": 1, "else": 0}


async def test_a_start_and_a_commit_concern_the_partitions_they_are_for(
    stores: tuple[PostgresStorage, Hearing],
) -> None:
    storage, hearing = stores
    await storage.start_instance(record(-1, partition=1))
    await until(lambda: hearing.looks["1"] == 1)
    owner = await Owner.of(storage)
    await owner.commit(inbox=[message("to-0", partition=0)])
    await until(lambda: hearing.looks["0"] > 0)
    assert hearing.looks == {"0": 1, "1": 1, "else": 0}


async def test_a_partition_that_is_free_concerns_everybody(
    stores: tuple[PostgresStorage, Hearing],
) -> None:
    storage, hearing = stores
    owner = await Owner.of(storage)
    await storage.release(owner.leases)
    await until(lambda: all(hearing.looks.values()))


async def test_what_others_write_costs_a_host_no_sign_of_life(
    stores: tuple[PostgresStorage, Hearing], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, hearing = stores
    looks: list[Renewal] = []
    monkeypatch.setattr(Renewal, "look", lambda renewal: looks.append(renewal))  # noqa: PLW0108 - a method
    hearing.storage.members.on_roster(lambda _: None, HostLoad)
    await until(lambda: len(looks) == 1)  # once soon, as for anybody
    for number in range(10):
        await storage.append([message(f"m-{number}", partition=1)])
    await until(lambda: hearing.looks["1"] > 0)
    assert len(looks) == 1
    await storage.members.join(
        MemberFacts(
            member="another", description="another", address=None, app_version="", orchestrators=[]
        )
    )
    await until(lambda: len(looks) > 1)
