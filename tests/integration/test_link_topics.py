"""Topics of linked hubs: what is published here is an event there, both ways, once, in order."""

import asyncio
from functools import partial
from pathlib import Path

import httpx2
import pytest
from msgspec import Raw, structs

from tenuto import App, Client, Context, Event, EventDetails, Settings
from tenuto.client.publishing import Stamp, event_of_text
from tenuto.engine.batch import Posted
from tenuto.engine.rows import InboxRow
from tenuto.host.host import Host
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.link.dialling import Line
from tenuto.link.options import LinkSettings
from tenuto.model.codec import encode
from tenuto.model.errors import InputError, LinkFullError, NoSuchLinkError, TenutoError
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.limits import Limits
from tenuto.model.linking import PUBLISH, Envelope, Frame, Parcel
from tenuto.model.messages import Publish
from tenuto.model.topics import EventHead, StoredEvent, event_of
from tenuto.storage import upkeep_of
from tests.support.linked import linked
from tests.support.waiting import until_given

hub = App()
device = App()
PATIENCE_SECONDS = 20


@hub.orchestrator
async def first_of(ctx: Context, match: str) -> str:
    event = await ctx.wait_for_event("readings", match=match)
    return f"{event.type} {event.data} {event.source} {event.subject} {event.attributes}"


@hub.orchestrator
async def order(ctx: Context, words: list[str]) -> None:
    for word in words:
        await ctx.publish("box/orders", word, key="box")


@device.orchestrator
async def report(ctx: Context, numbers: list[int]) -> None:
    for number in numbers:
        await ctx.publish("hub/readings", number, key="a", type="measured")


@device.orchestrator
async def tell(ctx: Context, topic: str) -> None:
    details = EventDetails(subject="the cellar", attributes={"unit": "celsius"})
    await ctx.publish(topic, 21.5, key="cellar", type="measured", details=details)


@device.subscribe("orders")
@device.publishes("hub/done")
async def obey(event: Event) -> str:
    return f"{event.data} was done"


async def events(host: Host, topic: str, many: int) -> list[Event]:
    """Those of a topic, once there are so many."""

    async def come() -> list[StoredEvent]:
        found = await host.engine.storage.events(topic, 0, 100_000, 10_000_000)
        return found if len(found) >= many else []

    async with asyncio.timeout(PATIENCE_SECONDS):
        found = await until_given(come)
    return [event_of(one) for one in found]


def frame(sequence: int, to: str, message: bytes) -> Frame:
    text = encode(Envelope(kind=PUBLISH, to=InstanceId(to), message=Raw(message))).decode()
    return Frame(sequence=sequence, text=text, of=len(text))


async def test_what_a_device_publishes_is_an_event_of_the_hub_with_all_that_is_said_of_it() -> None:
    async with linked(hub, device) as both:
        waiting = await both.there.start(first_of, "cellar")
        began = both.device.engine.clock.now()
        handle = await both.here.start(tell, "hub/readings", instance_id="t")
        await handle.result()
        async with asyncio.timeout(PATIENCE_SECONDS):
            said = await waiting.result()
        assert said == "measured 21.5 instance/box/t the cellar {'unit': 'celsius'}"
        (stored,) = await both.hub.host.engine.storage.events("readings", 0, 10, 10_000)
        assert stored.cause == "instance:box/t"
        assert began <= stored.published_at
        assert await both.device.engine.storage.topic_names() == []
        own = EventDetails(source="the box", subject="s")
        event_id = await both.here.publish("hub/readings", None, event_id="mine", details=own)
        async with httpx2.AsyncClient(base_url=both.hub.url) as http:
            answer = await http.get("/admin/flow", params={"of": f"readings/{stored.event_id}"})
            assert answer.status_code == 200, answer.text
            assert "box/t" in answer.text
        assert event_id == "mine"
        event = (await events(both.hub.host, "readings", 2))[1]
        assert (event.id, event.data, event.source, event.key) == (
            "box/mine",
            None,
            "linked/box/the box",
            None,
        )


async def test_a_hub_publishes_to_a_device_whose_function_answers_with_an_event() -> None:
    async with linked(hub, device) as both:
        await (await both.there.start(order, ["blink", "beep"])).result()
        done = await events(both.hub.host, "done", 2)
        assert [one.data for one in done] == ["blink was done", "beep was done"]
        assert [one.key for one in done] == ["box", "box"]


async def test_a_flow_says_what_began_on_another_hub() -> None:
    async with linked(hub, device) as both:
        await (await both.there.start(order, ["blink"])).result()
        await events(both.hub.host, "done", 1)
        (stored,) = await both.hub.host.engine.storage.events("done", 0, 10, 10_000)
        assert stored.cause is not None
        assert stored.cause.startswith("linked:box/event:orders/hub/")
        flow = await both.there.gateway.topics.flow(f"done/{stored.event_id}", 10)
        (first, _) = flow.items
        assert (first.kind, first.name, first.hub) == ("event", "orders", "box")
        assert first.is_gone is False


async def test_an_id_counts_once_there_however_often_it_is_published() -> None:
    async with linked(hub, device) as both:
        for _ in range(3):
            await both.here.publish("hub/readings", 1, event_id="one")
        await both.here.publish("hub/readings", 2, event_id="two")
        await both.here.publish("hub/others", 3, event_id="one")
        assert [one.data for one in await events(both.hub.host, "readings", 2)] == [1, 2]
        assert [one.data for one in await events(both.hub.host, "others", 1)] == [3]


async def test_over_http_and_with_the_store_alone(tmp_path: Path) -> None:
    stores = (f"sqlite:///{tmp_path}/hub.db", f"sqlite:///{tmp_path}/device.db")
    async with linked(hub, device, stores=stores) as both:
        async with Client.open(stores[1]) as client:
            await client.publish("hub/readings", "by the store", key="a")
            with pytest.raises(NoSuchLinkError, match=r"no link 'nowhere' here .there are: hub."):
                await client.publish("nowhere/readings", 1)
        assert (await events(both.hub.host, "readings", 1))[0].data == "by the store"
        async with Client(both.hub.url) as client:
            await client.publish("box/news", "over HTTP")
            with pytest.raises(NoSuchLinkError):
                await client.publish("nowhere/readings", 1)
        assert (await events(both.device, "news", 1))[0].data == "over HTTP"
        body = {
            "events": [{"topic": "box/news", "id": "x", "data": 1}, {"topic": "own", "data": 2}],
            "messages": [{"queue": "own", "data": 3}],
        }
        async with httpx2.AsyncClient(base_url=both.hub.url) as http:
            body["events"].append({"topic": "nowhere/news", "data": 4})
            assert (await http.post("/admin/publish", json=body)).json()["code"] == "TN-1801"
            names = await both.hub.host.engine.storage.topic_names()
            assert names == ["readings"]  # all or none
            body["events"].pop()
            assert (await http.post("/admin/publish", json=body)).status_code == 200
        assert (await events(both.device, "news", 2))[1].id == "hub/x"
        assert (await events(both.hub.host, "own", 1))[0].data == 2


async def test_names_of_topics_elsewhere_are_checked_and_nobody_reads_them_from_here() -> None:
    app = App()

    def hear(event: Event) -> None:
        del event

    with pytest.raises(InputError, match="subscribe on that hub"):
        app.subscribe("hub/orders")(hear)
    with pytest.raises(InputError, match="cannot be the name of a topic of a linked hub"):
        app.publishes("hub/a/b")(hear)

    @app.orchestrator
    async def listen(ctx: Context) -> None:
        with pytest.raises(InputError, match="subscribe on that hub"):
            await ctx.wait_for_event("hub/orders", match="x")
        with pytest.raises(InputError, match="topic of a linked hub"):
            await ctx.publish("hub/a/b", 1)
        with pytest.raises(InputError, match="name of a linked hub"):
            await ctx.publish("a hub/b", 1)

    async with Host(app, "sqlite://") as host:
        await (await host.client.start(listen)).result()
        with pytest.raises(InputError, match="name of a linked hub"):
            await host.client.publish("/b", 1)


async def test_no_more_waits_than_may_and_what_an_orchestration_publishes_is_a_dead_letter(
    tmp_path: Path,
) -> None:
    store = f"sqlite:///{tmp_path}/device.db"
    few = LinkSettings(messages=3, longest_pause_seconds=0.1)
    async with linked(hub, device, stores=("sqlite://", store), links=few) as both:
        both.line.go_down()
        for number in range(2):
            await both.here.publish("hub/readings", number, key="a")
        engine = both.device.engine
        with pytest.raises(LinkFullError, match=r"links\.messages"):  # all or none
            await publish_two(both.here)
        assert engine.outside.waiting()["hub"].messages == 2
        await both.here.publish("hub/readings", 2, key="a")
        with pytest.raises(LinkFullError, match=r"3 messages with .* links\.messages"):
            await both.here.publish("hub/readings", 3, key="a")
        async with Client.open(store) as client:
            with pytest.raises(LinkFullError, match=r"3 messages with .* links\.messages"):
                await client.publish("hub/readings", 3, key="a")
        await (await both.here.start(report, [4])).result()
        await (await both.here.start(tell, "nowhere/readings")).result()
        lost, full = await both.here.dead_letters()
        assert (full.instance_id, full.name, full.data) == ("hub/readings", "measured", 4)
        assert "TN-1802" in full.reason
        assert lost.instance_id == "nowhere/readings"
        assert "TN-1801" in lost.reason
        both.line.is_down = False
        assert [one.data for one in await events(both.hub.host, "readings", 3)] == [0, 1, 2]

        async def is_empty() -> bool:
            return not engine.outside.waiting()["hub"].messages

        async with asyncio.timeout(PATIENCE_SECONDS):
            await until_given(is_empty)
        assert engine.outside.waiting()["hub"].bytes == 0
        newest = (await engine.storage.dead_letters())[-1]
        await upkeep_of(store).redrive_letters([newest.message_id])
        assert [one.data for one in await events(both.hub.host, "readings", 4)] == [0, 1, 2, 4]
        (left,) = await engine.storage.dead_letters()
        with pytest.raises(NoSuchLinkError, match=r"no link 'nowhere' here .there are: hub."):
            await upkeep_of(store).redrive(left.message_id)


async def test_what_is_published_with_something_that_no_store_holds_counts_as_nothing() -> None:
    async with linked(hub, device) as both:
        stamp = Stamp(both.here.gateway.now(), None, 1_000)
        good, own = (
            event_of_text(topic, "1", EventHead(), event_id=None, stamp=stamp)
            for topic in ("hub/readings", "own")
        )
        broken = structs.replace(own, event=Raw(b"{"))
        waiting = both.device.engine.outside.waiting()["hub"]
        with pytest.raises(InputError, match="cannot hold"):
            await both.here.gateway.publish([good, broken], [])
        assert (waiting.messages, waiting.bytes) == (0, 0)
        # What no client can send is refused alone as well, whatever wrote it.
        answers: list[TenutoError | None] = []
        engine = both.device.engine
        row = InboxRow(MessageId("broken"), 0, InstanceId("hub/readings"), Raw(b"{"))
        engine.pipeline.batch.posted.append(Posted([], [], answers.append, [row]))
        await both.here.gateway.publish([good, own], [])
        assert "cannot hold 'broken'" in str(answers[0])
        assert len(await events(both.hub.host, "readings", 1)) == 1
        assert len(await events(both.device, "own", 1)) == 1


async def publish_two(client: Client) -> None:
    stamp = Stamp(client.gateway.now(), None, 1_000)
    two = [
        event_of_text("hub/readings", "1", EventHead(), event_id=None, stamp=stamp)
        for _ in range(2)
    ]
    await client.gateway.publish(two, [])


async def test_what_is_refused_there_is_a_dead_letter_here() -> None:
    small = Settings(limits=Limits(payload_bytes=100))
    async with linked(hub, device, hub_settings=small) as both:
        await both.here.publish("hub/readings", "x" * 200, type="long")
        await both.here.publish("hub/readings", "y")
        async with asyncio.timeout(PATIENCE_SECONDS):
            (letter,) = await until_given(both.here.dead_letters)
        assert (letter.instance_id, letter.name) == ("hub/readings", "long")
        assert letter.data == "x" * 200
        assert "TN-1803" in letter.reason
        assert [one.data for one in await events(both.hub.host, "readings", 1)] == ["y"]


NO_EVENTS = [
    ("a/b", encode(Publish(event_id="e", published_at=1)), "cannot be the name"),
    ("a", encode(Publish(event_id="", published_at=1)), "id of an event"),
    ("a", encode(Publish(event_id="e", published_at=1, input="}")), "no JSON"),
    ("a", encode(Publish(event_id="e", published_at=1, input="[" * 600 + "]" * 600)), "nested"),
    ("a", encode(Publish(event_id="e", published_at=1, cause="x" * 9_000)), "cause"),
    ("a", b'{"type":"RaiseEvent"}', "cannot be read"),
    ("a", b'{"type":"Publish","eventId":1}', "cannot be read"),
]


async def test_what_is_no_event_is_refused_by_name_and_the_next_one_comes() -> None:
    async with Server(hub, settings=Settings(storage="sqlite://", http=HttpSettings(port=0))) as it:
        key = await it.host.links.let_in("box")
        line = Line(it.url, "box", key)
        good = encode(Publish(event_id="e", published_at=2**61))
        try:
            for number, (to, message, reason) in enumerate(NO_EVENTS, 1):
                frames = [frame(number, to, message), frame(number + 1, "a", good)]
                place = await line.bring(Parcel(life="abc", frames=frames))
                assert place.received == 0
                assert place.refused is not None
                assert reason in place.refused.reason
            await line.bring(Parcel(life="abc", frames=[frame(99, "a", good)]))
            (event,) = await events(it.host, "a", 1)
            assert event.published_at.timestamp() * 1e6 <= it.host.engine.clock.now()
        finally:
            await line.close()


async def test_cuts_at_random_bytes_and_the_death_of_the_device_keep_the_order_of_each_key(
    tmp_path: Path,
) -> None:
    stores = (f"sqlite:///{tmp_path}/hub.db", f"sqlite:///{tmp_path}/device.db")
    async with linked(hub, device, stores=stores) as both:
        both.line.cut_at_random(3, most_bytes=20_000)
        await (await both.here.start(report, [*range(100)])).result()
        for number in range(100, 150):
            await both.here.publish("hub/readings", number, key="a")
        await both.device.abandon()
        async with Host(device, stores[1], settings=both.device.settings) as again:
            for number in range(150, 200):
                await again.client.publish("hub/readings", number, key="a")
            await both.there.publish("box/orders", "blink")
            found = await events(both.hub.host, "readings", 200)
            assert [one.data for one in found] == list(range(200))
            assert (await events(both.hub.host, "done", 1))[0].data == "blink was done"
            assert both.line.cuts
            assert await again.client.dead_letters() == []


async def test_what_is_published_without_a_line_waits_and_is_there_after_it() -> None:
    async with linked(hub, device) as both:
        both.line.go_down()
        await (await both.here.start(report, [*range(5)])).result()
        (link,) = await both.device.links.list()
        assert link.waiting == 5
        both.line.is_down = False
        assert len(await events(both.hub.host, "readings", 5)) == 5
        async with asyncio.timeout(PATIENCE_SECONDS):
            await until_given(partial(nothing_waits, both.device))


async def nothing_waits(host: Host) -> bool:
    return not (await host.links.list())[0].waiting
