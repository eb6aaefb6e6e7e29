"""Topics, subscriptions and flows over HTTP: who may ask, and what is refused."""

from pathlib import Path

import httpx2
import pytest

from tenuto import App, Event, Settings
from tenuto.client.causes import running_for
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.model.errors import LimitError
from tenuto.model.texts import MOST_BYTES
from tests.support.http_server import ADMIN_KEY, KEYS, OPERATE_KEY, READ_KEY

app = App()


@app.subscribe("orders", name="note")
async def note(event: Event) -> None: ...


def keyed(key: str) -> dict[str, str]:
    return {"x-functions-key": key}


async def test_who_may_look_and_who_may_forget() -> None:
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0, keys=KEYS))
    async with (
        Server(app, settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        await server.host.client.publish("orders", {"n": 1}, event_id="o-1", key="k")
        topics = (await http.get("/admin/topics", headers=keyed(READ_KEY))).json()
        assert [(one["name"], one["events"]) for one in topics] == [("orders", 1)]
        (event,) = (await http.get("/admin/topics/orders/events", headers=keyed(READ_KEY))).json()
        assert (event["id"], event["data"], event["key"]) == ("o-1", {"n": 1}, "k")
        after = {"after": str(event["position"])}
        later = await http.get("/admin/topics/orders/events", params=after, headers=keyed(READ_KEY))
        assert later.json() == []
        flow = await http.get("/admin/flow", params={"of": "orders/o-1"}, headers=keyed(READ_KEY))
        assert [one["ref"] for one in flow.json()["items"]] == ["event:orders/o-1"]
        path = "/admin/subscriptions/note"
        assert (await http.delete(path, headers=keyed(OPERATE_KEY))).status_code == 403
        refused = await http.delete(path, headers=keyed(ADMIN_KEY))
        assert (refused.status_code, refused.json()["code"]) == (400, "TN-1100")
        assert "a host serves subscription 'note' of topic 'orders'" in refused.json()["message"]
        path = "/admin/subscriptions/nobody"
        assert (await http.delete(path, headers=keyed(ADMIN_KEY))).json() == {"count": 0}
        assert (await http.get("/admin/topics")).status_code == 401


async def test_a_subscription_that_no_host_has_is_forgotten(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hub.db"
    settings = Settings(storage=url, http=HttpSettings(port=0, keys=KEYS))
    async with Server(app, settings=settings):
        pass
    async with (
        Server(App(), settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url, headers=keyed(ADMIN_KEY)) as http,
    ):
        (standing,) = (await http.get("/admin/subscriptions")).json()
        assert (standing["name"], standing["isServed"]) == ("note", False)
        path = "/admin/subscriptions/note"
        assert (await http.delete(path, params={"topic": "bills"})).json() == {"count": 0}
        assert (await http.delete(path, params={"topic": "a#b"})).status_code == 400
        assert (await http.delete(path, params={"topic": "orders"})).json() == {"count": 1}
        assert (await http.get("/admin/subscriptions")).json() == []


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/admin/topics/orders/events?limit=0", 400, "limit must be a whole number from 1"),
        ("/admin/topics/orders/events?after=-1", 400, "after must be a whole number from 0"),
        (f"/admin/topics/orders/events?after={2**63}", 400, "after must be a whole number from 0"),
        ("/admin/failed-deliveries?after=x", 400, "after must be a whole number from 0, got 'x'"),
        (
            "/admin/failed-deliveries?limit=1001",
            400,
            "limit must be a whole number from 1 to 1,000, got",
        ),
        ("/admin/queues/q/messages?limit=0", 400, "limit must be a whole number from 1 to 1,000"),
        ("/admin/instances?limit=0", 400, "limit must be a whole number from 1 to 1,000, got '0'"),
        ("/admin/dead-letters?limit=-1", 400, "must be a whole number from 1 to 1,000, got '-1'"),
        ("/admin/topics/a%23b/events", 400, "cannot be the name of a topic"),
        ("/admin/flow", 400, "of must say whose flow"),
        ("/admin/flow?of=a/b", 404, "topic 'a' has no event 'b'"),
        ("/admin/flow?of=nobody", 404, "'nobody' does not exist"),
        ("/admin/flow?of=x&limit=99999", 400, "limit must be a whole number from 1 to 10,000"),
    ],
)
async def test_what_is_refused(path: str, status: int, words: str) -> None:
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with (
        Server(App(), settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        answer = await http.get(path)
        assert answer.status_code == status
        assert words in answer.json()["message"]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "instances?limit=",
            "dead-letters?limit=",
            "failed-deliveries?limit=&after=",
            "flow?of=a&limit=",
        ),
        *("queues/q/messages?limit=", "topics/orders/events?limit=&after="),
    ],
)
async def test_a_number_that_is_empty_is_none(path: str) -> None:
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with (
        Server(App(), settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        answer = await http.get(f"/admin/{path}")
        assert answer.status_code == (404 if path.startswith("flow") else 200)


async def test_a_cause_is_a_short_text_wherever_it_comes_in() -> None:
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with (
        Server(App(), settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        longest = "c" * MOST_BYTES
        for body, what in (
            ({"events": [{"topic": "t"}]}, "the cause of an event for topic 't'"),
            ({"messages": [{"queue": "q"}]}, "the cause of a message for queue 'q'"),
        ):
            (one,) = next(iter(body.values()))
            one["cause"] = f"{longest}c"
            answer = await http.post("/admin/publish", json=body)
            assert (answer.status_code, what in answer.json()["message"]) == (413, True)
            one["cause"] = longest
            assert (await http.post("/admin/publish", json=body)).status_code == 200
        with running_for(server.host.client, f"{longest}c"):
            with pytest.raises(LimitError, match="the cause of an event"):
                await server.host.client.publish("t", 1)
            with pytest.raises(LimitError, match="the cause of a message"):
                await server.host.client.enqueue("q", 1)
