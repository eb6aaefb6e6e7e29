"""``GET /admin/functions``: whatever starts a function of an app is listed."""

from pathlib import Path

import httpx2

from tenuto import App, ArrivedFile, Blob, Context, Event, HttpSettings, Settings
from tenuto.engine.program import AzureQueueTrigger, Delivery
from tenuto.host.native_calls import Offer
from tenuto.host.native_triggered import native_triggered
from tenuto.host.server import Server
from tenuto.http.admin.event_functions import event_function_info

CONNECTION = "AccountName=a;AccountKey=c2VjcmV0;QueueEndpoint=http://localhost:1/a"


def app_of(folder: Path) -> App:
    app = App()

    @app.subscribe("orders")
    async def bill(event: Event) -> None: ...

    @app.subscribe("orders", name="shipping")
    @app.orchestrator
    async def ship(ctx: Context, number: int) -> None: ...

    @app.queue("thumbnails", name="shrink")
    async def make(picture: str) -> None: ...

    @app.files(folder, pattern="*.csv")
    async def read(file: ArrivedFile) -> None: ...

    @app.event()
    async def posted(event: Event) -> None: ...

    app.push("orders", "http://127.0.0.1:1/hook")
    return app


async def test_functions_that_events_start_are_listed_with_what_starts_them(
    tmp_path: Path,
) -> None:
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with (
        Server(app_of(tmp_path), settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        found = (await http.get("/admin/functions")).json()
    assert [tuple(one.values()) for one in found["eventFunctions"]] == [
        ("orders.bill", "topic", "orders"),
        ("shipping", "topic", "orders"),
        ("shrink", "queue", "thumbnails"),
        ("read", "files", str(tmp_path / "*.csv")),
        ("posted", "event", "/runtime/webhooks/eventgrid?functionName=posted"),
        ("orders.push.127.0.0.1", "topic", "orders"),
    ]
    assert list(found["eventFunctions"][0]) == ["name", "trigger", "source"]
    assert [one["name"] for one in found["orchestrators"]] == ["ship"]


def test_of_azure_storage_nothing_secret_is_shown() -> None:
    app = App()

    @app.blob("plates/{name}.jpg", connection=CONNECTION)
    async def recognise(blob: Blob) -> None: ...

    trigger = AzureQueueTrigger(queue="mails", connection=CONNECTION, options={})
    offer = Offer(giver="a queue", info=Delivery, has_payload=False, words="a delivery")

    async def send(delivery: Delivery) -> None: ...

    app.add_triggered(
        send, "send", lambda name: native_triggered(send, name, trigger, offer, lambda one: one)
    )
    shown = [event_function_info(one) for one in app.triggered.values()]
    assert [(one.name, one.trigger, one.source) for one in shown] == [
        ("recognise", "blob", "plates/{name}.jpg"),
        ("send", "azureQueue", "mails"),
    ]
    assert "c2VjcmV0" not in repr(shown)
