"""Flows over topics, queues and instances, read as one."""

from datetime import timedelta

import pytest

from tenuto import (
    App,
    Client,
    Context,
    Event,
    EventNotFoundError,
    InstanceNotFoundError,
    RetryPolicy,
)
from tenuto.model.flow import Flow
from tenuto.testing import TestHost

ONCE = RetryPolicy(max_attempts=1, first_interval=timedelta(seconds=1))


async def flow_of(test: TestHost, of: str, limit: int = 100) -> Flow:
    return await test.host.client.gateway.topics.flow(of, limit)


def tree(flow: Flow) -> dict[str, str | None]:
    return {one.ref: one.cause for one in flow.items}


async def test_functions_without_orchestrators_make_one_flow_over_topics_and_queues() -> None:
    app = App()

    @app.subscribe("arrived")
    async def recognise(event: Event, client: Client) -> None:
        await client.enqueue("plates", event.data, message_id="m")

    @app.queue("plates")
    async def read(data: str, client: Client) -> None:
        await client.publish("read", data, event_id="r")

    @app.subscribe("read", name="store", retry=ONCE)
    async def store(event: Event) -> None:
        raise ValueError("the disk is full")

    async with TestHost(app) as test:
        await test.client.publish("arrived", "car", event_id="a")
        await test.idle()
        flow = await flow_of(test, "read/r")
        assert flow.root == "event:arrived/a"
        assert tree(flow) == {
            "event:arrived/a": None,
            "event:read/r": "event:arrived/a",
            "failed:1": "event:read/r",
        }
        failed = flow.items[-1]
        assert (failed.kind, failed.name, failed.error) == (
            "failed",
            "store",
            "ValueError: the disk is full",
        )


async def test_a_message_that_waits_or_was_put_aside_stands_in_its_flow() -> None:
    app = App()

    @app.subscribe("arrived")
    async def recognise(event: Event, client: Client) -> None:
        await client.enqueue("later", 1, message_id="l", delay=timedelta(days=1))
        await client.enqueue("broken", 1, message_id="b")

    @app.queue("broken", retry=ONCE)
    async def broken(data: int) -> None:
        raise ValueError("no")

    async with TestHost(app) as test:
        await test.client.publish("arrived", "car", event_id="a")
        await test.idle()
        flow = await flow_of(test, "later/l")
        assert flow.asked == "message:later/l"
        assert tree(flow) == {
            "event:arrived/a": None,
            "message:later/l": "event:arrived/a",
            "message:broken/b": "event:arrived/a",
            "failed:1": "message:broken/b",
        }


async def test_children_and_what_instances_publish_stand_below_them() -> None:
    app = App()

    @app.orchestrator
    async def child(ctx: Context) -> None:
        await ctx.publish("from-child", 1)

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_sub_orchestrator(child)

    async with TestHost(app) as test:
        await test.run(parent, instance_id="p")
        flow = await flow_of(test, "p")
        top, below, event = flow.items
        assert (top.ref, top.status, top.cause) == ("instance:p", "Completed", None)
        assert (below.name, below.cause) == ("child", "instance:p")
        assert event.cause == below.ref
        await test.client.purge("p")
        gone = await flow_of(test, f"from-child/{event.id}")
        assert (gone.items[0].is_gone, gone.items[0].kind) == (True, "instance")


async def test_a_flow_is_cut_where_it_is_too_long_and_circles_end() -> None:
    app = App()
    async with TestHost(app) as test:
        publish = test.client.publish
        for number in range(20):
            await publish("t", number, event_id=f"e{number}")
        flow = await flow_of(test, "t/e1", limit=1)
        assert (len(flow.items), flow.is_cut) == (1, False)
        # A tag that somebody made up: it is its own cause.
        handle_id = "round"
        circle = App()

        @circle.orchestrator
        async def turns(ctx: Context) -> None: ...

        test.app = circle
        await test.restart()
        tags = {"tenuto.cause": f"instance:{handle_id}"}
        await test.host.client.start(turns, instance_id=handle_id, tags=tags)
        await test.idle()
        found = await flow_of(test, handle_id)
        assert [one.id for one in found.items] == [handle_id]


async def test_what_is_not_there_is_refused() -> None:
    async with TestHost(App()) as test:
        with pytest.raises(InstanceNotFoundError):
            await flow_of(test, "nobody")
        with pytest.raises(EventNotFoundError, match="topic 't' has no event 'none'"):
            await flow_of(test, "t/none")
        await test.client.publish("orders", 1)
        with pytest.raises(EventNotFoundError, match="'orders' is a topic, and a flow is that of"):
            await flow_of(test, "orders")
