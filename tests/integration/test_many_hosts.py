"""Several hosts on one hub in a real PostgreSQL: who has what, and what moves when one comes, goes
or dies.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tenuto import App, Client, Context, Host
from tenuto.engine.member_ports import Roster
from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import Lease
from tenuto.host.settings import Settings
from tenuto.link.links import Links
from tenuto.model.errors import SettingsError, StorageLostError, StorageUnavailableError
from tenuto.storage import Sharing
from tenuto.storage.postgres import owning
from tenuto.storage.postgres.address import address_of
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.renewal import Renewal
from tenuto.storage.postgres.store import PostgresStorage
from tenuto.testing import RecordingObserver
from tests.support.postgres import Postgres
from tests.support.waiting import until, until_given

PARTITIONS = 32
SETTINGS = Settings(lease_seconds=1, drain_seconds=2)
SETTINGS_OF_ONE = Settings(lease_seconds=1, drain_seconds=2, partitions=1)


class Hub:
    """Hosts on one hub, each with the same app.

    Attributes:
        runs: How often each activity ran.
        gate: Activities named ``slow`` wait for it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.runs: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.app = self.an_app()
        self.observers: dict[Host, RecordingObserver] = {}
        self.stack = AsyncExitStack()

    def an_app(self, version: str = "") -> App:
        app = App(version=version)

        @app.activity
        async def step(name: str) -> str:
            self.runs[name] += 1
            await asyncio.sleep(0.01)
            return name

        @app.activity
        async def slow(name: str) -> str:
            self.runs[name] += 1
            await self.gate.wait()
            return name

        @app.orchestrator
        async def chain(ctx: Context, name: str) -> list[str]:
            return [await ctx.call_activity(step, f"{name}-{number}") for number in range(5)]

        @app.orchestrator
        async def slowly(ctx: Context, name: str) -> str:
            return await ctx.call_activity(slow, name)

        @app.orchestrator
        async def waits(ctx: Context, _: None) -> str:
            return await ctx.wait_for_external_event("go", str)

        return app

    async def host(self, app: App | None = None, settings: Settings = SETTINGS) -> Host:
        observer = RecordingObserver()
        host = Host(app or self.app, storage=self.url, settings=settings, observer=observer)
        await host.start()
        self.observers[host] = observer
        self.stack.push_async_callback(host.stop)
        return host

    async def client(self, app: App | None = None) -> Client:
        return await self.stack.enter_async_context(Client.open(self.url, app or self.app))


@pytest.fixture
async def hub(postgres: Postgres) -> AsyncIterator[Hub]:
    hub = Hub(postgres.fresh_url())
    async with hub.stack:
        yield hub
        hub.gate.set()


def owned(*hosts: Host) -> list[int]:
    """How many partitions each has."""
    return [len(host.engine.partitions) for host in hosts]


def shared(*hosts: Host) -> Callable[[], bool]:
    """Whether every partition has one host, and each host its share."""

    def is_shared() -> bool:
        everything = sorted(number for host in hosts for number in host.engine.partitions)
        counts = owned(*hosts)
        return everything == list(range(PARTITIONS)) and max(counts) - min(counts) <= 1

    return is_shared


async def test_one_host_has_everything_as_soon_as_it_has_started(hub: Hub) -> None:
    host = await hub.host()
    assert owned(host) == [PARTITIONS]


async def test_each_host_gets_its_share_soon_after_it_has_come(hub: Hub) -> None:
    first = await hub.host()
    second = await hub.host()
    await until(shared(first, second))
    third = await hub.host()
    await until(shared(first, second, third))
    assert sorted(owned(first, second, third)) == [10, 11, 11]


async def test_what_a_host_had_is_shared_by_the_others_when_it_has_stopped(hub: Hub) -> None:
    hosts = [await hub.host() for _ in range(3)]
    await until(shared(*hosts))
    await hosts[1].stop()
    await until(shared(hosts[0], hosts[2]))


async def test_what_a_host_had_is_shared_by_the_others_when_it_has_died(hub: Hub) -> None:
    hosts = [await hub.host() for _ in range(3)]
    await until(shared(*hosts))
    await hosts[1].abandon()
    await until(shared(hosts[0], hosts[2]))


async def test_orchestrations_go_on_while_hosts_come_and_go(hub: Hub) -> None:
    await hub.host()
    client = await hub.client()
    names = [f"chain-{number}" for number in range(60)]
    for name in names:
        await client.start("chain", name, instance_id=name)
    second = await hub.host()
    third = await hub.host()
    await asyncio.sleep(0.3)
    await second.stop()
    await third.stop()
    results = [await client.handle(name).result() for name in names]
    assert results == [[f"{name}-{number}" for number in range(5)] for name in names]
    assert set(hub.runs.values()) == {1}


async def test_a_partition_is_given_away_when_its_activities_have_ended(hub: Hub) -> None:
    first = await hub.host()
    client = await hub.client()
    names = [f"slow-{number}" for number in range(200)]
    for name in names:
        await client.start("slowly", name, instance_id=name)
    await until(lambda: len(hub.runs) == len(names))
    second = await hub.host()
    await asyncio.sleep(0.5)
    assert owned(first, second) == [PARTITIONS, 0]
    hub.gate.set()
    await until(shared(first, second))
    assert [await client.handle(name).result() for name in names] == names
    assert set(hub.runs.values()) == {1}


async def test_what_runs_for_longer_than_the_drain_runs_again_and_counts_once(hub: Hub) -> None:
    brief = Settings(lease_seconds=1, drain_seconds=0)
    first = await hub.host(settings=brief)
    client = await hub.client()
    names = [f"slow-{number}" for number in range(100)]
    for name in names:
        await client.start("slowly", name, instance_id=name)
    await until(lambda: len(hub.runs) == len(names))
    second = await hub.host(settings=brief)
    await until(shared(first, second))
    await until(lambda: sum(hub.runs.values()) > len(names) + 20)
    hub.gate.set()
    assert [await client.handle(name).result() for name in names] == names
    assert max(hub.runs.values()) == 2
    assert any(
        "run again on the host that takes it" in text for _, text in hub.observers[first].problems
    )


async def test_hosts_of_one_version_know_the_same_orchestrators(hub: Hub) -> None:
    first = await hub.host()
    other = hub.an_app()

    @other.orchestrator
    async def another(ctx: Context, _: None) -> None: ...

    with pytest.raises(
        SettingsError, match=r"only the one that starts here knows 'another'.*App\(version="
    ):
        await hub.host(other)
    assert owned(first) == [PARTITIONS]
    await first.stop()
    second = await hub.host(other)
    assert owned(second) == [PARTITIONS]


async def test_what_the_old_version_does_not_know_waits_for_the_new_one(hub: Hub) -> None:
    first, second = await hub.host(hub.an_app("1")), await hub.host(hub.an_app("1"))
    await until(shared(first, second))
    newer = hub.an_app("2")

    @newer.orchestrator
    async def newest(ctx: Context, number: int) -> int:
        return number + 1

    names = [f"newest-{number}" for number in range(40)]
    client = await hub.client(newer)
    for number, name in enumerate(names):
        await client.start("newest", number, instance_id=name)
    await client.start("waits", None, instance_id="waits")
    third = await hub.host(newer)
    await until(lambda: owned(first, second, third) == [10, 10, 12])
    await first.stop()
    await until(lambda: owned(second, third) == [10, 22])
    await second.stop()
    results = [await client.handle(name).result() for name in names]
    assert results == [number + 1 for number in range(40)]
    await client.handle("waits").raise_event("go", "on")
    assert await client.handle("waits").result() == "on"


async def test_an_older_version_takes_what_nobody_else_can(hub: Hub) -> None:
    old = await hub.host(hub.an_app("1"))
    new = await hub.host(hub.an_app("2"))
    await until(shared(old, new))
    await new.stop()
    await until(shared(old))


async def test_a_host_goes_on_renewing_whatever_becomes_of_one_renewal(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = await hub.host()
    errors = [asyncpg.InternalClientError("lost track"), RuntimeError("nobody knows")]
    once = Renewal._once

    async def fails_at_first(self: Renewal, session: Session) -> Roster | None:
        if errors:
            raise errors.pop()
        return await once(self, session)

    monkeypatch.setattr(Renewal, "_once", fails_at_first)
    await until(lambda: not errors)
    another = await hub.host()
    await until(shared(host, another))


async def test_a_host_that_hangs_in_a_transaction_holds_up_nobody(postgres: Postgres) -> None:
    """Its locks go with its lease: found by pulling cables."""
    address = address_of(postgres.fresh_url())
    hung, other = (
        PostgresStorage(address, partitions=2, sharing=Sharing(lease_seconds=1)) for _ in range(2)
    )
    for one in (hung, other):
        await one.open()
    await hung.acquire(HostIdentity(owner="hung", description="hung"), [0, 1])
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hangs(session: Session) -> None:
        await session.rows("lock_partitions", partitions=[0, 1])
        begun.set()
        await ended.wait()
        await session.rows("lock_partitions", partitions=[0, 1])

    task = asyncio.create_task(hung.written(hangs))
    await begun.wait()
    async with asyncio.timeout(20):
        taken = await other.acquire(HostIdentity(owner="other", description="other"), [0, 1])
    assert [lease.partition for lease in taken] == [0, 1]
    ended.set()
    with pytest.raises(StorageUnavailableError):
        await task
    for one in (hung, other):
        await one.close()


async def test_what_is_free_is_taken_once_and_what_a_living_host_has_is_not_free(
    postgres: Postgres,
) -> None:
    """Two find the same free at once: the later one waits, and looks again."""
    address = address_of(postgres.fresh_url())
    first, second = (PostgresStorage(address, partitions=2, sharing=Sharing()) for _ in range(2))
    for one in (first, second):
        await one.open()
    taken, over = asyncio.Event(), asyncio.Event()
    host = HostIdentity(owner="first", description="first")

    async def takes_for_long(session: Session) -> list[Lease]:
        leases = await owning.take(session, host, [0], 10, only_free=True)
        taken.set()
        await over.wait()
        return leases

    early = asyncio.create_task(first.written(takes_for_long))
    await taken.wait()
    other = HostIdentity(owner="second", description="second")
    late = asyncio.create_task(second.members.acquire_free(other, [0, 1]))
    await asyncio.wait([late], timeout=0.2)
    over.set()
    assert await early == [Lease(0, "first", 1)]
    assert await late == [Lease(1, "second", 1)]
    assert await second.members.acquire_free(other, [0]) == []
    for one in (first, second):
        await one.close()


async def test_a_host_that_owns_nothing_publishes_and_enqueues(postgres: Postgres) -> None:
    """More hosts than partitions: it commits all the same, and stays up."""
    hub = Hub(postgres.fresh_url())
    one = SETTINGS_OF_ONE
    async with hub.stack:
        await hub.host(settings=one)
        idle = await hub.host(settings=one)
        assert owned(idle) == [0]
        await idle.client.publish("news", 1)
        await idle.client.enqueue("jobs", 2)
        assert idle.engine.pipeline.is_running
        assert hub.observers[idle].storage_failures == []


async def test_a_sign_of_life_waits_for_no_commit_and_writes_nothing_that_commits_lock(
    postgres: Postgres,
) -> None:
    """The rows of partitions would grow as long as anybody reads an old snapshot."""
    address = address_of(postgres.fresh_url())
    storage = PostgresStorage(address, partitions=2, sharing=Sharing(lease_seconds=1))
    await storage.open()
    await storage.acquire(HostIdentity(owner="me", description="me"), [0, 1])
    wire = await asyncpg.connect(address.dsn)
    leases = f'SELECT lease_until FROM "{address.schema}".owner'
    versions = f'SELECT xmin::text FROM "{address.schema}".partition'
    before = await wire.fetch(versions)
    async with wire.transaction():  # as a commit that takes long
        await wire.execute(f'SELECT 1 FROM "{address.schema}".partition FOR SHARE')
        lease = await wire.fetchval(leases)

        async def is_renewed() -> bool:
            return bool(await wire.fetchval(leases) > lease)

        await until_given(is_renewed)
    assert await wire.fetch(versions) == before
    await wire.close()
    await storage.close()


async def test_a_host_that_gave_no_sign_of_life_takes_part_again_and_counts_as_no_death(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await hub.host(), await hub.host()
    await until(shared(first, second))
    silent = storage_of(first)._opened().renewal
    monkeypatch.setattr(silent, "_host_answers", lambda: False)
    await until(lambda: len(second.engine.partitions) == PARTITIONS)
    monkeypatch.undo()
    await until(shared(first, second))
    assert any("since this one gave no sign of life" in text for text in told(hub, first))

    async def deaths() -> list[int]:
        rows = await storage_of(second).read(
            lambda session: session.wire.fetch(
                f'SELECT deaths FROM "{storage_of(second)._address.schema}".partition'
            )
        )
        return [row["deaths"] for row in rows]

    async def is_forgiven() -> bool:
        return set(await deaths()) == {0}

    await until_given(is_forgiven)


async def test_a_host_that_publishes_without_end_takes_its_first_partition(
    postgres: Postgres,
) -> None:
    """Its commits have no fences until then: found by a breaker's tour."""
    hub = Hub(postgres.fresh_url())
    one = Settings(lease_seconds=1, drain_seconds=1, partitions=1)
    async with hub.stack:
        first = await hub.host(settings=one)
        second = await hub.host(settings=one)
        assert owned(first, second) == [1, 0]

        async def publish() -> None:
            while True:
                await second.client.publish("numbers", 1)

        publishing = [asyncio.create_task(publish()) for _ in range(3)]
        await asyncio.sleep(0.1)
        await first.stop()
        await until(lambda: owned(second) == [1])
        await asyncio.sleep(0.1)
        assert not any(one.done() for one in publishing)
        for task in publishing:
            task.cancel()
        await asyncio.wait(publishing)


async def test_a_host_that_cannot_go_on_keeps_nothing(hub: Hub) -> None:
    first, second = await hub.host(), await hub.host()
    await until(shared(first, second))
    first._on_lost(StorageLostError("as if"))
    await until(lambda: owned(second) == [PARTITIONS])


async def test_a_host_whose_start_fails_late_keeps_nothing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_links: Links, _partitions: int) -> None:
        raise RuntimeError("as if")

    with monkeypatch.context() as patched:
        patched.setattr(Links, "start", fails)
        with pytest.raises(RuntimeError, match="as if"):
            await hub.host()
    assert owned(await hub.host()) == [PARTITIONS]


async def test_a_host_that_answers_is_not_taken_for_blocked(postgres: Postgres) -> None:
    """Also when it may be silent for less time than passes between two signs of life."""
    sharing = Sharing(lease_seconds=2, blocked_seconds=0.3)
    storage = PostgresStorage(address_of(postgres.fresh_url()), partitions=1, sharing=sharing)
    await storage.open()
    await storage.acquire(HostIdentity(owner="me", description="me"), [0])
    await asyncio.sleep(2.5)
    roster = await storage.members.roster()
    assert [place.is_free for place in roster.places] == [False]
    await storage.close()


async def test_a_host_that_was_forgotten_is_a_member_again_when_it_wakes(hub: Hub) -> None:
    """Who has given no sign of life for a day may have slept."""
    host = await hub.host()
    storage = storage_of(host)
    await storage.written(
        lambda session: session.wire.execute(f'DELETE FROM "{storage._address.schema}".member')
    )

    async def is_back() -> bool:
        return bool((await storage.members.roster()).members)

    await until_given(is_back)
    await until(shared(host, await hub.host()))


async def test_a_host_whose_loop_is_blocked_for_long_gives_no_sign_of_life(
    postgres: Postgres,
) -> None:
    """Its thread could go on for ever: then what it has would be nobody's work."""
    sharing = Sharing(lease_seconds=1, blocked_seconds=0.5)
    address = address_of(postgres.fresh_url())
    storage = PostgresStorage(address, partitions=1, sharing=sharing)
    await storage.open()
    await storage.acquire(HostIdentity(owner="me", description="me"), [0])
    is_over = f'SELECT lease_until < clock_timestamp() FROM "{address.schema}".owner'
    end = time.monotonic() + 20
    while postgres.psql(is_over) != "t":  # which blocks the loop
        assert time.monotonic() < end, "it goes on giving signs of life"
    await storage.close()


def storage_of(host: Host) -> PostgresStorage:
    assert isinstance(host.engine.storage, PostgresStorage)
    return host.engine.storage


def told(hub: Hub, host: Host) -> list[str]:
    return [text for _, text in hub.observers[host].problems]


async def test_a_host_without_a_version_beside_one_that_has_it_is_warned_of(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tenuto.host")
    await hub.host(hub.an_app("2"))
    second = await hub.host(hub.an_app())
    peers = second.engine.peers
    assert peers is not None
    assert peers.versions == "version none; others here run '2'; this one is the newest now"
    assert f"its share of 32 partitions; {peers.versions}" in caplog.text
    await until(lambda: caplog.text.count("apps with a version and some without run") == 2)
