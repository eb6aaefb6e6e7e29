"""Rows of the inbox that nobody can read: each is put aside by itself, and stops nobody.

A program with an outbox can write such rows, and so does a newer Tenuto beside an older one.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias

import apsw
import psycopg
import pytest

from tenuto import App, Client, Context, HandedStart, Host
from tenuto.cli.command import run_command_line
from tenuto.model.errors import StorageCorruptError
from tenuto.model.ids import InstanceId, partition_of
from tests.support.postgres import Postgres, fresh_schema

app = App()


@app.orchestrator
async def told(ctx: Context) -> int:
    return await ctx.wait_for_external_event("word", int)


Put: TypeAlias = Callable[..., None]
"""Write a row: message id, instance id, message, and a partition if it is to be a wrong one."""


def _into_file(path: Path) -> Put:
    def put(
        message_id: str, instance_id: str, message: bytes, partition: int | None = None
    ) -> None:
        with closing(apsw.Connection(str(path))) as wire:
            wire.set_busy_timeout(10_000)
            wire.execute(
                "INSERT INTO inbox (message_id, partition, instance_id, message) "
                "VALUES (?, ?, ?, CAST(? AS TEXT))",
                (message_id, partition or 0, instance_id, message),
            )

    return put


def _into_schema(server: Postgres, schema: str) -> Put:
    def put(
        message_id: str, instance_id: str, message: bytes, partition: int | None = None
    ) -> None:
        number = partition_of(InstanceId(instance_id), 32) if partition is None else partition
        kind = "Start" if b"Start" in message else "Zap" if b"Zap" in message else "x"
        with psycopg.connect(host=str(server.folder), port=server.port, user="postgres") as wire:
            wire.execute(
                f"INSERT INTO {schema}.inbox "
                "(partition, awaits_answer, message_id, instance_id, kind, message) "
                "VALUES (%s, true, %s, %s, %s, %s)",
                (number, message_id, instance_id, kind, message),
            )

    return put


@pytest.fixture(params=["sqlite", "postgres"])
def hub(request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path) -> tuple[str, Put]:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.db'}", _into_file(tmp_path / "hub.db")
    schema = fresh_schema()
    return postgres.url(schema), _into_schema(postgres, schema)


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


UNREADABLE: Final = {
    "bytes": b"\xff\xfe",
    "cut": b'{"type":"RaiseEv',
    "array": b"[1,2]",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "untyped": b"{}",
    "fields": _json(type="RaiseEvent", messageId="fields", event=7),
    "unnamed": _json(type="Suspend"),
    "renamed": _json(type="Suspend", messageId="another"),
    "publish": _json(type="Publish", messageId="publish", eventId="e", publishedAt=1),
}


async def test_no_silent_drop_of_rows_that_nobody_can_read_and_each_instance_goes_on(
    hub: tuple[str, Put], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    url, put = hub
    async with Host(app, storage=url) as host:
        for name in (*UNREADABLE, "newer"):
            await (await host.client.start(told, instance_id=name)).started()
    for name, message in UNREADABLE.items():
        put(name, name, message)
    for number in range(3):
        put(f"newer-{number}", "newer", _json(type="Zap", messageId=f"newer-{number}"))
    put("begun", "absent", _json(type="Start", messageId="begun"))
    async with Client.open(url, app) as client:
        with pytest.raises(StorageCorruptError, match="'absent'"):
            await client.get_status("absent")
        async with Host(app, storage=url) as host:
            for number, name in enumerate((*UNREADABLE, "newer")):
                await host.client.raise_event(name, "word", number)
                async with asyncio.timeout(10):
                    assert await host.client.handle(name).result() == number
            with pytest.raises(StorageCorruptError, match="'absent'"):
                await host.client.decided(HandedStart("absent", "begun"))
            assert await host.client.get_status("absent") is None
            letters = {one.instance_id: one for one in await host.client.dead_letters()}
            assert letters.keys() == {*UNREADABLE, "absent"}
            assert letters["bytes"].data == r"\xff\xfe"
            assert "cannot be read" in letters["cut"].reason
    unknown = [one.getMessage() for one in caplog.records if "'Zap'" in one.getMessage()]
    assert len(unknown) == 1
    assert "stays in the inbox" in unknown[0]
    # A newer Tenuto still finds them, and who looks is told.
    await asyncio.to_thread(run_command_line, ["doctor", "--storage", url])
    assert "messages of types that this Tenuto does not know: 'Zap'" in capsys.readouterr().out
    await asyncio.to_thread(run_command_line, ["dead-letters", "list", "--storage", url])
    assert "absent" in capsys.readouterr().out


async def test_a_row_that_comes_while_the_host_runs_stops_nobody_either(
    hub: tuple[str, Put],
) -> None:
    url, put = hub
    async with Host(app, storage=url) as host:
        handle = await host.client.start(told, instance_id="a")
        for name, message in UNREADABLE.items():
            put(name, "a", message)
        await host.client.wake()
        await handle.raise_event("word", 1)
        assert await handle.result() == 1

        async def letters() -> int:
            return len(await host.client.dead_letters())

        async with asyncio.timeout(10):
            while await letters() < len(UNREADABLE):  # noqa: ASYNC110 - the store tells
                await asyncio.sleep(0.02)
        # Once each, however often they were read.
        await host.client.wake()
        await handle.status()
        assert await letters() == len(UNREADABLE)


async def test_a_row_in_a_wrong_partition_is_told_of_and_counts_for_nobody(
    hub: tuple[str, Put], capsys: pytest.CaptureFixture[str]
) -> None:
    url, put = hub
    event = _json(type="RaiseEvent", messageId="far", event={"name": "word", "input": "2"})
    async with Host(app, storage=url) as host:
        await (await host.client.start(told, instance_id="a")).started()
    put("far", "a", event, 9999)
    put("near", "a", event.replace(b"far", b"near"), (partition_of(InstanceId("a"), 32) + 1) % 32)
    async with Host(app, storage=url) as host:
        await host.client.raise_event("a", "word", 1)
        assert await host.client.handle("a").result() == 1
        if "postgres" in url:
            async with asyncio.timeout(10):
                while not (letters := await host.client.dead_letters()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert "is in partition" in letters[0].reason
    await asyncio.to_thread(run_command_line, ["doctor", "--storage", url])
    assert "9999" in capsys.readouterr().out
