"""What a program hands over within its own transaction, on a hub in PostgreSQL.

Rolled back means never started; committed means once, whoever is killed between; and whoever leaves
his transaction open holds up nobody else.
"""

import asyncio
import contextlib
import re
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import asyncpg
import psycopg
import pytest
import sqlalchemy
from psycopg.rows import class_row, dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from tenuto import (
    Client,
    HandedStart,
    Host,
    IdReuse,
    InputError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInstanceIdError,
    NotOverLinksError,
    Outbox,
    PayloadError,
    RuntimeStatus,
    SettingsError,
    StorageVersionError,
    SyncClient,
    SyncOutbox,
    UnknownFunctionError,
)
from tenuto.cli.command import run_command_line
from tenuto.client.outbox import OutboxWithin
from tenuto.engine.ports import InboxPage
from tenuto.model.codec import encode
from tenuto.model.events import ExecutionStarted, TaskCompleted
from tenuto.model.ids import ExecutionId, InstanceId, MessageId, partition_of
from tenuto.model.messages import AnyMessage, Purge, Start, Suspend, TaskResult, Terminate
from tenuto.model.status import ParentInstance
from tests.support.outbox_app import app, bill, heard, text_of, told
from tests.support.postgres import Postgres, fresh_schema

ROOT = Path(__file__).parents[2]

Within: TypeAlias = Any
"""Of either outbox: what it gives may be awaited, or not."""

Opened: TypeAlias = tuple[Within, Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]
"""The outbox within an open transaction, and how that is committed and rolled back."""


class Callers:
    """Programs that have connections to the database of a hub, each of a kind of its own."""

    def __init__(self, server: Postgres, url: str) -> None:
        self.url = url
        self.plain = server.url("x").partition("&schema")[0]
        where = f"?host={quote(str(server.folder))}&port={server.port}"
        self.where = f"://postgres@/postgres{where}"
        self.outbox = Outbox(url, app)
        self.sync_outbox = SyncOutbox(url, app)

    @asynccontextmanager
    async def asyncpg(self) -> AsyncIterator[Opened]:
        wire = await asyncpg.connect(self.plain)
        transaction = wire.transaction()
        await transaction.start()
        yield self.outbox.within(wire), transaction.commit, transaction.rollback
        await wire.close()

    @asynccontextmanager
    async def asyncpg_pool(self) -> AsyncIterator[Opened]:
        async with asyncpg.create_pool(self.plain, min_size=1) as pool, pool.acquire() as wire:
            transaction = wire.transaction()
            await transaction.start()
            yield self.outbox.within(wire), transaction.commit, transaction.rollback

    @asynccontextmanager
    async def psycopg_async(self) -> AsyncIterator[Opened]:
        wire = await psycopg.AsyncConnection.connect(self.plain, row_factory=dict_row)
        async with wire:
            yield self.outbox.within(wire), wire.commit, wire.rollback

    @asynccontextmanager
    async def psycopg(self) -> AsyncIterator[Opened]:
        with psycopg.Connection.connect(self.plain, row_factory=class_row(int)) as wire:
            within = self.sync_outbox.within(wire)
            yield within, later(wire.commit), later(wire.rollback)

    @asynccontextmanager
    async def alchemy_async(self) -> AsyncIterator[Opened]:
        engine = create_async_engine(f"postgresql+psycopg{self.where}")
        async with engine.connect() as wire:
            yield self.outbox.within(wire), wire.commit, wire.rollback
        await engine.dispose()

    @asynccontextmanager
    async def alchemy_asyncpg(self) -> AsyncIterator[Opened]:
        engine = create_async_engine(f"postgresql+asyncpg{self.where}")
        async with engine.connect() as wire:
            yield self.outbox.within(wire), wire.commit, wire.rollback
        await engine.dispose()

    @asynccontextmanager
    async def alchemy_async_session(self) -> AsyncIterator[Opened]:
        engine = create_async_engine(f"postgresql+asyncpg{self.where}")
        async with AsyncSession(engine) as session:
            yield self.outbox.within(session), session.commit, session.rollback
        await engine.dispose()

    @asynccontextmanager
    async def alchemy(self) -> AsyncIterator[Opened]:
        engine = sqlalchemy.create_engine(f"postgresql+psycopg{self.where}")
        with engine.connect() as wire:
            yield self.sync_outbox.within(wire), later(wire.commit), later(wire.rollback)
        engine.dispose()

    @asynccontextmanager
    async def alchemy_session(self) -> AsyncIterator[Opened]:
        engine = sqlalchemy.create_engine(f"postgresql+psycopg{self.where}")
        with Session(engine) as session:
            yield self.sync_outbox.within(session), later(session.commit), later(session.rollback)
        engine.dispose()


def later(call: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    """Of a connection that blocks."""

    async def called() -> None:
        call()

    return called


async def done(value: Any) -> Any:  # noqa: ANN401 - an outbox gives it
    """What an outbox has given, of either kind."""
    return await value if isinstance(value, Awaitable) else value


Kind: TypeAlias = Callable[[Callers], AbstractAsyncContextManager[Opened]]

KINDS: list[Kind] = [
    Callers.asyncpg,
    Callers.asyncpg_pool,
    Callers.psycopg_async,
    Callers.psycopg,
    Callers.alchemy_async,
    Callers.alchemy_asyncpg,
    Callers.alchemy_async_session,
    Callers.alchemy,
    Callers.alchemy_session,
]


@pytest.fixture(params=KINDS, ids=lambda one: one.__name__)
def kind(request: pytest.FixtureRequest) -> Kind:
    one: Kind = request.param
    return one


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.fresh_url()


@pytest.fixture
async def host(url: str) -> AsyncIterator[Host]:
    async with Host(app, storage=url) as one:
        yield one


@pytest.fixture
def callers(postgres: Postgres, url: str) -> Callers:
    return Callers(postgres, url)


async def inbox(callers: Callers, column: str = "message_id") -> list[Any]:
    wire = await asyncpg.connect(callers.plain)
    try:
        schema = callers.url.rpartition("schema=")[2]
        return [row[0] for row in await wire.fetch(f"SELECT {column} FROM {schema}.inbox")]
    finally:
        await wire.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - the database tells
            await asyncio.sleep(0.02)


# --- rolled back, committed --------------------------------------------------------------------


async def test_rolled_back_means_never_started(host: Host, callers: Callers, kind: Kind) -> None:
    waiting = await host.client.start(told, instance_id="waiting")
    await waiting.started()
    async with kind(callers) as (within, _, rollback):
        await done(within.start(bill, 7, instance_id="order-7"))
        await done(within.raise_event("waiting", "word", "never"))
        await done(within.publish("orders", {"id": 7}))
        await rollback()
    await host.client.wake()
    assert await (await host.client.start(bill, 1)).result() == 1
    assert await host.client.get_status("order-7") is None
    assert (await waiting.status()).runtime_status is RuntimeStatus.RUNNING
    assert await inbox(callers) == []
    assert await published(host.client) == []


async def test_committed_means_once(host: Host, callers: Callers, kind: Kind) -> None:
    async with kind(callers) as (within, commit, _):
        start = await done(within.start(told, instance_id="order-7", tags={"of": "shop"}))
        await done(
            within.raise_event("order-7", "word", "said")
        )  # whom the same transaction starts
        event_id = await done(within.publish("orders", {"id": 7}, key="k", type="placed"))
        await asyncio.sleep(0.05)
        assert await host.client.get_status("order-7") is None
        await commit()
    handle = await host.client.decided(start)
    assert await handle.result() == "said"
    assert (await handle.status()).tags == {"of": "shop"}

    async def is_published() -> bool:
        return await published(host.client) == [event_id]

    await until(is_published)
    assert await inbox(callers) == []
    assert await host.client.dead_letters() == []


async def published(client: Client, topic: str = "orders") -> list[str]:
    return [one.event_id for one in await client.gateway.topics.events(topic, None, 100)]


async def test_what_is_undone_to_a_savepoint_was_never_handed_over(
    host: Host, callers: Callers
) -> None:
    wire = await asyncpg.connect(callers.plain)
    async with wire.transaction():
        await callers.outbox.within(wire).start(bill, 1, instance_id="before")
        savepoint = wire.transaction()
        await savepoint.start()
        await callers.outbox.within(wire).start(bill, 2, instance_id="inside")
        await savepoint.rollback()
        await callers.outbox.within(wire).start(bill, 3, instance_id="after")
    await wire.close()
    engine = sqlalchemy.create_engine(f"postgresql+psycopg{callers.where}")
    with engine.begin() as connection:
        inner = connection.begin_nested()
        callers.sync_outbox.within(connection).start(bill, 4, instance_id="nested")
        inner.rollback()
    engine.dispose()
    assert await host.client.handle("after").result() == 3
    assert await host.client.handle("before").result() == 1
    assert await host.client.get_status("inside") is None
    assert await host.client.get_status("nested") is None


async def test_a_failed_statement_of_the_program_takes_the_start_along(
    host: Host, callers: Callers
) -> None:
    wire = await psycopg.AsyncConnection.connect(callers.plain)
    await callers.outbox.within(wire).start(bill, 1, instance_id="a")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await wire.execute("SELECT 1 / 0")
    await wire.commit()  # which PostgreSQL makes a rollback
    await wire.close()
    assert await host.client.get_status("a") is None
    assert await inbox(callers) == []


KILLED = """
import asyncio, sys
from tenuto import Host
from tests.support.outbox_app import app

async def main():
    async with Host(app, storage=sys.argv[1]) as host:
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_host_killed_between_starts_each_once(callers: Callers, url: str) -> None:
    """Some before it has taken them in, some after, some in a commit that nobody has heard of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    starts: list[HandedStart[int]] = []

    async def hand_over(count: int) -> None:
        wire = await asyncpg.connect(callers.plain)
        for _ in range(count):
            async with wire.transaction():
                within = callers.outbox.within(wire)
                starts.append(await within.start(bill, len(starts)))
                await within.publish("orders", len(starts))
        await wire.close()

    async with Client.open(url) as client:
        await hand_over(50)
        await client.wake()  # the host is in the midst of them when it is killed
        await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await hand_over(10)
    async with Host(app, storage=url) as host:
        handles = [await host.client.decided(start) for start in starts]
        assert [await handle.result() for handle in handles] == list(range(60))
        for start in starts:
            turns = await host.client.history(start.instance_id)
            assert [type(one).__name__ for one in turns].count("ExecutionStarted") == 1
        await until_empty(callers)
        assert len(await published(host.client)) == 60
        assert await host.client.dead_letters() == []


async def until_empty(callers: Callers) -> None:
    async def is_empty() -> bool:
        return not await inbox(callers)

    await until(is_empty)


async def test_an_open_transaction_holds_nobody_up(host: Host, callers: Callers) -> None:
    """The promise of cluster.md 3.3: not even who asks for the same id waits."""
    wire = await asyncpg.connect(callers.plain)
    transaction = wire.transaction()
    await transaction.start()
    within = callers.outbox.within(wire)
    mine = await within.start(bill, 1, instance_id="order-7")
    await within.publish("orders", 1, event_id="mine")
    await host.client.start(told, instance_id="waiting")
    await within.raise_event("waiting", "word", "said")
    async with asyncio.timeout(5):
        began = time.monotonic()
        for number in range(20):
            assert await (await host.client.start(bill, number)).result() == number
        assert await (await host.client.start(bill, 2, instance_id="order-7")).result() == 2
        async with Client.open(callers.url) as client:
            await client.start("bill", 3)
            await client.publish("orders", 2, event_id="theirs")
        await host.client.publish("orders", 3, event_id="hosts")
        other = await psycopg.AsyncConnection.connect(callers.plain)
        async with other:
            await callers.outbox.within(other).start(bill, 4, instance_id="order-8")
            await callers.outbox.within(other).start(bill, 5, instance_id="order-7")
        assert await host.client.handle("order-8").result() == 4
        await until_empty(callers)
        assert time.monotonic() - began < 2
    assert (await host.client.handle("waiting").status()).runtime_status is RuntimeStatus.RUNNING
    await transaction.commit()
    await wire.close()
    # The other one had ended, and gives way.
    assert await (await host.client.decided(mine)).result() == 1
    assert await host.client.handle("waiting").result() == "said"
    assert sorted(await published(host.client)) == ["hosts", "mine", "theirs"]


# --- reads -------------------------------------------------------------------------------------


async def handed(callers: Callers, *arguments: Any, **options: Any) -> HandedStart[Any]:
    wire = await asyncpg.connect(callers.plain)
    async with wire.transaction():
        start = await callers.outbox.within(wire).start(*arguments, **options)
    await wire.close()
    return start


async def test_what_is_committed_is_found_before_a_host_has_seen_it(
    callers: Callers, url: str
) -> None:
    async with Host(app, storage=url):
        pass
    before = datetime.now(UTC) - timedelta(milliseconds=2)
    start = await handed(callers, told, instance_id="a", version="v1", tags={"of": "shop"})
    async with Client.open(url, app) as client:
        status = await client.get_status("a")
        assert status is not None
        assert (status.runtime_status, status.name) == (RuntimeStatus.PENDING, "told")
        assert (status.version, status.tags) == ("v1", {"of": "shop"})
        assert before <= status.created_time <= datetime.now(UTC)
        await client.raise_event("a", "word", "said")
        waiting = asyncio.create_task(client.wait("a"))
        deciding = asyncio.create_task(client.decided(start))
        assert await client.get_status("nobody") is None
        with pytest.raises(InstanceNotFoundError):
            await client.wait("nobody")
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert not deciding.done()
        async with Host(app, storage=url) as host:
            assert (await host.client.handle("a").status()).runtime_status is not None
            assert (await waiting).runtime_status is RuntimeStatus.COMPLETED
            assert await (await deciding).result() == "said"
            assert await (await host.client.decided(start)).result() == "said"


async def test_a_host_is_asked_about_what_it_has_not_seen_yet(host: Host, callers: Callers) -> None:
    await handed(callers, told, instance_id="a")
    await host.client.raise_event("a", "word", "said")
    assert await host.client.handle("a").result() == "said"
    with pytest.raises(InstanceNotFoundError):
        await host.client.raise_event("nobody", "word", "said")


async def test_a_host_sees_it_at_once_when_it_is_woken_and_soon_when_not(
    host: Host, callers: Callers
) -> None:
    async with Client.open(callers.url, app) as client:
        for is_woken, seconds in ((True, 1.0), (False, 7.0)):
            start = await handed(callers, bill, 1)
            began = time.monotonic()
            if is_woken:
                await client.wake()

            async def is_done(start: HandedStart[int] = start) -> bool:
                record = await client.gateway.get(InstanceId(start.instance_id))
                return record is not None and record.status.is_finished

            await until(is_done)
            assert time.monotonic() - began < seconds


async def test_a_start_with_an_id_that_is_taken_is_told_honestly(
    host: Host, callers: Callers, capsys: pytest.CaptureFixture[str]
) -> None:
    first = await host.client.start(told, instance_id="a")
    await first.started()
    start = await handed(callers, told, instance_id="a")
    with pytest.raises(InstanceExistsError, match="already exists"):
        await host.client.decided(start)
    async with Client.open(callers.url, app) as client:
        with pytest.raises(InstanceExistsError):
            await client.decided(start)
    (letter,) = await host.client.dead_letters()
    assert letter.instance_id == "a"
    assert "already exists" in letter.reason
    assert letter.name == "told"
    assert await asyncio.to_thread(
        run_command_line, ["dead-letters", "list", "--storage", callers.url]
    ) in {0, None}
    assert "  start of  told with an input of 4 bytes of JSON\n" in capsys.readouterr().out
    replaced = await handed(callers, told, instance_id="a", reuse=IdReuse.ALWAYS)
    handle = await host.client.decided(replaced)
    await handle.raise_event("word", "second")
    assert await handle.result() == "second"
    # Two in one transaction: the first one has the id.
    wire = await asyncpg.connect(callers.plain)
    async with wire.transaction():
        within = callers.outbox.within(wire)
        starts = [await within.start(told, instance_id="b") for _ in range(2)]
    await wire.close()
    await host.client.decided(starts[0])
    with pytest.raises(InstanceExistsError):
        await host.client.decided(starts[1])


async def test_what_was_decided_is_told_when_the_instance_is_gone(
    host: Host, callers: Callers
) -> None:
    start = await handed(callers, told, instance_id="a")
    refused = await handed(callers, told, instance_id="a")
    handle = await host.client.decided(start)
    await until_empty(callers)
    await handle.raise_event("word", "said")
    assert await handle.result() == "said"
    await host.client.purge("a")
    await host.client.decided(start)
    with pytest.raises(InstanceExistsError):
        await host.client.decided(refused)


async def test_a_start_that_was_rolled_back_or_is_open_is_not_found(
    host: Host, callers: Callers
) -> None:
    wire = await asyncpg.connect(callers.plain)
    transaction = wire.transaction()
    await transaction.start()
    start = await callers.outbox.within(wire).start(bill, 1)
    with pytest.raises(InstanceNotFoundError):
        await host.client.decided(start)
    await transaction.rollback()
    await wire.close()
    with pytest.raises(InstanceNotFoundError):
        await host.client.decided(start)


async def test_answers_that_are_gone_leave_the_instance_to_tell(
    host: Host, callers: Callers
) -> None:
    start = await handed(callers, told, instance_id="a")
    refused = await handed(callers, told, instance_id="a")
    await host.client.decided(start)
    with pytest.raises(InstanceExistsError):
        await host.client.decided(refused)
    wire = await asyncpg.connect(callers.plain)
    await wire.execute(f"DELETE FROM {callers.url.rpartition('schema=')[2]}.answer")
    await wire.close()
    await host.client.decided(start)
    with pytest.raises(InstanceExistsError):
        await host.client.decided(refused)


async def test_what_was_put_off_begins_later(host: Host, callers: Callers) -> None:
    at = datetime.now(UTC) + timedelta(seconds=1)
    handle = await host.client.decided(await handed(callers, bill, 1, start_at=at))
    assert (await handle.status()).runtime_status is RuntimeStatus.PENDING
    assert await handle.result() == 1
    assert datetime.now(UTC) >= at


async def test_an_event_for_nobody_becomes_a_dead_letter(host: Host, callers: Callers) -> None:
    wire = await asyncpg.connect(callers.plain)
    async with wire.transaction():
        await callers.outbox.within(wire).raise_event("nobody", "word", "said")
    await wire.close()
    await host.client.wake()

    async def is_buried() -> bool:
        return [one.instance_id for one in await host.client.dead_letters()] == ["nobody"]

    await until(is_buried)


async def test_an_instance_that_is_purged_takes_no_event_of_a_topic_of_its_name_along(
    callers: Callers, url: str
) -> None:
    async with Host(app, storage=url) as host:
        await (await host.client.start(bill, 1, instance_id="orders")).result()
    wire = await asyncpg.connect(callers.plain)
    async with wire.transaction():
        await callers.outbox.within(wire).publish("orders", 1, event_id="mine")
    schema = callers.url.rpartition("schema=")[2]
    await wire.execute(f"SELECT {schema}.purge(array_agg(iid)) FROM {schema}.instance")
    await wire.close()
    async with Host(app, storage=url) as host:
        await until_empty(callers)
        assert await published(host.client) == ["mine"]


async def test_one_who_waits_for_the_event_gets_it(host: Host, callers: Callers) -> None:
    handle = await host.client.start(heard, "7")
    await handle.started()
    wire = await asyncpg.connect(callers.plain)
    async with wire.transaction():
        await callers.outbox.within(wire).publish("orders", {"id": 7}, key="7")
    await wire.close()
    await host.client.wake()
    assert await handle.result() == {"id": 7}


# --- what is refused ---------------------------------------------------------------------------


@asynccontextmanager
async def transaction(callers: Callers) -> AsyncIterator[OutboxWithin]:
    wire = await asyncpg.connect(callers.plain)
    begun = wire.transaction()
    await begun.start()
    try:
        yield callers.outbox.within(wire)
    finally:
        await begun.rollback()
        await wire.close()


async def test_what_cannot_be_is_refused_before_anything_is_sent(
    host: Host, callers: Callers
) -> None:
    async with transaction(callers) as within:
        with pytest.raises(InvalidInstanceIdError, match="x00"):
            await within.start(bill, 1, instance_id="a\x00b")
        with pytest.raises(InvalidInstanceIdError, match="surrogate"):
            await within.start(bill, 1, instance_id="a\ud800")
        with pytest.raises(InvalidInstanceIdError, match="sub-orchestration"):
            await within.start(bill, 1, instance_id=f"{'a' * 32}:0001")
        with pytest.raises(InvalidInstanceIdError, match="entities"):
            await within.start(bill, 1, instance_id="@a")
        with pytest.raises(InputError, match="NUL"):
            await within.start(bill, 1, version="v\x00")
        with pytest.raises(InputError, match="NUL"):
            await within.publish("orders", key="k\x00")
        with pytest.raises(InputError, match="print"):
            await within.publish("orders", event_id="e\x00")
        with pytest.raises(InputError):
            await within.publish("top\x00ic")
        with pytest.raises(PayloadError):
            await within.publish("orders", "\ud800")
        with pytest.raises(UnknownFunctionError):
            await within.start("nothing")
        with pytest.raises(NotOverLinksError):
            await within.start(bill.options(on="depot"), 1)
        with pytest.raises(NotOverLinksError):
            await within.raise_event("depot/a", "word")
        with pytest.raises(NotOverLinksError):
            await within.publish("depot/orders")
        with pytest.raises(InputError, match="leave out `on`"):
            await within.start(bill, 1, on="depot")  # type: ignore[call-overload]
        start = await within.start(bill, 1)  # the transaction goes on
        assert start.instance_id
    assert await inbox(callers) == []


async def test_payloads_hold_every_text_that_is_json(host: Host, callers: Callers) -> None:
    wire = await asyncpg.connect(callers.plain)
    async with wire.transaction():
        within = callers.outbox.within(wire)
        await within.start(told, instance_id="a")
        await within.raise_event("a", "word", "a\x00b — 🦊")
    await wire.close()
    assert await host.client.handle("a").result() == "a\x00b — 🦊"


async def test_connections_that_commit_by_themselves_are_refused(
    host: Host, callers: Callers
) -> None:
    automatic = {"isolation_level": "AUTOCOMMIT"}
    wire = await asyncpg.connect(callers.plain)
    with pytest.raises(InputError, match="autocommit"):
        await callers.outbox.within(wire).start(bill, 1)
    await wire.close()
    psycopg_wire = await psycopg.AsyncConnection.connect(callers.plain, autocommit=True)
    async with psycopg_wire:
        with pytest.raises(InputError, match="autocommit"):
            await callers.outbox.within(psycopg_wire).start(bill, 1)
        async with psycopg_wire.transaction():  # begun all the same
            await callers.outbox.within(psycopg_wire).start(bill, 1, instance_id="a")
    for driver in ("psycopg", "asyncpg"):
        engine = create_async_engine(f"postgresql+{driver}{callers.where}", **automatic)
        async with engine.connect() as connection:
            with pytest.raises(InputError, match="autocommit"):
                await callers.outbox.within(connection).start(bill, 1)
        await engine.dispose()
    blocking = sqlalchemy.create_engine(f"postgresql+psycopg{callers.where}")
    one = blocking.connect().execution_options(**automatic)
    with one, pytest.raises(InputError, match="autocommit"):
        callers.sync_outbox.within(one).start(bill, 1)
    blocking.dispose()
    assert await host.client.handle("a").result() == 1


async def test_connections_that_are_closed_are_refused(host: Host, callers: Callers) -> None:
    wire = await asyncpg.connect(callers.plain)
    await wire.close()
    with pytest.raises(InputError, match="closed"):
        await callers.outbox.within(wire).start(bill, 1)
    async with asyncpg.create_pool(callers.plain, min_size=1) as pool:
        async with pool.acquire() as lent:
            within = callers.outbox.within(lent)
        with pytest.raises(InputError, match="released back to the pool"):
            await within.start(bill, 1)
    blocking = psycopg.Connection.connect(callers.plain)
    blocking.close()
    with pytest.raises(InputError, match="closed"):
        callers.sync_outbox.within(blocking).start(bill, 1)
    engine = sqlalchemy.create_engine(f"postgresql+psycopg{callers.where}")
    connection = engine.connect()
    connection.close()
    with pytest.raises(InputError, match="closed"):
        callers.sync_outbox.within(connection).start(bill, 1)
    engine.dispose()
    async_engine = create_async_engine(f"postgresql+asyncpg{callers.where}")
    async_connection = await async_engine.connect()
    await async_connection.close()
    with pytest.raises(InputError, match="closed"):
        await callers.outbox.within(async_connection).start(bill, 1)
    await async_engine.dispose()


async def test_connections_of_other_kinds_are_refused(postgres: Postgres, callers: Callers) -> None:
    with pytest.raises(InputError, match=r"builtins\.int; known are .*psycopg\.AsyncConnection"):
        callers.outbox.within(7)
    engine = sqlalchemy.create_engine("sqlite://")
    with pytest.raises(InputError, match="give the connection"):
        callers.sync_outbox.within(engine)
    with engine.connect() as connection, pytest.raises(InputError, match="is to sqlite"):
        callers.sync_outbox.within(connection).start(bill, 1)
    engine.dispose()
    memory = sqlite3.connect(":memory:")
    with pytest.raises(InputError, match="sqlite3 is to sqlite"):
        callers.sync_outbox.within(memory)
    memory.close()
    wire = await asyncpg.connect(callers.plain)
    async with wire.transaction():
        with pytest.raises(InputError, match="use Outbox"):
            callers.sync_outbox.within(wire)
    await wire.close()
    with (
        psycopg.Connection.connect(callers.plain) as blocking,
        pytest.raises(InputError, match="this connection blocks; use SyncOutbox"),
    ):
        callers.outbox.within(blocking)
    with pytest.raises(SettingsError):
        Outbox("mysql://x")


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one.__name__)
async def test_a_database_without_the_hub_is_told(
    postgres: Postgres, callers: Callers, kind: Kind
) -> None:
    """Nobody has made this one."""
    async with kind(callers) as (within, _, rollback):
        with pytest.raises(InputError, match=r"no hub in the schema .*start a host"):
            await done(within.start(bill, 1))
        await rollback()


async def test_another_hub_than_the_first_one_is_told(
    host: Host, postgres: Postgres, callers: Callers
) -> None:
    schema = callers.url.rpartition("schema=")[2]
    await handed(callers, bill, 1, instance_id="a")
    postgres.run(
        "createdb", "-h", str(postgres.folder), "-p", str(postgres.port), "-U", "postgres", schema
    )
    async with Host(app, storage=postgres.url(schema, database=schema)):
        wire = await asyncpg.connect(callers.plain, database=schema)
        async with wire.transaction():
            with pytest.raises(InputError, match="another hub"):
                await callers.outbox.within(wire).start(bill, 1)
        await wire.close()


async def test_a_hub_of_a_newer_version_is_refused(host: Host, callers: Callers) -> None:
    schema = callers.url.rpartition("schema=")[2]
    wire = await asyncpg.connect(callers.plain)
    await wire.execute(f"UPDATE {schema}.hub SET schema = 999")
    async with wire.transaction():
        with pytest.raises(StorageVersionError, match="newer Tenuto"):
            await callers.outbox.within(wire).start(bill, 1)
    await wire.close()


RIGHTS = (ROOT / "docs" / "transactions.md").read_text(encoding="utf-8")


async def test_a_user_with_the_rights_that_the_page_names_hands_over(
    host: Host, postgres: Postgres, callers: Callers
) -> None:
    schema, user = callers.url.rpartition("schema=")[2], f"user_{fresh_schema()}"
    given = RIGHTS.partition("```sql\n")[2].partition("```")[0]
    maker = await asyncpg.connect(callers.plain)
    ours = await asyncpg.connect(callers.plain, user="postgres")
    await maker.execute(f"CREATE ROLE {user} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {user}")
    wire = await asyncpg.connect(callers.plain.replace("postgres@", f"{user}@"))
    async with wire.transaction():
        with pytest.raises(InputError, match="may not put messages"):
            await callers.outbox.within(wire).start(bill, 1)
    await maker.execute(given.replace("tenuto", schema).replace("shop", user))
    async with wire.transaction():
        start = await callers.outbox.within(wire).start(bill, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await wire.fetch(f"SELECT secret FROM {schema}.hub")
    for refused in (
        "SELECT message FROM {}.inbox",
        "DELETE FROM {}.inbox",
        "INSERT INTO {}.inbox (arrived) VALUES (1)",
        "INSERT INTO {}.inbox (is_handed_over) VALUES (false)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await wire.fetch(refused.format(schema))
    for one in (maker, ours):
        await one.close()
    assert await (await host.client.decided(start)).result() == 1
    await check_that_nothing_else_is_believed(host, wire, schema)
    await wire.close()


async def check_that_nothing_else_is_believed(
    host: Host, wire: asyncpg.Connection, schema: str
) -> None:
    """It can write any row; of what it writes hosts take only what an outbox would write."""
    handle = await host.client.start(told, instance_id="waits")
    await handle.started()
    record = await host.client.gateway.get(InstanceId("waits"))
    assert record is not None
    parent = ParentInstance(record.instance_id, record.execution_id, "told", 0)
    forged: list[tuple[str, AnyMessage]] = [
        ("waits", Terminate(message_id=MessageId("ends"))),
        ("waits", Purge(message_id=MessageId("purges"), force=True)),
        ("waits", Suspend(message_id=MessageId("pauses"))),
        (
            "waits",
            TaskResult(
                message_id=MessageId("forges"),
                execution_id=record.execution_id,
                sequence=0,
                event=TaskCompleted(0, "1"),
            ),
        ),
        (
            "child",
            Start(
                message_id=MessageId("calls"),
                event=ExecutionStarted("bill", ExecutionId("calls"), "1", parent=parent),
            ),
        ),
    ]
    for address, message in forged:
        await wire.execute(
            f"INSERT INTO {schema}.inbox "
            "(partition, awaits_answer, message_id, instance_id, kind, message) "
            "VALUES ($1, false, $2, $3, 'RaiseEvent', $4)",
            partition_of(InstanceId(address), 32),
            message.message_id,
            address,
            encode(message),
        )
    await host.client.wake()

    async def are_buried() -> bool:
        return len(await host.client.dead_letters()) == len(forged)

    await until(are_buried)
    assert all(
        "none that an outbox hands over" in one.reason for one in await host.client.dead_letters()
    )
    await handle.raise_event("word", "said")
    assert await handle.result() == "said"
    assert await host.client.get_status("child") is None


async def test_a_burst_is_read_a_page_at_a_time(host: Host, callers: Callers) -> None:
    storage, engine = host.engine.storage, host.engine
    fetch = storage.fetch_inbox
    pages: list[list[MessageId]] = []

    async def seen(cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
        if after is not None:  # what was read before is on its way no more
            homes = engine.partitions.values()
            assert not any(home.delivery.is_moving(one) for home in homes for one in pages[-1])
        page = await fetch(cursors, after)
        pages.append([row.message_id for row in page.rows if row.message_id is not None])
        assert sum(len(bytes(row.message)) for row in page.rows) < 17 * 1024 * 1024
        return page

    storage.fetch_inbox = seen  # type: ignore[method-assign]
    wire = await asyncpg.connect(callers.plain)
    async with wire.transaction():
        within = callers.outbox.within(wire)
        for number in range(30):
            await within.start(text_of, "x" * 2_000_000, instance_id=f"big-{number}")
    await wire.close()
    await host.client.wake()
    for number in range(30):
        async with asyncio.timeout(30):
            assert await host.client.handle(f"big-{number}").result() == 2_000_000
    assert len([one for one in pages if one]) >= 4


async def test_what_is_put_off_is_read_once_however_long_a_transaction_is_open(
    host: Host, callers: Callers
) -> None:
    storage = host.engine.storage
    fetch = storage.fetch_inbox
    rows: list[str] = []
    opener = await asyncpg.connect(callers.plain)
    begun = opener.transaction()
    await begun.start()
    await opener.fetch("SELECT pg_current_xact_id()")
    later = datetime.now(UTC) + timedelta(hours=1)
    async with Client.open(callers.url, app) as client:
        for number in range(5):
            await client.start(bill, number, instance_id=f"later-{number}", start_at=later)

        async def seen(cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
            page = await fetch(cursors, after)
            rows.extend(row.instance_id for row in page.rows)
            return page

        storage.fetch_inbox = seen  # type: ignore[method-assign]
        for number in range(5):
            assert await (await client.start(bill, number)).result() == number
    assert max(Counter(rows).values()) == 1
    await begun.rollback()
    await opener.close()


async def test_a_schema_of_any_name_is_found(postgres: Postgres) -> None:
    name = f"o :d%d\"'$${fresh_schema()[:9]}"
    url = postgres.url(quote(name))
    callers = Callers(postgres, url)
    async with Host(app, storage=url) as host:
        for number, kind in enumerate(KINDS):
            async with kind(callers) as (within, commit, _):
                await done(within.start(bill, number, instance_id=f"order-{number}"))
                await commit()
            assert await host.client.handle(f"order-{number}").result() == number


async def test_over_http_the_start_is_found_and_its_decision_is_asked_elsewhere() -> None:
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(InputError, match=r"Client\.open"):
            await client.decided(HandedStart("a", "b"))
        with pytest.raises(InputError, match=r"Client\.open"):
            await client.wake()


async def test_a_client_without_an_event_loop_hears_what_was_decided(
    host: Host, callers: Callers
) -> None:
    start = await handed(callers, bill, 7)

    def ask() -> int:
        with SyncClient.open(callers.url, app) as client:
            client.wake()
            result: int = client.decided(start).result()
            return result

    assert await asyncio.to_thread(ask) == 7


# --- the page ----------------------------------------------------------------------------------


async def test_the_page_bills_what_was_ordered(postgres: Postgres, callers: Callers) -> None:
    page = re.findall(r"^```python\n(.*?)^```", RIGHTS, re.DOTALL | re.MULTILINE)
    scope: dict[str, Any] = {"__name__": "transactions.md"}
    exec(compile("\n".join(page), "transactions.md", "exec"), scope)
    engine = create_async_engine(f"postgresql+psycopg{callers.where}")
    async with engine.begin() as connection:
        await connection.run_sync(scope["orders"].metadata.create_all)
    async with Host(scope["app"], storage=callers.url):
        billed = await scope["shop"](str(engine.url), callers.url)
        also = await asyncio.to_thread(
            scope["shop_that_blocks"], f"postgresql{callers.where}", callers.url
        )
    assert (billed, also) == ("order 7 is billed", "order 8 is billed")
    async with engine.begin() as connection:
        await connection.run_sync(scope["orders"].metadata.drop_all)
    await engine.dispose()


async def test_the_page_bills_what_was_ordered_in_a_file(tmp_path: Path) -> None:
    page = re.findall(r"^```python\n(.*?)^```", RIGHTS, re.DOTALL | re.MULTILINE)
    scope: dict[str, Any] = {"__name__": "transactions.md"}
    exec(compile("\n".join(page), "transactions.md", "exec"), scope)
    path = tmp_path / "shop.db"
    async with Host(scope["app"], storage=f"sqlite:///{path}"):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    scope["shop_in_a_file"](str(path))
    async with Host(scope["app"], storage=f"sqlite:///{path}") as host:
        assert await host.client.handle("order-7").result() == "order 7 is billed"
