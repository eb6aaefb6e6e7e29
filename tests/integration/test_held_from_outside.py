"""What people and programs see of a held instance, and what they can do about it.

``a_deploy_loses_nothing``: over the client, the store and HTTP alike.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenuto import (
    App,
    Client,
    Context,
    HoldReason,
    Host,
    InstanceFilter,
    InstanceFinishedError,
    InstanceStateError,
    OrchestrationFailedError,
    RuntimeStatus,
    Settings,
)
from tenuto.client.gateway import Gateway
from tenuto.model.ids import InstanceId
from tests.support.http_in_process import http_to_host
from tests.support.waiting import until


def shop(*, with_charge: bool) -> App:
    app = App()

    @app.orchestrator
    async def order(ctx: Context) -> str:
        paid = await ctx.call_activity("charge")
        return f"{paid} {await ctx.wait_for_external_event('sent', str)}"

    if with_charge:

        @app.activity
        def charge() -> str:
            return "charged"

    return app


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hub.db'}"


@pytest.fixture
async def bad(url: str) -> AsyncIterator[Host]:
    """A host without the activity, and an instance that it holds."""
    async with Host(shop(with_charge=False), settings=Settings(storage=url)) as host:
        await host.client.start("order", instance_id="one")
        await host.client.start("order", instance_id="two")
        await until_held(host, "one")
        await until_held(host, "two")
        yield host


async def until_held(host: Host, instance_id: str) -> None:
    while True:
        status = await host.client.get_status(instance_id)
        assert status is not None
        if status.hold is not None:
            return
        await until(lambda: host.engine.is_idle)


async def test_a_held_instance_is_seen_and_listed(bad: Host) -> None:
    status = await bad.client.handle("one").status()
    assert status.runtime_status is RuntimeStatus.RUNNING
    assert status.hold is not None
    assert status.hold.reason is HoldReason.NOT_SERVED
    assert "'charge'" in status.hold.message
    listed = [one.instance_id async for one in bad.client.query(InstanceFilter(held=True))]
    assert sorted(listed) == ["one", "two"]
    assert [one async for one in bad.client.query(InstanceFilter(held=False))] == []
    assert await bad.engine.holding.count() == {"not_served": 2}


async def test_it_can_be_failed_and_purged_and_goes_on_with_code_that_fits(
    bad: Host, url: str
) -> None:
    client = bad.client
    await client.raise_event("one", "sent", "sent")
    with pytest.raises(InstanceStateError):
        await client.purge("two")
    await client.fail("two", "written off")
    with pytest.raises(OrchestrationFailedError, match="by an operator: written off"):
        await client.handle("two").result()
    with pytest.raises(InstanceFinishedError):
        await client.fail("two")
    assert (await client.handle("two").status()).hold is None
    await bad.stop()
    async with Host(shop(with_charge=True), settings=Settings(storage=url)) as good:
        assert await good.client.handle("one").result() == "charged sent"


async def test_another_process_resumes_fails_and_terminates_it(bad: Host, url: str) -> None:
    async with Client.open(url) as outside:
        await outside.resume("one")  # tried again, and held again
        await outside.fail("two", "from outside")
        ended = await outside.wait("two")
        assert ended.runtime_status is RuntimeStatus.FAILED
        await until_held(bad, "one")
        await outside.terminate("one", "enough")
        assert (await outside.wait("one")).runtime_status is RuntimeStatus.TERMINATED


async def test_over_http_it_is_seen_resumed_and_failed(bad: Host) -> None:
    async with http_to_host(bad, shop(with_charge=False)) as http:
        root = "/runtime/webhooks/durabletask/instances"
        shown = (await http.get(f"{root}/one")).json()
        assert shown["runtimeStatus"] == "Running"
        assert shown["hold"]["reason"] == "not_served"
        rows = (await http.get("/admin/instances?held=true")).json()["records"]
        assert {row["instanceId"] for row in rows} == {"one", "two"}
        assert (await http.get("/healthz")).json()["held"] == {"not_served": 2}
        assert (await http.post(f"{root}/one/resume")).status_code == 202
        assert (await http.post(f"{root}/two/fail?reason=lost")).status_code == 202
        assert (await http.post(f"{root}/two/fail")).status_code == 410
        failed = await http.post("/admin/instances/one/fail", json={"reason": "x"})
        assert failed.status_code == 204
        assert "hold" not in (await http.get(f"{root}/two")).json()
        gateway: Gateway = bad.client.gateway
        record = await gateway.get(InstanceId("one"))
        assert record is not None
        assert record.status is RuntimeStatus.FAILED
