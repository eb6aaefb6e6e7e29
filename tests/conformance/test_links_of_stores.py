"""What a store keeps of links: in a file and in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import Raw, structs

from tenuto.engine.linking import LinkStore
from tenuto.engine.ports import Storage
from tenuto.engine.rows import InboxRow
from tenuto.link.links import link_store
from tenuto.model.codec import decode_any_message, decode_message, encode
from tenuto.model.errors import (
    LinkError,
    LinkInUseError,
    NoSuchLinkError,
    RowsRefusedError,
    SettingsError,
)
from tenuto.model.events import (
    EventRaised,
    ExecutionStarted,
    SubOrchestrationInstanceFailed,
)
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.linking import MOST_BYTES, MOST_MESSAGES, LinkedHub, Outgoing, Place, mark_of
from tenuto.model.messages import ChildResult, Publish, RaiseEvent, Start
from tenuto.model.status import ParentInstance
from tenuto.model.topics import EventContent, PublishedEvent
from tenuto.storage import open_storage
from tests.support.postgres import Postgres
from tests.support.shared_store import SharedHub

NOW = 1_800_000_000_000_000


@pytest.fixture(params=["file", "memory", "PostgreSQL"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres
) -> AsyncIterator[Storage]:
    urls = {
        "file": f"sqlite:///{tmp_path}/hub.db",
        "memory": "sqlite://",
        "PostgreSQL": postgres.fresh_url(),
    }
    storage = open_storage(urls[request.param], partitions=1)
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
async def links(storage: Storage) -> LinkStore:
    found = link_store(storage)
    await found.put(LinkedHub(name="hub", url="http://hub", called="box", key="k"))
    return found


def row(number: int, to: str = "hub/x", data: str = "1") -> InboxRow:
    message = RaiseEvent(message_id=MessageId(f"m{number}"), event=EventRaised("reading", data))
    return InboxRow(MessageId(f"m{number}"), 0, InstanceId(to), Raw(encode(message)))


async def test_a_message_to_an_address_waits_for_its_hub_and_in_no_inbox(
    storage: Storage, links: LinkStore
) -> None:
    await storage.append([row(1), row(2), row(3, to="x"), row(4, to="other/y"), row(5)])
    page = await storage.fetch_inbox({0: 0})
    assert [one.message_id for one in page.rows] == ["m3"]
    waiting = await links.outgoing("hub", 0, 1_000_000)
    assert [(one.message_id, one.instance_id) for one in waiting] == [
        ("m1", "x"),
        ("m2", "x"),
        ("m5", "x"),
    ]
    assert decode_message(waiting[0].message) == decode_message(row(1).message)
    (hub,) = await links.hubs()
    assert (hub.name, hub.url, hub.called, hub.key) == ("hub", "http://hub", "box", "k")
    assert hub.waiting == 3
    assert hub.waiting_bytes == 3 * len(bytes(row(1).message))


async def test_what_was_delivered_waits_no_longer_and_numbers_only_grow(
    storage: Storage, links: LinkStore
) -> None:
    await storage.append([row(1), row(2)])
    last = (await links.outgoing("hub", 0, 1_000_000))[-1].sequence
    await links.delivered("hub", last, NOW)
    await links.delivered("hub", last - 1, NOW)
    assert await links.outgoing("hub", 0, 1_000_000) == []
    await storage.append([row(3), row(4)])
    waiting = await links.outgoing("hub", last, 1_000_000)
    assert [one.sequence > last for one in waiting] == [True, True]
    await links.drop_outgoing("hub", waiting[0].sequence)
    assert await links.outgoing("hub", 0, 1_000_000) == waiting[1:]
    (hub,) = await links.hubs()
    assert (hub.delivered, hub.heard_at, hub.waiting) == (last, NOW, 1)


async def test_a_store_that_was_put_back_says_so_and_deletes_nothing(
    storage: Storage, links: LinkStore
) -> None:
    await storage.append([row(1), row(2)])
    with pytest.raises(LinkError, match="put back to an older state"):
        await links.delivered("hub", 3, NOW)
    assert len(await links.outgoing("hub", 0, 1_000_000)) == 2


def mark(one: Outgoing) -> str:
    return mark_of(one.instance_id, one.message)


async def test_a_store_that_gives_numbers_out_again_says_so_and_deletes_nothing(
    storage: Storage, links: LinkStore
) -> None:
    await storage.append([row(1), row(2), row(3)])
    first, second, third = await links.outgoing("hub", 0, 1_000_000)
    another = mark(Outgoing(first.sequence, first.message_id, first.instance_id, Raw(b"{}")))
    for place in (first, second):
        with pytest.raises(LinkError, match=f"another message under number {place.sequence} "):
            await links.delivered("hub", place.sequence, NOW, another)
    assert await links.outgoing("hub", 0, 1_000_000) == [first, second, third]
    assert (await links.hubs())[0].delivered == 0
    assert (await links.delivered("hub", second.sequence, NOW, mark(second)))[0] == 2
    (hub,) = await links.hubs()
    assert (hub.delivered, hub.delivered_mark) == (second.sequence, mark(second))
    with pytest.raises(LinkError, match="put back to an older state"):
        await links.delivered("hub", second.sequence, NOW, another)
    await links.delivered("hub", second.sequence, NOW, mark(second))
    await links.delivered("hub", first.sequence, NOW, another)  # it was restored: older than known
    assert (await links.hubs())[0].delivered_mark == mark(second)
    assert await links.outgoing("hub", 0, 1_000_000) == [third]
    await links.delivered("hub", third.sequence, NOW)  # an older version tells no mark
    assert (await links.hubs())[0].delivered_mark == ""
    await links.delivered("hub", third.sequence, NOW, another)


async def test_a_number_that_was_given_to_another_hub_since_is_known_by_what_waits_before_it(
    storage: Storage, links: LinkStore
) -> None:
    await storage.append([row(1), row(2, to="other/x")])
    (mine,) = await links.outgoing("hub", 0, 1_000_000)
    (other,) = await links.outgoing("other", 0, 1_000_000)
    await links.delivered("other", other.sequence, NOW, mark(other))
    with pytest.raises(LinkError, match=f"another message under number {other.sequence} "):
        await links.delivered("hub", other.sequence, NOW, "abc")
    assert await links.outgoing("hub", 0, 1_000_000) == [mine]


async def test_a_link_that_was_made_anew_believes_the_place_of_before(
    storage: Storage, links: LinkStore
) -> None:
    await storage.append([row(1), row(2)])
    await links.drop("hub", NOW)
    await links.put(LinkedHub(name="hub", url="http://hub", called="box", key="k"))
    await storage.append([row(3)])
    (waits,) = await links.outgoing("hub", 0, 1_000_000)
    await links.delivered("hub", waits.sequence - 1, NOW, "abc")
    assert await links.outgoing("hub", 0, 1_000_000) == [waits]


async def test_the_place_tells_what_was_taken_in_last(links: LinkStore) -> None:
    await links.place("hub", "a")
    await links.take_in("hub", 7, [], NOW, mark="abc")
    await links.take_in("hub", 6, [], NOW, mark="def")  # it was here
    assert await links.place("hub", "a") == Place(received=7, mark="abc")
    await links.take_in("hub", 8, [], NOW)
    assert await links.place("hub", "a") == Place(received=8)
    await links.take_in("hub", 9, [], NOW, mark="abc")
    assert await links.place("hub", "b") == Place(received=0)
    assert await links.place("hub", "b") == Place(received=0)


async def test_as_many_are_read_as_fit_and_one_at_least(storage: Storage, links: LinkStore) -> None:
    await storage.append([row(number, data="1" * 1_000) for number in range(5)])
    first = await links.outgoing("hub", 0, 10)
    assert [one.message_id for one in first] == ["m0"]
    two = await links.outgoing("hub", first[0].sequence, 2_500)
    assert [one.message_id for one in two] == ["m1", "m2"]


async def test_messages_and_their_place_are_one_transaction(
    storage: Storage, links: LinkStore
) -> None:
    assert await links.place("hub", "a") == Place(received=0)
    await links.take_in("hub", 7, [row(1, to="x"), row(2, to="x")], NOW)
    await links.take_in("hub", 7, [row(3, to="x")], NOW)  # it was here
    await links.take_in("hub", 6, [row(4, to="x")], NOW)
    page = await storage.fetch_inbox({0: 0})
    assert [one.message_id for one in page.rows] == ["m1", "m2"]
    assert await links.place("hub", "a") == Place(received=7)


def event(event_id: str, topic: str = "orders") -> PublishedEvent:
    content = Raw(encode(EventContent(data=Raw(b"1"))))
    return PublishedEvent(event_id, topic, "k", NOW, None, 0, content)


def sent(number: int) -> InboxRow:
    message = Publish(message_id=MessageId(f"m{number}"), event_id="e", published_at=NOW, input="1")
    return InboxRow(MessageId(f"m{number}"), 0, InstanceId("hub/orders"), Raw(encode(message)))


async def test_an_event_for_a_topic_elsewhere_waits_with_all_of_its_request_or_not_at_all(
    storage: Storage, links: LinkStore
) -> None:
    await storage.publish([event("own")], [], [sent(1), row(2)])
    waiting = await links.outgoing("hub", 0, 1_000_000)
    assert [(one.message_id, one.instance_id) for one in waiting] == [("m1", "orders"), ("m2", "x")]
    message = decode_any_message(waiting[0].message)
    assert isinstance(message, Publish)
    assert message == decode_any_message(sent(1).message)
    assert (await links.hubs())[0].waiting_bytes == sum(
        memoryview(one.message).nbytes for one in (sent(1), row(2))
    )
    assert [one.event_id for one in await storage.events("orders", 0, 10, 1_000)] == ["own"]
    assert (await storage.fetch_inbox({0: 0})).rows == []
    broken = structs.replace(event("broken"), event=Raw(b"{"))
    with pytest.raises(RowsRefusedError):
        await storage.publish([broken], [], [sent(3)])
    with pytest.raises(RowsRefusedError) as refused:
        await storage.publish([event("fit")], [], [structs.replace(sent(3), message=Raw(b"{"))])
    assert "m3" in refused.value.messages
    assert len(await links.outgoing("hub", 0, 1_000_000)) == 2
    assert len(await storage.events("orders", 0, 10, 1_000)) == 1


async def test_events_of_another_hub_and_their_place_are_one_transaction(
    storage: Storage, links: LinkStore
) -> None:
    await links.place("hub", "a")
    await links.take_in("hub", 7, [row(1, to="x")], NOW, [event("a"), event("b")])
    await links.take_in("hub", 7, [], NOW, [event("c")])  # it was here
    await links.take_in("hub", 9, [], NOW, [event("b"), event("d")])  # one was published twice
    found = await storage.events("orders", 0, 10, 10_000)
    assert [one.event_id for one in found] == ["a", "b", "d"]
    assert len((await storage.fetch_inbox({0: 0})).rows) == 1


async def test_the_bound_stands_in_the_store(links: LinkStore) -> None:
    (hub,) = await links.hubs()
    assert (hub.most_messages, hub.most_bytes) == (MOST_MESSAGES, MOST_BYTES)
    await links.bound(3, 1_000)
    await links.put(LinkedHub(name="hub", url="http://other", called="box", key="k"))
    (hub,) = await links.hubs()
    assert (hub.most_messages, hub.most_bytes) == (3, 1_000)


async def test_a_new_life_begins_at_nothing_and_an_old_one_does_not_come_back(
    storage: Storage, links: LinkStore
) -> None:
    await links.place("hub", "a")
    await links.take_in("hub", 7, [], NOW)
    await links.keep_piece("hub", 8, 0, "{")
    assert await links.place("hub", None) == Place(received=7, piece_of=8, held=1)
    assert await links.place("hub", "b") == Place(received=0)
    # A message of the new life may have that number, too: it does not go on from the old one's.
    assert await links.place("hub", "b") == Place(received=0)
    assert await links.pieces("hub", 8) == ""
    with pytest.raises(LinkInUseError, match="used by two stores"):
        await links.place("hub", "a")
    with pytest.raises(NoSuchLinkError, match="there are: hub"):
        await links.place("nowhere", None)


async def test_pieces_are_put_together_and_go(storage: Storage, links: LinkStore) -> None:
    await links.keep_piece("hub", 8, 0, "zwölf")
    await links.keep_piece("hub", 8, 5, " Boxkämpfer")
    await links.keep_piece("hub", 8, 5, "a copy of it")
    assert await links.pieces("hub", 8) == "zwölf Boxkämpfer"
    assert (await links.place("hub", None)).held == len("zwölf Boxkämpfer")
    await links.take_in("hub", 8, [], NOW)
    assert await links.pieces("hub", 8) == ""
    assert await links.place("hub", None) == Place(received=8)


async def test_a_link_may_change_and_keeps_its_place(storage: Storage, links: LinkStore) -> None:
    await links.take_in("hub", 3, [], NOW)
    await links.heard("hub", None, "TN-1706 away")
    await links.put(LinkedHub(name="hub", url="http://other", called="b", key="l"))
    (hub,) = await links.hubs()
    assert (hub.url, hub.called, hub.key, hub.received) == ("http://other", "b", "l", 3)
    assert hub.problem is None
    assert "key" not in repr(hub)
    await links.heard("hub", NOW, "TN-1706 away")
    assert (await links.hubs())[0].problem == "TN-1706 away"


async def test_a_link_that_goes_leaves_no_part_of_a_message_to_the_next_of_its_name(
    links: LinkStore,
) -> None:
    await links.put(LinkedHub(name="other", key="k"))
    for name in ("hub", "other"):
        await links.place(name, "a")
        await links.keep_piece(name, 8, 0, "{")
    await links.drop("hub", NOW)
    await links.put(LinkedHub(name="hub", url="http://hub", called="box", key="k"))
    assert await links.place("hub", None) == Place(received=0)
    assert await links.pieces("hub", 8) == ""
    assert await links.pieces("other", 8) == "{"


async def test_what_waits_for_a_link_that_goes_is_a_dead_letter(
    storage: Storage, links: LinkStore
) -> None:
    await links.drop("nowhere", NOW)
    await storage.append([row(1), row(2, to="other/x")])
    await links.drop("hub", NOW)
    assert await links.hubs() == []
    (letter,) = await storage.dead_letters()
    assert (letter.message_id, letter.instance_id, letter.created_at) == ("m1", "hub/x", NOW)
    assert letter.reason == 'TN-1801 the link "hub" was removed'
    assert len(await links.outgoing("other", 0, 1_000)) == 1


async def test_what_was_sent_to_a_link_that_has_gone_is_a_dead_letter(
    storage: Storage, links: LinkStore
) -> None:
    await storage.append([row(1), row(2, to="other/x"), row(3, to="other/y")])
    await links.bury(NOW)
    letters = {str(one.message_id): one for one in await storage.dead_letters()}
    assert letters.keys() == {"m2", "m3"}
    assert letters["m2"].reason == 'TN-1801 the link "other" was removed'
    assert await links.outgoing("other", 0, 1_000) == []
    assert len(await links.outgoing("hub", 0, 1_000)) == 1
    await links.bury(NOW)
    assert len(await storage.dead_letters()) == 2


def call(number: int, to: str = "hub/x") -> InboxRow:
    parent = ParentInstance(InstanceId("boss"), ExecutionId("e"), "ask", 7)
    event = ExecutionStarted("judge", ExecutionId("f"), parent=parent)
    key = MessageId(f"c{number}")
    return InboxRow(key, 0, InstanceId(to), Raw(encode(Start(message_id=key, event=event))))


def start(number: int, to: str = "hub/x") -> InboxRow:
    key = MessageId(f"s{number}")
    message = Start(message_id=key, event=ExecutionStarted("judge", ExecutionId("f")))
    return InboxRow(key, 0, InstanceId(to), Raw(encode(message)))


async def test_who_has_called_over_a_link_that_goes_is_answered(
    storage: Storage, links: LinkStore
) -> None:
    await storage.append([call(1), start(2), call(3, to="other/x"), row(4)])
    await links.drop("hub", NOW)
    assert {one.message_id for one in await storage.dead_letters()} == {"s2", "m4"}
    (answer,) = (await storage.fetch_inbox({0: 0})).rows
    assert answer.instance_id == "boss"
    message = decode_message(answer.message)
    assert isinstance(message, ChildResult)
    assert isinstance(message.event, SubOrchestrationInstanceFailed)
    assert (message.execution_id, message.event.task_scheduled_id) == ("e", 7)
    assert "TN-1801" in message.event.failure_details.error_message
    for _ in range(2):
        await links.bury(NOW)
        assert len((await storage.fetch_inbox({0: 0})).rows) == 2
        assert len(await storage.dead_letters()) == 2
    assert await links.outgoing("other", 0, 1_000) == []


async def test_of_many_lives_the_newest_hundred_are_known(
    storage: Storage, links: LinkStore
) -> None:
    lives = [f"{number:x}" for number in range(103)]
    for life in lives:
        await links.place("hub", life)
    for life in (lives[-2], lives[-101]):
        with pytest.raises(LinkInUseError):
            await links.place("hub", life)
    assert await links.place("hub", lives[0]) == Place(received=0)


async def test_of_one_message_at_a_time_there_are_pieces_and_they_count(
    storage: Storage, links: LinkStore
) -> None:
    await links.keep_piece("hub", 8, 0, "zwölf")
    await links.keep_piece("hub", 9, 0, "ß")
    assert await links.pieces("hub", 8) == ""
    assert await links.place("hub", None) == Place(received=0, piece_of=9, held=1)
    assert (await links.hubs())[0].held_bytes == 2
    await links.drop_pieces("hub")
    assert (await links.hubs())[0].held_bytes == 0
    assert await links.place("hub", None) == Place(received=0)


async def test_the_life_is_that_of_the_store(storage: Storage, links: LinkStore) -> None:
    other = open_storage("sqlite://")
    await other.open()
    assert await links.life() == await links.life()
    assert await links.life() != await link_store(other).life()
    await other.close()


def test_a_store_without_links_says_so() -> None:
    with pytest.raises(SettingsError, match="keeps no links"):
        link_store(SharedHub().handle())
