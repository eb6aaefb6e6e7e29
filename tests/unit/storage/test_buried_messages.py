"""What waits for a hub that is linked no more becomes dead letters, however much it is."""

from pathlib import Path

import apsw
import pytest
from msgspec import Raw

from tenuto.engine.rows import InboxRow
from tenuto.model.codec import encode
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.linking import LinkedHub
from tenuto.model.messages import RaiseEvent
from tenuto.storage.sqlite import SqliteStorage, linking

_NOW = 1_800_000_000_000_000
_MESSAGES = 50


def _row(number: int, hub: str) -> InboxRow:
    name = MessageId(f"m{number:03}")
    message = RaiseEvent(message_id=name, event=EventRaised("reading", f'"{"x" * 1_000}"'))
    return InboxRow(name, 0, InstanceId(f"{hub}/x"), Raw(encode(message)))


@pytest.mark.parametrize("is_linked", [True, False])
async def test_it_is_never_one_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_linked: bool
) -> None:
    monkeypatch.setattr(linking, "_GIVEN_UP_BYTES", 5_000)
    storage = SqliteStorage(tmp_path / "hub.db")
    await storage.open()
    links = storage.linking
    if is_linked:
        await links.put(LinkedHub(name="hub", url=None, called="box", key="k"))
    await links.put(LinkedHub(name="other", url=None, called="box", key="k"))
    await storage.append([_row(number, "hub") for number in range(_MESSAGES)])
    await storage.append([_row(_MESSAGES, "other")])
    shorter = 10_000
    await storage._write(lambda writer: writer.connection.limit(apsw.SQLITE_LIMIT_LENGTH, shorter))

    await (links.drop("hub", _NOW) if is_linked else links.bury(_NOW))

    letters = (await storage.dead_letters())[::-1]
    assert [one.message_id for one in letters] == [f"m{n:03}" for n in range(_MESSAGES)]
    assert {one.reason for one in letters} == {'TN-1801 the link "hub" was removed'}
    assert [hub.name for hub in await links.hubs()] == ["other"]
    assert len(await links.outgoing("other", 0, 1)) == 1
    assert await links.outgoing("hub", 0, 1) == []
    await storage.close()


async def test_what_waits_for_a_link_that_was_made_anew_is_sent(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "hub.db")
    await storage.open()
    await storage.append([_row(1, "hub")])
    await storage.linking.put(LinkedHub(name="hub", url=None, called="box", key="k"))
    await storage.linking.bury(_NOW)
    assert await storage.dead_letters() == []
    assert len(await storage.linking.outgoing("hub", 0, 1)) == 1
    await storage.close()
