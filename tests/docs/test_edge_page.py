"""The two apps of the page about the edge, linked."""

from tests.docs.test_pages_run import run_page
from tests.support.linked import linked
from tests.support.waiting import until_given


async def test_the_device_of_the_edge_page_asks_its_hub() -> None:
    scope = run_page("edge.md")
    async with linked(scope["cloud"], scope["box"]) as both:
        # On the page the device is called box-17 there; what it calls its hub is the same.
        diary = await both.there.start(scope["diary"], 2, instance_id="diary-17")
        assert await (await both.here.start(scope["measure"], 21.5)).result() == "leave it"
        assert await (await both.here.start(scope["measure"], 31.0)).result() == "open the window"
        assert await diary.result() == [21.5, 31.0]
        await (await both.here.start(scope["watch"], 40.5)).result()
        store = both.hub.host.engine.storage

        async def has_rung() -> bool:
            return any(one.position and not one.lag for one in await store.subscriptions())

        await until_given(has_rung)
        (event,) = await store.events("alarms", 0, 10, 10_000)
        assert event.key == "box-17"
