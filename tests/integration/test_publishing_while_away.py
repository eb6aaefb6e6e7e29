"""Who publishes while the store is away hears of it soon, and the truth."""

import asyncio
from pathlib import Path

import pytest

from tenuto import App, Host
from tenuto.engine import commands
from tenuto.engine.rows import CommitBatch, CommitResult
from tenuto.model.errors import StorageUnavailableError
from tests.support.waiting import until


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
