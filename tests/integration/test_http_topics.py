"""Topics, subscriptions and flows over HTTP: who may ask, and what is refused."""

import httpx2
import pytest

from tenuto import App, Event, Settings
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
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
        assert (await http.delete(path, headers=keyed(ADMIN_KEY))).json() == {"count": 1}
        assert (await http.delete(path, headers=keyed(ADMIN_KEY))).json() == {"count": 0}
        assert (await http.get("/admin/topics")).status_code == 401


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
