"""What processes on one hub in a real PostgreSQL tell each other, and whom it concerns."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest

from tenuto import App, Client, Host
from tenuto.client.store_gateway import StoreGateway
from tenuto.engine.member_ports import HostLoad, MemberFacts
from tenuto.engine.news import more_than_messages
from tenuto.storage import open_storage
from tenuto.storage.postgres.renewal import Renewal
from tenuto.storage.postgres.store import PostgresStorage
from tenuto.telemetry.health import health_of
from tests.conformance.storage_suite import Owner, Places, message, record
from tests.support.postgres import Postgres, running_postgres
from tests.support.postgres_load import doctor
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


# --- a queue that is full -------------------------------------------------------------------------


@pytest.fixture
def crowded() -> Iterator[Postgres]:
    """A server whose queue of notifications is full; not before 17 can it be made so small."""
    with running_postgres("18", max_notify_queue_pages="64") as server:
        yield server


def _fill(server: Postgres) -> subprocess.Popen[str]:
    """Nobody can notify any more, until this ends: a listener in a transaction."""
    place = ("-h", str(server.folder), "-p", str(server.port), "-U", "postgres", "-d", "postgres")
    listener = subprocess.Popen(
        [str(server.programs / "bin" / "psql"), *place, "-qAt"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert listener.stdin is not None
    assert listener.stdout is not None
    listener.stdin.write("LISTEN z;\nBEGIN;\nSELECT 1;\n")
    listener.stdin.flush()
    assert listener.stdout.readline() == "1\n"
    with contextlib.suppress(AssertionError):  # what it says when the queue is full
        while True:
            server.psql("SELECT count(pg_notify('z', repeat('y', 7000) || n)) "
                        "FROM generate_series(1, 20) n")  # fmt: skip
    with contextlib.suppress(AssertionError):
        while True:
            server.psql("SELECT pg_notify('z', repeat('y', 7900))")
    return listener


async def test_notifications_that_cannot_be_sent_are_said_and_sent_later(
    crowded: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tenuto.storage.postgres.listening._LOOK_SECONDS", 1.0)
    url = crowded.tcp_url("crowded")
    async with Host(App(), url) as host, Client.open(url) as client:
        storage = host.engine.storage
        assert isinstance(storage, PostgresStorage)
        looks = 0

        def look() -> None:
            nonlocal looks
            looks += 1

        storage.on_change(look)
        await until(lambda: storage._opened().listening.hears)
        listener = await asyncio.to_thread(_fill, crowded)
        try:
            await client.enqueue("numbers", 1)  # the client's own notification
            await until(lambda: storage.mute is not None)
            monkeypatch.setattr("tenuto.storage.postgres.listening._LOOK_SECONDS", 60.0)
            health = health_of(host.engine)
            assert health.ready
            assert "notifications cannot be sent: the server's queue" in " ".join(health.notes)
            code, said = await doctor(url, capsys)
            assert code == 1
            assert "notifications cannot be sent" in said
            before = looks
            await until(lambda: looks > before + 1)  # as a host that hears nothing
        finally:
            listener.kill()
            listener.communicate()
        await until(lambda: storage.mute is None)
        assert not health_of(host.engine).notes
        others = cast("StoreGateway", client.gateway).storage
        assert isinstance(others, PostgresStorage)
        await until(lambda: not others._opened().listening._untold.has_come)
