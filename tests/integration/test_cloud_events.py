"""CloudEvents over HTTP, and the webhook of Event Grid: a real server, real requests."""

import json
import re
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tenuto import App, Event, RetryPolicy
from tenuto.client.publishing import event_of_text
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.http.admin import messages
from tenuto.http.events import cloud_events, event_grid
from tenuto.model.event_grid import posted_form, topic_of
from tenuto.model.limits import Limits
from tenuto.model.topics import PublishedEvent
from tests.support.http_server import ADMIN_KEY, KEYS, OPERATE_KEY, READ_KEY, Serving, serving
from tests.support.waiting import until

SHORT = timedelta(milliseconds=1)
TOPIC = "/runtime/topics/orders"
GRID = "/runtime/webhooks/eventgrid"
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
PLACED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "order.placed",
    "subject": "order/7",
    "time": "2026-11-30T08:00:00Z",
    "partitionkey": "7",
    "tenant": "acme",
    "data": {"id": 7},
}
CREATED: dict[str, Any] = {
    "id": "9",
    "topic": "/subscriptions/1/storage",
    "subject": "/blobs/a.jpg",
    "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": "2026-11-30T08:00:00.1234567Z",
    "data": {"url": "https://store/a.jpg"},
    "dataVersion": "2",
    "metadataVersion": "1",
}


class Shop:
    """An app with a subscriber and a function for Event Grid, and what they were given."""

    def __init__(self) -> None:
        self.app = App()
        self.orders: list[Event] = []
        self.blobs: list[tuple[Event, Any]] = []
        self.fails = 0

        @self.app.subscribe("orders", from_beginning=True)
        async def note(event: Event) -> None:
            self.orders.append(event)

        @self.app.event(retry=RetryPolicy(max_attempts=2, first_interval=SHORT))
        async def blob_created(event: Event, data: dict[str, Any]) -> None:
            self.blobs.append((event, data))
            if self.fails:
                self.fails -= 1
                raise ValueError("not now")


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def served(shop: Shop) -> AsyncIterator[Serving]:
    async with serving(shop.app) as served:
        yield served


# --- topics --------------------------------------------------------------------------------------


async def test_a_structured_event_is_published(shop: Shop, served: Serving) -> None:
    answer = await served.http.post(TOPIC, json=PLACED, headers=STRUCTURED)
    assert answer.status_code == 200, answer.text
    (event_id,) = answer.json()["events"]
    await until(lambda: shop.orders)
    (event,) = shop.orders
    assert event.id == event_id
    assert (event.topic, event.key, event.type) == ("orders", "7", "order.placed")
    assert (event.source, event.subject, event.data) == ("/shop", "order/7", {"id": 7})
    assert event.attributes == {
        "id": "1",
        "time": "2026-11-30T08:00:00Z",
        "tenant": "acme",
    }


async def test_one_that_comes_again_is_recognised_in_whichever_form(
    shop: Shop, served: Serving
) -> None:
    headers = {f"ce-{name}": value for name, value in PLACED.items() if name != "data"}
    answers = [
        await served.http.post(TOPIC, json=PLACED, headers=STRUCTURED),
        await served.http.post(TOPIC, json=[PLACED, PLACED], headers=BATCH),
        await served.http.post(TOPIC, json=PLACED["data"], headers=headers),
        await served.http.post(TOPIC, json=PLACED | {"source": "/other"}, headers=STRUCTURED),
    ]
    ids = [one for answer in answers for one in answer.json()["events"]]
    assert len(ids) == 5
    await until(lambda: len(shop.orders) == 2)
    assert [one.source for one in shop.orders] == ["/shop", "/other"]


async def test_a_binary_event_with_names_from_all_over_the_world(
    shop: Shop, served: Serving
) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": '"with \\"quotes\\""',
        "ce-source": "/shop",
        "ce-type": "photo",
        "ce-subject": "caf%C3%A9 %F0%9F%98%80",
        "content-type": "image/jpeg",
    }
    answer = await served.http.post(TOPIC, content=b"\xff\xd8", headers=headers)
    assert answer.status_code == 200, answer.text
    await until(lambda: shop.orders)
    (event,) = shop.orders
    assert (event.subject, event.data) == ("café 😀", "/9g=")
    assert event.attributes["id"] == 'with "quotes"'
    assert event.attributes["data_base64"] == "true"


async def test_an_empty_batch_is_no_mistake(served: Serving) -> None:
    answer = await served.http.post(TOPIC, json=[], headers=BATCH)
    assert (answer.status_code, answer.json()) == (200, {})


async def test_what_is_wrong_is_said_and_nothing_is_published(shop: Shop) -> None:
    async with serving(shop.app, limits=Limits(payload_bytes=100)) as served:

        async def refused(
            status: int, body: object, headers: dict[str, str], path: str = TOPIC
        ) -> str:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await served.http.post(path, content=content, headers=headers)
            assert answer.status_code == status, answer.text
            return str(answer.json()["message"])

        bad = PLACED | {"id": ""}
        least = {f"ce-{name}": PLACED[name] for name in ("id", "source", "type", "specversion")}
        json_type = {"content-type": "application/json"}
        assert "its id is empty" in await refused(400, bad, STRUCTURED)
        assert "event 2 of 2: its id is empty" in await refused(400, [PLACED, bad], BATCH)
        assert "is no CloudEvent" in await refused(415, PLACED, json_type)
        assert "+avro are not taken" in await refused(
            415, b"", {"content-type": "application/cloudevents+avro"}
        )
        assert "Invalid JSON" in await refused(400, b"{", STRUCTURED)
        assert "Invalid JSON" in await refused(400, b"{", json_type | least)
        assert "no UTF-8" in await refused(400, b"1", least | {"ce-subject": "%ff"})
        assert "it has no source" in await refused(
            400, b"1", {"ce-id": "1", "ce-specversion": "1.0", "ce-type": "t"}
        )
        long = PLACED | {"data": "x" * 200}
        assert "topic 'orders'" in await refused(413, long, STRUCTURED)
        assert "a topic" in await refused(400, PLACED, STRUCTURED, "/runtime/topics/a%23b")
        twice = [*least.items(), ("ce-id", "2")]
        answer = await served.http.post(TOPIC, content=b"1", headers=twice)
        assert "ce-id comes more than once" in answer.json()["message"]
        nothing = [0] * 10_001  # they are counted before anything is read of one
        assert "10,000 events at most, this one 10,001" in await refused(400, nothing, BATCH)
        path = f"{GRID}?functionName=blob_created"
        assert "10,000 events at most, this one 10,001" in await refused(
            400, nothing, json_type, path
        )
        names = {f"a{number}": 0.5 for number in range(100)}
        assert "it has 109 attributes" in await refused(400, PLACED | names, STRUCTURED)
        assert shop.orders == []


@pytest.mark.parametrize(
    "door", ["structured", "batch", "binary", "grid", "grids", "event", "message"]
)
async def test_data_may_be_as_deep_by_each_door(served: Serving, door: str) -> None:
    async def status(levels: int) -> int:
        data: Any = None
        for _ in range(levels):
            data = [data]
        event, grid = PLACED | {"data": data}, CREATED | {"data": data}
        least = {f"ce-{name}": PLACED[name] for name in ("id", "source", "type", "specversion")}
        path, body, headers = {
            "structured": (TOPIC, event, STRUCTURED),
            "batch": (TOPIC, [event], BATCH),
            "binary": (TOPIC, data, {"content-type": "application/json"} | least),
            "grid": (f"{GRID}?functionName=blob_created", grid, {}),
            "grids": (f"{GRID}?functionName=blob_created", [grid], {}),
            "event": ("/admin/publish", {"events": [{"topic": "orders", "data": data}]}, {}),
            "message": ("/admin/publish", {"messages": [{"queue": "q", "data": data}]}, {}),
        }[door]
        answer = await served.http.post(path, json=body, headers=headers)
        return answer.status_code

    assert [await status(levels) for levels in (99, 100, 101)] == [200, 200, 400]


async def test_a_long_body_is_read_beside_the_loop(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = threading.get_ident()
    seen: list[int] = []

    def note(topic: object, *parts: Any, **options: Any) -> PublishedEvent:
        seen.append(threading.get_ident())
        return event_of_text(topic, *parts, **options)

    for module in (cloud_events, event_grid, messages):
        monkeypatch.setattr(module, "event_of_text", note)
    long = "x" * 100_000
    grid = f"{GRID}?functionName=blob_created"
    published = {"events": [{"topic": "orders", "data": long}]}
    for path, body, headers in (
        (TOPIC, PLACED | {"data": long}, STRUCTURED),
        (TOPIC, [PLACED | {"data": long, "id": "2"}], BATCH),
        (grid, CREATED | {"data": long}, {}),
        ("/admin/publish", published, {}),
    ):
        answer = await served.http.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
    assert len(seen) == 4
    assert loop not in seen


async def test_the_handshake_and_the_keys(shop: Shop) -> None:
    async with serving(shop.app, keys=KEYS) as served:
        asks = {"WebHook-Request-Origin": "eventemitter.example.com", "WebHook-Request-Rate": "120"}

        async def ask(key: str, path: str = TOPIC) -> int:
            answer = await served.http.options(path, params={"code": key}, headers=asks)
            if answer.status_code == 200:
                assert answer.headers["WebHook-Allowed-Origin"] == "eventemitter.example.com"
                assert answer.headers["WebHook-Allowed-Rate"] == "*"
                assert answer.headers["Allow"] == "POST, OPTIONS"
            return answer.status_code

        assert [await ask(key) for key in ("", READ_KEY, OPERATE_KEY)] == [401, 403, 200]
        for key, status in (("", 401), (READ_KEY, 403), (OPERATE_KEY, 200)):
            answer = await served.http.post(
                TOPIC, params={"code": key}, json=PLACED, headers=STRUCTURED
            )
            assert answer.status_code == status
        plain = await served.http.options(TOPIC, params={"code": OPERATE_KEY})
        assert "WebHook-Allowed-Origin" not in plain.headers


# --- Event Grid ----------------------------------------------------------------------------------


async def test_event_grid_asks_and_is_answered(served: Serving) -> None:
    question = {
        "id": "q",
        "topic": "/subscriptions/1",
        "subject": "",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-11-30T08:00:00Z",
        "data": {"validationCode": "512d38b6", "validationUrl": "https://rp.example/validate"},
        "dataVersion": "1",
        "metadataVersion": "1",
    }
    kind = {"aeg-event-type": "SubscriptionValidation"}
    path = f"{GRID}?functionName=blob_created"
    answer = await served.http.post(path, json=[question], headers=kind)
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "512d38b6"})
    broken = question | {"data": {}}
    answer = await served.http.post(path, json=[broken], headers=kind)
    assert answer.status_code == 400
    assert "validationCode" in answer.json()["message"]
    asks = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    answer = await served.http.options(path, headers=asks)
    assert answer.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    goodbye = {"aeg-event-type": "SubscriptionDeletion"}
    assert (await served.http.post(path, json=[], headers=goodbye)).status_code == 202


async def test_events_of_event_grid_are_delivered_once_in_both_schemas(
    shop: Shop, served: Serving
) -> None:
    path = f"{GRID}?functionName=Blob_Created"
    for _ in range(2):
        answer = await served.http.post(
            path, json=[CREATED, CREATED | {"id": "10"}], headers={"aeg-event-type": "Notification"}
        )
        assert answer.status_code == 200, answer.text
        answer = await served.http.post(path, json=PLACED, headers=STRUCTURED)
        assert answer.status_code == 200, answer.text
    await until(lambda: len(shop.blobs) == 3)
    found = {event.attributes["id"]: (event, data) for event, data in shop.blobs}
    event, data = found["9"]
    assert data == CREATED["data"]
    assert (event.source, event.type) == (CREATED["topic"], CREATED["eventType"])
    assert event.subject == CREATED["subject"]
    assert posted_form(event) == CREATED
    assert posted_form(found["1"][0]) == PLACED


async def test_an_event_whose_function_fails_is_tried_again_and_put_aside(
    shop: Shop, served: Serving
) -> None:
    shop.fails = 3
    path = f"{GRID}?functionName=blob_created"
    await served.http.post(path, json=CREATED)
    storage = served.server.host.engine.storage
    await until(lambda: len(shop.blobs) == 2)
    await served.http.post(path, json=[CREATED | {"id": "10"}])
    await until(lambda: len(shop.blobs) == 4)
    topic = topic_of("blob_created")
    failed: list[FailedDelivery] = []
    while not failed:
        failed = await storage.failed_deliveries(source="topic", name=topic)
    assert failed[0].error == "ValueError: not now"


async def test_the_webhook_of_a_function_that_is_not_there(served: Serving) -> None:
    answer = await served.http.post(f"{GRID}?functionName=other", json=[CREATED])
    assert answer.status_code == 404
    assert answer.json()["message"] == (
        "no function 'other' is started by Event Grid here; there are: blob_created"
    )
    answer = await served.http.post(GRID, json=[CREATED])
    assert (answer.status_code, "?functionName=NAME" in answer.text) == (400, True)
    answer = await served.http.post(f"{GRID}?functionName=blob_created", json=[{"id": "1"}])
    assert answer.status_code == 400
    assert "no array of events in the schema of Event Grid" in answer.json()["message"]


async def test_a_key_of_its_own_opens_the_webhook_and_nothing_else(shop: Shop) -> None:
    async with serving(shop.app, keys=KEYS) as served:
        where = "/admin/host/systemkeys/eventgrid_extension"
        assert (await served.http.get(where, params={"code": OPERATE_KEY})).status_code == 403
        shown = (await served.http.get(where, params={"code": ADMIN_KEY})).json()
        assert shown["name"] == "eventgrid_extension"
        key = shown["value"]
        path = f"{GRID}?functionName=blob_created&code="
        for code, status in (("", 401), (key[:-1], 401), (READ_KEY, 403), (key, 200)):
            answer = await served.http.post(f"{path}{code}", json=[CREATED])
            assert answer.status_code == status, answer.text
            asked = await served.http.options(f"{path}{code}")
            assert asked.status_code == status
        (system,) = set(re.findall(r"s1\.[\w-]+", served.server.host.client_binding(None) or ""))
        assert (await served.http.post(f"{path}{system}", json=[CREATED])).status_code == 401
        answer = await served.http.post(
            TOPIC, params={"code": key}, json=PLACED, headers=STRUCTURED
        )
        assert answer.status_code == 401
        assert (await served.http.get(where, params={"code": key})).status_code == 401
        await until(lambda: len(shop.blobs) == 1)
    async with serving(shop.app) as served:
        assert (await served.http.get(where)).json()["value"] == ""
