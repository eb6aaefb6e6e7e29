"""What queues and blobs of Azure Storage start: over deaths of hosts, and several at once."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient
from msgspec import structs

import tenuto.interop.azure_services.queue_listener as queues
from tenuto import (
    App,
    Blob,
    Client,
    Event,
    Host,
    RegistrationError,
    RetryPolicy,
    Settings,
    SyncClient,
)
from tenuto.engine.program import AzureQueueTrigger, Delivery
from tenuto.host.native_calls import Offer
from tenuto.host.native_triggered import native_triggered
from tenuto.interop.azure_services import blob_listener, blobs, connections
from tenuto.interop.azure_services.messages import QueueOptions
from tenuto.messaging import listening
from tenuto.model.timing import MICROSECONDS
from tenuto.testing import RecordingObserver
from tests.interop.storage.served import Account
from tests.support.away import own_store_away
from tests.support.azurite import ACCOUNT, KEY, Azurite

SECOND = MICROSECONDS


@pytest.fixture
def account(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv("AzureWebJobsStorage", azurite.connection_string)
    with closing(Account(azurite)) as found:
        yield found


async def until(found: Callable[[], bool]) -> None:
    """Wait until something is so; the test's own timeout ends a wait in vain."""
    while not await asyncio.to_thread(found):  # noqa: ASYNC110 - what it asks is another process
        await asyncio.sleep(0.02)


def queue_app(
    queue: str, work: Callable[[Delivery], Awaitable[None]], connection: str, **options: Any
) -> App:
    """An app whose function gets the messages of a queue of Azure."""
    app = App()
    usual = QueueOptions(max_polling_interval=200_000)
    trigger = AzureQueueTrigger(
        queue=queue,
        connection=connection,
        options=structs.asdict(structs.replace(usual, **options)),
    )
    offer = Offer(giver="a queue", info=Delivery, has_payload=False, words="a delivery")

    async def relay(delivery: Delivery) -> None:
        await work(delivery)

    app.add_triggered(
        relay, queue, lambda name: native_triggered(relay, name, trigger, offer, lambda one: one)
    )
    return app


def send(account: Account, queue: str, *texts: str) -> None:
    for text in texts:
        account.send(queue, base64.b64encode(text.encode()).decode())


# --- queues -------------------------------------------------------------------------------------


async def test_a_message_whose_host_dies_comes_again_and_counts(
    account: Account, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_INVISIBLE_SECONDS", 1)
    came: list[int] = []
    never = asyncio.Event()

    async def work(delivery: Delivery) -> None:
        came.append(delivery.attempt)
        if delivery.attempt == 1:
            await never.wait()

    app = queue_app("dying", work, azurite.connection_string)
    send(account, "dying", "one")
    host = Host(app, "sqlite://")
    await host.start()
    await until(lambda: came == [1])
    await host.abandon()
    async with Host(app, "sqlite://"):
        await until(lambda: came == [1, 2])
        await asyncio.to_thread(account.received, "dying")
    assert account.received("dying") == []


@pytest.mark.parametrize("kind", ["queue", "blob"])
async def test_that_the_store_is_away_is_no_attempt(
    account: Account, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(listening, "STORE_PAUSE", 10_000)
    came: list[int] = []

    def fail_at_first(attempt: int) -> None:
        came.append(attempt)
        if len(came) <= 3:
            raise own_store_away()

    async def work(delivery: Delivery) -> None:
        fail_at_first(delivery.attempt)

    if kind == "queue":
        app = queue_app("away", work, azurite.connection_string, max_dequeue_count=1)
        send(account, "away", "one")
    else:
        app = App()

        @app.blob("away/{name}", retry=RetryPolicy(max_attempts=1))
        async def note(blob: Blob) -> None:
            fail_at_first(blob.attempt)

        account.upload("away/one", b"1")
    observer = RecordingObserver()
    async with Host(app, "sqlite://", observer=observer):
        await until(lambda: len(came) == 4)
    assert came == [1, 1, 1, 1]
    assert observer.put_aside == []


async def test_a_message_stays_with_a_function_that_takes_long(
    account: Account, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_INVISIBLE_SECONDS", 1)
    monkeypatch.setattr(queues, "_RENEWED", SECOND // 4)
    came: list[int] = []
    go = asyncio.Event()

    async def work(delivery: Delivery) -> None:
        came.append(delivery.attempt)
        await go.wait()

    send(account, "longer", "one")
    async with Host(queue_app("longer", work, azurite.connection_string), "sqlite://"):
        await until(lambda: came == [1])
        began = time.monotonic()
        # Twice as long as it would be invisible without; the service's time is real.
        await until(lambda: time.monotonic() > began + 2)
        assert await asyncio.to_thread(account.received, "longer") == []
        go.set()
    assert came == [1]
    # The receipt that the last renewal gave was the one to delete it by.
    assert account.received("longer") == []


async def test_a_renewal_that_has_begun_ends_before_its_message_is_deleted(
    account: Account, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer changes what the message is deleted by: without that it came again."""
    began = asyncio.Event()
    update = QueueClient.update_message

    async def slow(self: QueueClient, *parts: Any, **options: Any) -> object:
        kept = await update(self, *parts, **options)
        began.set()
        await asyncio.sleep(0.1)  # the answer is under way
        return kept

    monkeypatch.setattr(QueueClient, "update_message", slow)
    monkeypatch.setattr(queues, "_RENEWED", 1_000)

    async def work(_delivery: Delivery) -> None:
        await began.wait()

    observer = RecordingObserver()
    app = queue_app("renewed", work, azurite.connection_string)
    send(account, "renewed", "one")
    async with Host(app, "sqlite://", observer=observer):
        await until(lambda: bool(observer.deliveries))
    assert observer.problems == []
    assert account.received("renewed") == []


@pytest.mark.parametrize(("batch", "threshold", "at_once"), [(1, 0, 1), (4, 2, 6)])
async def test_so_many_messages_are_worked_on_at_once(
    account: Account, azurite: Azurite, batch: int, threshold: int, at_once: int
) -> None:
    running: list[str] = []
    most: list[int] = []
    left = 12
    full = asyncio.Event()

    async def work(delivery: Delivery) -> None:
        nonlocal left
        running.append(delivery.id)
        most.append(len(running))
        if len(running) == batch:  # so many come together
            full.set()
        await full.wait()
        await asyncio.sleep(0)
        running.remove(delivery.id)
        left -= 1

    queue = f"batch{batch}"
    send(account, queue, *map(str, range(left)))
    options = {"batch_size": batch, "new_batch_threshold": threshold}
    app = queue_app(queue, work, azurite.connection_string, **options)
    async with Host(app, "sqlite://"):
        await until(lambda: left == 0)
    assert max(most) <= at_once
    assert account.received(queue) == []


async def test_a_service_that_is_away_is_told_once_and_without_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "_TRIES", {"retry_total": 0})

    async def work(_delivery: Delivery) -> None:
        raise AssertionError

    there = "QueueEndpoint=http://127.0.0.1:9/" + ACCOUNT
    connection = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{there};"
    observer = RecordingObserver()
    app = queue_app("away", work, connection)
    async with Host(app, "sqlite://", observer=observer):
        await until(lambda: bool(observer.problems))
    ((_, said),) = observer.problems
    assert said.startswith("queue 'away' of Azure Storage cannot be read for function 'away': ")
    assert KEY not in said


# --- blobs --------------------------------------------------------------------------------------


async def test_a_blob_starts_functions_of_a_native_app(account: Account) -> None:
    app = App()
    came: list[Blob] = []
    clients: list[object] = []
    events: list[Event] = []

    @app.blob("native/{kind}/{name}.jpg")
    @app.publishes("plates")
    async def recognise(blob: Blob, client: Client) -> str:
        came.append(blob)
        clients.append(client)
        return blob.fields["name"]

    @app.subscribe("plates")
    async def store(event: Event) -> None:
        events.append(event)

    @app.blob("native", name="all of them")
    def count(client: SyncClient) -> None:
        clients.append(client)

    account.upload("native/plates/7.jpg", b"B-XY 1", metadata={"camera": "9"})
    account.upload("native/plates/7.txt", b"")
    async with Host(app, "sqlite://"):
        await until(lambda: len(clients) == 3 and len(events) == 1)
    (blob,) = came
    assert events[0].data == "7"
    assert events[0].id == f"recognise:native/plates/7.jpg/{blob.etag}"
    assert (blob.container, blob.name, blob.data) == ("native", "plates/7.jpg", b"B-XY 1")
    assert blob.fields == {"kind": "plates", "name": "7"}
    assert blob.metadata == {"camera": "9"}
    assert blob.url.endswith("/native/plates/7.jpg")
    assert blob.content_type == "application/octet-stream"
    assert (blob.attempt, bool(blob.etag)) == (1, True)
    assert repr(blob) == "Blob(native/plates/7.jpg, 6 bytes)"
    # Another host of another store: what was run is known in the account.
    async with Host(app, "sqlite://"):
        account.upload("native/plates/8.jpg", b"new")
        await until(lambda: len(came) == 2)
    assert came[1].name == "plates/8.jpg"


async def test_an_attempt_in_which_its_host_dies_counts(account: Account) -> None:
    app = App()
    came: list[int] = []
    never = asyncio.Event()

    @app.blob("deadly/{name}", retry=RetryPolicy(max_attempts=2))
    async def dies(blob: Blob) -> None:
        came.append(blob.attempt)
        await never.wait()

    account.upload("deadly/one", b"1")
    for count in (1, 2):
        host = Host(app, "sqlite://")
        await host.start()
        await until(lambda count=count: len(came) == count)  # type: ignore[misc]
        await host.abandon()
    observer = RecordingObserver()
    async with Host(app, "sqlite://", observer=observer):
        await until(lambda: bool(observer.put_aside))
    assert came == [1, 2]
    assert observer.put_aside == [("dies", "deadly/one")]
    account.waits_for("webjobs-blobtrigger-poison")


async def test_what_cannot_be_read_is_no_attempt(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App()
    came: list[int] = []
    busy = [HttpResponseError("Server busy")] * 3
    read = blobs.content_of

    async def content_of(found: Any) -> bytes:  # noqa: ANN401 - of Azure
        if busy:
            raise busy.pop()
        return await read(found)

    monkeypatch.setattr(blob_listener, "content_of", content_of)
    monkeypatch.setattr(blob_listener, "_UNREAD_PAUSE", 1_000)

    @app.blob("unread/{name}", retry=RetryPolicy(max_attempts=1))
    async def note(blob: Blob) -> None:
        came.append(blob.attempt)

    account.upload("unread/one", b"1")
    observer = RecordingObserver()
    async with Host(app, "sqlite://", observer=observer):
        await until(lambda: len(came) + len(observer.put_aside) == 1)
    assert (came, observer.put_aside) == ([1], [])


async def test_what_a_stopping_host_gives_up_is_no_attempt(account: Account) -> None:
    app = App()
    came: list[int] = []

    @app.blob("given-up/{name}", retry=RetryPolicy(max_attempts=1))
    async def note(blob: Blob) -> None:
        came.append(blob.attempt)
        if len(came) <= 2:
            await asyncio.Event().wait()

    account.upload("given-up/one", b"1")
    for count in (1, 2, 3):
        host = Host(app, settings=Settings(storage="sqlite://", drain_seconds=0))
        await host.start()
        await until(lambda count=count: len(came) == count)  # type: ignore[misc]
        await host.stop()
    assert came == [1, 1, 1]


async def test_a_blob_that_changes_meanwhile_is_run_for_what_it_is_then(account: Account) -> None:
    app = App()
    came: list[bytes] = []

    @app.blob("changing/{name}", concurrency=1, retry=RetryPolicy(max_attempts=3))
    async def fails_at_first(blob: Blob) -> None:
        came.append(blob.data)
        if blob.data == b"old":
            await asyncio.to_thread(account.upload, "changing/one", b"new")
            raise ValueError("it has just changed")

    account.upload("changing/one", b"old")
    account.upload("changing/two", b"2")
    account.upload("changing/three", b"3")
    async with Host(app, "sqlite://"):
        await until(lambda: len(came) == 4)
    assert sorted(came) == [b"2", b"3", b"new", b"old"]


async def test_a_blob_that_is_too_long_is_put_aside(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "MOST_BYTES", 4)
    app = App()

    @app.blob("long/{name}", retry=RetryPolicy(max_attempts=1))
    async def never(blob: Blob) -> None:
        raise AssertionError(blob)

    account.upload("long/one", b"12345")
    observer = RecordingObserver()
    async with Host(app, "sqlite://", observer=observer):
        await until(lambda: bool(observer.put_aside))
    assert observer.put_aside == [("never", "long/one")]
    assert "a function gets 4 at most" in str(observer.deliveries[0][1])
    account.waits_for("webjobs-blobtrigger-poison")


async def test_a_blob_is_not_read_from_another_container(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that lists such a name would have us ask for what another container has."""
    app = App()

    @app.blob("listed", retry=RetryPolicy(max_attempts=1))
    async def never(blob: Blob) -> None:
        raise AssertionError(blob)

    listed = ContainerClient.list_blobs

    async def renamed(self: ContainerClient, *parts: Any, **options: Any) -> AsyncIterator[Any]:
        async for one in listed(self, *parts, **options):
            if one.name == "one":
                one.name = "../secrets/pw"
            yield one

    monkeypatch.setattr(ContainerClient, "list_blobs", renamed)
    account.upload("listed/one", b"1")
    account.upload("secrets/pw", b"2")
    observer = RecordingObserver()
    async with Host(app, "sqlite://", observer=observer):
        await until(lambda: bool(observer.put_aside))
    assert "is no name of a blob here" in str(observer.deliveries[0][1])
    account.waits_for("webjobs-blobtrigger-poison")


async def test_what_is_known_of_a_blob_goes_when_the_blob_does(account: Account) -> None:
    app = App()
    came: list[str] = []

    @app.blob("passing/{name}", name="passes")
    async def passes(blob: Blob) -> None:
        came.append(blob.name)

    prefix = f"blobreceipts/tenuto/{__name__}/passes/"
    account.upload("passing/one", b"1")
    async with Host(app, "sqlite://"):
        await until(lambda: came == ["one"])
        await until(lambda: len(account.names("azure-webjobs-hosts", prefix)) == 1)
        account.delete("passing/one")
        await until(lambda: account.names("azure-webjobs-hosts", prefix) == [])


def test_an_account_that_is_not_set_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = App()

    @app.blob("plates/{name}", connection="PLATES")
    async def recognise(blob: Blob) -> None: ...

    async def start() -> None:
        async with Host(app, "sqlite://"):
            raise AssertionError

    with pytest.raises(RegistrationError, match=r"the variable 'PLATES' names, and there is no"):
        asyncio.run(start())
    monkeypatch.setenv("PLATES", "what=;is this")
    with pytest.raises(RegistrationError, match="a connection string is Name=Value") as raised:
        asyncio.run(start())
    assert "is this" not in str(raised.value)
    (function,) = app.triggered.values()
    with monkeypatch.context() as without:
        without.setattr(connections, "PACKAGES", ("azure.nothing",))
        with pytest.raises(RegistrationError, match="needs the package 'azure-nothing': pip inst"):
            asyncio.run(start())
    monkeypatch.setenv("PLATES", f"AccountName=a;AccountKey={KEY}")
    assert KEY not in repr(function) + repr(function.trigger)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("Plates/{name}", "names no container"),
        ("plates/{name", "has a brace without its partner"),
        ("plates/{a}{a}", "has {a} twice"),
    ],
)
def test_a_path_that_is_none_is_refused(path: str, said: str) -> None:
    app = App()
    with pytest.raises(RegistrationError, match=said):

        @app.blob(path)
        async def recognise(blob: Blob) -> None: ...


def test_a_function_of_blobs_takes_what_there_is() -> None:
    app = App()
    with pytest.raises(RegistrationError, match="is nothing that a blob can give"):

        @app.blob("plates/{name}")
        async def recognise(plate: str) -> None: ...
