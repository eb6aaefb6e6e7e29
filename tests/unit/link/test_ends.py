"""One end of a link: what it gives, takes and gives up, when something is just then otherwise."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import Raw, structs

from tenuto.engine.linking import LinkStore
from tenuto.engine.outside import Outside
from tenuto.engine.parts import Parts
from tenuto.engine.ports import Storage
from tenuto.engine.rows import InboxRow
from tenuto.link.end import LinkEnd, LinkMeans
from tenuto.link.links import link_store
from tenuto.link.translation import frames_of
from tenuto.model.codec import encode
from tenuto.model.errors import LinkError, LinkFullError, NotOverLinksError
from tenuto.model.events import EventRaised, SubOrchestrationInstanceCompleted
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.limits import Limits
from tenuto.model.linking import Frame, LinkedHub, Outgoing, Parcel, Place, Refusal, mark_of
from tenuto.model.messages import AnyMessage, ChildResult, Message, RaiseEvent, Suspend, Terminate
from tenuto.storage import open_storage

HUB = LinkedHub(name="hub", url="http://hub", called="box", key="k")
ADDRESS = InstanceId("hub/x")


class Host:
    """What an end needs, beside a real store.

    Attributes:
        given_up: Messages that somebody was told of.
        problems: What was said.
        takes_back: Whether batches are refused now.
    """

    def __init__(self, store: LinkStore) -> None:
        self.given_up: list[AnyMessage] = []
        self.problems: list[str] = []
        self.takes_back = False
        self.acknowledge: list[Callable[[], None]] = []
        engine: Any = SimpleNamespace(clock=SimpleNamespace(now=lambda: 1, monotonic=lambda: 1))
        self.outside = Outside(cast("Parts", engine))
        self.outside.know([HUB])
        self.outside.most_messages = self.outside.most_bytes = 1_000_000
        self.outside.give_up = self._give_up  # type: ignore[method-assign, assignment]
        observer = SimpleNamespace(
            problem=lambda _of, text: self.problems.append(text), notice=self.problems.append
        )
        means: Any = LinkMeans(
            store=store,
            life="here",
            outside=self.outside,
            pipeline=cast("Any", SimpleNamespace(batch=self, passed=self._passed)),
            clock=engine.clock,
            observer=cast("Any", observer),
            limits=Limits(),
            partitions=1,
            arrived=lambda _messages, _events: None,
        )
        self.end = LinkEnd(HUB, means)

    def _give_up(self, message: AnyMessage, *_more: object) -> None:
        self.given_up.append(message)

    async def _passed(self) -> None:
        await asyncio.sleep(0)
        told, self.acknowledge = self.acknowledge, []
        for tell in told if not self.takes_back else ():
            tell()

    @property
    def waiting(self) -> int:
        return self.outside.waiting()["hub"].messages


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    storage = open_storage("sqlite://")
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
async def store(storage: Storage) -> LinkStore:
    store = link_store(storage)
    await store.put(HUB)
    return store


@pytest.fixture
async def host(store: LinkStore) -> Host:
    return Host(store)


def row(number: int) -> InboxRow:
    key = MessageId(f"m{number}")
    message = RaiseEvent(message_id=key, event=EventRaised("reading", str(number)))
    return InboxRow(key, 0, ADDRESS, Raw(encode(message)))


async def sequences(store: LinkStore) -> list[int]:
    return [one.sequence for one in await store.outgoing("hub", 0, 1_000_000)]


# --- what the other hub refuses --------------------------------------------------------------


async def test_no_silent_drop_a_refusal_that_was_taken_back_is_told_again_before_it_is_dropped(
    storage: Storage, store: LinkStore, host: Host
) -> None:
    await storage.append([row(1), row(2)])
    first, second = await sequences(store)
    host.outside.know(await store.hubs())
    refusal = Refusal(sequence=first, reason="no")
    host.takes_back = True
    await host.end.give_up(refusal)
    assert await sequences(store) == [first, second]
    assert host.waiting == 2
    host.takes_back = False
    await host.end.give_up(refusal)
    assert await sequences(store) == [second]
    assert host.waiting == 1
    assert len(host.given_up) == 2


async def test_a_refusal_of_what_has_gone_drops_no_other_message(
    storage: Storage, store: LinkStore, host: Host
) -> None:
    await storage.append([row(1), row(2)])
    first, second = await sequences(store)
    await store.drop_outgoing("hub", first)
    await host.end.give_up(Refusal(sequence=first, reason="no"))
    assert await sequences(store) == [second]
    assert host.given_up == []


# --- giving ----------------------------------------------------------------------------------


async def test_no_silent_drop_who_is_asked_says_that_the_other_hub_has_another_message(
    storage: Storage, store: LinkStore, host: Host
) -> None:
    await storage.append([row(1), row(2)])
    first, second = await store.outgoing("hub", 0, 1_000_000)
    for _ in range(2):
        with pytest.raises(LinkError, match="another message under number 2"):
            await host.end.give(Place(received=second.sequence, mark="abc"))
    (said,) = host.problems
    assert "TN-1800" in said
    assert str((await store.hubs())[0].problem).startswith("TN-1800")
    assert await sequences(store) == [first.sequence, second.sequence]
    mark = mark_of(second.instance_id, second.message)
    parcel = await host.end.give(Place(received=second.sequence, mark=mark))
    assert (parcel.after, parcel.frames, host.end.problem) == (second.sequence, [], None)
    with pytest.raises(LinkError):  # the number that was known, and now another message
        await host.end.give(Place(received=second.sequence, mark="abc"))


async def test_what_was_taken_in_last_is_told_by_its_mark(
    storage: Storage, store: LinkStore, host: Host
) -> None:
    await storage.append([row(1), structs.replace(row(2), message=long_message())])
    waiting = await store.outgoing("hub", 0, 1_000_000)
    for one, frame in zip(waiting, frames_of(waiting, (0, 0), 1_000_000), strict=True):
        place = await host.end.take(Parcel(life="abc", frames=[frame]))
        assert place == Place(received=one.sequence, mark=mark_of(one.instance_id, one.message))


def long_message() -> Raw:
    text = encode("ß" * 100_000).decode()
    return Raw(encode(RaiseEvent(message_id=MessageId("m2"), event=EventRaised("reading", text))))


async def test_what_comes_while_messages_are_read_is_news(
    monkeypatch: pytest.MonkeyPatch, store: LinkStore, host: Host
) -> None:
    real = store.outgoing

    async def read(hub: str, after: int, most_bytes: int) -> list[Outgoing]:
        found = await real(hub, after, most_bytes)
        host.end.has_news()
        return found

    monkeypatch.setattr(store, "outgoing", read)
    assert (await host.end.give(Place(received=0))).frames == []
    await asyncio.wait_for(host.end.until_news(), 1)


async def test_what_waits_is_counted_anew_when_nothing_does(host: Host) -> None:
    """The count is the host's; others may have dropped what was in it."""
    host.outside.know([structs.replace(HUB, waiting=5, waiting_bytes=500)])
    await host.end.give(Place(received=0))
    assert host.waiting == 0


# --- taking ----------------------------------------------------------------------------------


async def test_a_message_that_no_memory_could_hold_is_not_begun(
    store: LinkStore, host: Host
) -> None:
    frame = Frame(sequence=1, text="{", of=65 * 1024 * 1024)
    place = await host.end.take(Parcel(life="there", frames=[frame]))
    assert place.refused is not None
    assert "as long as one may be" in place.refused.reason
    assert await store.place("hub", None) == Place(received=0)


async def test_no_silent_drop_a_copy_that_is_older_than_what_came_says_so_and_goes_on_behind_it(
    store: LinkStore, host: Host
) -> None:
    assert (await host.end.take(Parcel(life="there", after=5))).received == 5
    assert host.problems == []  # a new life: what came before was another one's
    assert (await host.end.take(Parcel(life="there", after=9))).received == 9
    (problem,) = host.problems
    assert "messages 6 to 9 had come" in problem
    assert await store.place("hub", None) == Place(received=9)


# --- how much may wait -----------------------------------------------------------------------


def test_what_follows_from_a_start_goes_to_a_hub_for_which_as_much_waits_as_may(
    host: Host,
) -> None:
    execution = ExecutionId("x")
    result = ChildResult(
        execution_id=execution, event=SubOrchestrationInstanceCompleted(task_scheduled_id=1)
    )
    event = RaiseEvent(event=EventRaised("reading"))
    messages: list[Message] = [result, Terminate(child_of=execution), event]
    assert [host.outside.refusal(one, ADDRESS) for one in messages] == [None] * 3
    for full in ("most_messages", "most_bytes"):
        setattr(host.outside, full, 0)
        assert [type(host.outside.refusal(one, ADDRESS)) for one in messages] == [
            *(type(None), type(None)),
            LinkFullError,
        ]
        setattr(host.outside, full, 1_000_000)
    assert isinstance(host.outside.refusal(Suspend(), ADDRESS), NotOverLinksError)
