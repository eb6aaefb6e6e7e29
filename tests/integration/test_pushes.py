"""Topics whose events are pushed to other systems as CloudEvents: over real connections."""

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenuto import App, EventDetails, RegistrationError, RetryPolicy, Settings
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.functions.outbound import OutboundSettings
from tenuto.host.host import Host
from tests.support.answering_server import Asked, Reply, answering_server
from tests.support.waiting import until

SHORT = RetryPolicy(max_attempts=3, first_interval=timedelta(milliseconds=1))
SECRET = "Bearer s3cret-token-of-billing"


async def failed_of(host: Host) -> FailedDelivery:
    while True:
        found = await host.engine.storage.failed_deliveries()
        if found:
            return found[0]


async def test_events_are_posted_as_cloud_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLING_TOKEN", SECRET)
    async with answering_server(lambda _asked: Reply(202, b"thanks")) as server:
        app = App()
        app.push(
            "orders",
            f"{server.url}/events?of=orders",
            filter={"type": "order.placed"},
            headers={"x-tenant": "acme"},
            secret_headers={"Authorization": "BILLING_TOKEN"},
        )
        async with Host(app, storage="sqlite://") as host:
            publish = host.client.publish
            await publish("orders", {"id": 6}, type="order.canceled")
            details = EventDetails(source="/shop", subject="order/7", attributes={"Tenant": "a"})
            await publish(
                "orders", {"id": 7}, type="order.placed", key="7", event_id="e7", details=details
            )
            await publish("orders", None, type="order.placed", event_id="e8")
            await until(lambda: len(server.asked) == 2)
        found = {json.loads(one.body)["id"]: one for one in server.asked}
        assert found.keys() == {"e7", "e8"}
        asked = found["e7"]
        assert (asked.method, asked.target) == ("POST", "/events?of=orders")
        assert asked.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        assert asked.headers["authorization"] == SECRET
        assert asked.headers["x-tenant"] == "acme"
        body = json.loads(asked.body)
        assert body.pop("time")
        assert body == {
            "specversion": "1.0",
            "id": "e7",
            "source": "/shop",
            "type": "order.placed",
            "subject": "order/7",
            "partitionkey": "7",
            "tenant": "a",
            "datacontenttype": "application/json",
            "data": {"id": 7},
        }
        bare = json.loads(found["e8"].body)
        assert bare["source"] == "/topics/orders"
        assert server.opened <= 2


async def test_what_is_not_accepted_is_posted_again_and_put_aside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BILLING_TOKEN", SECRET)
    caplog.set_level(logging.DEBUG)
    replies = [Reply(503), Reply(302, headers=[("location", "/other")]), Reply(200)]
    async with answering_server(lambda _asked: replies.pop(0) if replies else Reply(500)) as server:
        app = App()
        app.push("t", server.url, secret_headers={"Authorization": "BILLING_TOKEN"}, retry=SHORT)
        async with Host(app, storage="sqlite://") as host:
            await host.client.publish("t", 1)
            await until(lambda: len(server.asked) == 3)
            await host.client.publish("t", 2, event_id="two")
            failed = await failed_of(host)
        assert len(server.asked) == 6
        assert {one.method for one in server.asked} == {"POST"}
        assert len({json.loads(one.body)["id"] for one in server.asked}) == 2
        assert (failed.message_id, failed.attempts) == ("two", 3)
        assert "answered 500 to event 'two' of topic 't'" in failed.error
    assert "s3cret" not in caplog.text
    assert "s3cret" not in str(failed)


async def test_where_pushes_may_go_says_the_setting() -> None:
    async with answering_server(lambda _asked: Reply()) as server:
        app = App()
        app.push("t", server.url, retry=RetryPolicy(max_attempts=1))
        settings = Settings(outbound=OutboundSettings(block_private=True))
        async with Host(app, storage="sqlite://", settings=settings) as host:
            await host.client.publish("t", 1)
            failed = await failed_of(host)
        assert "has no public address" in failed.error
        assert server.asked == []


async def test_what_comes_while_the_receiver_is_away_is_not_lost(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'push.db'}"
    url = "http://127.0.0.1:1"
    asked = list[Asked]()

    def app() -> App:
        pushing = App()
        pushing.push("t", url, name="out", retry=SHORT)
        return pushing

    async with Host(app(), storage=store):
        pass
    async with Host(App(), storage=store) as host:
        for number in range(20):
            await host.client.publish("t", number)

    def accept(one: Asked) -> Reply:
        asked.append(one)
        return Reply()

    async with answering_server(accept) as server:
        url = server.url
        async with Host(app(), storage=store):
            await until(lambda: len(asked) == 20)
        async with Host(app(), storage=store) as host:
            await host.client.publish("t", "last")
            await until(lambda: len(asked) == 21)
    assert [json.loads(one.body)["data"] for one in asked][-1] == "last"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://x"}, "the address must begin with http"),
        ({"url": 7}, "the address must begin with http"),
        ({"topic": "a/b"}, "'a/b' cannot be the name of a topic"),
        ({"headers": {"a b": "x"}}, "'a b' cannot be the name of a header"),
        ({"headers": {"content-type": "x"}}, "is that of CloudEvents; leave it out"),
        ({"secret_headers": {"Content-Type": "X"}}, "is that of CloudEvents; leave it out"),
        ({"secret_headers": {"a b": "X"}}, "'a b' cannot be the name of a header"),
        ({"secret_headers": {"Authorization": "a=b"}}, "is no name of one"),
        ({"filter": 7}, "filter must be a function of the event"),
        ({"name": "a/b"}, "cannot be the name of a subscription"),
    ],
)
def test_what_cannot_be_pushed_is_refused(options: dict[str, Any], words: str) -> None:
    arguments = {"topic": "t", "url": "https://example.com"} | options
    with pytest.raises(RegistrationError) as raised:
        App().push(**arguments)
    assert words in str(raised.value)


def test_two_pushes_of_a_topic_to_one_host_need_names() -> None:
    app = App()
    app.push("t", "https://example.com/a")
    with pytest.raises(RegistrationError, match="registered already; give name="):
        app.push("t", "https://example.com/b")
    app.push("t", "https://example.com/b", name="b")
    assert list(app.triggered) == ["t.push.example.com", "b"]


async def test_a_secret_that_is_not_set_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = App()
    app.push("t", "https://example.com", secret_headers={"X-Key": "BILLING_TOKEN"}, name="out")
    monkeypatch.delenv("BILLING_TOKEN", raising=False)
    with pytest.raises(RegistrationError) as raised:
        await Host(app, storage="sqlite://").start()
    assert str(raised.value) == (
        "push 'out': the variable 'BILLING_TOKEN' of the environment is not set, which holds the "
        "header 'X-Key'"
    )
    monkeypatch.setenv("BILLING_TOKEN", "a\nb")
    with pytest.raises(RegistrationError, match="no header can carry"):
        await Host(app, storage="sqlite://").start()
