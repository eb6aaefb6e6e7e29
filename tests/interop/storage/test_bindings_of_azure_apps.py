"""Queues, blobs and tables of Azure Storage as triggers, inputs and outputs of whole apps.

The apps are written as the documentation of Azure Functions shows each binding; the account is
Azurite. Messages are in base64, as ``extensions.queues`` has it when nothing is said.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.storage.served import Served, served_app
from tests.support.azurite import Azurite
from tests.support.json_requests import ask
from tests.support.served_apps import MOUNT, eventually


@pytest.fixture(scope="module", params=["python", "javascript"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, azurite: Azurite
) -> Iterator[Served]:
    name: str = request.param
    with served_app(name, tmp_path_factory.mktemp(name), azurite) as found:
        yield found


def coded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(text: str) -> str:
    return base64.b64decode(text).decode()


def name_of(served: Served) -> str:
    return served.folder.name


# --- queues -------------------------------------------------------------------------------------


def test_a_message_starts_a_function_which_knows_it_and_sends_another(served: Served) -> None:
    app, account = name_of(served), served.account
    account.send(f"{app}items", coded('{"item": 7}'))
    (told,) = account.waits_for(f"{app}told")
    said = json.loads(plain(told))
    assert (
        json.loads(said["body"]) == {"item": 7} if app == "python" else said["item"] == {"item": 7}
    )
    assert said["dequeue_count"] == 1
    assert said["pop_receipt"]
    assert len(said["id"]) == 36
    assert said["insertion_time"] < said["time_next_visible"] < said["expiration_time"]
    assert account.received(f"{app}items") == []


def test_a_request_sends_a_message(served: Served) -> None:
    assert served.get("message?name=Ada") == (200, b"OK")
    assert [plain(one) for one in served.account.waits_for(f"{name_of(served)}out")] == ["Ada"]


def test_a_request_sends_several_messages(served: Served) -> None:
    assert served.get("messages") == (200, b"OK")
    found = served.account.waits_for(f"{name_of(served)}out", 2)
    assert sorted(map(plain, found)) == ["one", "two"]


def test_what_a_function_behind_http_returns_may_go_into_a_queue(served: Served) -> None:
    assert served.get("returned") == (202, b"both")
    found = served.account.waits_for(f"{name_of(served)}out")
    assert [plain(one) for one in found] == ["an object of the package"]


def test_what_a_timer_returns_goes_into_a_queue(served: Served) -> None:
    assert [plain(one) for one in served.account.waits_for(f"{name_of(served)}tick")] == ["ticked"]


def test_a_message_that_always_fails_ends_in_the_poison_queue(served: Served) -> None:
    app, account = name_of(served), served.account
    account.send(f"{app}fails", coded("broken"))
    assert account.waits_for(f"{app}fails-poison") == [coded("broken")]
    assert served.noted.count("broken") == 2
    assert account.received(f"{app}fails") == []
    # What is not even encoded goes there, too; it is never handed to the function.
    account.send(f"{app}fails", "no base64!")
    assert account.waits_for(f"{app}fails-poison") == ["no base64!"]
    assert served.noted.count("broken") == 2


def test_without_its_setting_an_output_goes_into_a_queue_of_tenuto(served: Served) -> None:
    assert served.get("own?name=Ada") == (200, b"queued")
    assert served.queued("own") == [{"name": "Ada"}]


# --- blobs --------------------------------------------------------------------------------------


def test_a_blob_starts_a_function_once_for_each_content(served: Served) -> None:
    app, account = name_of(served), served.account
    account.upload(f"{app}plates/others", b"no dot")
    place = f"{app}plates/berlin/a.b.jpg"
    account.upload(place, b"B-XY 1", metadata={"camera": "7"})
    (said,) = _blobs_told(served)
    assert said["name"] == place
    assert said["uri"].endswith("/devstoreaccount1/" + place)
    assert said["length"] == 6
    assert said["type"] == "application/octet-stream"
    assert said["metadata"] == {"camera": "7"}
    eventually(lambda: account.content(f"{app}copies/berlin/a.b-copy.jpg") == b"B-XY 1")
    account.upload(place, b"B-XY 22")
    (said,) = _blobs_told(served)
    assert said["length"] == 7
    eventually(lambda: account.content(f"{app}copies/berlin/a.b-copy.jpg") == b"B-XY 22")


def _blobs_told(served: Served) -> list[dict[str, Any]]:
    found = served.account.waits_for(f"{name_of(served)}platestold")
    return [json.loads(plain(one)) for one in found]


def test_a_blob_that_always_fails_is_noted_as_poison(served: Served) -> None:
    app, account = name_of(served), served.account
    account.upload(f"{app}plates/bad.jpg", b"bad")
    said: list[dict[str, Any]] = []

    def is_noted() -> bool:
        texts = map(plain, account.received("webjobs-blobtrigger-poison"))
        said.extend(map(json.loads, texts))
        return bool(said)

    eventually(is_noted)
    (one,) = said
    assert one["ContainerName"] == f"{app}plates"
    assert one["BlobName"] == "bad.jpg"
    assert one["BlobType"] == "BlockBlob"
    assert one["FunctionId"].endswith("lobTrigger1")
    assert served.noted.count(f"{app}plates/bad.jpg") == 2
    assert account.content(f"{app}plates/bad.jpg") == b"bad"


def test_a_message_names_the_blob_that_is_copied(served: Served) -> None:
    app, account = name_of(served), served.account
    account.upload(f"{app}samples/notes.txt", "Grüße".encode())
    account.send(f"{app}copy", coded("notes.txt"))
    eventually(lambda: account.content(f"{app}samples/notes.txt-Copy"))
    assert account.content(f"{app}samples/notes.txt-Copy") == "Grüße".encode()


def test_a_request_reads_a_blob_whatever_its_bytes_are(served: Served) -> None:
    content = bytes(range(256))
    served.account.upload(f"{name_of(served)}samples/raw", content)
    assert served.get("file/raw") == (200, content)
    assert served.get("file/not-there") == (404, b"none")


# --- tables -------------------------------------------------------------------------------------


def test_a_request_inserts_a_row(served: Served) -> None:
    status, body = served.get("table_out_binding")
    assert status == 200
    row_key = body.decode().rpartition(" ")[2]
    (row,) = served.account.rows(f"{name_of(served)}messages")
    assert (row["PartitionKey"], row["RowKey"]) == ("message", row_key)
    assert row["Name"] == "Output binding message"
    assert row["Size"].value == 4_000_000_000


def test_a_request_reads_a_row(served: Served) -> None:
    _products(served)
    assert json.loads(served.get("products/7")[1]) == {
        "PartitionKey": "products",
        "RowKey": "7",
        "Name": "Lamp",
        "Price": 12.5,
        "Sold": True,
    }
    assert served.get("products/99") == (200, b"none")


def test_a_request_reads_the_rows_that_a_filter_finds(served: Served) -> None:
    _products(served)
    found = json.loads(served.get("list?without=Lamp")[1])
    assert [one["RowKey"] for one in found] == ["8", "9"]
    # A value cannot end the text that it stands in.
    wide = json.loads(served.get("list?without=x'%20or%20Name%20eq%20'Lamp")[1])
    assert [one["RowKey"] for one in wide] == ["7", "8"]


def _products(served: Served) -> None:
    served.account.insert(
        f"{name_of(served)}products",
        {
            "PartitionKey": "products",
            "RowKey": "7",
            "Name": "Lamp",
            "Price": 12.5,
            "Sold": True,
        },
        *(
            {"PartitionKey": "products", "RowKey": key, "Name": f"Chair {key}"}
            for key in ("8", "9", "91")
        ),
        {"PartitionKey": "others", "RowKey": "1", "Name": "Chair"},
    )


# --- Event Grid ---------------------------------------------------------------------------------


def test_an_event_that_is_posted_starts_a_function(served: Served) -> None:
    event = {
        "id": "e1",
        "topic": "/plates",
        "subject": "plates/7",
        "eventType": "plate.read",
        "eventTime": "2026-11-30T08:00:00Z",
        "dataVersion": "1",
        "data": {"plate": "B-XY 1"},
    }
    url = f"{served.url}/runtime/webhooks/EventGrid?functionName=eventgrid_output"
    status, answer = ask("POST", url, [event])
    assert (status, len(answer["events"])) == (200, 1)
    (told,) = served.account.waits_for(f"{name_of(served)}events")
    said = json.loads(plain(told))
    assert said == ["e1", "plate.read", "plates/7", {"plate": "B-XY 1"}]


# --- durable functions --------------------------------------------------------------------------


def test_a_message_starts_an_orchestration_whose_activities_write_and_read(served: Served) -> None:
    app, account = name_of(served), served.account
    trip = f"{app}-trip-1"
    account.send(f"{app}start", coded(json.dumps({"trip": trip, "to": "Rome"})))
    url = f"{served.url}{MOUNT}/instances/{trip}"

    def ended() -> dict[str, Any] | None:
        status, found = ask("GET", url)
        return found if status == 200 else None

    found = eventually(ended)
    assert found is not None
    written, read, unread, unwritten = found["output"]
    assert (written, read) == ("written", "to Rome")
    assert "nothing is known under {nobody}" in unread
    assert "a row has no RowKey, and the binding gives none" in unwritten
    assert account.content(f"{app}trips/{trip}.txt") == b"to Rome"
    assert account.received(f"{app}tripstold") == [coded(f"trip {trip}")]
