"""Queues, blobs and tables as inputs and outputs, one by one, against the emulator."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from tenuto.interop.azure_app.bindings.blobs import BlobSink, BlobSource, place_of
from tenuto.interop.azure_app.bindings.ports import BindingError, CallData
from tenuto.interop.azure_app.bindings.queues import AzureQueueSink, HubQueueSink
from tenuto.interop.azure_app.bindings.tables import TableSink, TableSource
from tenuto.interop.azure_app.bindings.values import datum_of
from tenuto.interop.azure_services import blobs
from tenuto.interop.azure_services.connections import Accounts
from tenuto.interop.workers.protocol import Datum
from tenuto.model.errors import InputError, LimitError
from tenuto.model.topics import PublishedEvent, QueuedMessage
from tests.support.azurite import KEY, Azurite

NOW = datetime(2026, 11, 30, tzinfo=UTC)
NOTHING = CallData(values={}, now=NOW)


@pytest_asyncio.fixture
async def accounts() -> AsyncIterator[Accounts]:
    found = Accounts()
    yield found
    await found.close()


# --- tables -------------------------------------------------------------------------------------


async def test_many_rows_are_inserted_and_found(accounts: Accounts, azurite: Azurite) -> None:
    place: dict[str, Any] = {
        "accounts": accounts,
        "connection": azurite.connection_string,
        "table": "ManyRows",
    }
    # Before anybody has made the table.
    assert await TableSource(**place).read(NOTHING) == Datum(json="[]")
    assert await TableSource(**place, partition="a", row="1").read(NOTHING) is None
    rows: list[dict[str, object]] = [
        {"partitionKey": part, "rowKey": f"{number:03}", "Even": number % 2 == 0, "Rate": 0.5}
        for part in ("a", "b")
        for number in range(101)
    ]
    rows.append({"RowKey": "x", "Name": "O'Hara", "Nothing": None, "Huge": 1 << 70})
    sink = TableSink(**place, partition="{part}")
    assert KEY not in repr(sink) + repr(TableSource(**place))
    await sink.write(Datum(json=json.dumps(rows)), CallData(values={"part": "c"}, now=NOW))
    even = TableSource(**place, filter="Even eq true and RowKey lt '010'")
    found = json.loads((await even.read(NOTHING) or Datum()).json or "")
    assert len(found) == 10
    one = TableSource(**place, row="x")
    (found,) = json.loads((await one.read(NOTHING) or Datum()).json or "")
    assert found == {"PartitionKey": "c", "RowKey": "x", "Name": "O'Hara", "Huge": float(1 << 70)}
    named = TableSource(**place, partition="c", filter="Name eq '{name}'")
    data = CallData(values={"name": "O'Hara", "in": {"it": "'"}}, now=NOW)
    assert len(json.loads((await named.read(data) or Datum()).json or "")) == 1


@pytest.mark.parametrize("value", ["-7", "1.5", "7L", "true", "2026-11-30", "2026-11-30T08:00:00Z"])
def test_what_needs_no_quotes_may_stand_in_a_filter_without(value: str) -> None:
    assert filter_of("Age gt {it} and Name ne '{it}'", value) == (
        f"PartitionKey eq 'mine' and (Age gt {value} and Name ne '{value}')"
    )


@pytest.mark.parametrize(
    "value", ["0) or (PartitionKey ne ''", "0 or 1 eq 1", "Name", "'x'", "", "1\n", "truth", "'"]
)
def test_a_filter_takes_no_more_than_a_value_from_a_call(value: str) -> None:
    with pytest.raises(BindingError, match="cannot stand in a filter without quotes"):
        filter_of("Age gt {it}", value)
    quoted = value.replace("'", "''")
    assert filter_of("Name eq '{it}'", value) == f"PartitionKey eq 'mine' and (Name eq '{quoted}')"


def filter_of(text: str, value: str) -> str:
    """The query of a binding with this filter, for what one call says."""
    asked: list[str] = []

    class Table:
        async def query_entities(self, query: str) -> AsyncIterator[dict[str, object]]:
            asked.append(query)
            for _ in ():
                yield {}

    class Found(Accounts):
        def table(self, connection: str, name: str) -> object:
            del connection, name
            return Table()

    source = TableSource(
        accounts=Found(), connection="", table="rows", partition="mine", filter=text
    )
    asyncio.run(source.read(CallData(values={"it": value}, now=NOW)))
    return asked[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"RowKey": "1"}, "a row has no PartitionKey"),
        ({"PartitionKey": "a", "RowKey": "1", "In": {}}, "'In' of a row is an object or a list"),
        ("text", "a row is a JSON object"),
    ],
)
async def test_a_row_that_is_none_is_refused(
    accounts: Accounts, azurite: Azurite, row: object, said: str
) -> None:
    connection = azurite.connection_string
    sink = TableSink(accounts=accounts, connection=connection, table="NoRows")
    with pytest.raises(BindingError, match=said):
        await sink.write(Datum(json=json.dumps(row)), NOTHING)


# --- blobs --------------------------------------------------------------------------------------


async def test_a_blob_that_is_too_long_is_not_read(
    accounts: Accounts, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = azurite.connection_string
    await BlobSink(accounts, connection, "lengths/one").write(datum_of(b"12345"), NOTHING)
    source = BlobSource(accounts, connection, "lengths/one", is_text=True)
    assert await source.read(NOTHING) == Datum(string="12345")
    monkeypatch.setattr(blobs, "MOST_BYTES", 4)
    with pytest.raises(blobs.BlobTooLongError, match="has 5 bytes; a function gets 4 at most"):
        await source.read(NOTHING)


async def test_a_path_must_name_container_and_blob(accounts: Accounts, azurite: Azurite) -> None:
    sink = BlobSink(accounts, azurite.connection_string, "{container}/{name}")
    data = CallData(values={"container": "plates", "name": None}, now=NOW)
    with pytest.raises(BindingError, match="'plates/' is no path of a blob"):
        await sink.write(Datum(string=""), data)


@pytest.mark.parametrize(
    "name",
    ["../secrets/pw", "a/../../secrets/pw", "..", "./x", "a/./b", "a//b", "/x", "x/", "a\\..\\b"],
)
async def test_what_is_filled_in_does_not_leave_its_container(name: str) -> None:
    accounts = Accounts()  # nothing is asked of it
    data = CallData(values={"name": name}, now=NOW)
    with pytest.raises(BindingError, match="is no name of a blob"):
        await BlobSink(accounts, KEY, "plates/{name}").write(Datum(string=""), data)
    with pytest.raises(BindingError, match="is no name of a blob"):
        await BlobSource(accounts, KEY, "plates/{name}", is_text=True).read(data)


def test_the_container_ends_where_the_path_says() -> None:
    def place(path: str, **values: str) -> tuple[str, str]:
        return place_of(path, CallData(values=values, now=NOW))

    assert place("/{a}/{b}", a="plates", b="x/y.jpg") == ("plates", "x/y.jpg")
    assert place("{whole}", whole="plates/a.jpg") == ("plates", "a.jpg")
    assert place("plates/{DateTime:yyyy/MM}/a") == ("plates", "2026/11/a")
    assert place("plates/{name}", name="...") == ("plates", "...")
    with pytest.raises(BindingError, match="no name of a container"):
        place("{a}/{b}", a="plates/x", b="y")
    with pytest.raises(BindingError, match="no path of a blob"):
        place("{a}/{b}", a="", b="secrets/pw")
    with pytest.raises(BindingError, match="no path of a blob"):
        place("{whole}", whole="plates")


async def test_a_name_that_is_filled_in_is_no_address() -> None:
    data = CallData(values={"name": "../x"}, now=NOW)
    queue = AzureQueueSink(Accounts(), KEY, "{name}", "none", is_python=True)
    with pytest.raises(BindingError, match="no name of a queue"):
        await queue.write(Datum(string=""), data)
    with pytest.raises(BindingError, match="no name of a table"):
        await TableSource(accounts=Accounts(), connection=KEY, table="{name}").read(data)


# --- queues -------------------------------------------------------------------------------------


async def test_what_cannot_be_a_message_is_refused(accounts: Accounts, azurite: Azurite) -> None:
    sink = AzureQueueSink(accounts, azurite.connection_string, "plain", "none", is_python=True)
    with pytest.raises(BindingError, match="bytes that are no UTF-8"):
        await sink.write(datum_of(b"\xff"), NOTHING)


async def test_messages_for_a_queue_of_tenuto_are_json_and_go_together() -> None:
    queued: list[list[QueuedMessage]] = []

    async def publish(events: Sequence[PublishedEvent], messages: Sequence[QueuedMessage]) -> None:
        assert not events
        queued.append(list(messages))

    sink = HubQueueSink(publish, lambda: 7, "{queue}", 40, is_python=True)
    data = CallData(values={"queue": "own"}, now=NOW, cause="instance:one")
    await sink.write(Datum(json='["text", "{\\"a\\": 1}", {"b": 2}]'), data)
    await sink.write(datum_of("Grüße".encode()), data)
    await sink.write(Datum(json="[]"), data)
    assert [[one.data for one in many] for many in queued] == [
        ['"text"', '{"a": 1}', '{"b":2}'],
        ['"Grüße"'],
    ]
    assert {
        (one.queue, one.cause, one.queued_at, one.visible_at) for many in queued for one in many
    } == {("own", "instance:one", 7, 0)}
    with pytest.raises(BindingError, match="is no bytes"):
        await sink.write(datum_of(b"\xff"), data)
    with pytest.raises(LimitError, match="a message for queue 'own'"):
        await sink.write(Datum(string="x" * 50), data)
    with pytest.raises(InputError, match="cannot be the name of a queue"):
        await sink.write(Datum(string=""), CallData(values={"queue": "a/b"}, now=NOW))
