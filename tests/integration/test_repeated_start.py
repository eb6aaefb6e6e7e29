"""``durable_before_visible``: a start that is asked for twice is a success when it is durable."""

import asyncio

from msgspec import structs

from tenuto import App, Context
from tenuto.model.ids import InstanceId, new_execution_id
from tenuto.testing import TestHost
from tests.support.facts import asks
from tests.support.held import holding
from tests.support.waiting import until

app = App()


@app.orchestrator
async def waits(ctx: Context) -> None:
    await ctx.wait_for_external_event("go")


async def test_durable_before_visible_the_same_start_again_waits_for_the_first() -> None:
    async with TestHost(app) as test:
        request = asks(instance_id="x", execution_id=new_execution_id(0), name="waits")
        gateway = test.host.client.gateway
        async with holding(test.host.engine.storage, "commit", "before") as held:
            first = asyncio.ensure_future(gateway.start(structs.replace(request)))
            await held.arrived.wait()
            again = asyncio.ensure_future(gateway.start(structs.replace(request)))
            looked = 0

            def has_looked() -> bool:
                nonlocal looked
                looked += 1
                return looked > 200

            await until(has_looked)
            assert not first.done()
            assert not again.done()
            held.let_go()
            await asyncio.gather(first, again)
        record = await gateway.get(InstanceId("x"))
        assert record is not None
        assert record.execution_id == request.facts.execution_id


async def test_the_same_start_again_after_its_commit_is_a_success_at_once() -> None:
    async with TestHost(app) as test:
        request = asks(instance_id="x", execution_id=new_execution_id(0), name="waits")
        for _ in range(3):
            await test.host.client.gateway.start(structs.replace(request))
        assert len([one async for one in test.host.client.query()]) == 1
