"""Who publishes, starts or tells while the store is away hears of it soon, and the truth."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import cast

import pytest

from tenuto import App, Client, Context, Host
from tenuto.client import gateway
from tenuto.client.store_gateway import StoreGateway
from tenuto.engine import commands
from tenuto.engine.rows import CommitBatch, CommitResult
from tenuto.model.errors import InstanceExistsError, StorageUnavailableError
from tenuto.model.requests import InstanceQuery
from tests.support.waiting import until, until_given


@pytest.mark.parametrize("is_known", [True, False], ids=["known to be away", "no answer"])
async def test_bad_input_is_refused_whole_a_wait_for_a_store_that_is_away_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    monkeypatch.setattr(commands, "AWAY_SECONDS", 0.1)
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0.3)
    async with Host(App(), storage=f"sqlite:///{tmp_path}/hub.db") as host:
        storage = host.engine.storage
        commit = storage.commit
        asked, breaks, is_back = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def away(batch: CommitBatch) -> CommitResult:
            asked.set()
            if is_back.is_set():
                return await commit(batch)
            await (breaks if is_known else is_back).wait()
            raise StorageUnavailableError("it is away")

        monkeypatch.setattr(storage, "commit", away)
        async with asyncio.TaskGroup() as tasks:
            sent = tasks.create_task(_refused(host, "sent"))
            await asked.wait()
            unsent = tasks.create_task(_refused(host, "unsent"))
            await asyncio.sleep(0)
            breaks.set()
        assert "may be yet when the store works again" in sent.result()
        assert "nothing was published" in unsent.result()
        is_back.set()
        await until(lambda: host.engine.pipeline.is_idle)
        kept = await storage.queue_messages("numbers", 10, 10_000)
        assert [one.id for one in kept] == ["sent"]


async def _refused(host: Host, message_id: str) -> str:
    with pytest.raises(StorageUnavailableError) as caught:
        await host.client.enqueue("numbers", 1, message_id=message_id)
    return str(caught.value)


app = App()


@app.orchestrator
async def waiting(ctx: Context) -> None:
    await ctx.wait_for_external_event("go")


@pytest.mark.parametrize("is_known", [True, False], ids=["known to be away", "no answer"])
async def test_who_starts_or_tells_while_the_store_is_away_waits_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    """What was asked for may be done after all, once."""
    monkeypatch.setattr(commands, "AWAY_SECONDS", 0.1)
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0.3)
    async with Host(app, storage=f"sqlite:///{tmp_path}/hub.db") as host:
        client = host.client
        await client.start(waiting, instance_id="there")
        await until(lambda: host.engine.pipeline.is_idle)
        storage = host.engine.storage
        commit = storage.commit
        is_back = asyncio.Event()

        async def away(batch: CommitBatch) -> CommitResult:
            if not is_back.is_set():
                if is_known:
                    raise StorageUnavailableError("it is away")
                await is_back.wait()
            return await commit(batch)

        monkeypatch.setattr(storage, "commit", away)

        async def doubted(asked: Awaitable[object]) -> None:
            with pytest.raises(StorageUnavailableError, match="may be yet when the store works"):
                await asked

        async with asyncio.timeout(5):
            await asyncio.gather(
                doubted(client.start(waiting)),
                doubted(client.start(waiting, instance_id="chosen")),
                doubted(client.raise_event("there", "go")),
            )
        is_back.set()
        await client.handle("there").result()
        with pytest.raises(InstanceExistsError):
            await until_given(lambda: client.start(waiting, instance_id="chosen"))
        found = await client.gateway.query(InstanceQuery())
        assert len(found.records) == 3


async def test_a_client_beside_a_host_does_not_wait_for_a_store_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "SILENT_SECONDS", 0.1)
    url = f"sqlite:///{tmp_path}/hub.db"
    async with Host(app, storage=url) as host:
        await host.client.start(waiting, instance_id="there")
        async with Client.open(url, app) as client:
            storage = cast("StoreGateway", client.gateway).storage
            never = asyncio.Event()

            async def silent(*_given: object) -> None:
                await never.wait()

            for name in ("start_instance", "append", "publish"):
                monkeypatch.setattr(storage, name, silent)
            for asked in (
                client.start(waiting),
                client.raise_event("there", "go"),
                client.enqueue("numbers", 1),
            ):
                with pytest.raises(StorageUnavailableError, match="it is not known whether"):
                    await asyncio.wait_for(asked, 5)
