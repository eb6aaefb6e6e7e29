"""What was put aside for a subscription that is removed goes some at a time."""

from pathlib import Path
from unittest.mock import patch

import pytest

from tenuto.engine.topic_ports import Place, Progress
from tenuto.storage.sqlite import SqliteStorage, topics
from tenuto.storage.sqlite.writer import Writer
from tests.conformance.storage_suite import Owner
from tests.conformance.topics_suite import put_aside


async def test_it_goes_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_REMOVED_BYTES", 1)
    storage = SqliteStorage(tmp_path / "hub.db")
    owner = await Owner.of(storage)
    lease = owner.leases[0]
    for name in ("billing", "mail"):
        failed = [put_aside(number, function=name) for number in range(5)]
        place = Place(name, "orders", 0)
        await storage.write_progress(lease, [Progress(place=place, failed=failed, at=1)])
    delete = Writer.change_messages
    with patch.object(Writer, "change_messages", autospec=True, side_effect=delete) as change:
        assert await storage.remove_subscription("billing")

    assert change.call_count == 5
    assert {one.function for one in await storage.failed_deliveries()} == {"mail"}
    assert len(await storage.failed_deliveries()) == 5
    assert [one.name for one in await storage.subscriptions()] == ["mail"]
    await storage.close()
