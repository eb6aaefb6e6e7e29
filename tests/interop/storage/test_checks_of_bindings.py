"""What is wrong with bindings to queues, blobs and tables is said when an app is loaded."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tenuto.engine.program import (
    AzureBlobTrigger,
    AzureQueueTrigger,
    Delivery,
    EventGridTrigger,
    QueueTrigger,
)
from tenuto.interop.azure_app.bindings.ports import BindingError, CallData
from tenuto.interop.azure_app.bindings.queues import messages_of
from tenuto.interop.azure_app.bindings.values import datum_of, plain, raw
from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_app.folder.host_json import HostOptions
from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.interop.azure_app.folder.storage_bindings import check_storage
from tenuto.interop.azure_app.triggered import triggered_functions
from tenuto.interop.azure_services import connections
from tenuto.interop.azure_services.connections import whole
from tenuto.interop.azure_services.messages import NoMessageError, QueueOptions, read, written
from tenuto.interop.workers.protocol import Datum, FunctionFacts
from tenuto.model.errors import SettingsError
from tests.interop.storage.test_expressions import NOW
from tests.support.azurite import KEY

SETTINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "Own": "UseTenuto=true",
    "Broken": f"AccountKey{KEY}",
    "Identity__accountName": "plates",
}
TRIGGER = {"type": "timerTrigger", "name": "timer", "direction": "in"}


def function(binding: Mapping[str, Any], trigger: Mapping[str, Any] | None = None) -> FunctionFacts:
    bindings = (
        [binding] if str(binding["type"]).endswith("Trigger") else [trigger or TRIGGER, binding]
    )
    return FunctionFacts(name="f", bindings=bindings)


def queue(kind: str = "queue", **more: object) -> dict[str, object]:
    direction = "in" if kind == "queueTrigger" else "out"
    return {"type": kind, "name": "it", "direction": direction, "queueName": "orders", **more}


def said(*functions: FunctionFacts, **settings: str) -> list[tuple[Level, str]]:
    return [
        (one.level, one.text.partition(", which ")[2] or one.text)
        for one in check_storage(functions, AppSettings({}, SETTINGS | settings))
    ]


def test_bindings_of_each_kind_are_fine() -> None:
    assert (
        said(
            function(queue("queueTrigger")),
            function(queue(connection="Own")),
            function(queue(queueName="{name}-{DateTime}")),
            function({"type": "blobTrigger", "name": "b", "direction": "IN", "path": "plates/{x}"}),
            function({"type": "blob", "name": "b", "direction": "OUT", "path": "plates/{x}"}),
            function({"type": "table", "name": "t", "direction": "in", "tableName": "Orders"}),
        )
        == []
    )


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        (queue(queueName=None), "cannot be served: queueName is missing"),
        (queue(queueName="or"), "cannot be served: queueName 'or' is none of Azure Storage"),
        (queue("queueTrigger", queueName="{x}"), "has an expression, which nothing fills"),
        (queue(queueName="a/b", connection="Own"), "'a/b' cannot be the name of a queue"),
        (queue(direction="in"), "is an input from a queue"),
        (queue(direction="inout"), "has the direction inout"),
        (queue(connection="Broken"), "has the connection Broken: a connection string is "),
        (queue(connection="Identity"), "has the connection Identity, an identity"),
        (
            queue(properties={"supportsDeferredBinding": "True"}),
            "wants a client of an SDK",
        ),
        (
            {"type": "blob", "name": "b", "direction": "in", "path": "plates"},
            "cannot be served: path is container/blob",
        ),
        (
            {"type": "blobTrigger", "name": "b", "direction": "in", "path": "Plates/{x}"},
            "cannot be served: 'Plates/{x}' names no container",
        ),
        (
            {"type": "table", "name": "t", "direction": "in", "tableName": "1"},
            "cannot be served: tableName '1' is none",
        ),
        (
            {"type": "blob", "name": "b", "direction": "in", "path": "a/b", "connection": "None"},
            "has the connection None, and there is no such setting",
        ),
        (
            {"type": "blob", "name": "b", "direction": "in", "path": "a/b", "connection": "Own"},
            "has the connection Own, and there is no such setting",
        ),
    ],
)
def test_what_is_wrong_is_refused_and_shows_no_secret(
    binding: Mapping[str, Any], text: str
) -> None:
    (found,) = said(function(binding))
    assert found[0] is Level.UNSUPPORTED
    assert text in found[1]
    assert KEY not in found[1]


def test_an_orchestrator_has_no_inputs_and_outputs() -> None:
    trigger = {"type": "orchestrationTrigger", "name": "context", "direction": "in"}
    assert said(function(queue(), trigger)) == [(Level.UNSUPPORTED, "is run again and again")]


def test_what_is_served_otherwise_is_a_note() -> None:
    assert said(function(queue(connection="NotThere"))) == [
        (Level.NOTE, "is a queue of Tenuto: there is no setting NotThere")
    ]
    blob = {"type": "blobTrigger", "name": "b", "direction": "in", "path": "plates/{x}"}
    assert said(function({**blob, "source": "EventGrid"})) == [
        (Level.NOTE, "wants events of Event Grid")
    ]


def test_without_the_packages_of_azure_what_needs_them_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "PACKAGES", ("azure.storage.nothing",))
    text = "functions use Azure Storage, and the package azure-storage-nothing is not installed"
    assert said(function(queue())) == [(Level.UNSUPPORTED, text)]
    assert said(function(queue(connection="Own"))) == []
    monkeypatch.setattr(connections, "PACKAGES", ("nothing.at.all",))
    assert connections.missing_package() == "nothing-at-all"


def test_triggers_are_of_the_account_or_of_tenuto() -> None:
    blob = {"type": "blobTrigger", "name": "b", "direction": "in", "path": "plates/{x}"}
    event = {"type": "eventGridTrigger", "name": "e", "direction": "in"}
    functions = [
        function(queue("queueTrigger")),
        function(queue("queueTrigger", connection="Own", queueName="Orders")),
        function(blob),
        function(event),
        function(TRIGGER),
    ]
    options = QueueOptions(batch_size=1, new_batch_threshold=0, max_dequeue_count=2)
    found = triggered_functions(
        functions,
        AppSettings({}, SETTINGS),
        HostOptions(queues=options),
        lambda: None,
        "receipts",
    )
    azure, own, blobs, events = (one.trigger for one in found)
    assert isinstance(azure, AzureQueueTrigger)
    assert (azure.queue, azure.connection) == ("orders", "UseDevelopmentStorage=true")
    assert isinstance(own, QueueTrigger)
    assert (own.queue, own.concurrency, own.redelivery.attempts) == ("Orders", 1, 2)
    assert isinstance(blobs, AzureBlobTrigger)
    assert blobs.options == {"concurrency": 8, "attempts": 5, "receipts": "receipts"}
    assert isinstance(events, EventGridTrigger)


async def test_a_function_of_an_app_that_does_not_run_fails() -> None:
    (found,) = triggered_functions(
        [function(queue("queueTrigger"))],
        AppSettings({}, SETTINGS),
        HostOptions(),
        lambda: None,
        "receipts",
    )
    delivery = Delivery(id="1", attempt=1, last_attempt=False, data="", facts={})
    with pytest.raises(Exception, match="its app is not running"):
        await found.run(delivery)


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_python", "expected"),
    [
        (Datum(string='{"a": 1}'), True, ['{"a": 1}']),
        (datum_of(b"\x00"), True, [b"\x00"]),
        (Datum(json='["one", {"id": null, "body": "two"}, null, 3]'), True, ["one", "two", "3"]),
        (Datum(json='{"id": 1, "body": "two"}'), False, ['{"id":1,"body":"two"}']),
    ],
)
def test_what_a_function_gives_is_one_message_or_several(
    value: Datum, is_python: bool, expected: list[str | bytes]
) -> None:
    assert messages_of(value, is_python=is_python) == expected


def test_values_are_texts_bytes_or_json() -> None:
    assert raw(Datum(json="[1]")) == "[1]"
    assert plain(Datum(string='{"a": 1}')) == {"a": 1}
    for value in (Datum(string="no json"), datum_of(b"\xff")):
        with pytest.raises(BindingError, match="no JSON"):
            plain(value)
    with pytest.raises(BindingError, match="an answer over HTTP is no value for it"):
        raw(Datum())


def test_messages_are_encoded_as_the_host_file_says() -> None:
    assert read(written("Grüße", "base64"), "base64") == "Grüße"
    assert read(written(b"\xff", "base64"), "base64") == b"\xff"
    assert read(written("as it is", "none"), "none") == "as it is"
    with pytest.raises(NoMessageError, match="it is no base64"):
        read("no base64!", "base64")
    with pytest.raises(NoMessageError, match="bytes that are no UTF-8"):
        written(b"\xff", "none")


def test_connection_strings_are_read_and_never_shown() -> None:
    assert "http://127.0.0.1:10001/devstoreaccount1" in whole("UseDevelopmentStorage=true")
    proxied = whole("UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite")
    assert "BlobEndpoint=http://azurite:10000/devstoreaccount1" in proxied
    with pytest.raises(SettingsError, match="a connection string is empty"):
        whole(" ; ")
    with pytest.raises(SettingsError, match="has not what it needs") as raised:
        connections.Accounts().queue(f"AccountKey={KEY}", "orders")
    assert KEY not in str(raised.value)
    assert raised.value.__suppress_context__


def test_what_is_filled_in_by_a_call_is_what_it_knows() -> None:
    assert re.fullmatch(r"a-\d{4}", CallData(values={}, now=NOW).fill("a-{DateTime:yyyy}"))
