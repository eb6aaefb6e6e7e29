"""``tenuto azure import``: a stopped task hub can be looked at, and nothing of it ever runs.

The rows are those that the Azure Storage provider writes: its columns, its numbers, its leftovers.
"""

import asyncio
import gzip
import itertools
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from tenuto import App, Client, Context, Host, StorageImportedError
from tenuto.cli.command import run_command_line
from tests.support.azurite import Azurite

_hubs: Final = itertools.count(1)
NOW: Final = datetime(2026, 3, 24, 20, 53, 5, 909351, UTC)
EXECUTION: Final = "aae324dcc8f943e490b37ec5e5bbf9da"
EARLIER: Final = "11111111111111111111111111111111"
LONG: Final = json.dumps("y" * 70_000)
Row = dict[str, Any]


class Hub:
    """A hub of the provider's, written as it writes."""

    def __init__(self, azurite: Azurite) -> None:
        self.name = f"Real{os.getpid()}x{next(_hubs)}"
        self.account = azurite.connection_string
        self._tables = TableServiceClient.from_connection_string(self.account)
        self._blobs = BlobServiceClient.from_connection_string(self.account)

    def close(self) -> None:
        self._tables.close()
        self._blobs.close()

    def make(self, *, old: bool = False) -> None:
        for table in ("Instances", "History", *(() if old else ("Partitions",))):
            self._tables.create_table(f"{self.name}{table}")
        if old:
            return
        for container in ("largemessages", "leases"):
            self._blobs.create_container(f"{self.name.lower()}-{container}")

    def add(self, table: str, *rows: Row) -> None:
        client = self._tables.get_table_client(f"{self.name}{table}")
        for row in rows:
            client.upsert_entity({key: one for key, one in row.items() if one is not None})

    def blob(self, name: str, text: str) -> str:
        container = self._blobs.get_container_client(f"{self.name.lower()}-largemessages")
        return str(container.upload_blob(name, gzip.compress(text.encode())).url)

    def lease(self) -> Any:  # noqa: ANN401 - of the packages
        container = self._blobs.get_container_client(f"{self.name.lower()}-leases")
        name = f"ownership/{self.name.lower()}-control-00"
        return container.upload_blob(name, b"{}").acquire_lease()

    def instance(self, key: str, status: str, **more: Any) -> None:
        row = {
            "PartitionKey": key,
            "RowKey": "",
            "ExecutionId": EXECUTION,
            "Name": "Order",
            "Version": "",
            "CustomStatus": "null",
            "CreatedTime": NOW,
            "LastUpdatedTime": NOW + timedelta(seconds=9),
            "CompletedTime": None if status in {"Running", "Pending"} else NOW,
            "RuntimeStatus": status,
            "TaskHubName": self.name,
            "Generation": 0,
            "Tags": "null",
        }
        self.add("Instances", row | more)

    def history(self, key: str, *events: Row, leftovers: int = 0) -> None:
        rows: list[Row] = [
            {
                "EventId": -1,
                "IsPlayed": True,
                "_Timestamp": NOW + timedelta(seconds=index),
                "ExecutionId": EXECUTION,
                **event,
            }
            for index, event in enumerate(events)
        ]
        # A generation before was longer: its rows stay behind.
        old = {"EventType": "OrchestratorStarted", "EventId": -1, "ExecutionId": EARLIER}
        rows += [old] * leftovers
        keyed = [row | {"RowKey": f"{index:016X}"} for index, row in enumerate(rows)]
        keyed.append({"RowKey": "sentinel", "ExecutionId": EXECUTION, "IsCheckpointComplete": True})
        self.add("History", *(row | {"PartitionKey": key} for row in keyed))


@pytest.fixture
def hub(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    one = Hub(azurite)
    monkeypatch.setenv("TENUTO_AZURE_CONNECTION_STRING", one.account)
    yield one
    one.close()


def started(key: str, **more: Any) -> Row:
    return {
        "EventType": "ExecutionStarted",
        "OrchestrationInstance": json.dumps({"InstanceId": key, "ExecutionId": EXECUTION}),
        "ParentInstance": "null",
        "Name": "Order",
        "Version": "",
        "Input": '"4711"',
        "Tags": "null",
        "ParentTraceContext": "null",
        "Generation": 0,
        "GenerateNewTrace": False,
        **more,
    }


def failure(message: str, inner: Row | None = None) -> Row:
    return {
        "ErrorType": "System.InvalidOperationException",
        "ErrorMessage": message,
        "StackTrace": "   at Shop.Pay()",
        "InnerFailure": inner,
        "IsNonRetriable": False,
        "Properties": None,
    }


BEGIN: Final = {"EventType": "OrchestratorStarted"}
END: Final = {"EventType": "OrchestratorCompleted"}


def filled(hub: Hub) -> None:
    hub.make()
    long_input = hub.blob("order-1/history-0000000000000001-Input-0A1B2C3D-Input.json.gz", LONG)
    hub.instance(
        "order-1",
        "Completed",
        Input=long_input,
        Output='{"paid":true}',
        CustomStatus='{"step":3}',
        Tags='{"$type":"System.Collections.Generic.Dictionary`2","shop":"north"}',
    )
    result = "order-1/history-0000000000000005-TaskCompleted-11AA22BB-Result.json.gz"
    hub.blob(result, LONG)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    hub.history(
        "order-1",
        BEGIN,
        started(
            "order-1", ParentTraceContext=json.dumps({"TraceParent": trace, "TraceState": None})
        ),
        {"EventType": "TaskScheduled", "EventId": 0, "Name": "Pay", "Version": ""},
        END,
        BEGIN,
        {
            "EventType": "TaskCompleted",
            "TaskScheduledId": 0,
            "Result": "",
            "ResultBlobName": result,
        },
        {
            "EventType": "SubOrchestrationInstanceCreated",
            "EventId": 1,
            "Name": "Ship",
            "Version": "",
            "InstanceId": "ship/1",
        },
        {"EventType": "TimerCreated", "EventId": 2, "FireAt": NOW + timedelta(days=3)},
        {"EventType": "EventSent", "EventId": 3, "InstanceId": "other", "Name": "hello"},
        END,
        BEGIN,
        {"EventType": "TimerFired", "TimerId": 2, "FireAt": NOW + timedelta(days=3)},
        {"EventType": "EventRaised", "Name": "approved", "Input": '{"by":"Ann"}'},
        {"EventType": "ExecutionSuspended", "Reason": "a break"},
        {"EventType": "ExecutionResumed", "Reason": "go on"},
        {"EventType": "SubOrchestrationInstanceCompleted", "TaskScheduledId": 1, "Result": "1"},
        {"EventType": "TaskScheduled", "EventId": 4, "Name": "Thank", "Version": "2"},
        {"EventType": "TaskScheduled", "EventId": 5, "Name": "Thank"},
        END,
        BEGIN,
        {"EventType": "GenericEvent", "Data": "what nobody knows"},
        {"EventType": "TaskFailed", "TaskScheduledId": 4, "Reason": "no mail", "Details": "at X"},
        {
            "EventType": "SubOrchestrationInstanceFailed",
            "TaskScheduledId": 5,
            "FailureDetails": json.dumps(failure("sunk", failure("storm"))),
        },
        {
            "EventType": "ExecutionCompleted",
            "EventId": 6,
            "OrchestrationStatus": "Completed",
            "Result": '{"paid":true}',
            "FailureDetails": "null",
        },
        END,
        leftovers=3,
    )
    hub.instance("ship^01", "Failed", Name="Ship", Output="System.Exception: sunk")
    parent = {
        "Name": "Order",
        "OrchestrationInstance": {"InstanceId": "order-1", "ExecutionId": EXECUTION},
        "TaskScheduleId": 1,
        "Version": "",
    }
    hub.history(
        "ship^01",
        BEGIN,
        started("ship/1", Name="Ship", ParentInstance=json.dumps(parent)),
        {
            "EventType": "ExecutionCompleted",
            "EventId": 0,
            "OrchestrationStatus": "Failed",
            "Result": "sunk",
            "FailureDetails": json.dumps(failure("sunk")),
        },
        END,
    )
    hub.instance("stopped", "Terminated", Output="enough of it")
    hub.history(
        "stopped",
        BEGIN,
        started("stopped"),
        {"EventType": "ExecutionTerminated", "Input": "enough of it"},
        {
            "EventType": "ExecutionCompleted",
            "EventId": 0,
            "OrchestrationStatus": "Terminated",
            "Result": "enough of it",
        },
        END,
    )
    hub.instance("odd", "Failed", Output="System.Exception: without a history")
    hub.instance("eternal", "Running")
    hub.history(
        "eternal",
        BEGIN,
        started(
            "eternal", ParentTraceContext='{"TraceParent":"none"}', ParentInstance="[", Tags="1"
        ),
        {"EventType": "ContinueAsNew", "OrchestrationStatus": "ContinuedAsNew", "Result": "2"},
    )
    message = {"TaskMessage": {"Event": {"Input": LONG}}}
    first = hub.blob("young/message-5406-ExecutionStarted.json.gz", json.dumps(message))
    lost = first.replace("young", "gone").replace("message-5406", "message-0000")
    hub.instance("young", "Pending", Input=first, Output=lost, Name="Order")
    hub.instance("link", "Running", Input="https://example.com/a.json")
    hub.instance("@counter@k1", "Running", Name="@counter")
    hub.add(
        "Partitions",
        {
            "PartitionKey": "",
            "RowKey": f"{hub.name.lower()}-control-00",
            "CurrentOwner": "worker-1",
            "ExpiresAt": NOW,
            "IsDraining": False,
        },
    )


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    found = run_command_line([*arguments])
    captured = capsys.readouterr()
    assert found == code, captured.out + captured.err
    return captured.out if code == 0 else captured.err


def test_instances_and_histories_can_be_looked_at(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(hub)
    file = tmp_path / "seen.db"
    command = ("azure", "import", str(file), "--task-hub", hub.name)
    found = json.loads(said(capsys, *command, "--json"))
    assert found["instances"] == 7
    assert found["entities"] == 1
    assert [one.name for one in tmp_path.iterdir()] == ["seen.db"]

    at = ("--storage", f"sqlite:///{file}")
    listed = json.loads(said(capsys, "instances", "list", "--json", *at))
    instances = listed if isinstance(listed, list) else listed["instances"]
    statuses = {one["instanceId"]: one["runtimeStatus"] for one in instances}
    assert statuses == {
        "order-1": "Completed",
        "ship/1": "Failed",
        "stopped": "Terminated",
        "odd": "Failed",
        "eternal": "Running",
        "young": "Pending",
        "link": "Running",
    }
    picture = said(capsys, "instances", "show", "order-1", *at)
    for word in ("Order", "Pay", "Ship", "Thank", "Completed"):
        assert word in picture
    events = json.loads(said(capsys, "instances", "history", "order-1", "--json", *at))
    assert found["events"] == 30
    text = json.dumps(events)
    for word in ("approved", "a break", "no mail", "storm", "y" * 100, "0af7651916cd43dd"):
        assert word in text
    assert EARLIER not in text
    assert "what nobody knows" not in text
    assert "imported to be looked at" in said(capsys, "doctor", *at)
    for one in ("eternal", "young", "stopped", "odd"):
        assert one in said(capsys, "instances", "show", one, *at)


def test_what_is_read_is_what_was_written(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(hub)
    file = tmp_path / "seen.db"
    assert "7 instances" in said(capsys, "azure", "import", str(file), "--task-hub", hub.name)

    async def looked_at() -> None:
        async with Client.open(f"sqlite:///{file}") as client:
            order = await client.get_status("order-1")
            assert order is not None
            assert order.input == json.loads(LONG)
            assert order.output == {"paid": True}
            assert order.custom_status == {"step": 3}
            assert order.tags == {"shop": "north"}
            assert order.created_time == NOW
            young = await client.get_status("young")
            assert young is not None
            assert young.input == json.loads(LONG)
            assert "is gone" in str(young.output)
            stopped = await client.get_status("stopped")
            assert stopped is not None
            assert stopped.output == "enough of it"

    asyncio.run(looked_at())


app = App()


@app.orchestrator(name="Order")
async def order(ctx: Context, number: str) -> str:
    return number


def test_nothing_of_it_is_ever_executed(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(hub)
    file, copy, restored = (str(tmp_path / name) for name in ("seen.db", "copy.db", "restored.db"))
    said(capsys, "azure", "import", file, "--task-hub", hub.name)
    said(capsys, "backup", copy, "--storage", f"sqlite:///{file}")
    said(capsys, "restore", copy, restored, "--accept-loss")
    for one in (file, copy, restored):
        asyncio.run(refused(f"sqlite:///{one}"))


async def refused(url: str) -> None:
    with pytest.raises(StorageImportedError, match="to be looked at"):
        async with Host(app, url):
            pass
    async with Client.open(url) as client:
        with pytest.raises(StorageImportedError):
            await client.start("Order", "1")
        with pytest.raises(StorageImportedError):
            await client.raise_event("eternal", "go")
        with pytest.raises(StorageImportedError):
            await client.terminate("eternal")
        with pytest.raises(StorageImportedError):
            await client.publish("orders", 1)
        with pytest.raises(StorageImportedError):
            await client.enqueue("parcels", 1)
        with pytest.raises(StorageImportedError):
            await client.purge("order-1")


def test_a_hub_that_is_in_use_or_none_is_refused(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "seen.db"
    command = ("azure", "import", str(file), "--task-hub", hub.name)
    assert "there is no task hub" in said(capsys, *command, code=2)
    hub.make()
    key = {"PartitionKey": "", "RowKey": "q", "IsDraining": False}
    soon = datetime.now(UTC) + timedelta(minutes=1)
    hub.add("Partitions", {**key, "CurrentOwner": "worker-1", "ExpiresAt": soon})
    assert "'worker-1' owns 'q'" in said(capsys, *command, code=2)
    hub.add("Partitions", {**key, "CurrentOwner": "", "ExpiresAt": soon})
    lease = hub.lease()
    assert "holds the lease of 'ownership/" in said(capsys, *command, code=2)
    lease.release()
    assert not file.exists()
    log = tmp_path / "seen.db-wal"
    log.write_bytes(b"of another store")
    assert "there already" in said(capsys, *command, code=2)
    log.unlink()
    assert "0 instances" in said(capsys, *command)
    assert "there already" in said(capsys, *command, code=2)


def test_a_hub_without_all_of_its_parts_is_read(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.make(old=True)
    address = f"https://a.blob.core.windows.net/{hub.name.lower()}-largemessages/a/b.json.gz"
    hub.instance("one", "Completed", Input=address, Output="1")
    file = tmp_path / "seen.db"
    said(capsys, "azure", "import", str(file), "--task-hub", hub.name)
    shown = said(capsys, "instances", "show", "one", "--storage", f"sqlite:///{file}")
    assert "is gone" in shown
