"""Events that programs have put into the inbox find their topics, each once, or are put aside."""

from pathlib import Path

from msgspec import Raw

from tenuto import App
from tenuto.engine.rows import InboxRow
from tenuto.model.carried_events import address_of_topic, carried, handed_in
from tenuto.model.codec import encode
from tenuto.model.ids import MessageId, new_message_id
from tenuto.model.messages import Publish
from tenuto.model.topics import EventDetails, EventHead, PublishedEvent, content_of
from tenuto.storage import open_storage
from tenuto.testing import TestHost

DEEP = "[" * 1500 + "]" * 1500


def event(event_id: str, text: str | None = '{"id":7}') -> PublishedEvent:
    details = EventDetails(source="shop", subject="7", attributes={"a": "b"})
    head = EventHead(key="k", type="placed", details=details)
    return PublishedEvent(event_id, "orders", "k", 5, "cause", 0, content_of(text, head))


def row(message: Publish) -> InboxRow:
    key = message.message_id
    assert isinstance(key, str)
    return InboxRow(MessageId(key), 0, address_of_topic("orders"), Raw(encode(message)))


def test_an_event_is_the_same_at_the_end_of_its_way() -> None:
    for text in ('{"id":7}', None):
        sent = event("e", text)
        _, message = carried(sent, new_message_id(5))
        assert handed_in(address_of_topic("orders"), message) == sent


async def test_each_comes_into_its_topic_once_and_one_that_no_store_can_hold_is_a_letter(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    store = open_storage(url)
    await store.open()
    for name in ("a", "b", "a"):  # the last one was published again
        _, message = carried(event(name), new_message_id(5))
        await store.append([row(message)])
    deep = Publish(message_id=MessageId("m"), event_id="deep", published_at=5, input=DEEP)
    await store.append([row(deep)])
    await store.close()
    async with TestHost(App(), storage=url) as host:
        await host.idle()
        stored = await host.client.gateway.topics.events("orders", 0, 10)
        assert [one.event_id for one in stored] == ["a", "b"]
        (letter,) = await host.client.dead_letters()
        assert letter.instance_id == "#orders"
        assert "cannot hold" in letter.reason
    store = open_storage(url)
    await store.open()
    assert not await store.is_waiting(MessageId("m"))
    await store.close()
