"""Webhooks: an address that raises one event, once, whatever crashes, races or expires."""

import asyncio
from datetime import timedelta
from urllib.parse import unquote

import pytest

from tenuto import (
    App,
    Context,
    Host,
    PayloadError,
    RuntimeStatus,
    Settings,
    WebhookClosedError,
)
from tenuto.client.engine_gateway import EngineGateway
from tenuto.http.options import HttpSettings
from tenuto.model.events import EventRaised, WebhookOpened
from tenuto.model.ids import InstanceId
from tenuto.model.messages import RedeemWebhook
from tenuto.model.webhook import digest_of
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.histories import of_type

BASE = "https://flows.example.org/tenuto/"
DAY = timedelta(days=1)


@pytest.fixture
async def test(app: App, open_host: OpenHost) -> TestHost:
    """A host that knows its own address."""
    return await open_host(app, settings=Settings(http=HttpSettings(base_url=BASE)))


async def use(test: TestHost, url: str, text: str | None = None) -> None:
    """What the page behind the address does."""
    instance, token = url.partition("?")[0].removeprefix(f"{BASE}callbacks/").split("/")
    gateway = test.host.client.gateway
    assert isinstance(gateway, EngineGateway)
    await gateway.tell(
        InstanceId(unquote(instance)),
        RedeemWebhook(digest=digest_of(token), requested_at=gateway.now(), input=text),
    )


async def address(test: TestHost, instance_id: str) -> str:
    """The address that the orchestrations of these tests show as their status."""
    await test.idle()
    status = await test.client.get_status(instance_id)
    assert status is not None
    url = status.custom_status
    assert isinstance(url, str), status
    return url


@pytest.fixture
def approval(app: App) -> str:
    """An orchestration that waits for its webhook, then for ``end``; gives what it got."""

    @app.orchestrator
    async def approval(ctx: Context) -> list[object]:
        ctx.set_custom_status(await ctx.create_webhook("approval", expires_in=7 * DAY))
        got: list[object] = [await ctx.wait_for_external_event("approval")]
        try:
            while True:
                got.append(await ctx.wait_for_external_event("approval", timeout=30 * DAY))
        except TimeoutError:
            return got

    return approval.name


async def test_a_webhook_raises_its_event_once(test: TestHost, approval: str) -> None:
    handle = await test.start(approval, instance_id="order 7 ü")
    url = await address(test, "order 7 ü")
    assert url.startswith(f"{BASE}callbacks/order%207%20%C3%BC/")
    token = url.rpartition("/")[2].partition("?")[0]
    assert len(token) == 43, "256 bits"
    await use(test, url, '{"by": "Ada"}')
    with pytest.raises(WebhookClosedError, match="was used, has expired, or never existed"):
        await use(test, url, '{"by": "Bob"}')
    assert await handle.result() == [{"by": "Ada"}]
    history = await test.client.history("order 7 ü")
    (opened,) = of_type(history, WebhookOpened)
    assert (opened.name, opened.digest) == ("approval", digest_of(token))
    assert of_type(history, EventRaised) == [
        EventRaised("approval", '{"by": "Ada"}', digest_of(token))
    ]


async def test_every_webhook_has_an_address_of_its_own(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def both(ctx: Context) -> list[object]:
        urls = await asyncio.gather(
            *(ctx.create_webhook(name, expires_in=DAY) for name in ("yes", "no"))
        )
        ctx.set_custom_status(" ".join(urls))
        return [await ctx.wait_for_external_event(name) for name in ("no", "yes")]

    handle = await test.start(both)
    yes, no = (await address(test, handle.instance_id)).split()
    assert yes != no
    await use(test, yes, "1")
    await use(test, no, "2")
    assert await handle.result() == [2, 1]


@pytest.mark.parametrize("way", ["restart", "crash"])
async def test_a_webhook_works_after_a_restart_and_still_once_exactly_once_turns(
    test: TestHost, approval: str, way: str
) -> None:
    handle = await test.start(approval)
    url = await address(test, handle.instance_id)
    await getattr(test, way)()
    await use(test, url, "1")
    await getattr(test, way)()
    with pytest.raises(WebhookClosedError):
        await use(test, url, "2")
    assert await handle.result() == [1]


async def test_of_requests_that_race_one_is_taken_exactly_once_turns(
    test: TestHost, approval: str
) -> None:
    handle = await test.start(approval)
    url = await address(test, handle.instance_id)
    asked = [use(test, url, str(number)) for number in range(10)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    taken = [number for number, answer in enumerate(answers) if answer is None]
    assert len(taken) == 1
    assert sum(isinstance(answer, WebhookClosedError) for answer in answers) == 9
    assert await handle.result() == taken


async def test_a_webhook_is_closed_from_the_moment_of_its_expiry(
    test: TestHost, approval: str
) -> None:
    first = await test.start(approval, instance_id="first")
    urls = [await address(test, "first")]
    second = await test.start(approval, instance_id="second")
    urls.append(await address(test, "second"))
    await test.advance(7 * DAY - timedelta(seconds=1))
    await use(test, urls[0], "1")
    await test.advance(timedelta(seconds=2))
    with pytest.raises(WebhookClosedError):
        await use(test, urls[1], "2")
    await second.raise_event("approval", "by hand")
    assert (await first.result(), await second.result()) == ([1], ["by hand"])


async def test_a_wrong_token_a_wrong_instance_and_a_finished_one_look_alike(
    test: TestHost, approval: str
) -> None:
    """Who tries addresses learns nothing but that they are not open."""
    handle = await test.start(approval, instance_id="mine")
    url = await address(test, "mine")
    first = url.partition("/mine/")[2][0]
    other = url.replace(f"/mine/{first}", f"/mine/{'A' if first != 'A' else 'B'}")
    wrong = [other, url.replace("/mine/", "/yours/")]
    errors = []
    for one in wrong:
        with pytest.raises(WebhookClosedError) as caught:
            await use(test, one)
        errors.append(str(caught.value))
    await use(test, url)
    assert await handle.result() == [None]
    with pytest.raises(WebhookClosedError) as caught:
        await use(test, url)
    errors.append(str(caught.value))
    assert len({one.replace("'yours'", "'mine'") for one in errors}) == 1
    assert url.rpartition("/")[2].partition("?")[0] not in "".join(errors)


async def test_a_new_run_under_the_same_id_does_not_know_the_old_address(
    test: TestHost, approval: str
) -> None:
    first = await test.start(approval, instance_id="mine")
    url = await address(test, "mine")
    await first.terminate()
    second = await test.start(approval, instance_id="mine")
    await address(test, "mine")
    with pytest.raises(WebhookClosedError):
        await use(test, url)
    await second.terminate()


async def test_while_suspended_one_request_is_kept_and_the_next_refused(
    test: TestHost, approval: str
) -> None:
    """What was accepted in time counts, also when it is read after the expiry."""
    handle = await test.start(approval)
    url = await address(test, handle.instance_id)
    await handle.suspend()
    await use(test, url, "1")
    with pytest.raises(WebhookClosedError):
        await use(test, url, "2")
    await test.crash()
    with pytest.raises(WebhookClosedError):
        await use(test, url, "3")
    await test.advance(10 * DAY)
    assert (await handle.status()).runtime_status is RuntimeStatus.SUSPENDED
    await handle.resume()
    assert await handle.result() == [1]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_open_webhooks_go_along_when_an_orchestration_continues_as_new(
    app: App, test: TestHost, is_restarted: bool
) -> None:
    @app.orchestrator
    async def eternal(ctx: Context, generation: int) -> str:
        if generation == 0:
            urls = [await ctx.create_webhook("go", expires_in=DAY) for _ in range(2)]
            ctx.set_custom_status(" ".join(urls))
        seen = await ctx.wait_for_external_event("go", str)
        if seen != "done":
            ctx.continue_as_new(generation + 1)
        return seen

    handle = await test.start(eternal, 0)
    first, second = (await address(test, handle.instance_id)).split()
    for _ in range(3):
        await handle.raise_event("go", "on")
        await test.idle()
    if is_restarted:
        await test.crash()
    await use(test, first, '"on"')
    await test.idle()
    with pytest.raises(WebhookClosedError):
        await use(test, first, '"done"')
    await use(test, second, '"done"')
    assert await handle.result() == "done"


async def test_requests_in_the_turn_between_two_generations_are_decided_once(
    app: App, test: TestHost
) -> None:
    """All at the same time: the event that ends the generation, and two requests."""

    @app.orchestrator
    async def eternal(ctx: Context, generation: int) -> list[object]:
        if generation == 0:
            ctx.set_custom_status(await ctx.create_webhook("go", expires_in=DAY))
            await ctx.wait_for_external_event("on")
            ctx.continue_as_new(1)
            return []
        return [await ctx.wait_for_external_event("go")]

    handle = await test.start(eternal, 0)
    url = await address(test, handle.instance_id)
    *answers, _ = await asyncio.gather(
        handle.raise_event("on"), use(test, url, "1"), use(test, url, "2"), return_exceptions=True
    )
    assert [type(one) for one in answers] == [type(None), type(None)]
    with pytest.raises(WebhookClosedError):
        await use(test, url, "3")
    assert await handle.result() == [1]


async def test_without_an_address_of_its_own_a_host_makes_links_for_the_server_to_come(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    @app.orchestrator
    async def asking(ctx: Context) -> list[str]:
        return [await ctx.create_webhook(name, expires_in=DAY) for name in ("a", "b")]

    settings = Settings(http=HttpSettings(port=7199))
    async with Host(app, "sqlite://", settings=settings) as host:
        with caplog.at_level("INFO", "tenuto.host"):
            handle = await host.client.start(asking, instance_id="one")
            links = await handle.result()
    assert all(link.startswith("http://127.0.0.1:7199/callbacks/one/") for link in links)
    said = [one.getMessage() for one in caplog.records if "tenuto start" in one.getMessage()]
    assert len(said) == 1
    assert "http://127.0.0.1:7199" in said[0]


async def test_data_that_do_not_fit_leave_the_webhook_open(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def counting(ctx: Context) -> int:
        ctx.set_custom_status(await ctx.create_webhook("count", expires_in=DAY))
        return await ctx.wait_for_external_event("count", int)

    handle = await test.start(counting)
    url = await address(test, handle.instance_id)
    wrong, right, late = await asyncio.gather(
        use(test, url, '"x"'), use(test, url, "1"), use(test, url, "2"), return_exceptions=True
    )
    assert isinstance(wrong, PayloadError)
    assert right is None
    assert isinstance(late, WebhookClosedError)
    assert await handle.result() == 1
