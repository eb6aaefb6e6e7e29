"""A link over a line that cuts: nothing is lost, nothing counts twice, the order stays."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from msgspec import Raw, structs

from tenuto import App, Context, OrchestrationFailedError, Settings
from tenuto.host.host import Host
from tenuto.link.dialling import Line
from tenuto.model.codec import encode
from tenuto.model.errors import LinkInUseError, UnauthorizedError
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits
from tenuto.model.linking import MESSAGE, Envelope, Frame, Parcel, Place
from tenuto.model.messages import RaiseEvent
from tests.support.linked import linked
from tests.support.waiting import until_given

hub = App()
device = App()
PATIENCE_SECONDS = 20


@hub.orchestrator
async def collect(ctx: Context, count: int) -> list[int]:
    return [await ctx.wait_for_external_event("reading", int) for _ in range(count)]


@hub.orchestrator
async def double(ctx: Context, text: str) -> str:
    return text + text


@hub.orchestrator
async def quotes(ctx: Context, times: int) -> str:
    return '"' * times


@device.orchestrator
async def quote(ctx: Context, times: int) -> str:
    return str(await ctx.call_sub_orchestrator("quotes", times, on="hub"))


@hub.orchestrator
async def call_device(ctx: Context, text: str) -> str:
    return str(await ctx.call_sub_orchestrator("echo", text, on="box"))


@device.orchestrator
async def echo(ctx: Context, text: str) -> str:
    return text + text


@device.orchestrator
async def send(ctx: Context, count: int) -> None:
    for number in range(count):
        ctx.send_event("hub/x", "reading", number)


@device.orchestrator
async def ask(ctx: Context, texts: list[str]) -> list[str]:
    calls = [ctx.call_sub_orchestrator("double", text, on="hub") for text in texts]
    return [await call for call in calls]


@pytest.mark.parametrize("seed", range(2))
async def test_cuts_at_random_bytes_lose_double_and_reorder_nothing(seed: int) -> None:
    async with linked(hub, device) as both:
        both.line.cut_at_random(seed, most_bytes=20_000)
        handle = await both.there.start(collect, 200, instance_id="x")
        await both.here.start(send, 200)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await handle.result() == list(range(200))
        assert both.line.cuts
        assert await both.there.dead_letters() == []


async def test_results_come_back_over_a_line_that_cuts() -> None:
    async with linked(hub, device) as both:
        both.line.cut_at_random(1, most_bytes=20_000)
        texts = [str(number) * 10 for number in range(50)]
        handle = await both.here.start(ask, texts)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await handle.result() == [text + text for text in texts]
        assert both.line.cuts


async def test_a_message_longer_than_the_line_ever_lets_through_goes_in_pieces() -> None:
    long = "0123456789" * 5_000
    async with linked(hub, device) as both:
        both.line.cut_at_random(2, most_bytes=24_000)
        handle = await both.here.start(ask, [long])
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await handle.result() == [long + long]
        assert both.line.cuts > 5


async def test_a_device_that_dies_goes_on_where_it_was(tmp_path: Path) -> None:
    stores = (f"sqlite:///{tmp_path}/hub.db", f"sqlite:///{tmp_path}/device.db")
    async with linked(hub, device, stores=stores) as both:
        handle = await both.there.start(collect, 40, instance_id="x")
        both.line.go_down()
        await (await both.here.start(send, 20)).result()
        await both.device.abandon()
        both.line.is_down = False
        async with Host(device, stores[1], settings=both.device.settings) as again:
            await again.client.start("send", 20)
            assert await handle.result() == [*range(20), *range(20)]
            (link,) = await again.links.list()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await until_given(partial(nothing_waits, again))
            assert link.key == ""


async def nothing_waits(host: Host) -> bool:
    return not (await host.links.list())[0].waiting


async def problem_of(host: Host) -> str | None:
    return (await host.links.list())[0].problem


def event(sequence: int) -> Frame:
    message = encode(RaiseEvent(event=EventRaised("reading", str(sequence))))
    envelope = Envelope(kind=MESSAGE, to=InstanceId("x"), message=Raw(message))
    text = encode(envelope).decode()
    return Frame(sequence=sequence, text=text, of=len(text))


def piece(frame: Frame, begin: int, end: int) -> Frame:
    return structs.replace(frame, text=frame.text[begin:end], at=begin)


async def test_what_comes_twice_counts_once() -> None:
    async with linked(hub, device) as both:
        handle = await both.there.start(collect, 6, instance_id="x")
        key = await both.hub.host.links.let_in("box")
        line = Line(both.hub.url, "box", key)
        try:
            place = Place(received=0)
            for numbers in ([1, 2, 4], [1, 2, 4], [2, 4, 5, 9], [5, 9], []):
                place = await line.bring(Parcel(life="abc", frames=[event(n) for n in numbers]))
            assert structs.replace(place, mark="") == Place(received=9)
            whole = event(11)
            cut = len(whole.text) // 2
            for begin, end in ((0, cut), (0, cut), (cut + 1, None), (0, 3)):
                one = piece(whole, begin, end or len(whole.text))
                place = await line.bring(Parcel(life="abc", after=9, frames=[one]))
                assert structs.replace(place, mark="") == Place(received=9, piece_of=11, held=cut)
            rest = piece(whole, cut, len(whole.text))
            place = await line.bring(Parcel(life="abc", after=9, frames=[rest]))
            assert structs.replace(place, mark="") == Place(received=11)
            assert await handle.result() == [1, 2, 4, 5, 9, 11]
            assert await both.there.dead_letters() == []
        finally:
            await line.close()


NO_MESSAGES = [
    ("{", "cannot be read"),
    ('{"kind":"parcel","to":"x","message":{}}', "'parcel'"),
    ('{"kind":"message","to":"a/b","message":{}}', "TN-1101"),
    (
        '{"kind":"message","to":"x","message":{"type":"Purge","force":true}}',
        "a Purge is not taken from another hub",
    ),
    (
        '{"kind":"message","to":"x","message":{"type":"Publish","eventId":"e","publishedAt":1}}',
        "cannot be read",
    ),
    (
        '{"kind":"message","to":"x","message":{"type":"Terminate"}}',
        "only who has called an instance",
    ),
]


async def test_what_no_hub_takes_is_refused_by_name_and_the_next_one_comes() -> None:
    async with linked(hub, device) as both:
        key = await both.hub.host.links.let_in("box")
        line = Line(both.hub.url, "box", key)
        try:
            for text, reason in NO_MESSAGES:
                frame = Frame(sequence=1, text=text, of=len(text))
                place = await line.bring(Parcel(life="abc", frames=[frame, event(2)]))
                assert place.received == 0
                assert place.refused is not None
                assert place.refused.sequence == 1
                assert reason in place.refused.reason
            place = await line.bring(Parcel(life="abc", frames=[event(2)]))
            assert structs.replace(place, mark="") == Place(received=2)
        finally:
            await line.close()


async def test_what_the_other_hub_refuses_is_told_to_who_waits_for_it() -> None:
    small = Settings(limits=Limits(payload_bytes=100))
    long = "x" * 200
    async with linked(hub, device, hub_settings=small) as both:
        with pytest.raises(OrchestrationFailedError, match=r"TN-1803.*payload_bytes"):
            await (await both.here.start(ask, [long])).result()
        await both.here.raise_event("hub/x", "reading", long)
        async with asyncio.timeout(PATIENCE_SECONDS):
            letters = await until_given(both.here.dead_letters)
        assert letters[0].instance_id == "hub/x"
        assert "TN-1803" in letters[0].reason
        handle = await both.there.start(collect, 1, instance_id="x")
        await both.here.raise_event("hub/x", "reading", 1)  # the link goes on
        assert await handle.result() == [1]


async def test_a_result_that_its_caller_cannot_use_fails_the_call() -> None:
    """A long one is taken in and told in short; one without end is refused with its first piece."""
    small = Settings(limits=Limits(payload_bytes=1_000))
    async with linked(hub, device, device_settings=small) as both:
        for times in (2_000, 1_500_000):
            handle = await both.here.start(quote, times)
            with pytest.raises(OrchestrationFailedError, match="TN-1803"):
                await handle.result()
        assert await both.there.dead_letters() == []
        assert await (await both.here.start(quote, 3)).result() == '"' * 3


async def test_a_device_refuses_too() -> None:
    small = Settings(limits=Limits(payload_bytes=100))
    async with linked(hub, device, device_settings=small) as both:
        handle = await both.there.start(call_device, "x" * 200)
        with pytest.raises(OrchestrationFailedError, match="TN-1803"):
            await handle.result()
        assert await (await both.there.start(call_device, "x")).result() == "xx"


async def test_two_stores_with_one_key_are_found_out() -> None:
    async with linked(hub, device) as both:
        handle = await both.there.start(collect, 1, instance_id="x")
        await both.here.raise_event("hub/x", "reading", 1)
        await handle.result()
        key = await both.hub.host.links.let_in("box")
        line = Line(both.hub.url, "box", key)
        try:
            await line.bring(Parcel(life="abc"))
            await line.bring(Parcel(life="def"))
            with pytest.raises(LinkInUseError, match="used by two stores"):
                await line.bring(Parcel(life="abc"))
            with pytest.raises(LinkInUseError):
                await line.fetch("abc", Place(received=0), 1024)
        finally:
            await line.close()


async def test_only_the_key_of_a_link_opens_it() -> None:
    async with linked(hub, device) as both:
        for name, key in (("box", "wrong"), ("bax", "wrong"), ("hub", "")):
            line = Line(both.hub.url, name, key or "x")
            try:
                with pytest.raises(UnauthorizedError, match="tenuto links add"):
                    await line.bring(Parcel(life="abc"))
                with pytest.raises(UnauthorizedError):
                    await line.fetch("abc", Place(received=0), 1024)
            finally:
                await line.close()


async def test_a_link_says_what_is_wrong_with_it() -> None:
    async with linked(hub, device) as both:
        await both.hub.host.links.let_in("box")  # another key: the one of the device is no more
        await both.here.raise_event("hub/x", "reading", 1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            problem = await until_given(partial(problem_of, both.device))
        assert problem is not None
        assert "TN-1701" in problem
        assert (await both.device.links.list())[0].waiting == 1
