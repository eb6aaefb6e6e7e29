"""What a program hands over within its own transaction, on a hub in an SQLite file.

The program has an SQLite of its own (``sqlite3``). Two of them in one process do not see each
other's locks, so hosts run in other processes here, or when the program's connection is closed.
"""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from tenuto import (
    Client,
    Host,
    InputError,
    InstanceExistsError,
    Outbox,
    RuntimeStatus,
    SettingsError,
    StorageVersionError,
    SyncOutbox,
)
from tenuto.client.outbox import SyncOutboxWithin
from tenuto.model.codec import encode
from tenuto.model.ids import MessageId
from tenuto.model.messages import Publish
from tenuto.storage import open_storage
from tests.support.outbox_app import app, bill, told

DEEP = "[" * 1500 + "]" * 1500
ROOT = Path(__file__).parents[2]


class Shop:
    """A program with tables of its own beside those of the hub."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.outbox = SyncOutbox(self.url, app)

    @contextmanager
    def connection(self, **options: Any) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, **options)) as one:
            yield one

    def orders(self) -> list[int]:
        with self.connection() as connection:
            return [row[0] for row in connection.execute("SELECT id FROM orders ORDER BY id")]

    def waiting(self) -> int:
        with self.connection() as connection:
            count: int = connection.execute("SELECT count(*) FROM inbox").fetchone()[0]
            return count


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    path = tmp_path / "shop.db"
    store = open_storage(f"sqlite:///{path}", partitions=3)
    await store.open()
    await store.close()
    one = Shop(path)
    with one.connection() as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    return one


@asynccontextmanager
async def host_elsewhere(shop: Shop) -> AsyncIterator[asyncio.subprocess.Process]:
    """A host in a process of its own; killed at the end."""
    script = (
        "import asyncio, sys\n"
        "from tenuto import Host\n"
        "from tests.support.outbox_app import app\n"
        "async def main():\n"
        "    async with Host(app, storage=sys.argv[1]):\n"
        "        print('up', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, shop.url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the file tells
            await asyncio.sleep(0.02)


def sqlite3_of(shop: Shop, end: str) -> None:
    with shop.connection() as connection:
        connection.execute("INSERT INTO orders VALUES (7)")
        _hand_over(shop.outbox.within(connection))
        getattr(connection, end)()


def begun_by_the_outbox(shop: Shop, end: str) -> None:
    with shop.connection() as connection:
        _hand_over(shop.outbox.within(connection))
        connection.execute("INSERT INTO orders VALUES (7)")
        getattr(connection, end)()


def begun_by_hand(shop: Shop, end: str) -> None:
    with shop.connection(isolation_level=None) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO orders VALUES (7)")
        _hand_over(shop.outbox.within(connection))
        connection.execute(end)


def alchemy(shop: Shop, end: str) -> None:
    engine = sqlalchemy.create_engine(shop.url)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO orders VALUES (7)"))
        _hand_over(shop.outbox.within(connection))
        getattr(connection, end)()
    engine.dispose()


def alchemy_session(shop: Shop, end: str) -> None:
    engine = sqlalchemy.create_engine(shop.url)
    with Session(engine) as session:
        session.execute(sqlalchemy.text("INSERT INTO orders VALUES (7)"))
        _hand_over(shop.outbox.within(session))
        getattr(session, end)()
    engine.dispose()


def alchemy_async(shop: Shop, end: str) -> None:
    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{shop.path}")
        async with AsyncSession(engine) as session:
            await session.execute(sqlalchemy.text("INSERT INTO orders VALUES (7)"))
            within = Outbox(shop.url, app).within(session)
            await within.start(told, instance_id="order-7")
            await within.raise_event("order-7", "word", "said")
            await within.publish("orders", {"id": 7}, event_id="mine")
            await getattr(session, end)()
        await engine.dispose()

    asyncio.run(main())


def _hand_over(within: SyncOutboxWithin) -> None:
    within.start(told, instance_id="order-7")
    within.raise_event("order-7", "word", "said")
    within.publish("orders", {"id": 7}, event_id="mine")


KINDS = [sqlite3_of, begun_by_the_outbox, begun_by_hand, alchemy, alchemy_session, alchemy_async]


@pytest.mark.parametrize("kind", KINDS)
async def test_rolled_back_means_never_started(
    shop: Shop, kind: Callable[[Shop, str], None]
) -> None:
    async with host_elsewhere(shop):
        await asyncio.to_thread(kind, shop, "rollback")
        await asyncio.sleep(0.2)
    assert shop.orders() == []
    assert shop.waiting() == 0
    async with Host(app, storage=shop.url) as host:
        assert await host.client.get_status("order-7") is None
        assert await host.client.gateway.topics.events("orders", None, 10) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_committed_means_once_and_a_host_sees_it_soon(
    shop: Shop, kind: Callable[[Shop, str], None]
) -> None:
    async with host_elsewhere(shop):
        await asyncio.to_thread(kind, shop, "commit")
        await until(lambda: shop.waiting() == 0)
    assert shop.orders() == [7]
    async with Host(app, storage=shop.url) as host:
        assert await host.client.handle("order-7").result() == "said"
        (event,) = await host.client.gateway.topics.events("orders", None, 10)
        assert event.event_id == "mine"
        assert await host.client.dead_letters() == []


async def test_a_host_killed_between_starts_each_once(shop: Shop) -> None:
    starts = []
    async with host_elsewhere(shop) as process:
        with shop.connection() as connection:
            for number in range(30):
                with connection:
                    starts.append(shop.outbox.within(connection).start(bill, number))
            process.kill()
            await process.wait()
            with connection:
                starts.append(shop.outbox.within(connection).start(bill, 30))
    async with Host(app, storage=shop.url) as host:
        handles = [await host.client.decided(start) for start in starts]
        assert [await handle.result() for handle in handles] == list(range(31))


async def test_what_waits_is_found_and_a_taken_id_is_told(shop: Shop) -> None:
    with shop.connection() as connection, connection:
        within = shop.outbox.within(connection)
        first = within.start(told, instance_id="a", tags={"of": "shop"})
        second = within.start(told, instance_id="a")
    async with Client.open(shop.url, app) as client:
        status = await client.get_status("a")
        assert status is not None
        assert status.runtime_status is RuntimeStatus.PENDING
        assert status.tags == {"of": "shop"}
        async with Host(app, storage=shop.url):
            handle = await client.decided(first)
            with pytest.raises(InstanceExistsError):
                await client.decided(second)
            await handle.raise_event("word", "said")
            assert await handle.result() == "said"
            (letter,) = await client.dead_letters()
            assert letter.instance_id == "a"


async def test_an_event_that_the_file_cannot_hold_becomes_a_dead_letter(shop: Shop) -> None:
    """SQLite reads no JSON that is nested deeper than 1,000."""
    deep = Publish(message_id=MessageId("m"), event_id="deep", published_at=1, input=DEEP)
    with shop.connection() as connection, connection:
        shop.outbox.within(connection).publish("orders", 1, event_id="plain")
        connection.execute(  # as if by a program that checks less
            "INSERT INTO inbox (message_id, partition, instance_id, message) "
            "VALUES ('m', 0, '#orders', ?)",
            [encode(deep).decode()],
        )
    async with Host(app, storage=shop.url) as host:
        async with asyncio.timeout(20):
            while not await host.client.dead_letters():  # noqa: ASYNC110 - the store tells
                await asyncio.sleep(0.02)
        events = await host.client.gateway.topics.events("orders", None, 10)
        assert [one.event_id for one in events] == ["plain"]
        assert await (await host.client.start(bill, 1)).result() == 1
    assert shop.waiting() == 0


# --- what is refused ---------------------------------------------------------------------------


async def test_a_process_with_two_sqlites_on_the_file_is_refused(shop: Shop) -> None:
    async with Host(app, storage=shop.url):
        with shop.connection() as connection:
            with pytest.raises(InputError, match=r"see each other's locks.*tenuto start"):
                shop.outbox.within(connection).start(bill, 1)
            assert not connection.in_transaction
    async with Client.open(shop.url):
        with shop.connection() as connection, pytest.raises(InputError, match="locks"):
            shop.outbox.within(connection).start(bill, 1)
    with shop.connection() as connection, connection:
        shop.outbox.within(connection).start(bill, 1)


def test_why_two_sqlites_in_one_process_are_refused(tmp_path: Path) -> None:
    """The day this fails they see each other, and the refusal may go."""
    path = tmp_path / "x.db"
    ours = apsw.Connection(str(path))
    ours.execute("PRAGMA journal_mode = wal")
    ours.execute("CREATE TABLE t (i)")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as theirs:
        ours.execute("BEGIN IMMEDIATE")
        theirs.execute("BEGIN IMMEDIATE")
        theirs.execute("ROLLBACK")
        ours.execute("ROLLBACK")
    ours.close()


def test_connections_that_commit_by_themselves_are_refused(shop: Shop) -> None:
    automatic = shop.connection(isolation_level=None)
    with automatic as connection, pytest.raises(InputError, match="autocommit"):
        shop.outbox.within(connection).start(bill, 1)
    engine = sqlalchemy.create_engine(shop.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connected, pytest.raises(InputError, match="autocommit"):
        shop.outbox.within(connected).start(bill, 1)
    engine.dispose()
    assert shop.waiting() == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the attribute is new in Python 3.12")
def test_the_newer_way_of_saying_autocommit_is_understood(shop: Shop) -> None:
    automatic = shop.connection(autocommit=True)
    with automatic as connection, pytest.raises(InputError, match="autocommit"):
        shop.outbox.within(connection).start(bill, 1)
    with shop.connection(autocommit=False) as connection:
        shop.outbox.within(connection).start(bill, 1)
        connection.commit()
    assert shop.waiting() == 1


def test_other_files_are_refused(shop: Shop, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        with pytest.raises(InputError, match=r"it is to .*other\.db.*; the hub is in .*shop\.db"):
            shop.outbox.within(connection).start(bill, 1)
        connection.execute("ATTACH ? AS hub", [str(shop.path)])
        with pytest.raises(InputError, match="power failure"):
            shop.outbox.within(connection).start(bill, 1)
    memory = closing(sqlite3.connect(":memory:"))
    with memory as connection, pytest.raises(InputError, match="it is to ':memory:'"):
        shop.outbox.within(connection).start(bill, 1)
    # By another name it is the same file.
    (tmp_path / "alias.db").symlink_to(shop.path)
    with closing(sqlite3.connect(tmp_path / "alias.db")) as connection, connection:
        shop.outbox.within(connection).start(bill, 1)
    assert shop.waiting() == 1


def test_a_file_without_a_hub_or_of_another_version_is_told(shop: Shop, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("CREATE TABLE orders (id)")
        with pytest.raises(InputError, match="start a host on it first"):
            SyncOutbox(f"sqlite:///{empty}").within(connection).start("bill", 1)
    with shop.connection() as connection:
        connection.execute("PRAGMA user_version = 1")
        with pytest.raises(InputError, match="older Tenuto"):
            shop.outbox.within(connection).start(bill, 1)
        connection.execute("PRAGMA user_version = 999")
        with pytest.raises(StorageVersionError, match="newer"):
            shop.outbox.within(connection).start(bill, 1)


async def test_a_file_that_was_replaced_by_another_hub_is_told(shop: Shop) -> None:
    with shop.connection() as connection, connection:
        shop.outbox.within(connection).start(bill, 1)
    for beside in ("", "-wal", "-shm"):
        shop.path.with_name(f"{shop.path.name}{beside}").unlink(missing_ok=True)
    store = open_storage(shop.url, partitions=3)
    await store.open()
    await store.close()
    with shop.connection() as connection, pytest.raises(InputError, match="another hub"):
        shop.outbox.within(connection).start(bill, 1)


def test_a_closed_connection_and_a_store_in_memory_are_refused(shop: Shop) -> None:
    with shop.connection() as connection:
        within = shop.outbox.within(connection)
    with pytest.raises(InputError, match="closed"):
        within.start(bill, 1)
    with pytest.raises(SettingsError, match="in memory"):
        Outbox("sqlite://")


def test_an_error_of_sqlite_is_the_programs_own(shop: Shop) -> None:
    with shop.connection() as one, shop.connection(timeout=0) as other:
        one.execute("INSERT INTO orders VALUES (1)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            shop.outbox.within(other).start(bill, 1)
